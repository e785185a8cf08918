//! Runs the program in a folder of its own, with an environment of its own, and never for ever.

use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use uuid::Uuid;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// An empty folder; gone when this is dropped.
pub(crate) struct Folder(PathBuf);

/// A program that is about to run in a folder.
pub(crate) struct Program(Command);

/// A program that has ended.
pub(crate) struct Done {
    /// Its exit status; `None`: a signal ended it.
    pub(crate) status: Option<i32>,
    /// What it said on stdout.
    pub(crate) output: String,
    /// What it said on stderr.
    pub(crate) errors: String,
}

/// A running `serve`; killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    /// The public port.
    pub(crate) public: SocketAddr,
    /// The port for metrics and probes.
    pub(crate) admin: SocketAddr,
    output: mpsc::Receiver<String>,
    log: mpsc::Receiver<String>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("urlshort-cli-{}", Uuid::now_v7()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The program with these arguments, in this folder, with an empty environment.
    pub(crate) fn program(&self, arguments: &[&str]) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_urlshort"));
        command
            .args(arguments)
            .env_clear()
            .current_dir(&self.0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Program(command)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        self.program(arguments).done()
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.program(arguments).json()
    }

    /// `serve` on free ports.
    pub(crate) fn serve(&self) -> Server {
        self.program(&["serve", "--listen", "127.0.0.1:0"])
            .env("URLSHORT__ADMIN__LISTEN", "127.0.0.1:0")
            .start()
    }

    /// Fails unless exactly these entries are there.
    #[track_caller]
    pub(crate) fn check_holds(&self, names: &[&str]) {
        assert_eq!(names_in(&self.0), names);
    }
}

/// What lies in a folder, in order.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

impl Program {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Runs it while nobody reads its results; what it said on stderr.
    pub(crate) fn unread(mut self) -> String {
        let mut child = self.0.spawn().unwrap();
        drop(child.stdout.take());
        let errors = read_all(child.stderr.take().unwrap());
        let errors = errors.recv_timeout(PATIENCE).unwrap();
        child.wait().unwrap();
        errors
    }

    /// Runs it to its end.
    #[track_caller]
    pub(crate) fn done(mut self) -> Done {
        let mut child = self.0.spawn().unwrap();
        let (output, errors) = (
            read_all(child.stdout.take().unwrap()),
            read_all(child.stderr.take().unwrap()),
        );
        // The pipes end with the program, and the wait for them has an end.
        let read = |from: mpsc::Receiver<String>, child: &mut Child| {
            from.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                drop(child.kill());
                panic!("the program did not end within {PATIENCE:?}");
            })
        };
        let (output, errors) = (read(output, &mut child), read(errors, &mut child));
        Done {
            status: child.wait().unwrap().code(),
            output,
            errors,
        }
    }

    /// Runs it to its end, which must be a success, and reads what it printed.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let done = self.done();
        assert_eq!(done.status, Some(0), "{}{}", done.output, done.errors);
        done.json()
    }

    /// Starts `serve` and waits until it says where it listens.
    pub(crate) fn start(self) -> Server {
        let mut server = self.spawn();
        server.public = address_in(&server.printed("listens on"));
        server.admin = address_in(&server.printed("metrics"));
        server
    }

    /// Starts another role and waits until it says where its metrics are.
    pub(crate) fn start_worker(self) -> Server {
        let mut server = self.spawn();
        server.admin = address_in(&server.printed("metrics on"));
        server
    }

    /// Starts what says by itself what it does.
    pub(crate) fn run_on(self) -> Server {
        self.spawn()
    }

    fn spawn(mut self) -> Server {
        let mut child = self.0.spawn().unwrap();
        let output = read_lines(child.stdout.take().unwrap());
        let log = read_lines(child.stderr.take().unwrap());
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Server {
            child,
            public: nowhere,
            admin: nowhere,
            output,
            log,
        }
    }
}

impl Done {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.output);
        parsed.unwrap_or_else(|error| panic!("{error}: {}", self.output))
    }
}

impl Server {
    /// The next line of stdout that holds `text`.
    #[track_caller]
    pub(crate) fn printed(&self, text: &str) -> String {
        find(&self.output, text)
    }

    /// The next line of the log that holds `text`.
    #[track_caller]
    pub(crate) fn logged(&self, text: &str) -> String {
        find(&self.log, text)
    }

    /// The status and the body of an answer on the public port.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        ask(self.public, method, path, body)
    }

    /// Returns once the start has succeeded.
    #[track_caller]
    pub(crate) fn wait_until_ready(&self) {
        self.wait_until(200);
    }

    /// Returns once `/readyz` answers `status`: nothing else tells how far the process has come.
    #[track_caller]
    pub(crate) fn wait_until(&self, status: u16) {
        let begun = Instant::now();
        while ask(self.admin, "GET", "/readyz", "").0 != status {
            let waited = begun.elapsed();
            assert!(waited < Duration::from_secs(20), "never {status}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks the process to stop.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Whether it has not ended yet.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends it a signal: `TERM`, `INT`, `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(sent.success());
    }

    /// The exit status, and what else was printed, once it has ended.
    #[track_caller]
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        loop {
            match self.output.recv_timeout(PATIENCE) {
                Ok(line) => rest.push_str(&line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it did not end"),
            }
        }
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One request on a connection of its own: the status and the body.
pub(crate) fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, body.to_owned())
}

#[track_caller]
fn find(lines: &mpsc::Receiver<String>, text: &str) -> String {
    let mut seen = String::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) if line.contains(text) => return line,
            Ok(line) => seen.push_str(&line),
            Err(_) => panic!("{text:?} was never said, but:\n{seen}"),
        }
    }
}

/// The address of the URL in a line.
fn address_in(line: &str) -> SocketAddr {
    let (_, rest) = line.split_once("http://").unwrap();
    let address = rest.split(['/', '\n']).next().unwrap();
    address.trim().parse().unwrap()
}

fn read_all(mut from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, read) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        drop(from.read_to_end(&mut bytes));
        drop(sender.send(String::from_utf8_lossy(&bytes).into_owned()));
    });
    read
}

fn read_lines(from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, read) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            drop(sender.send(line + "\n"));
        }
    });
    read
}
