//! The dashboards: all there, written by their script, and of use to who looks at them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::expressions::rules_of;
use crate::files;

const DUE: [&str; 12] = [
    "business",
    "cache",
    "classifier",
    "clicks",
    "http",
    "loadtest",
    "overview",
    "postgresql",
    "redirects",
    "redis",
    "shards",
    "system",
];

fn boards() -> BTreeMap<String, Value> {
    let files = files::list("dashboards", ".json");
    files
        .iter()
        .map(|file| {
            let name = file.rsplit('/').next().unwrap().trim_end_matches(".json");
            (
                name.to_owned(),
                serde_json::from_str(&files::text(file)).unwrap(),
            )
        })
        .collect()
}

fn panels(board: &Value) -> impl Iterator<Item = &Value> {
    board["panels"].as_array().unwrap().iter()
}

#[test]
fn the_files_are_what_the_script_writes() {
    let Some(python) = files::tool("python3") else {
        return;
    };
    let script = files::path("deploy/grafana/dashboards.py");
    files::run(Command::new(python).arg(script).arg("--check"));
}

#[test]
fn the_twelve_are_there_and_can_be_narrowed_down() {
    let boards = boards();
    for name in DUE {
        assert!(boards.contains_key(name), "{name}");
    }
    for (name, board) in &boards {
        assert_eq!(board["uid"], format!("urlshort-{name}").as_str());
        assert!(
            board["id"].is_null() && board["title"].as_str().is_some(),
            "{name}"
        );
        let variables = board["templating"]["list"].as_array().unwrap();
        let variables: Vec<&str> = variables
            .iter()
            .filter_map(|one| one["name"].as_str())
            .collect();
        assert_eq!(
            variables,
            ["datasource", "job", "instance", "shard"],
            "{name}"
        );
        // The way from one to all others, and to those that explain it.
        let links = board["links"].as_array().unwrap();
        assert!(
            links.len() > 1 && links[0]["type"] == "dashboards",
            "{name}"
        );
        for link in &links[1..] {
            let url = link["url"].as_str().unwrap();
            let to = url.strip_prefix("/d/urlshort-").unwrap();
            assert!(boards.contains_key(to), "{name}: {url} leads nowhere");
        }
    }
}

/// Names a runbook, or asks for something.
fn says_what_to_do(text: &str) -> bool {
    const REQUESTS: [&str; 21] = [
        "see", "look", "raise", "lower", "run", "add", "give", "mend", "report", "compare", "copy",
        "mount", "restart", "deploy", "use", "move", "stop", "end", "require", "warm", "spread",
    ];
    let mut words = text.split(|letter: char| !letter.is_ascii_alphabetic());
    text.contains("runbook") || words.any(|word| REQUESTS.contains(&word.to_lowercase().as_str()))
}

#[test]
fn every_panel_says_what_to_do_and_in_which_unit() {
    for (name, board) in boards() {
        let mut ids = BTreeSet::new();
        let mut in_row = false;
        for panel in panels(&board) {
            let title = panel["title"].as_str().unwrap();
            assert!(
                ids.insert(panel["id"].as_u64().unwrap()),
                "{name}: {title}: id"
            );
            if panel["type"] == "row" {
                assert!(
                    title.ends_with('?'),
                    "{name}: a row asks a question: {title}"
                );
                in_row = true;
                continue;
            }
            assert!(in_row, "{name}: {title} stands in no row");
            let text = panel["description"].as_str().unwrap();
            assert!(text.len() > 36, "{name}: {title}: {text}");
            assert!(
                says_what_to_do(text),
                "{name}: {title}: it says what, and not what to do: {text}"
            );
            assert!(
                panel["fieldConfig"]["defaults"]["unit"].is_string(),
                "{name}: {title}"
            );
            for target in panel["targets"].as_array().unwrap() {
                assert_eq!(
                    target["datasource"]["uid"], "${datasource}",
                    "{name}: {title}"
                );
                let legend = target["legendFormat"].as_str().unwrap();
                assert!(!legend.is_empty(), "{name}: {title}");
            }
        }
    }
}

#[test]
fn no_two_panels_of_a_dashboard_overlap() {
    for (name, board) in boards() {
        let mut taken: BTreeMap<(u64, u64), &str> = BTreeMap::new();
        for panel in panels(&board) {
            let title = panel["title"].as_str().unwrap();
            let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{name}: {title}");
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    let other = taken.insert((x, y), title);
                    assert!(other.is_none(), "{name}: {title} lies on {other:?}");
                }
            }
        }
    }
}

#[test]
fn runbooks_that_panels_name_exist() {
    let alerts: BTreeSet<String> = files::list("deploy/prometheus/rules", ".yml")
        .iter()
        .flat_map(|file| rules_of(file))
        .filter_map(|rule| rule["alert"].as_str().map(str::to_owned))
        .collect();
    for (name, board) in boards() {
        for panel in panels(&board).filter(|panel| panel["type"] != "row") {
            let text = panel["description"].as_str().unwrap();
            for (before, _) in text
                .match_indices("'s runbook")
                .map(|(at, found)| (&text[..at], found))
            {
                let alert = before.rsplit(' ').next().unwrap().trim_start_matches('(');
                assert!(
                    alerts.contains(alert),
                    "{name}: {}: {alert}",
                    panel["title"]
                );
            }
        }
    }
}

#[test]
fn grafana_is_provisioned_with_them() {
    let compose = files::yaml("deploy/compose.yaml");
    let mounts = files::texts(&compose["services"]["grafana"]["volumes"]);
    let provider = files::yaml("deploy/grafana/provisioning/dashboards/urlshort.yaml");
    let provider = &provider["providers"][0];
    let inside = provider["options"]["path"].as_str().unwrap();
    assert!(
        mounts.contains(&format!("../dashboards:{inside}:ro")),
        "{mounts:?}"
    );
    assert_eq!(provider["allowUiUpdates"], false);
    let sources = files::yaml("deploy/grafana/provisioning/datasources/prometheus.yaml");
    assert_eq!(sources["datasources"][0]["url"], "http://prometheus:9090");
}
