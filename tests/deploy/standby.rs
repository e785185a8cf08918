//! A warm standby, made by the script that `compose.standby.yaml` runs: it takes over from its primary,
//! and the processes find it by themselves.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::children::Running;
use crate::children::free_port;
use crate::children::start;
use crate::files;
use crate::http::Client;
use crate::ledger;
use crate::native::Native;
use crate::process::until;

/// What the document tells to type, and this test stands for.
const STEPS: [&str; 3] = [
    "host replication all all scram-sha-256",
    "SELECT pg_reload_conf()",
    "SELECT pg_promote()",
];

#[test]
fn a_standby_takes_over_and_nobody_is_told() {
    let document = files::text("deploy/README.md");
    for step in STEPS {
        assert!(document.contains(step), "the document does not say {step}");
    }
    let Some(native) = Native::prepare() else {
        return;
    };
    let primary = native.stores.databases[2].clone();
    let port = free_port();
    let mut standby = copied(&native, &primary, port);
    let at_standby = primary.replace(&format!(":{}/", port_of(&primary)), &format!(":{port}/"));
    until("the standby answers", Duration::from_secs(30), || {
        standby.still_runs();
        (ask(&at_standby, "SELECT pg_is_in_recovery()")? == "t").then_some(())
    });

    // Both in one URL, as the secrets of the stack name them.
    let (account, server) = primary.split_once('@').unwrap();
    let (host, database) = server.split_once('/').unwrap();
    let both =
        format!("{account}@{host},127.0.0.1:{port}/{database}?target_session_attrs=read-write");
    fs::write(native.path("shard-2.url"), both).unwrap();
    let app = native.up("app", "app-0");
    let mut client = Client::new(app.public);
    let codes = ledger::make_links(&mut client, 60);
    let one_of_it = "SELECT count(*) FROM urlshort.links";
    let links = ask(&primary, one_of_it).unwrap();
    assert_ne!(links, "0", "none of 60 links lies there");
    until("the standby has them", Duration::from_secs(30), || {
        (ask(&at_standby, one_of_it)? == links).then_some(())
    });

    native.stores.breakable.crash();
    assert_eq!(
        ask(&at_standby, "SELECT pg_promote()").as_deref(),
        Some("t")
    );
    // A process with empty caches: every answer comes from the shards.
    let fresh = native.up("app", "app-1");
    let mut client = Client::new(fresh.public);
    for code in &codes {
        until("every link is followed", Duration::from_secs(30), || {
            let answer = client.get(&format!("/{code}")).ok()?;
            (answer.status == 302).then_some(())
        });
    }
    // And the one that was there before writes there too.
    let mut client = Client::new(app.public);
    let before = ask(&at_standby, one_of_it).unwrap();
    until("new links lie there", Duration::from_secs(30), || {
        ledger::make_links(&mut client, 5);
        (ask(&at_standby, one_of_it)? != before).then_some(())
    });
}

/// Runs the script of the standby, with the variables that compose gives it.
fn copied(native: &Native, primary: &str, port: u16) -> Running {
    let bin = files::list("/usr/lib/postgresql", "")
        .into_iter()
        .map(|version| format!("{version}/bin"))
        .find(|bin| Path::new(bin).join("initdb").exists())
        .expect("PostgreSQL's server programs are installed");
    // The image runs it as postgres, in a folder of its own.
    let data = native.path("standby");
    let (_, database) = primary.rsplit_once('/').unwrap();
    fs::write(native.path("password"), "unused").unwrap();
    let compose = files::yaml("deploy/compose.standby.yaml");
    let service = &compose["services"]["standby-0"];
    assert_eq!(files::texts(&service["entrypoint"])[1], "/standby.sh");
    let mut environment = native.compose.environment("shard-0");
    environment.insert(
        "SLOT".to_owned(),
        service["environment"]["SLOT"].as_str().unwrap().to_owned(),
    );
    let path = format!("{bin}:/usr/bin:/bin");
    let password = native.path("password").display().to_string();
    for (name, value) in [
        ("PRIMARY", "127.0.0.1"),
        ("PRIMARY_PORT", port_of(primary)),
        ("POSTGRES_DB", database),
        ("POSTGRES_PASSWORD_FILE", &password),
        ("PGDATA", &data.display().to_string()),
        ("PATH", &path),
    ] {
        environment.insert(name.to_owned(), value.to_owned());
    }
    fs::create_dir_all(&data).unwrap();
    let script = files::path("deploy/postgres/standby.sh");
    let listen = format!("-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=");
    let mut words = vec![script.display().to_string(), "postgres".to_owned()];
    words.extend(listen.split(' ').map(str::to_owned));
    let program = if files::run(Command::new("id").arg("-u")).trim() == "0" {
        files::run(Command::new("chown").arg("postgres").arg(&data));
        files::run(Command::new("chmod").arg("a+rx").arg(&native.folder.0));
        let user = [
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "bash",
        ];
        words.splice(0..0, user.map(str::to_owned));
        "/usr/bin/setpriv"
    } else {
        "/bin/bash"
    };
    start(
        &native.folder.0,
        "standby",
        Path::new(program),
        &words,
        &environment,
    )
}

/// Of `postgres://user@host:port/database`.
fn port_of(url: &str) -> &str {
    let (server, _) = url.rsplit_once('/').unwrap();
    server.rsplit_once(':').unwrap().1
}

/// The first value of an answer; `None` while there is none.
fn ask(url: &str, sql: &str) -> Option<String> {
    let done = Command::new("psql").args(["-qAt", url, "-c", sql]).output();
    let done = done.unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    done.status.success().then(|| text.trim().to_owned())
}
