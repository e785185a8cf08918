//! The compose file, sentence by sentence: every command, variable and port against the program.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::compose::Compose;
use crate::files;
use crate::process::Folder;

/// Subcommands that this build may lack, and their section of the configuration.
const LATER: [(&str, &str); 2] = [("classify", "URLSHORT__CLASSIFY__"), ("loadtest", "-")];

pub(crate) const DUE: [&str; 23] = [
    "balancer",
    "app",
    "analytics",
    "classify",
    "migrate",
    "shard-0",
    "shard-1",
    "shard-2",
    "redis",
    "redpanda",
    "topics",
    "prometheus",
    "grafana",
    "alertmanager",
    "postgres-exporter-0",
    "postgres-exporter-1",
    "postgres-exporter-2",
    "redis-exporter",
    "node-exporter",
    "cloudflared",
    "loadtest",
    "seed",
    "secrets",
];

fn is_later(command: &str) -> bool {
    LATER.iter().any(|(name, _)| *name == command) && !files::has_command(command)
}

/// Runs once and ends.
fn is_once(service: &Value) -> bool {
    service["restart"] == "no"
}

#[test]
fn every_service_that_is_due_is_there() {
    let compose = Compose::read();
    for name in DUE {
        compose.service(name);
    }
    assert!(
        compose.whole.get("version").is_none(),
        "compose.yaml has a version"
    );
    for (service, profile) in [
        ("cloudflared", "tunnel"),
        ("loadtest", "load"),
        ("seed", "seed"),
    ] {
        assert_eq!(
            files::texts(&compose.service(service)["profiles"]),
            [profile]
        );
    }
    for (service, replicas) in [("app", 2), ("analytics", 2)] {
        assert_eq!(
            compose.service(service)["deploy"]["replicas"],
            replicas,
            "{service}"
        );
    }
}

#[test]
fn every_command_and_flag_exists() {
    let compose = Compose::read();
    for name in compose.ours() {
        let service = compose.service(name);
        let words = files::texts(&service["command"]);
        let (command, rest) = words.split_first().unwrap();
        if is_later(command) {
            continue;
        }
        let help =
            files::help(&[command]).unwrap_or_else(|| panic!("{name}: no command {command}"));
        for flag in rest.iter().filter(|word| word.starts_with("--")) {
            assert!(
                help.contains(flag.as_str()),
                "{name}: {command} has no {flag}"
            );
        }
        let probe = &service["healthcheck"];
        if probe["disable"] != true {
            let words = files::texts(&probe["test"]);
            assert_eq!(words, ["CMD", "/urlshort", "diagnose", "--probe"], "{name}");
        }
    }
    assert!(files::help(&["diagnose"]).unwrap().contains("--probe"));
}

/// `diagnose --offline` knows every variable: a wrong name or value is refused with status 78.
#[test]
fn every_variable_is_known_and_every_value_is_good() {
    let compose = Compose::read();
    let folder = Folder::new();
    for name in compose.ours() {
        let mut environment = compose.environment(name);
        let command = files::texts(&compose.service(name)["command"])[0].clone();
        if is_later(&command) {
            let (_, section) = LATER.iter().find(|(later, _)| *later == command).unwrap();
            environment.retain(|variable, _| !variable.starts_with(section));
        }
        for value in environment.values_mut() {
            if let Some(secret) = value.strip_prefix("/run/secrets/db/") {
                let path = folder.0.join(secret);
                let url = format!("postgres://urlshort:secret@{secret}:5432/urlshort");
                fs::write(&path, url).unwrap();
                *value = path.display().to_string();
            }
        }
        let known: Vec<&String> = environment
            .keys()
            .filter(|variable| !variable.starts_with("URLSHORT__"))
            .collect();
        for variable in known {
            let flat = ["REDIS_HOST", "REDIS_PORT", "KAFKA_BOOTSTRAP_SERVERS"]
                .contains(&variable.as_str())
                || variable.starts_with("DB_SHARD_");
            assert!(flat, "{name}: nobody reads {variable}");
        }
        let mut program = Command::new(env!("CARGO_BIN_EXE_urlshort"));
        program
            .args(["diagnose", "--offline", "--json"])
            .env_clear()
            .envs(&environment)
            .current_dir(&folder.0);
        let printed = files::run(&mut program);
        if name == "app" {
            assert!(printed.contains("172.28.240.0/24"), "{printed}");
            assert!(!printed.contains("secret@"), "a password is shown");
        }
    }
}

