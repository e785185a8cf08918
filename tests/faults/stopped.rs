//! Partitions that nobody may count, and the way out that `diagnose` tells.

use std::process::Command;
use std::time::Duration;

use crate::clicks::distributed;
use crate::ledger::make_links;
use crate::ledger::visit;
use crate::process;
use crate::process::Folder;
use crate::process::until;
use crate::servers;

#[test]
fn after_a_new_topic_the_command_that_diagnose_tells_lets_counting_go_on() {
    let Some(kafka) = servers::shared("URLSHORT_TEST_KAFKA") else {
        return;
    };
    let Some(environment) = distributed(&kafka) else {
        return;
    };
    let folders = [Folder::new(), Folder::new()];
    let serve = process::serve(&folders[0].0, &environment);
    serve.ready();
    let counter = process::analytics(&folders[1].0, &environment);
    let codes = make_links(&mut serve.client(), 10);
    let visitors = visit(&codes, {
        let address = serve.address;
        move || address
    });
    visitors.wait_for(100);
    // As if the topic had been longer before: nobody can tell what stands at those offsets.
    assert_eq!(counter.stop(), Some(0));
    for (name, url) in &environment.0 {
        if name.starts_with("DB_SHARD_") {
            servers::psql(
                url,
                &["UPDATE urlshort.progress SET next_offset = next_offset + 100000"],
            );
        }
    }
    let counter = process::analytics(&folders[1].0, &environment);
    visitors.wait_for(100);
    for process in [&serve, &counter] {
        until("the probes tell it", Duration::from_secs(40), || {
            let told = process.client().get("/readyz").ok()?;
            (told.status == 200
                && told
                    .body
                    .contains("partitions of the clicks topic are stopped"))
            .then_some(())
        });
    }
    // The partitions stop one after the other; each is let go on once.
    let ledger = visitors.end();
    until(
        "nothing is stopped any more",
        Duration::from_secs(60),
        || {
            let commands = remedies(&folders[0], &environment);
            for command in &commands {
                let done = Command::new("sh").args(["-c", command]).status();
                assert!(done.unwrap().success(), "{command}");
            }
            let told = counter.client().get("/readyz").ok()?;
            (commands.is_empty() && !told.body.contains("stopped")).then_some(())
        },
    );
    ledger.compare(&mut serve.client(), 0);
}

/// The commands that `diagnose` tells for stopped partitions.
fn remedies(folder: &Folder, environment: &process::Environment) -> Vec<String> {
    let done = Command::new(env!("CARGO_BIN_EXE_urlshort"))
        .args(["diagnose", "--json"])
        .current_dir(&folder.0)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(environment.0.iter().cloned())
        .output()
        .unwrap();
    let told: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let checks = told["checks"].as_array().unwrap().iter();
    checks
        .filter(|finding| finding["name"] == "kafka lag" && finding["severity"] == "fail")
        .map(|finding| finding["command"].as_str().unwrap().to_owned())
        .collect()
}
