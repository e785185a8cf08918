//! Servers of our own, to be broken; and the shared ones, which nobody breaks.

use std::fs;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use uuid::Uuid;

use crate::process::Folder;
use crate::process::signal;
use crate::process::until;

/// A shared server's URL, or `None` with a word that the test is skipped.
pub(crate) fn shared(name: &str) -> Option<String> {
    let url = std::env::var(name).ok();
    if url.is_none() {
        let required = std::env::var("URLSHORT_TEST_REQUIRED").is_ok_and(|value| value == "1");
        assert!(!required, "{name} is not set");
        eprintln!("SKIPPED: {name} is not set");
    }
    url
}

/// An empty database on a shared server; its name is never used again.
pub(crate) fn database(number: usize) -> Option<String> {
    let admin = shared(&format!("URLSHORT_TEST_POSTGRES_{number}"))?;
    Some(create_database(&admin))
}

/// Runs statements, each on its own; what they answer, a row a line.
#[track_caller]
pub(crate) fn psql(url: &str, statements: &[&str]) -> String {
    try_psql(url, statements).unwrap_or_else(|| panic!("{statements:?} on {url}"))
}

/// The same; `None` where one of them fails.
pub(crate) fn try_psql(url: &str, statements: &[&str]) -> Option<String> {
    let each = statements.iter().flat_map(|statement| ["-c", statement]);
    let done = Command::new("psql")
        .args(["-qAt", "-v", "ON_ERROR_STOP=1", url])
        .args(each)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stdout).trim().to_owned();
    done.status.success().then_some(told)
}

/// Ends the connections to every database but the one that is asked.
pub(crate) const DISCONNECT: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
     WHERE datname <> current_database()";

/// The server's own database, its URL, and the name of the database of `url`.
pub(crate) fn beside(url: &str) -> (String, &str) {
    let (server, name) = url.rsplit_once('/').unwrap();
    (format!("{server}/postgres"), name)
}

