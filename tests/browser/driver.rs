//! A headless Chromium, driven through `chromedriver`.

use std::env;
use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];
/// As a person's browser says: a headless one says so, and is counted as a bot.
const AGENT: &str = "--user-agent=Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 \
    (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
/// How `WebDriver` names an element in JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// One window of one browser; gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    profile: PathBuf,
}

impl Browser {
    /// `None` where browser or driver is not installed; says so.
    #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
    pub(crate) fn start() -> Option<Self> {
        let browser = BROWSERS.into_iter().find_map(installed);
        let (Some(browser), Some(driver)) = (browser, installed("chromedriver")) else {
            let required = env::var("URLSHORT_TEST_REQUIRED").is_ok_and(|value| value == "1");
            assert!(!required, "chromium and chromedriver are not installed");
            eprintln!("SKIPPED: the browser, because chromium or chromedriver is not installed");
            return None;
        };
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = said
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let (_, port) = line.rsplit_once("started successfully on port ")?;
                port.trim_end_matches('.').parse().ok()
            })
            .unwrap();
        thread::spawn(move || said.for_each(drop));
        let profile = env::temp_dir().join(format!("urlshort-browser-{}", Uuid::now_v7()));
        let mut started = Self {
            driver,
            port,
            session: String::new(),
            profile,
        };
        let profile = format!("--user-data-dir={}", started.profile.display());
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": browser, "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-dev-shm-usage", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", AGENT, profile,
            ]},
        }}});
        let session = started.call("POST", "/session", &capabilities);
        started.session = session["sessionId"].as_str().unwrap().to_owned();
        Some(started)
    }

    pub(crate) fn open(&self, url: &str) {
        self.ask("POST", "/url", &json!({"url": url}));
    }

    pub(crate) fn click(&self, selector: &str) {
        let element = self.find(selector);
        self.ask("POST", &format!("/element/{element}/click"), &json!({}));
    }

    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        let path = format!("/element/{element}/value");
        self.ask("POST", &path, &json!({"text": text}));
    }

    fn find(&self, selector: &str) -> String {
        let wish = json!({"using": "css selector", "value": selector});
        let element = self.ask("POST", "/element", &wish);
        element[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Shows pages as a screen of so many pixels would.
    pub(crate) fn narrow_to(&self, width: u32) {
        let screen =
            json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false});
        let command = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": screen});
        self.ask("POST", "/goog/cdp/execute", &command);
    }

    /// What a script answers.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.ask(
            "POST",
            "/execute/sync",
            &json!({"script": script, "args": []}),
        )
    }

    /// Runs a script until it answers a text that is not empty.
    #[track_caller]
    pub(crate) fn wait_for(&self, script: &str) -> String {
        let mut found = String::new();
        self.until(Duration::from_secs(10), || {
            found = self.run(script).as_str().unwrap_or("").to_owned();
            !found.is_empty()
        });
        found
    }

    #[track_caller]
    pub(crate) fn until(&self, patience: Duration, mut done: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !done() {
            let page = || self.run("return document.documentElement.outerHTML");
            assert!(begun.elapsed() < patience, "not in time: {}", page());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// What the browser wrote to its console.
    pub(crate) fn log(&self) -> Vec<Value> {
        let log = self.ask("POST", "/se/log", &json!({"type": "browser"}));
        log.as_array().unwrap().clone()
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call(method, &format!("/session/{}{path}", self.session), body)
    }

    /// One `WebDriver` command; its `value`.
    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.exchange(method, path, &body.to_string());
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer["value"].clone()
    }

    fn exchange(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .unwrap();
        let mut reader = BufReader::new(stream);
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest.split(' ').next().unwrap().parse().unwrap();
            } else if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            } else if line.is_empty() {
                break;
            }
        }
        let mut bytes = vec![0; length];
        reader.read_exact(&mut bytes).unwrap();
        (status, String::from_utf8(bytes).unwrap())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // The driver closes the browser that it started.
            self.exchange("DELETE", &format!("/session/{}", self.session), "");
        }
        drop(self.driver.kill());
        drop(self.driver.wait());
        drop(fs::remove_dir_all(&self.profile));
    }
}

fn installed(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}
