//! The scripts of the deployment, with the programs that they call played by others.

use std::fs;
use std::process::Command;

use crate::files;
use crate::process::Folder;

#[test]
fn secrets_are_made_once_and_fit_together() {
    let folder = Folder::new();
    for place in ["db", "grafana"] {
        fs::create_dir_all(folder.0.join(place)).unwrap();
    }
    let script = files::text("deploy/secrets/make.sh")
        .replace("/secrets/", &format!("{}/", folder.0.display()));
    let make = || files::run(Command::new("bash").args(["-c", &script]));
    let read = |name: &str| fs::read_to_string(folder.0.join(name)).unwrap();
    make();
    let (password, grafana) = (read("db/password"), read("grafana/admin-password"));
    assert!(password.len() == 48 && grafana.len() == 48 && password != grafana);
    let url = format!("postgres://urlshort:{password}@shard-2:5432/urlshort");
    assert_eq!(read("db/shard-2.url"), url);
    make();
    assert_eq!(
        read("db/password"),
        password,
        "a second start changes nothing"
    );
}

/// `rpk` is played by a script; what is proven is what it is asked for.
#[test]
fn the_topics_get_64_partitions_and_as_many_copies_as_there_are_brokers_up_to_three() {
    for (brokers, copies) in [(1, 1), (2, 2), (3, 3), (5, 3)] {
        let folder = Folder::new();
        let list: String = (0..brokers).map(|id| format!("{id} host 9092\n")).collect();
        let partitions: String = (0..64).map(|id| format!("{id} 0 1\n")).collect();
        let rpk = format!(
            "#!/bin/bash\necho \"$*\" >>{0}/asked\ncase \"$*\" in\n*--print-brokers) printf 'BROKERS\\nID HOST PORT\\n{list}' ;;\n\
             *--print-partitions) printf 'PARTITION LEADER\\n{partitions}' ;;\n\
             'topic describe'*) [[ -e {0}/made-$3 ]] ;;\n'topic create'*) touch {0}/made-$3 ;;\nesac\n",
            folder.0.display()
        );
        fs::write(folder.0.join("rpk"), rpk.replace("\\n\n", "\\n")).unwrap();
        files::run(Command::new("chmod").arg("+x").arg(folder.0.join("rpk")));
        let run = || {
            let path = format!("{}:/usr/bin:/bin", folder.0.display());
            let script = files::path("deploy/redpanda/topics.sh");
            files::run(
                Command::new("bash")
                    .arg(script)
                    .env_clear()
                    .env("PATH", path),
            )
        };
        run();
        let asked = fs::read_to_string(folder.0.join("asked")).unwrap();
        let create = asked
            .lines()
            .find(|line| line.starts_with("topic create"))
            .unwrap();
        let links = format!("topic create urlshort.links --partitions 64 --replicas {copies} ");
        assert!(asked.contains(&links), "{asked}");
        let expected = format!("urlshort.clicks --partitions 64 --replicas {copies} ");
        assert!(create.contains(&expected), "{create}");
        for setting in [
            "LogAppendTime",
            "retention.ms=604800000",
            "cleanup.policy=delete",
        ] {
            assert!(create.contains(setting), "{create}");
        }
        assert_eq!(
            create.contains("min.insync.replicas=2"),
            copies == 3,
            "{create}"
        );
        assert!(
            run().contains("urlshort.links is there"),
            "a second start makes nothing"
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
'stop --time '*) sed -i "/^$4$/d" {place}/running ;;
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
        ["stop --time 75 old1 [3]", "stop --time 75 old2 [3]"],
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
