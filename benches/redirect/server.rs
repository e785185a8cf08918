//! The servers under test: each a process of its own, stopped while another has its turn.

use std::env;
use std::error::Error;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use actix_web::App;
use actix_web::HttpResponse;
use actix_web::HttpServer;
use actix_web::http::header;
use actix_web::web;

use crate::Outcome;
use crate::client::ask;
use crate::client::metrics;

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the bare handler and nginx answer: as long as one of our links.
const TARGET: &str = "https://example.com/some/page/4711?from=bench";

/// A temporary folder, gone at the end.
pub(crate) struct Folder(PathBuf);

/// A process that answers on a port of its own.
pub(crate) struct Server {
    name: String,
    child: Child,
    port: u16,
    log: Option<PathBuf>,
    has_links: bool,
    started_in: Duration,
    databases: Vec<(String, String)>,
    /// The `analytics` that counts its clicks.
    counter: Option<Child>,
}

/// The servers that take turns.
#[derive(Default)]
pub(crate) struct Servers(Vec<Server>);

/// Processor time that a process took so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cpu {
    pub(crate) user: Duration,
    pub(crate) kernel: Duration,
}

/// Threads that answer, the same number in every server.
pub(crate) fn workers() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The smallest handler with the headers of a redirect of ours; runs until it is killed.
pub(crate) fn serve_bare(port: &str, workers: &str) -> Outcome<()> {
    let (port, workers): (u16, usize) = (port.parse()?, workers.parse()?);
    let answer = || async {
        HttpResponse::Found()
            .insert_header((header::LOCATION, TARGET))
            .insert_header((header::CACHE_CONTROL, "private, no-store"))
            .insert_header(("X-Robots-Tag", "noindex"))
            .finish()
    };
    let serving = async move {
        HttpServer::new(move || App::new().default_service(web::to(answer)))
            .workers(workers)
            .bind(("127.0.0.1", port))?
            .run()
            .await
    };
    Ok(actix_web::rt::System::new().block_on(serving)?)
}

