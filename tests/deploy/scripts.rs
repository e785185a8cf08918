//! The scripts of the deployment, with the programs that they call played by others.

use std::fs;
use std::process::Command;

use crate::files;
use crate::process::Folder;

/// As the container runs it: root, with no capability left, so that file modes bind it too.
#[test]
fn secrets_are_made_once_and_a_second_start_finds_them() {
    let Some(setpriv) = files::tool("setpriv") else {
        return;
    };
    let folder = Folder::new();
    for place in ["db", "grafana", "tunnel"] {
        fs::create_dir_all(folder.0.join(place)).unwrap();
    }
    let script = files::text("deploy/secrets/make.sh")
        .replace("/secrets/", &format!("{}/", folder.0.display()));
    let make = |token: &str| {
        let mut command = Command::new(&setpriv);
        command.args(["--bounding-set=-all", "--inh-caps=-all", "bash", "-c"]);
        files::run(command.arg(&script).env("TUNNEL_TOKEN", token))
    };
    let read = |name: &str| fs::read_to_string(folder.0.join(name)).unwrap();
    make("");
    let (password, grafana) = (read("db/password"), read("grafana/admin-password"));
    assert!(password.len() == 48 && grafana.len() == 48 && password != grafana);
    let url = format!("postgres://urlshort:{password}@shard-2:5432/urlshort");
    assert_eq!(read("db/shard-2.url"), url);
    assert_eq!(read("tunnel/token"), "");
    make("token");
    let again = (read("db/password"), read("grafana/admin-password"));
    assert_eq!(again, (password, grafana), "a second start changes nothing");
    assert_eq!(read("db/shard-2.url"), url);
    assert_eq!(read("tunnel/token"), "token");
}

/// Writes a program that others find under this name in the folder.
fn play(folder: &Folder, name: &str, script: &str) {
    let path = folder.0.join(name);
    fs::write(&path, script).unwrap();
    files::run(Command::new("chmod").arg("+x").arg(path));
}

/// `rpk` is played by a script that keeps the topics in a file, and refuses what Redpanda refuses;
/// what is proven is what it is asked for.
#[test]
fn the_topics_get_64_partitions_and_as_many_copies_as_there_are_brokers_up_to_three() {
    for (brokers, copies) in [(1, 1), (2, 1), (3, 3), (5, 3)] {
        let folder = Folder::new();
        let place = folder.0.display();
        let list: String = (0..brokers)
            .map(|id| format!("{id}{} host{id} 9092\n", if id == 0 { "*" } else { "" }))
            .collect();
        fs::write(folder.0.join("brokers"), format!("ID HOST PORT\n{list}")).unwrap();
        fs::write(folder.0.join("topics"), "NAME PARTITIONS REPLICAS\n").unwrap();
        let rpk = format!(
            r#"#!/bin/bash
echo "$*" >>{place}/asked
case "$*" in
'cluster info --print-brokers') cat {place}/brokers ;;
'topic list') cat {place}/topics ;;
'topic create '*)
  (($7 % 2 == 1)) || {{ echo "INVALID_REPLICATION_FACTOR"; exit 1; }}
  [[ $* != *min.insync.replicas* ]] || {{ echo "INVALID_CONFIG"; exit 1; }}
  echo "$3 $5 $7" >>{place}/topics ;;
*) exit 1 ;;
esac
"#
        );
        play(&folder, "rpk", &rpk);
        let script = |topics: &str| {
            let mut command = Command::new("bash");
            command.arg(files::path("deploy/redpanda/topics.sh"));
            command.env_clear().env("TOPICS", topics);
            command.env("PATH", format!("{place}:/usr/bin:/bin"));
            command
        };
        let both = "urlshort.clicks urlshort.links";
        files::run(&mut script(both));
        let asked = fs::read_to_string(folder.0.join("asked")).unwrap();
        let made = fs::read_to_string(folder.0.join("topics")).unwrap();
        assert_eq!(
            made.lines().skip(1).collect::<Vec<_>>(),
            [
                format!("urlshort.clicks 64 {copies}"),
                format!("urlshort.links 64 {copies}")
            ]
        );
        // As many as there are is what is asked for first, whatever the brokers make of it.
        let first = format!(
            "urlshort.clicks --partitions 64 --replicas {} ",
            brokers.min(3)
        );
        assert!(asked.contains(&first), "{asked}");
        for setting in [
            "message.timestamp.type=LogAppendTime",
            "retention.ms=604800000",
            "cleanup.policy=delete",
        ] {
            assert!(asked.contains(setting), "{asked}");
        }
        let said = files::run(&mut script(both));
        assert!(
            said.contains("urlshort.links is there"),
            "a second start makes nothing: {said}"
        );
        // One that somebody made otherwise is left alone, and refused.
        fs::write(folder.0.join("topics"), "urlshort.clicks 12 1\n").unwrap();
        let done = script("urlshort.clicks").output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(
            !done.status.success() && said.contains("12 partitions"),
            "{said}"
        );
    }
}

/// `docker` is played by a script that keeps the containers in a file.
#[test]
fn a_rolling_deploy_starts_a_new_process_before_it_stops_an_old_one() {
    let folder = Folder::new();
    let place = folder.0.display().to_string();
    fs::write(folder.0.join("running"), "old1\nold2\n").unwrap();
    let docker = format!(
        r#"#!/bin/bash
echo "$* [$(wc -l <{place}/running)]" >>{place}/asked
case "$*" in
'compose ps --quiet app') cat {place}/running ;;
*' --wait '*' --scale app='*)
  all=$*; want=${{all##*app=}}; want=${{want%% *}}
  while (($(wc -l <{place}/running) < want)); do echo "new$RANDOM" >>{place}/running; done ;;
'stop -t '*) sed -i "/^$4$/d" {place}/running ;;
esac
"#
    );
    fs::write(folder.0.join("docker"), docker.replace("$4$", "${!#}$")).unwrap();
    files::run(Command::new("chmod").arg("+x").arg(folder.0.join("docker")));
    let path = format!("{place}:/usr/bin:/bin");
    let mut command = Command::new("bash");
    command.arg(files::path("deploy/rolling-deploy"));
    files::run(command.env_clear().env("PATH", path));
    let running = fs::read_to_string(folder.0.join("running")).unwrap();
    assert_eq!(running.lines().count(), 2, "{running}");
    assert!(!running.contains("old"), "{running}");
    let asked = fs::read_to_string(folder.0.join("asked")).unwrap();
    let stops: Vec<&str> = asked
        .lines()
        .filter(|line| line.starts_with("stop "))
        .collect();
    // In brackets: how many run when it is asked.
    assert_eq!(
        stops,
        ["stop -t 75 old1 [3]", "stop -t 75 old2 [3]"],
        "{asked}"
    );
    let order = [
        "compose build app",
        "compose run --rm --no-deps migrate",
        "compose up",
    ];
    let at = order.map(|words| {
        asked
            .find(words)
            .unwrap_or_else(|| panic!("{words}: {asked}"))
    });
    assert!(at.is_sorted(), "{asked}");
}