fn create_database(admin: &str) -> String {
    let name = format!("faults_{}", Uuid::now_v7().simple());
    psql(admin, &[&format!("CREATE DATABASE {name}")]);
    let (server, _) = admin.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn wait_for_port(port: u16) {
    until("a server listens", Duration::from_secs(30), || {
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
}

/// A `PostgreSQL` server of this test.
#[derive(Debug)]
pub(crate) struct Postgres {
    folder: Folder,
    bin: PathBuf,
    port: u16,
}

impl Postgres {
    /// `None` where no server is installed and none is required.
    pub(crate) fn start() -> Option<Self> {
        shared("URLSHORT_TEST_POSTGRES_0")?;
        let versions = fs::read_dir("/usr/lib/postgresql")
            .ok()
            .into_iter()
            .flatten()
            .flatten();
        let bin = versions
            .map(|version| version.path().join("bin"))
            .find(|bin| bin.join("initdb").exists());
        let bin = bin.expect("PostgreSQL's server programs are installed");
        let server = Self {
            folder: Folder::new(),
            bin,
            port: free_port(),
        };
        let data = server.data();
        if is_root() {
            Command::new("chown")
                .arg("postgres")
                .arg(&server.folder.0)
                .status()
                .unwrap();
        }
        server.run(&[
            "initdb",
            "-D",
            &data,
            "-U",
            "urlshort",
            "--auth=trust",
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
        ]);
        server.resume();
        Some(server)
    }

    fn data(&self) -> String {
        self.folder.0.join("data").display().to_string()
    }

    fn run(&self, arguments: &[&str]) {
        let program = self.bin.join(arguments[0]);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        let output = command
            .args(&arguments[1..])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .status();
        assert!(output.unwrap().success(), "{arguments:?}");
    }

    /// Starts the server, which was stopped or never ran.
    pub(crate) fn resume(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c shared_buffers=32MB",
            self.port
        );
        self.run(&[
            "pg_ctl",
            "-D",
            &self.data(),
            "-w",
            "-l",
            "/dev/null",
            "-o",
            &options,
            "start",
        ]);
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn crash(&self) {
        self.run(&["pg_ctl", "-D", &self.data(), "-m", "immediate", "stop"]);
    }

    /// An empty database of it.
    pub(crate) fn database(&self) -> String {
        create_database(&format!(
            "postgres://urlshort@127.0.0.1:{}/postgres",
            self.port
        ))
    }

    /// Freezes or thaws the server and every process of it.
    pub(crate) fn freeze(&self, frozen: bool) {
        let name = if frozen { "STOP" } else { "CONT" };
        let Ok(text) = fs::read_to_string(self.folder.0.join("data/postmaster.pid")) else {
            return; // it crashed before
        };
        let main: u32 = text.lines().next().unwrap().parse().unwrap();
        signal(name, main);
        Command::new("pkill")
            .args([&format!("-{name}"), "-P", &main.to_string()])
            .status()
            .unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.freeze(false);
        let program = self.bin.join("pg_ctl");
        let mut command = Command::new(if is_root() {
            "runuser".into()
        } else {
            program.clone()
        });
        if is_root() {
            command.args(["-u", "postgres", "--"]).arg(program);
        }
        command
            .args(["-D", &self.data(), "-m", "immediate", "stop"])
            .current_dir("/");
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .ok();
    }
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout == b"0\n")
}

/// A Redis server of this test.
#[derive(Debug)]
pub(crate) struct Redis {
    child: Child,
    pub(crate) port: u16,
}

impl Redis {
    pub(crate) fn start() -> Option<Self> {
        shared("URLSHORT_TEST_REDIS")?;
        let port = free_port();
        Some(Self {
            child: Self::launch(port),
            port,
        })
    }

    fn launch(port: u16) -> Child {
        let child = Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_for_port(port);
        child
    }

    pub(crate) fn freeze(&self, frozen: bool) {
        signal(if frozen { "STOP" } else { "CONT" }, self.child.id());
    }

    pub(crate) fn flush(&self) {
        self.ask(&["FLUSHALL"]);
    }

    /// What the server says to a command.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        let done = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(words)
            .output()
            .unwrap();
        assert!(done.status.success(), "{words:?}");
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    pub(crate) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn resume(&mut self) {
        self.child = Self::launch(self.port);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A Kafka broker of this test.
#[derive(Debug)]
pub(crate) struct Kafka {
    folder: Folder,
    child: Child,
    port: u16,
}

impl Kafka {
    pub(crate) fn start() -> Option<Self> {
        shared("URLSHORT_TEST_KAFKA")?;
        let folder = Folder::new();
        let (port, controller) = (free_port(), free_port());
        let properties = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\nlog.dirs={}\noffsets.topic.replication.factor=1\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
             auto.create.topics.enable=false\nlog.index.size.max.bytes=1048576\n\
             share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n",
            folder.0.join("logs").display()
        );
        fs::write(folder.0.join("server.properties"), properties).unwrap();
        let file = folder.0.join("server.properties").display().to_string();
        let formatted = Self::java(&[
            "kafka.tools.StorageTool",
            "format",
            "-t",
            "dXJsc2hvcnQtZmF1bHRzLTE",
            "-c",
            &file,
        ])
        .status();
        assert!(formatted.unwrap().success());
        let child = Self::java(&["kafka.Kafka", &file]).spawn().unwrap();
        let broker = Self {
            folder,
            child,
            port,
        };
        wait_for_port(port);
        Some(broker)
    }

    fn java(arguments: &[&str]) -> Command {
        let target = std::env::var("CARGO_TARGET_DIR")
            .unwrap_or_else(|_| format!("{}/target", env!("CARGO_MANIFEST_DIR")));
        let jars = format!("{target}/backends/kafka-jars/*");
        let mut command = Command::new("java");
        command
            .args(["-Xmx384m", "-XX:+UseSerialGC", "-cp", &jars])
            .args(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn freeze(&self, frozen: bool) {
        signal(if frozen { "STOP" } else { "CONT" }, self.child.id());
    }

    pub(crate) fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn resume(&mut self) {
        let file = self
            .folder
            .0
            .join("server.properties")
            .display()
            .to_string();
        self.child = Self::java(&["kafka.Kafka", &file]).spawn().unwrap();
        wait_for_port(self.port);
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        signal("CONT", self.child.id());
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
