//! The real binary in a folder of its own, started for a test and killed after it.

use std::env;
use std::fs;
use std::fs::File;
use std::io::BufRead as _;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use crate::client::Answer;
use crate::client::Request;
use crate::servers::Servers;

/// The admin key of every process here.
pub(crate) const ADMIN: &str = "an-admin-key-for-tests-0123456789abcdef";

const NO_LIMITS: [(&str, &str); 1] = [("URLSHORT__LIMITS__MISSES_PER_MINUTE", "0")];

/// What the process runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One file.
    Embedded,
    /// Three files.
    Files,
    /// Three database servers, Redis, Kafka, an `analytics` and a `classify` process.
    Distributed,
}

/// A running `serve`, and what belongs to it.
#[derive(Debug)]
pub(crate) struct TestApp {
    pub(crate) shape: Shape,
    pub(crate) address: SocketAddr,
    /// Where operators look.
    pub(crate) admin: SocketAddr,
    /// Keys of the owners `ann` and `bob` with the usual scopes.
    pub(crate) ann: String,
    pub(crate) bob: String,
    processes: Vec<Child>,
    variables: Vec<(String, String)>,
    folder: PathBuf,
    _servers: Option<Servers>,
}

/// The processes that tests share while any of them runs; nobody may change their configuration.
static SHARED: Mutex<[Weak<TestApp>; 3]> = Mutex::new([Weak::new(), Weak::new(), Weak::new()]);

/// Runs `test` on a process of each shape.
#[track_caller]
pub(crate) fn on_each(test: impl Fn(&TestApp)) {
    for shape in [Shape::Embedded, Shape::Files, Shape::Distributed] {
        if let Some(app) = shared(shape) {
            test(&app);
        }
    }
}

fn shared(shape: Shape) -> Option<Arc<TestApp>> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(app) = shared[shape as usize].upgrade() {
        return Some(app);
    }
    let servers = match shape {
        Shape::Embedded | Shape::Files => None,
        Shape::Distributed => Some(Servers::new()?),
    };
    let app = Arc::new(TestApp::start(shape, servers, &NO_LIMITS));
    shared[shape as usize] = Arc::downgrade(&app);
    Some(app)
}

/// A process of its own with these variables, on one file.
pub(crate) fn embedded(variables: &[(&str, &str)]) -> TestApp {
    TestApp::start(Shape::Embedded, None, variables)
}

impl TestApp {
    fn start(shape: Shape, servers: Option<Servers>, more: &[(&str, &str)]) -> Self {
        let folder = env::temp_dir().join(format!("urlshort-it-{}", Uuid::now_v7()));
        fs::create_dir_all(&folder).unwrap();
        let place = |name: &str| folder.join(name).display().to_string();
        let mut variables = vec![
            ("URLSHORT__DATA_DIR".to_owned(), place("data")),
            ("URLSHORT__AUTH__ADMIN_KEY".to_owned(), ADMIN.to_owned()),
        ];
        for key in ["URLSHORT__HTTP__LISTEN", "URLSHORT__ADMIN__LISTEN"] {
            variables.push((key.to_owned(), "127.0.0.1:0".to_owned()));
        }
        if shape == Shape::Files {
            for shard in 0..3 {
                let url = format!("sqlite:{}", place(&format!("data/links-{shard}.db")));
                variables.push((format!("DB_SHARD_{shard}_URL"), url));
            }
        }
        variables.extend(servers.iter().flat_map(Servers::variables));
        for (name, value) in more {
            variables.push(((*name).to_owned(), (*value).to_owned()));
        }
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut app = Self {
            shape,
            address,
            admin: address,
            ann: String::new(),
            bob: String::new(),
            processes: Vec::new(),
            variables,
            folder,
            _servers: servers,
        };
        app.ann = app.create_key(&["--owner", "ann"]);
        app.bob = app.create_key(&["--owner", "bob"]);
        let said = app.spawn("serve", "metrics");
        let after = |word: &str| {
            let line = said.iter().find(|line| line.contains(word)).unwrap();
            let (_, address) = line.rsplit_once("http://").unwrap();
            address.trim_end_matches("/metrics").parse().unwrap()
        };
        (app.address, app.admin) = (after("listens on"), after("metrics"));
        if shape == Shape::Distributed {
            app.spawn("analytics", "counts clicks");
            app.spawn("classify", "labels links");
        }
        app
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_urlshort"));
        command
            .args(arguments)
            .env_clear()
            .envs(self.variables.iter().cloned())
            .current_dir(&self.folder);
        command
    }

