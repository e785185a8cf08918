//! The services of `deploy/compose.yaml` as processes of this machine: the same commands, the same
//! environment; only hosts, ports and paths become those of this machine.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use uuid::Uuid;

use crate::children::Running;
use crate::children::free_port;
use crate::children::here;
use crate::children::start;
use crate::compose::Compose;
use crate::files;
use crate::process::Folder;
use crate::servers;
use crate::servers::Postgres;
use crate::servers::Redis;

/// Servers and databases that the processes use.
#[derive(Debug)]
pub(crate) struct Stores {
    /// By shard.
    pub(crate) databases: Vec<String>,
    /// The server of shard 2, to be broken.
    pub(crate) breakable: Postgres,
    pub(crate) redis: Redis,
    pub(crate) kafka: String,
    pub(crate) topic: String,
}

/// What stands where a container would.
#[derive(Debug)]
pub(crate) struct Native {
    pub(crate) compose: Compose,
    pub(crate) stores: Stores,
    pub(crate) folder: Folder,
}

/// A process of ours, and where it listens.
#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) running: Running,
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    environment: BTreeMap<String, String>,
}

impl Native {
    /// Empty databases, an own Redis, a topic of its own; `migrate` has run.
    pub(crate) fn prepare() -> Option<Self> {
        let breakable = Postgres::start()?;
        let stores = Stores {
            databases: vec![
                servers::database(0)?,
                servers::database(1)?,
                breakable.database(),
            ],
            breakable,
            redis: Redis::start()?,
            kafka: servers::shared("URLSHORT_TEST_KAFKA")?,
            topic: format!("deploy-{}", Uuid::now_v7().simple()),
        };
        let native = Self {
            compose: Compose::read(),
            stores,
            folder: Folder::new(),
        };
        for (shard, url) in native.stores.databases.iter().enumerate() {
            fs::write(native.path(&format!("shard-{shard}.url")), url).unwrap();
        }
        let once = native.launch("migrate", "migrate", 0, 0);
        let status = once.running.stop_by_itself(Duration::from_secs(60));
        assert_eq!(status, Some(0), "migrate failed");
        Some(native)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    /// Starts the process of a service on these ports; 0: it has none.
    pub(crate) fn launch(&self, service: &str, name: &str, public: u16, admin: u16) -> Role {
        let arguments = files::texts(&self.compose.service(service)["command"]);
        self.launch_with(service, name, &arguments, public, admin)
    }

    fn launch_with(
        &self,
        service: &str,
        name: &str,
        arguments: &[String],
        public: u16,
        admin: u16,
    ) -> Role {
        let environment = self.environment(service, public, admin);
        let binary = Path::new(env!("CARGO_BIN_EXE_urlshort"));
        Role {
            running: start(&self.folder.0, name, binary, arguments, &environment),
            public: here(public),
            admin: here(admin),
            environment,
        }
    }

    /// After a backup was restored, as the document says it.
    pub(crate) fn migrate_restored(&self) -> Role {
        let words = ["migrate", "--restored"].map(str::to_owned);
        self.launch_with("migrate", "migrate", &words, 0, 0)
    }

    /// Starts the load test of compose against the balancer: slower, since others work here too, and
    /// for longer than the test takes.
    pub(crate) fn load(&self, balancer: SocketAddr, app: &Role, admin: u16) -> Role {
        let words = files::texts(&self.compose.service("loadtest")["command"]);
        let replaced = |word: String| match word.as_str() {
            "http://balancer:8000" => format!("http://{balancer}"),
            "http://app:8001/metrics" => format!("http://{}/metrics", app.admin),
            "1500" => "50".to_owned(),
            "60s" => "600s".to_owned(),
            "0.0.0.0:8001" => here(admin).to_string(),
            _ => word,
        };
        let words: Vec<String> = words.into_iter().map(replaced).collect();
        assert!(words.contains(&"600s".to_owned()) && words.contains(&"50".to_owned()));
        let mut role = self.launch_with("loadtest", "loadtest", &words, 0, admin);
        role.running.answers(role.admin, "/metrics");
        role
    }

    /// Starts it on free ports and waits until its health check passes.
    pub(crate) fn up(&self, service: &str, name: &str) -> Role {
        let mut role = self.launch(service, name, free_port(), free_port());
        role.healthy();
        role
    }

    /// The environment of compose, each value that names a place of the stack replaced.
    fn environment(&self, service: &str, public: u16, admin: u16) -> BTreeMap<String, String> {
        let mut environment = self.compose.environment(service);
        for (name, value) in &mut environment {
            *value = match (name.as_str(), value.as_str()) {
                ("REDIS_HOST", "redis") => "127.0.0.1".to_owned(),
                ("REDIS_PORT", "6379") => self.stores.redis.port.to_string(),
                ("KAFKA_BOOTSTRAP_SERVERS", "redpanda:9092") => self.stores.kafka.clone(),
                ("URLSHORT__DATA_DIR", "/data") => self.path("data").display().to_string(),
                ("URLSHORT__HTTP__LISTEN", "0.0.0.0:8000") => format!("127.0.0.1:{public}"),
                ("URLSHORT__ADMIN__LISTEN", "0.0.0.0:8001") => format!("127.0.0.1:{admin}"),
                (_, path) => match path.strip_prefix("/run/secrets/db/") {
                    Some(file) => self.path(file).display().to_string(),
                    None => path.to_owned(),
                },
            };
        }
        // A second, not five: the balancer has hardly the time to look away.
        environment
            .entry("URLSHORT__STOP__DELAY_SECONDS".to_owned())
            .and_modify(|seconds| *seconds = "1".to_owned());
        // Tests share one broker.
        if files::has_command("classify") {
            environment.insert(
                "URLSHORT__CLASSIFY__TOPIC".to_owned(),
                format!("{}-links", self.stores.topic),
            );
        }
        environment.insert(
            "URLSHORT__EVENTS__TOPIC".to_owned(),
            self.stores.topic.clone(),
        );
        environment
    }

    /// The balancer's configuration, with the ports of this machine: the same file but for where it
    /// listens and how it finds its servers.
    pub(crate) fn balancer(&self, servers: &[u16], public: u16, metrics: u16) -> Option<Running> {
        let program = files::tool("haproxy")?;
        let mut text = String::new();
        let mut in_resolvers = false;
        for line in files::text("deploy/balancer/haproxy.cfg").lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if !line.starts_with(' ') && !words.is_empty() {
                in_resolvers = words[0] == "resolvers";
            }
            match words.as_slice() {
                _ if in_resolvers => continue,
                ["bind", ":8000"] => text += &format!("    bind 127.0.0.1:{public}\n"),
                ["bind", ":8404"] => text += &format!("    bind 127.0.0.1:{metrics}\n"),
                ["server-template", ..] => {
                    for (at, port) in servers.iter().enumerate() {
                        text += &format!("    server app{at} 127.0.0.1:{port}\n");
                    }
                }
                _ => {
                    text += line;
                    text += "\n";
                }
            }
        }
        let path = self.path("haproxy.cfg");
        fs::write(&path, text).unwrap();
        // The container has a limit of descriptors of its own (`ulimits` in compose.yaml).
        let file = path.display().to_string();
        let arguments = ["-db", "-n", "2000", "-f", &file].map(str::to_owned);
        let mut running = start(
            &self.folder.0,
            "balancer",
            &program,
            &arguments,
            &BTreeMap::new(),
        );
        running.answers(here(metrics), "/healthz");
        Some(running)
    }
}

impl Role {
    /// Waits until the container's health check passes.
    #[track_caller]
    pub(crate) fn healthy(&mut self) {
        crate::process::until("the health check passes", Duration::from_secs(40), || {
            self.running.still_runs();
            self.probe().then_some(())
        });
    }

    /// The variables of its process.
    pub(crate) const fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// What compose runs as the health check.
    pub(crate) fn probe(&self) -> bool {
        let status = Command::new(env!("CARGO_BIN_EXE_urlshort"))
            .args(["diagnose", "--probe"])
            .env_clear()
            .envs(&self.environment)
            .output();
        status.unwrap().status.success()
    }
}
