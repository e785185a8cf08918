//! Programs that a test starts, each with a log of its own, and that end with it.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use crate::http::Client;
use crate::process::signal;
use crate::process::until;

/// A running program.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

/// Starts `program`; what it says goes to `folder/name.log`.
#[track_caller]
pub(crate) fn start(
    folder: &Path,
    name: &str,
    program: &Path,
    arguments: &[String],
    environment: &BTreeMap<String, String>,
) -> Running {
    let log = folder.join(format!("{name}.log"));
    let file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log)
        .unwrap();
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    Running {
        name: name.to_owned(),
        child,
        log,
    }
}

impl Running {
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until the program answers 200 there.
    #[track_caller]
    pub(crate) fn answers(&mut self, address: SocketAddr, path: &str) {
        until(&self.name.clone(), Duration::from_secs(40), || {
            self.still_runs();
            let answer = Client::new(address).get(path).ok()?;
            (answer.status == 200).then_some(())
        });
    }

    #[track_caller]
    pub(crate) fn still_runs(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(
            ended.is_none(),
            "{} ended with {ended:?}:\n{}",
            self.name,
            self.log()
        );
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until a program that ends by itself has done so; its status.
    #[track_caller]
    pub(crate) fn stop_by_itself(mut self, patience: Duration) -> Option<i32> {
        let status = until(&format!("{} ends", self.name), patience, || {
            self.child.try_wait().unwrap()
        });
        status.code()
    }

    /// Asks it to stop, and waits; its status.
    #[track_caller]
    pub(crate) fn stop(mut self, patience: Duration) -> Option<i32> {
        signal("TERM", self.child.id());
        until(&format!("{} ends", self.name), patience, || {
            self.child.try_wait().unwrap()
        })
        .code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// An address on the loopback.
pub(crate) fn here(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
