//! The remedies that documents tell to type are typed: every command for a shard, Redis or our program,
//! by a shell, against real servers. What `docker compose exec SERVICE` stands for is played: the
//! command runs here, and finds its server where the container would have it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::children::free_port;
use crate::children::here;
use crate::documents::documents;
use crate::documents::lines;
use crate::files;
use crate::http::Client;
use crate::native::Native;
use crate::process::until;

/// Where a line cannot run here, with the reason.
const NOT_HERE: [(&str, &str); 6] = [
    (
        "pg_dump",
        "restore.rs does it, with the steps of the document",
    ),
    ("pg_restore", "the same"),
    ("DROP SCHEMA", "the same"),
    ("pg_promote", "standby.rs does it"),
    ("du -sh", "there is no such folder here"),
    ("grafana", "it is not packaged"),
];

#[test]
fn every_remedy_for_a_shard_redis_or_our_program_runs_as_it_stands() {
    let Some(native) = Native::prepare() else {
        return;
    };
    let mut app = native.launch("app", "app-0", free_port(), free_port());
    app.healthy();
    let programs = native.path("programs");
    fs::create_dir_all(&programs).unwrap();
    let url = &native.stores.databases[2];
    // They are told user and database by their flags, which name those of the containers.
    play(
        &programs,
        "psql",
        &format!("shift 4; exec /usr/bin/psql '{url}' \"$@\""),
    );
    let port = native.stores.redis.port;
    play(
        &programs,
        "redis-cli",
        &format!("exec /usr/bin/redis-cli -p {port} \"$@\""),
    );
    let binary = env!("CARGO_BIN_EXE_urlshort");
    play(&programs, "urlshort", &format!("exec {binary} \"$@\""));
    fs::write(native.path("password"), "0123456789abcdef").unwrap();
    fs::write(programs.join("pg_hba.conf"), "").unwrap();
    let mut n_run = 0;
    for document in documents() {
        for line in lines(&document) {
            let service =
                |name: &str| line.starts_with("docker compose exec") && line.contains(name);
            let ours = service(" shard-0 ") || service(" redis ") || service(" app ");
            let excused = NOT_HERE.iter().any(|(part, _)| line.contains(part));
            if !ours || excused {
                continue;
            }
            let typed = line
                .replace(
                    "/run/secrets/db/",
                    &format!("{}/", native.folder.0.display()),
                )
                .replace("/urlshort ", "urlshort ");
            // What comes before the command: compose exec, its flags and the service.
            let script = format!(
                "docker() {{ while [[ $1 != shard-0 && $1 != redis && $1 != app ]]; do shift; done; \
                 \"${{@:2}}\"; }}\n{typed}"
            );
            let done = Command::new("bash")
                .args(["-c", &script])
                .env_clear()
                .envs(app.environment())
                .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
                .env("PGDATA", &programs)
                .current_dir(&native.folder.0)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            // `diagnose`: degraded, since nobody counts here.
            let status = done.status.code();
            let good = status == Some(0) || line.contains("diagnose") && status == Some(1);
            assert!(good, "{document}: {line}: {status:?}\n{said}");
            n_run += 1;
        }
    }
    assert!(n_run > 40, "only {n_run} commands were found");
    let rules = fs::read_to_string(programs.join("pg_hba.conf")).unwrap();
    assert!(rules.contains("host replication all all"), "{rules}");
    eprintln!("{n_run} commands typed");
}

/// What the documents look for in its log is there: requests that failed, and no others.
#[test]
fn the_balancer_writes_down_what_failed() {
    let Some(native) = Native::prepare() else {
        return;
    };
    let (public, metrics, nobody) = (free_port(), free_port(), free_port());
    let Some(balancer) = native.balancer(&[nobody], public, metrics) else {
        return;
    };
    let answer = Client::new(here(public)).get("/some-code").unwrap();
    assert_eq!(answer.status, 503, "{}", answer.body);
    until(
        "the failure is written down",
        Duration::from_secs(10),
        || balancer.log().contains("\"GET /some-code ").then_some(()),
    );
    let log = balancer.log();
    assert!(!log.contains("/healthz"), "{log}");
}

fn play(folder: &Path, name: &str, line: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/bash\n{line}\n")).unwrap();
    files::run(Command::new("chmod").arg("+x").arg(path));
}