#[test]
fn the_example_of_env_has_every_variable_with_its_default() {
    let mut written = BTreeMap::new();
    for line in files::text("deploy/.env.example").lines() {
        if let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            written.insert(name.to_owned(), value.to_owned());
        }
    }
    assert_eq!(written, Compose::read().variables);
}

#[test]
fn ports_are_published_on_the_loopback_alone_and_are_the_ones_people_know() {
    let compose = Compose::read();
    let mut published = BTreeSet::new();
    for (name, service) in compose.services() {
        for port in files::texts(&service["ports"]) {
            let rest = port.strip_prefix("127.0.0.1:");
            let rest = rest.unwrap_or_else(|| panic!("{name}: {port} is open to the network"));
            published.insert(rest.split([':', '-']).next().unwrap().to_owned());
        }
    }
    for port in ["8000", "3000", "9090", "8001", "9187", "9121", "9644"] {
        assert!(published.contains(port), "{port} is not published");
    }
    // What the program listens on is what others ask.
    let app = compose.environment("app");
    assert_eq!(app["URLSHORT__HTTP__LISTEN"], "0.0.0.0:8000");
    assert_eq!(app["URLSHORT__ADMIN__LISTEN"], "0.0.0.0:8001");
    let balancer = files::text("deploy/balancer/haproxy.cfg");
    assert!(balancer.contains(" app:8000 "));
    for job in files::yaml("deploy/prometheus/prometheus.yml")["scrape_configs"]
        .as_array()
        .unwrap()
    {
        check_job(&compose, job);
    }
}

/// A job's targets are services, on ports that they have.
fn check_job(compose: &Compose, job: &Value) {
    let name = job["job_name"].as_str().unwrap();
    for found in job["dns_sd_configs"].as_array().into_iter().flatten() {
        for service in files::texts(&found["names"]) {
            compose.service(&service);
            let port = found["port"].as_u64().unwrap();
            let expected = if service == "cloudflared" { 2000 } else { 8001 };
            assert_eq!(port, expected, "{name}");
        }
    }
    for fixed in job["static_configs"].as_array().into_iter().flatten() {
        for target in files::texts(&fixed["targets"]) {
            let (host, port) = target.split_once(':').unwrap();
            assert!(port.parse::<u16>().is_ok(), "{target}");
            if host != "localhost" {
                compose.service(host);
            }
        }
    }
}

