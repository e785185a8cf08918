//! The whole stack natively, watched by Prometheus: every expression of every dashboard and rule has
//! an answer, what breaks is noticed, and what was followed is counted.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use serde_json::json;

use crate::children::Running;
use crate::children::free_port;
use crate::children::here;
use crate::children::start;
use crate::expressions;
use crate::expressions::Expression;
use crate::expressions::When;
use crate::files;
use crate::http::Client;
use crate::ledger;
use crate::metrics;
use crate::native::Native;
use crate::native::Role;
use crate::prometheus::Prometheus;
use crate::prometheus::Targets;
use crate::traffic::Traffic;

/// The stack, running.
struct Stack {
    apps: Vec<Role>,
    analytics: Vec<Role>,
    others: Vec<Role>,
    balancer: SocketAddr,
    /// Where a load test shows its figures, in a build that has it.
    load: Option<u16>,
    prometheus: Prometheus,
    _around: Vec<Running>,
    native: Native,
}

#[test]
fn every_expression_has_an_answer_and_what_breaks_is_noticed() {
    let Some(mut stack) = Stack::start() else {
        return;
    };
    let mut client = Client::new(stack.balancer);
    let codes = ledger::make_links(&mut client, 200);
    stack.analyze();
    // It follows links, so there must be some.
    if let Some(port) = stack.load {
        let load = stack.native.load(stack.balancer, &stack.apps[0], port);
        stack.others.push(load);
    }
    let key = fs::read_to_string(stack.native.path("data/admin-key")).unwrap();
    let key = format!("Bearer {}", key.trim());
    let processes = stack.apps.iter().map(|role| role.public).collect();
    let traffic = Traffic::start(stack.balancer, processes, key, codes.clone());

    answered(&stack.prometheus, When::Always);
    metrics::check_exported(&stack.processes());
    traffic.end();

    // What people did is counted, exactly, while everything is watched. The balancer has closed the
    // connection that was idle meanwhile, if that took long.
    let mut client = Client::new(stack.balancer);
    let codes = ledger::make_links(&mut client, 20);
    let balancer = stack.balancer;
    let visitors = ledger::visit(&codes, move || balancer);
    visitors.wait_for(500);
    let ledger = visitors.end();
    assert_eq!(ledger.without_answer(), 0, "{:?}", ledger.flaws);
    ledger.compare(&mut client, 0);

    stack.break_everything();
    answered(&stack.prometheus, When::AfterFaults);
    stack.mend();
}

impl Stack {
    fn start() -> Option<Self> {
        for name in ["haproxy", "prometheus", "prometheus-alertmanager"] {
            files::tool(name)?;
        }
        let native = Native::prepare()?;
        let apps = vec![native.up("app", "app-0"), native.up("app", "app-1")];
        let analytics = vec![
            native.up("analytics", "analytics-0"),
            native.up("analytics", "analytics-1"),
        ];
        let mut others = Vec::new();
        if files::has_command("classify") {
            others.push(native.up("classify", "classify"));
        }
        let (public, measured) = (free_port(), free_port());
        let ports: Vec<u16> = apps.iter().map(|role| role.public.port()).collect();
        let mut around = vec![native.balancer(&ports, public, measured)?];
        let mut targets = exporters(&native, &mut around)?;
        let alerts = alertmanager(&native, &mut around)?;
        let of = |roles: &[Role]| roles.iter().map(|role| (role.admin, json!({}))).collect();
        targets.insert("urlshort-app", of(&apps));
        targets.insert("urlshort-analytics", of(&analytics));
        if !others.is_empty() {
            targets.insert("urlshort-classify", of(&others));
        }
        let load = files::has_command("loadtest").then(free_port);
        if let Some(port) = load {
            targets.insert("urlshort-loadtest", vec![(here(port), json!({}))]);
        }
        targets.insert("balancer", vec![(here(measured), json!({}))]);
        targets.insert("alertmanager", vec![(alerts, json!({}))]);
        Some(Self {
            prometheus: Prometheus::start(&native, targets, alerts)?,
            balancer: here(public),
            load,
            apps,
            analytics,
            others,
            _around: around,
            native,
        })
    }

    fn processes(&self) -> Vec<SocketAddr> {
        let roles = self.apps.iter().chain(&self.analytics).chain(&self.others);
        roles.map(|role| role.admin).collect()
    }

    /// What autovacuum does within a minute: the planner's statistics know how many links there are.
    fn analyze(&self) {
        for url in &self.native.stores.databases {
            let mut command = Command::new("psql");
            files::run(command.args(["-q", url, "-c", "ANALYZE urlshort.links"]));
        }
    }