    /// Starts a process and waits until it has printed a line with `word`.
    fn spawn(&mut self, name: &str, word: &str) -> Vec<String> {
        let log = File::create(self.folder.join(format!("{name}.log"))).unwrap();
        let mut child = self
            .command(&[name])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        self.processes.push(child);
        let mut said = Vec::new();
        let mut lines = BufReader::new(output).lines();
        for line in lines.by_ref() {
            said.push(line.unwrap());
            if said.last().unwrap().contains(word) {
                // What else it prints must go somewhere.
                thread::spawn(move || lines.for_each(drop));
                return said;
            }
        }
        panic!("{name} ended: {said:?} {}", self.log(name));
    }

    /// Runs a command to its end; what it printed.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Makes a key; running processes know it within 5 seconds.
    #[track_caller]
    pub(crate) fn create_key(&self, arguments: &[&str]) -> String {
        let printed = self.run(&[&["keys", "create"], arguments].concat());
        printed.trim().to_owned()
    }

    /// What a process wrote to its log.
    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(format!("{name}.log"))).unwrap_or_default()
    }

    pub(crate) fn ask(&self, method: &str, path: &str) -> Request {
        Request::new(self.address, method, path)
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path).send()
    }

    /// `POST /api/v1/links` without a key.
    #[track_caller]
    pub(crate) fn post(&self, body: &Value) -> Answer {
        self.ask("POST", "/api/v1/links").json(body).send()
    }

    /// A new link of `ann`.
    #[track_caller]
    pub(crate) fn make(&self, body: &Value) -> Value {
        let request = self.ask("POST", "/api/v1/links").key(&self.ann);
        request.json(body).send().expect(201)
    }

    /// The code of a new link of `ann` to that target.
    #[track_caller]
    pub(crate) fn code_to(&self, url: &str) -> String {
        code_of(&self.make(&json!({"long_url": url})))
    }

    /// Changes a link of `ann`.
    #[track_caller]
    pub(crate) fn change(&self, code: &str, patch: &Value) -> Value {
        self.link("PATCH", code).json(patch).send().expect(200)
    }

    /// A request of `ann` about a link.
    pub(crate) fn link(&self, method: &str, code: &str) -> Request {
        self.ask(method, &format!("/api/v1/links/{code}"))
            .key(&self.ann)
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        for process in &mut self.processes {
            drop(process.kill());
            drop(process.wait());
        }
        let log = self.log("serve") + &self.log("analytics") + &self.log("classify");
        drop(fs::remove_dir_all(&self.folder));
        if !thread::panicking() {
            assert!(!log.contains("panicked at"), "a panic: {log}");
        }
    }
}

/// The code of a link object.
pub(crate) fn code_of(link: &Value) -> String {
    link["code"].as_str().unwrap().to_owned()
}

/// A code that nobody else uses.
pub(crate) fn fresh(prefix: &str) -> String {
    format!("{prefix}-{}", Uuid::now_v7().simple())
}

/// Asks until there is an answer, for at most so long.
#[track_caller]
pub(crate) fn eventually<T>(
    what: &str,
    patience: Duration,
    mut ask: impl FnMut() -> Option<T>,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            begun.elapsed() < patience,
            "not within {patience:?}: {what}"
        );
        thread::sleep(Duration::from_millis(50));
    }
}