#[test]
fn every_container_is_hardened_bounded_and_watched() {
    let compose = Compose::read();
    for (name, service) in compose.services() {
        let image = service["image"].as_str().unwrap();
        let (_, tag) = image
            .rsplit_once(':')
            .unwrap_or_else(|| panic!("{name}: {image}"));
        assert!(
            tag.contains('.') && tag != "latest",
            "{name}: {image} is not pinned"
        );
        assert_eq!(files::texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(
            files::texts(&service["security_opt"]),
            ["no-new-privileges:true"],
            "{name}"
        );
        assert!(
            service["logging"]["options"]["max-size"].is_string(),
            "{name}: logs grow"
        );
        // Redpanda writes its configuration beside itself.
        assert_eq!(
            service["read_only"],
            name != "redpanda",
            "{name}: read_only"
        );
        let writes_as_root = service["user"]
            .as_str()
            .is_none_or(|user| user.starts_with("0:"));
        assert!(
            !writes_as_root || ["secrets", "redpanda", "topics"].contains(&name.as_str()),
            "{name}"
        );
        let limits = &service["deploy"]["resources"]["limits"];
        for limit in ["memory", "cpus"] {
            assert!(limits[limit].is_string(), "{name}: no limit of {limit}");
        }
        // Compose refuses a `pids_limit` beside other limits.
        assert!(limits["pids"].is_u64(), "{name}: pids");
        assert!(service["pids_limit"].is_null(), "{name}: pids_limit");
        let mode = service["network_mode"].as_str();
        match name.as_str() {
            "secrets" => assert_eq!(mode, Some("none")),
            "node-exporter" => {
                assert_eq!(mode, Some("host"));
                let words = files::texts(&service["command"]).join(" ");
                let gateway = &compose.variables["WATCH_GATEWAY"];
                let own = format!("--web.listen-address={gateway}:9100");
                assert!(words.contains(&own), "open to the network: {words}");
            }
            _ => assert_eq!(mode, None, "{name}"),
        }
        if !is_once(service) {
            assert_eq!(service["restart"], "unless-stopped", "{name}");
            assert!(
                service["healthcheck"]["test"].is_array(),
                "{name}: no health check"
            );
        }
    }
}

#[test]
fn dependencies_are_waited_for_and_what_runs_once_is_adopted() {
    let compose = Compose::read();
    let mut adopted = BTreeSet::new();
    for (name, service) in compose.services() {
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            let condition = how["condition"].as_str().unwrap();
            let once = is_once(compose.service(other));
            let expected = if once {
                "service_completed_successfully"
            } else {
                "service_healthy"
            };
            assert_eq!(condition, expected, "{name} waits for {other}");
            if once && !is_once(service) {
                adopted.insert(other.clone());
            }
        }
    }
    // `up --wait` takes the end of a container for a failure unless somebody waits for it.
    for (name, service) in compose.services() {
        let on_demand = service["profiles"].is_array();
        assert!(
            !is_once(service) || on_demand || adopted.contains(name),
            "nobody waits for {name}"
        );
    }
}

#[test]
fn a_stop_has_the_time_that_it_takes() {
    let compose = Compose::read();
    let app = compose.environment("app");
    let seconds = |name: &str| app[name].parse::<u64>().unwrap();
    // src/http/server.rs and src/commands/serve.rs: requests 30 s, loops 12 s, farewell 3 s.
    let worst =
        seconds("URLSHORT__STOP__DELAY_SECONDS") + seconds("URLSHORT__STOP__SHIP_SECONDS") + 45;
    let grace = compose.service("app")["stop_grace_period"]
        .as_str()
        .unwrap();
    let grace: u64 = grace.trim_end_matches('s').parse().unwrap();
    assert!(grace > worst, "{grace} s for what may take {worst} s");
    let script = files::text("deploy/rolling-deploy");
    assert!(script.contains(&format!("docker stop -t {grace} ")));
}

#[test]
fn secrets_are_files_and_stand_in_no_variable() {
    let compose = Compose::read();
    for (name, service) in compose.services() {
        for (variable, value) in compose.environment(name) {
            let secret = ["PASSWORD", "PASS", "SECRET", "ADMIN_KEY", "TOKEN"];
            let is_secret = secret.iter().any(|word| variable.contains(word));
            // It makes the files.
            let makes = name == "secrets" && variable == "TUNNEL_TOKEN";
            assert!(
                !is_secret || makes || value.starts_with("/run/secrets/"),
                "{name}: {variable}"
            );
            assert!(
                !value.contains("://urlshort:"),
                "{name}: {variable} holds a password"
            );
        }
        // Who needs none sees none.
        let mounts = files::texts(&service["volumes"]).join(" ");
        for volume in ["db", "grafana", "tunnel"] {
            let inside = format!("/run/secrets/{volume}/");
            let uses = compose
                .environment(name)
                .values()
                .any(|value| value.starts_with(&inside));
            let makes = name == "secrets";
            let mounted = mounts.contains(&format!("secrets-{volume}:"));
            assert_eq!(mounted, uses || makes, "{name}: {volume}");
        }
    }
}
