//! The two sites of the test: the shortener, and a page to shorten.

use std::env;
use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;

use uuid::Uuid;

/// A page of another site; it answers until the process ends.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) url: String,
}

/// The real binary on one file; gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Shortener {
    pub(crate) url: String,
    process: Child,
    folder: PathBuf,
}

impl Target {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.2:0").unwrap();
        let url = format!("http://{}/page", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 4_096];
                drop(stream.read(&mut request));
                let page = "<!doctype html><title>The target</title><link rel=icon href=data:,>";
                let length = page.len();
                drop(write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\
                     Connection: close\r\n\r\n{page}"
                ));
            }
        });
        Self { url }
    }
}

impl Shortener {
    pub(crate) fn start() -> Self {
        let folder = env::temp_dir().join(format!("urlshort-page-{}", Uuid::now_v7()));
        fs::create_dir_all(&folder).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_urlshort"))
            .arg("serve")
            .env_clear()
            .env("URLSHORT__DATA_DIR", folder.join("data"))
            .env("URLSHORT__HTTP__LISTEN", "127.0.0.1:0")
            .env("URLSHORT__ADMIN__LISTEN", "127.0.0.1:0")
            .env("URLSHORT__LINKS__ALLOW_PRIVATE_TARGETS", "true")
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        thread::spawn(move || lines.for_each(drop));
        let (_, url) = first.split_once("listens on ").unwrap();
        Self {
            url: url.to_owned(),
            process,
            folder,
        }
    }
}

impl Shortener {
    /// Loads it for a moment; the page that says what came of it.
    pub(crate) fn load_test(&self) -> PathBuf {
        let page = self.folder.join("load.html");
        let run = |arguments: &[&str]| {
            let done = Command::new(env!("CARGO_BIN_EXE_urlshort"))
                .args(arguments)
                .env_clear()
                .env("URLSHORT__DATA_DIR", self.folder.join("data"))
                .current_dir(&self.folder)
                .output()
                .unwrap();
            assert!(done.status.success(), "{done:?}");
        };
        run(&["seed", "--count", "50", "--quiet"]);
        let load = ["loadtest", &self.url, "--seed-run", "50", "--settle", "0"];
        let plan = ["--rate", "100", "--duration", "3s", "--warmup", "1s"];
        run(&[&load[..], &plan, &["--html", page.to_str().unwrap()]].concat());
        page
    }
}

impl Drop for Shortener {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}
