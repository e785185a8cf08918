//! Rules and alerts, by Prometheus' own tools; each alert is tested, and has a runbook.

use std::collections::BTreeSet;
use std::process::Command;

use crate::expressions::rules_of;
use crate::files;

const FOLDER: &str = "deploy/prometheus/rules";

#[test]
fn promtool_takes_the_configuration_and_the_rules() {
    let Some(promtool) = files::tool("promtool") else {
        return;
    };
    let rules = files::list(FOLDER, ".yml");
    let mut command = Command::new(&promtool);
    files::run(
        command
            .args(["check", "rules"])
            .args(rules.iter().map(|file| files::path(file))),
    );
    let mut command = Command::new(&promtool);
    let config = files::path("deploy/prometheus/prometheus.yml");
    // The rules are checked above; here they lie where the container has them.
    files::run(
        command
            .args(["check", "config", "--syntax-only"])
            .arg(config),
    );
}

#[test]
fn the_rules_do_what_their_tests_say() {
    let Some(promtool) = files::tool("promtool") else {
        return;
    };
    let tests = files::list("deploy/prometheus/tests", ".yml");
    let mut command = Command::new(promtool);
    files::run(
        command
            .args(["test", "rules"])
            .args(tests.iter().map(|file| files::path(file))),
    );
}

#[test]
fn alertmanager_takes_its_configuration() {
    let Some(amtool) = files::tool("amtool") else {
        return;
    };
    let config = files::path("deploy/alertmanager/alertmanager.yml");
    files::run(Command::new(amtool).arg("check-config").arg(config));
}

#[test]
fn every_alert_is_explained_tested_and_has_a_runbook() {
    let tests: String = files::list("deploy/prometheus/tests", ".yml")
        .iter()
        .map(|file| files::text(file))
        .collect();
    let mut alerts = BTreeSet::new();
    for file in files::list(FOLDER, ".yml") {
        for rule in rules_of(&file) {
            let Some(name) = rule["alert"].as_str() else {
                continue;
            };
            assert!(alerts.insert(name.to_owned()), "{name} stands twice");
            let severity = rule["labels"]["severity"].as_str();
            let known = matches!(severity, Some("page" | "ticket" | "none"));
            assert!(known, "{name}: severity {severity:?}");
            for note in ["summary", "description"] {
                let text = rule["annotations"][note].as_str();
                assert!(text.is_some_and(|text| text.len() > 15), "{name}: {note}");
            }
            let runbook = format!("deploy/runbooks/{name}.md");
            assert_eq!(rule["annotations"]["runbook_url"], runbook.as_str());
            let text = files::text(&runbook);
            for part in [&format!("# {name}\n"), "\n## Look\n", "\n## Do\n"] {
                assert!(text.contains(part), "{runbook} has no {part:?}");
            }
            let asked = format!("ALERTS{{alertname=\"{name}\", alertstate=\"firing\"}}");
            let fires = tests
                .split(&asked)
                .skip(1)
                .any(|after| after.lines().take(3).any(|line| line.contains("value: 1")));
            assert!(fires, "no test in which {name} fires");
        }
    }
    let runbooks: BTreeSet<String> = files::list("deploy/runbooks", ".md")
        .iter()
        .map(|file| {
            file.rsplit('/')
                .next()
                .unwrap()
                .trim_end_matches(".md")
                .to_owned()
        })
        .collect();
    assert_eq!(
        alerts, runbooks,
        "runbooks without an alert, or the other way round"
    );
}

#[test]
fn the_objectives_and_causes_that_are_due_are_there() {
    let all: Vec<_> = files::list(FOLDER, ".yml")
        .iter()
        .flat_map(|file| rules_of(file))
        .collect();
    let has = |kind: &str, name: &str| all.iter().any(|rule| rule[kind] == name);
    for objective in [
        "redirects:error_ratio",
        "redirects:slow_ratio",
        "clicks:late_ratio",
    ] {
        for window in ["5m", "30m", "1h", "6h", "3d"] {
            let name = format!("urlshort:{objective}_rate{window}");
            assert!(has("record", &name), "{name}");
        }
    }
    for alert in [
        "RedirectErrorsBurnFast",
        "RedirectLatencyBurnFast",
        "ClickFreshnessBurnFast",
        "TargetDown",
        "BalancerDown",
        "AnalyticsGone",
        "ClicksDropped",
        "RollupLagGrowing",
        "PoolSaturated",
        "ShardDown",
        "RedisDown",
        "KafkaDown",
        "SlotMapMismatch",
        "SpoolFilling",
        "TunnelDown",
    ] {
        assert!(has("alert", alert), "{alert}");
    }
}