    /// Redis and a shard away, a worker killed: the alerts that are for it begin to count.
    fn break_everything(&mut self) {
        self.native.stores.redis.stop();
        self.native.stores.breakable.crash();
        self.analytics.remove(1).running.kill();
        for alert in [
            "RedisDown",
            "ShardDown",
            "ShardUnreachable",
            "PostgresDown",
            "TargetDown",
        ] {
            let question = format!(r#"ALERTS{{alertname="{alert}"}}"#);
            self.prometheus
                .until(&question, |series| !series.is_empty());
        }
        // A link of the lost shard is still followed from the caches.
        let ready = Client::new(self.apps[0].admin).get("/readyz").unwrap();
        assert_eq!(ready.status, 200, "{}", ready.body);
        assert!(self.apps[0].probe(), "degraded is healthy enough");
        // An alert without `for` fires at once; Watchdog has another severity.
        let firing = r#"ALERTS{alertstate="firing", severity=~"page|ticket"}"#;
        let patience = Instant::now() + Duration::from_secs(90);
        while self.prometheus.ask(firing).unwrap().is_empty() {
            assert!(Instant::now() < patience, "no alert fires");
            std::thread::sleep(Duration::from_millis(200));
        }
        // For the marks of restarts one app process comes again; last, since they look back one minute.
        let old = self.apps.remove(0);
        let (public, admin) = (old.public.port(), old.admin.port());
        assert_eq!(old.running.stop(Duration::from_secs(75)), Some(0));
        let mut new = self.native.launch("app", "app-2", public, admin);
        new.healthy();
        self.apps.push(new);
    }

    /// Everything comes back by itself once its dependency does.
    fn mend(&mut self) {
        self.native.stores.redis.resume();
        self.native.stores.breakable.resume();
        self.prometheus.until(
            r#"min(urlshort_redis_up{job="urlshort-app"}) + min(urlshort_shard_up)"#,
            |answer| answer == [2.0],
        );
    }
}

/// Asks until all have an answer: a rate needs a second sample, a recording rule a third.
#[track_caller]
fn answered(prometheus: &Prometheus, when: When) {
    let all = expressions::all();
    let mut open: Vec<&Expression> = all.iter().filter(|one| one.when == when).collect();
    assert!(!open.is_empty());
    let begun = Instant::now();
    let mut why: BTreeMap<String, String> = BTreeMap::new();
    while begun.elapsed() < Duration::from_secs(150) && !open.is_empty() {
        open.retain(|one| {
            let answer = prometheus.ask(&one.text);
            let good = matches!(&answer, Ok(values) if values.iter().any(|value| !value.is_nan()));
            if !good {
                why.insert(one.text.clone(), format!("{answer:?}"));
            }
            !good
        });
        std::thread::sleep(Duration::from_millis(500));
    }
    let failures: Vec<String> = open
        .iter()
        .map(|one| format!("{}\n    {}\n    {}", one.place, one.text, why[&one.text]))
        .collect();
    assert!(
        failures.is_empty(),
        "no answer to:\n{}",
        failures.join("\n")
    );
    // What cannot have an answer here must at least be a question.
    for one in all.iter().filter(|one| one.when == When::NotHere) {
        let answer = prometheus.ask(&one.text);
        assert!(answer.is_ok(), "{}: {answer:?}", one.place);
    }
    let asked: BTreeSet<&str> = all.iter().map(|one| one.place.as_str()).collect();
    eprintln!(
        "{} places with {} expressions asked ({when:?})",
        asked.len(),
        all.len()
    );
}

/// The exporters, with the environment that compose gives them.
fn exporters(native: &Native, around: &mut Vec<Running>) -> Option<Targets> {
    let mut targets = Targets::new();
    let folder = &native.folder.0;
    fs::write(native.path("password"), "unused").unwrap();
    let postgres = files::tool("prometheus-postgres-exporter")?;
    for (shard, url) in native.stores.databases.iter().enumerate() {
        let service = format!("postgres-exporter-{shard}");
        let mut environment = native.compose.environment(&service);
        let expected = format!("shard-{shard}:5432/urlshort?sslmode=disable");
        let uri = environment.get_mut("DATA_SOURCE_URI").unwrap();
        assert_eq!(*uri, expected);
        let (_, server) = url.split_once('@').unwrap();
        *uri = format!("{server}?sslmode=disable");
        let password = native.path("password").display().to_string();
        environment.insert("DATA_SOURCE_PASS_FILE".to_owned(), password);
        let address = here(free_port());
        let arguments = [format!("--web.listen-address={address}")];
        let mut running = start(folder, &service, &postgres, &arguments, &environment);
        running.answers(address, "/");
        around.push(running);
        let target = (address, json!({"shard": shard.to_string()}));
        targets.entry("postgres").or_default().push(target);
    }
    let redis = files::tool("prometheus-redis-exporter")?;
    let mut environment = native.compose.environment("redis-exporter");
    let at = format!("redis://127.0.0.1:{}", native.stores.redis.port);
    assert_eq!(
        environment.insert("REDIS_ADDR".to_owned(), at).as_deref(),
        Some("redis://redis:6379")
    );
    let address = here(free_port());
    let arguments = [format!("-web.listen-address={address}")];
    let mut running = start(folder, "redis-exporter", &redis, &arguments, &environment);
    running.answers(address, "/health");
    around.push(running);
    targets.insert("redis", vec![(address, json!({}))]);
    let node = files::tool("prometheus-node-exporter")?;
    let address = here(free_port());
    let arguments = [format!("--web.listen-address={address}")];
    let mut running = start(folder, "node-exporter", &node, &arguments, &BTreeMap::new());
    running.answers(address, "/");
    around.push(running);
    targets.insert("node", vec![(address, json!({}))]);
    Some(targets)
}

/// With the file of the stack; it notifies nobody.
fn alertmanager(native: &Native, around: &mut Vec<Running>) -> Option<SocketAddr> {
    let program = files::tool("prometheus-alertmanager")?;
    let address = here(free_port());
    let file = files::path("deploy/alertmanager/alertmanager.yml");
    let arguments = [
        format!("--config.file={}", file.display()),
        format!("--storage.path={}", native.path("alertmanager").display()),
        format!("--web.listen-address={address}"),
        "--cluster.listen-address=".to_owned(),
    ];
    let mut running = start(
        &native.folder.0,
        "alertmanager",
        &program,
        &arguments,
        &BTreeMap::new(),
    );
    running.answers(address, "/-/ready");
    around.push(running);
    Some(address)
}