impl Folder {
    pub(crate) fn new() -> Outcome<Self> {
        let path = env::temp_dir().join(format!("urlshort-bench-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

impl Server {
    /// This program again, as the bare handler.
    pub(crate) fn bare() -> Outcome<Self> {
        let port = free_port()?;
        let mut command = Command::new(env::current_exe()?);
        command.args(["bare", &port.to_string(), &workers().to_string()]);
        Self::start("bare handler", command, port, None)
    }

    /// The release build on files below `folder`, in a data folder that is named like it.
    pub(crate) fn urlshort(
        name: &str,
        folder: &Folder,
        variables: &[(&str, &str)],
    ) -> Outcome<Self> {
        let data = folder.path(&name.replace([' ', ','], "-"));
        fs::create_dir_all(&data)?;
        let (port, admin) = (free_port()?, free_port()?);
        let mut command = Command::new(env!("CARGO_BIN_EXE_urlshort"));
        // In an empty folder and environment: nobody's settings are measured by accident.
        command
            .arg("serve")
            .current_dir(&data)
            .env_clear()
            .env("URLSHORT__HTTP__LISTEN", format!("127.0.0.1:{port}"))
            .env("URLSHORT__HTTP__WORKERS", workers().to_string())
            .env("URLSHORT__ADMIN__LISTEN", format!("127.0.0.1:{admin}"))
            .env("URLSHORT__DATA_DIR", &data)
            .env("URLSHORT__LOG__LEVEL", "warn")
            .envs(variables.iter().copied());
        let mut server = Self::start(name, command, port, Some(&data.join("serve.log")))?;
        server.has_links = true;
        Ok(server)
    }

    /// The release build on `PostgreSQL`, Redis and Kafka: databases and a topic of its own.
    pub(crate) fn distributed(folder: &Folder) -> Outcome<Self> {
        let unset = "--distributed needs real servers: eval \"$(deploy/local/backends env)\"";
        let mut variables = Vec::new();
        let mut databases = Vec::new();
        let name = format!("bench_{}", std::process::id());
        for n in 0.. {
            let Ok(admin) = env::var(format!("URLSHORT_TEST_POSTGRES_{n}")) else {
                break;
            };
            let (server, _) = admin.rsplit_once('/').ok_or(unset)?;
            variables.push((format!("DB_SHARD_{n}_URL"), format!("{server}/{name}")));
            run_sql(&admin, &format!("CREATE DATABASE {name}"))?;
            databases.push((admin, name.clone()));
        }
        if databases.is_empty() {
            return Err(unset.into());
        }
        for (variable, key) in [
            ("URLSHORT_TEST_REDIS", "URLSHORT__CACHE__REDIS_URL"),
            ("URLSHORT_TEST_KAFKA", "URLSHORT__EVENTS__KAFKA_BROKERS"),
        ] {
            variables.push((key.to_owned(), env::var(variable).map_err(|_unset| unset)?));
        }
        let topic = format!("urlshort.bench.{}", std::process::id());
        variables.push(("URLSHORT__EVENTS__TOPIC".to_owned(), topic));
        let variables: Vec<(&str, &str)> = variables
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let started = Self::urlshort("urlshort, distributed", folder, &variables);
        match started {
            Ok(mut server) => {
                server.databases = databases;
                server.counter = Some(counter(folder, &variables)?);
                Ok(server)
            }
            Err(error) => {
                drop_databases(&databases);
                Err(error)
            }
        }
    }

    /// nginx with a constant answer, if it is installed.
    pub(crate) fn nginx(folder: &Folder) -> Outcome<Option<Self>> {
        if Command::new("nginx").arg("-v").output().is_err() {
            return Ok(None);
        }
        let home = folder.path("nginx");
        fs::create_dir_all(&home)?;
        let (port, workers, at) = (free_port()?, workers(), home.display());
        let config = home.join("nginx.conf");
        fs::write(
            &config,
            format!(
                "daemon off; worker_processes {workers}; pid {at}/pid; error_log {at}/error.log;\n\
                 events {{ worker_connections 1024; }}\n\
                 http {{ access_log off; keepalive_requests 1000000000;\n\
                 client_body_temp_path {at}/a; proxy_temp_path {at}/b; fastcgi_temp_path {at}/c;\n\
                 uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;\n\
                 server {{ listen 127.0.0.1:{port}; location / {{\n\
                 add_header Cache-Control 'private, no-store'; add_header X-Robots-Tag noindex;\n\
                 return 302 '{TARGET}'; }} }} }}\n"
            ),
        )?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&home).arg("-c").arg(&config);
        let log = home.join("start.log");
        Self::start("nginx, return 302", command, port, Some(&log)).map(Some)
    }

    /// Starts it and waits until it answers.
    fn start(name: &str, mut command: Command, port: u16, log: Option<&Path>) -> Outcome<Self> {
        let output = match log {
            Some(log) => Stdio::from(fs::File::create(log)?),
            None => Stdio::inherit(),
        };
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output);
        let begun = Instant::now();
        let child = command.spawn()?;
        let mut server = Self {
            name: name.to_owned(),
            child,
            port,
            log: log.map(Path::to_owned),
            has_links: false,
            started_in: Duration::ZERO,
            databases: Vec::new(),
            counter: None,
        };
        let request =
            format!("GET /livez HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
        loop {
            let answer = ask(port, &request).unwrap_or_default();
            if ["HTTP/1.1 200", "HTTP/1.1 302"]
                .iter()
                .any(|good| answer.starts_with(good))
            {
                server.started_in = begun.elapsed();
                return Ok(server);
            }
            let ended = server.child.try_wait()?;
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let said = log
                    .and_then(|log| fs::read_to_string(log).ok())
                    .unwrap_or_default();
                let how = ended.map_or("it does not answer".to_owned(), |ended| ended.to_string());
                return Err(format!("{name}: {how}\n{said}").into());
            }
            // Polls a process that says nothing else of itself.
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// What it says of its answers and errors: its counters, and the end of its log.
    pub(crate) fn testimony(&self) -> String {
        if !self.has_links {
            return String::new(); // not ours
        }
        let metrics = metrics(self.port).unwrap_or_else(|error| error.to_string());
        let counters = metrics.lines().filter(|line| {
            let is_told =
                line.starts_with("urlshort_redirects_total") || line.contains("errors_total{");
            is_told && !line.ends_with(" 0")
        });
        let log = self
            .log
            .as_ref()
            .and_then(|log| fs::read_to_string(log).ok());
        let log = log.unwrap_or_default();
        let last = log.lines().skip(log.lines().count().saturating_sub(20));
        counters
            .chain(last)
            .fold(String::new(), |told, line| told + "\n" + line)
    }

    /// Whether links must be made in it first.
    pub(crate) const fn has_links(&self) -> bool {
        self.has_links
    }

    /// From the start of the process to its first answer.
    pub(crate) const fn started_in(&self) -> Duration {
        self.started_in
    }

    /// The process and its children.
    fn processes(&self) -> Vec<u32> {
        let pid = self.child.id();
        let counter = self.counter.as_ref().map(Child::id);
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        let children = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok());
        std::iter::once(pid)
            .chain(counter)
            .chain(children)
            .collect()
    }

    fn signal(&self, signal: &str) -> Outcome<()> {
        let mut command = Command::new("sh");
        command.args(["-c", "kill \"$@\"", "kill", signal]);
        command.args(self.processes().iter().map(ToString::to_string));
        let sent = command.stderr(Stdio::null()).status()?;
        if sent.success() {
            Ok(())
        } else {
            Err(format!("{} has ended", self.name).into())
        }
    }

    /// Processor time of all its processes.
    pub(crate) fn cpu(&self) -> Outcome<Cpu> {
        let mut sum = Cpu::default();
        for pid in self.processes() {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
            // The name in parentheses may hold anything; user and kernel are fields 14 and 15.
            let (_, after) = stat.rsplit_once(')').ok_or("a process without a name")?;
            let mut fields = after.split_whitespace().skip(11);
            let mut next = || -> Outcome<Duration> {
                let ticks: u64 = fields.next().ok_or("a process without times")?.parse()?;
                Ok(Duration::from_millis(ticks * 10)) // USER_HZ is 100 on every Linux
            };
            sum.user += next()?;
            sum.kernel += next()?;
        }
        Ok(sum)
    }

    /// Resident memory of all its processes.
    pub(crate) fn resident_mib(&self) -> Outcome<f64> {
        let mut kib = 0;
        for pid in self.processes() {
            let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let number = line.and_then(|line| line.split_whitespace().next());
            kib += number.ok_or("a process without memory")?.parse::<u32>()?;
        }
        Ok(f64::from(kib) / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.signal("-CONT"));
        drop(self.signal("-TERM"));
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(15) && matches!(self.child.try_wait(), Ok(None))
        {
            thread::sleep(Duration::from_millis(5));
        }
        for child in std::iter::once(&mut self.child).chain(&mut self.counter) {
            drop(child.kill());
            drop(child.wait());
        }
        drop_databases(&self.databases);
    }
}

impl Servers {
    pub(crate) fn add(&mut self, server: Server) {
        self.0.push(server);
    }

    pub(crate) fn all(&self) -> &[Server] {
        &self.0
    }

    /// Lets one run and stops the others.
    pub(crate) fn only(&self, running: &Server) -> Outcome<()> {
        for server in &self.0 {
            if server.port != running.port {
                server.signal("-STOP")?;
            }
        }
        running.signal("-CONT")
    }

    /// Stops all.
    pub(crate) fn pause(&self) -> Outcome<()> {
        self.0.iter().try_for_each(|server| server.signal("-STOP"))
    }

    /// Lets all run.
    pub(crate) fn resume(&self) -> Outcome<()> {
        self.0.iter().try_for_each(|server| server.signal("-CONT"))
    }
}

/// `analytics` with the same settings, on ports of its own.
fn counter(folder: &Folder, variables: &[(&str, &str)]) -> Outcome<Child> {
    let data = folder.path("analytics");
    fs::create_dir_all(&data)?;
    let log = fs::File::create(data.join("analytics.log"))?;
    let child = Command::new(env!("CARGO_BIN_EXE_urlshort"))
        .arg("analytics")
        .current_dir(&data)
        .env_clear()
        .env("URLSHORT__ADMIN__LISTEN", "127.0.0.1:0")
        .env("URLSHORT__DATA_DIR", &data)
        .env("URLSHORT__LOG__LEVEL", "warn")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    Ok(child)
}

fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn drop_databases(databases: &[(String, String)]) {
    for (admin, name) in databases {
        drop(run_sql(
            admin,
            &format!("DROP DATABASE {name} WITH (FORCE)"),
        ));
    }
}

fn run_sql(url: &str, sql: &str) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        let driver = tokio::spawn(connection);
        client.batch_execute(sql).await?;
        driver.abort();
        Ok(())
    })
}
