//! The real binary, started, broken and stopped.

use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use uuid::Uuid;

use crate::http::Client;

/// A folder of one test, gone with it.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path =
            std::env::temp_dir().join(format!("urlshort-faults-{}", Uuid::now_v7().simple()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// What a process is started with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment(pub(crate) Vec<(String, String)>);

impl Environment {
    pub(crate) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.0.push((name.to_owned(), value.to_string()));
        self
    }
}

/// A running `urlshort`.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// Starts `urlshort serve` on a free port with its data in `folder`, and waits until it listens.
pub(crate) fn serve(folder: &Path, environment: &Environment) -> Process {
    start("serve", folder, environment, "listens on http://")
}

/// Starts `urlshort analytics`.
pub(crate) fn analytics(folder: &Path, environment: &Environment) -> Process {
    start("analytics", folder, environment, "metrics on http://")
}

fn start(role: &str, folder: &Path, environment: &Environment, says: &str) -> Process {
    let (mut child, line) = launch(role, folder, environment, says);
    let Some(line) = line else {
        child.kill().ok();
        panic!("{role} ended; its log:\n{}", log(folder));
    };
    let address = line.split("http://").nth(1).unwrap_or_default();
    let address = address.split('/').next().unwrap_or_default().trim();
    let address = address
        .parse()
        .unwrap_or_else(|_| panic!("no address in {line:?}"));
    Process { child, address }
}

/// Starts a command and waits for the line that holds `says`, or the end.
fn launch(
    role: &str,
    folder: &Path,
    environment: &Environment,
    says: &str,
) -> (Child, Option<String>) {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_urlshort"))
        .arg(role)
        .current_dir(folder)
        .env_clear()
        .env("URLSHORT__HTTP__LISTEN", "127.0.0.1:0")
        .env("URLSHORT__ADMIN__LISTEN", "127.0.0.1:0")
        .env("URLSHORT__LOG__FORMAT", "text")
        .env("URLSHORT__LIMITS__MISSES_PER_MINUTE", "0")
        .envs(environment.0.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines
        .by_ref()
        .map_while(Result::ok)
        .find(|line| line.contains(says));
    // The rest is read, so that the pipe never fills.
    thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    (child, line)
}

/// Runs a command that is expected to end by itself; its status and log.
pub(crate) fn refused(folder: &Path, environment: &Environment) -> (Option<i32>, String) {
    let (mut child, line) = launch("serve", folder, environment, "listens on http://");
    if line.is_some() {
        child.kill().ok();
        panic!("it listens");
    }
    let status = child.wait().unwrap().code();
    (status, log(folder))
}

pub(crate) fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

impl Process {
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Ends it as a power cut of the process would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop and waits; answers its status.
    pub(crate) fn stop(mut self) -> Option<i32> {
        signal("TERM", self.child.id());
        until("the process ends", Duration::from_secs(40), || {
            self.child.try_wait().unwrap()
        })
        .code()
    }

    /// Waits until `/readyz` says that it has started.
    pub(crate) fn ready(&self) {
        until("the process is ready", Duration::from_secs(30), || {
            let answer = self.client().get("/readyz").ok()?;
            (answer.status == 200).then_some(())
        });
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        signal("CONT", self.child.id());
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(name: &str, id: u32) {
    Command::new("kill")
        .arg(format!("-{name}"))
        .arg(id.to_string())
        .stderr(Stdio::null())
        .status()
        .ok();
}

/// How long a server stays away: long enough to be beyond every deadline, or as long as
/// `URLSHORT_TEST_OUTAGE` says, in seconds.
pub(crate) fn outage() -> Duration {
    let seconds = std::env::var("URLSHORT_TEST_OUTAGE").ok();
    Duration::from_secs(seconds.map_or(6, |seconds| seconds.parse().expect("whole seconds")))
}

/// Asks again and again until there is an answer.
#[track_caller]
pub(crate) fn until<T>(what: &str, patience: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            begun.elapsed() < patience,
            "waited {patience:?} in vain: {what}"
        );
        thread::sleep(Duration::from_millis(20));
    }
}
