//! What the documents of the deployment tell to type exists: commands, flags, services, files.

use std::collections::BTreeSet;

use crate::compose::Compose;
use crate::files;

/// Words of `docker compose` that take a service next, or end without one.
const COMPOSE: [&str; 14] = [
    "build", "config", "cp", "down", "exec", "logs", "ps", "pull", "restart", "rm", "run", "stop",
    "up", "start",
];

pub(crate) fn documents() -> Vec<String> {
    let mut all = files::list("deploy/runbooks", ".md");
    all.push("deploy/README.md".to_owned());
    all
}

/// The lines to be typed: those of the blocks marked `sh`, continued ones joined.
pub(crate) fn lines(document: &str) -> Vec<String> {
    let text = files::text(document);
    let mut lines = Vec::new();
    for block in text.split("```sh\n").skip(1) {
        let block = block.split("```").next().unwrap().replace("\\\n", " ");
        lines.extend(
            block
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(str::to_owned),
        );
    }
    lines
}

#[test]
fn every_command_of_ours_exists_with_its_flags() {
    for document in documents() {
        for line in lines(&document) {
            for (at, _) in line.match_indices("urlshort ") {
                let before = line[..at].chars().last();
                if !matches!(before, None | Some(' ' | '/' | '(')) {
                    continue;
                }
                let words: Vec<&str> = line[at..].split_whitespace().skip(1).collect();
                check_command(&document, &line, &words);
            }
            // `compose run SERVICE …`: the words after its name are the program's own.
            let Some((_, rest)) = line
                .split_once(" run ")
                .filter(|_| line.contains("compose"))
            else {
                continue;
            };
            let ours = ["app", "migrate", "seed", "loadtest", "classify"];
            let mut words = rest
                .split_whitespace()
                .skip_while(|word| !ours.contains(word));
            words.next();
            check_command(&document, &line, &words.collect::<Vec<_>>());
        }
    }
}

#[track_caller]
fn check_command(document: &str, line: &str, words: &[&str]) {
    let Some((command, rest)) = words.split_first() else {
        return;
    };
    if command.starts_with('-') || !command.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return;
    }
    let mut path = vec![*command];
    let mut rest = rest;
    if *command == "keys" {
        path.push(rest[0]);
        rest = &rest[1..];
    }
    if ["loadtest", "classify"].contains(command) && !files::has_command(command) {
        return;
    }
    let help = files::help(&path).unwrap_or_else(|| panic!("{document}: {line}: no {path:?}"));
    for flag in rest
        .iter()
        .take_while(|word| !["|", "&&", ">", ";", "#"].contains(word))
    {
        if flag.starts_with("--") {
            let name = flag.split('=').next().unwrap();
            assert!(
                help.contains(name),
                "{document}: {line}: {path:?} has no {name}"
            );
        }
    }
}

#[test]
fn every_service_that_is_named_exists() {
    let compose = Compose::read();
    let standby = files::yaml("deploy/compose.standby.yaml");
    let names = compose.services().keys();
    let services: BTreeSet<&str> = names
        .chain(standby["services"].as_object().unwrap().keys())
        .map(String::as_str)
        .collect();
    for document in documents() {
        for line in lines(&document) {
            let Some((_, rest)) = line.split_once("docker compose ") else {
                continue;
            };
            let mut words = rest.split_whitespace().peekable();
            while words
                .next_if(|word| word.starts_with("--"))
                .is_some_and(|word| word == "--profile")
            {
                words.next();
            }
            let verb = words.next().unwrap();
            assert!(COMPOSE.contains(&verb), "{document}: {line}: {verb}");
            let takes = [
                "--tail",
                "--index",
                "--since",
                "--scale",
                "--name",
                "--user",
                "-e",
                "--format",
                "--entrypoint",
                "-T",
            ];
            let mut named = Vec::new();
            while let Some(word) = words.next() {
                if takes.contains(&word) && word != "-T" {
                    words.next();
                } else if ["|", "&&", ">", "<", ";", "#"].contains(&word) {
                    break;
                } else if !word.starts_with('-') {
                    named.push(word);
                    if ["cp", "exec", "run"].contains(&verb) {
                        break; // the rest is what runs inside
                    }
                }
            }
            for name in named {
                let name = name.split([':', ')']).next().unwrap();
                assert!(
                    services.contains(name),
                    "{document}: {line}: no service {name}"
                );
            }
        }
    }
}

#[test]
fn every_file_and_variable_that_is_named_exists() {
    let compose = Compose::read();
    for document in documents() {
        let text = files::text(&document);
        let folder = document.rsplit_once('/').unwrap().0;
        for link in text.split("](").skip(1) {
            let target = link.split(')').next().unwrap();
            if target.starts_with("http") || target.starts_with('#') {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = format!("{folder}/{file}");
            assert!(files::path(&path).exists(), "{document}: {target}");
            if !anchor.is_empty() {
                check_anchor(&document, &path, anchor);
            }
        }
        let keys = files::text("config.toml");
        for word in text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')) {
            if let Some(key) = word.strip_prefix("URLSHORT__") {
                let (section, key) = key.split_once("__").unwrap_or(("", key));
                let (section, key) = (section.to_lowercase(), key.to_lowercase());
                let known =
                    keys.contains(&format!("[{section}]")) && keys.contains(&format!("{key} ="));
                assert!(known || section == "classify", "{document}: {word}");
            }
            let shouts = word.len() > 8
                && word.contains('_')
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte == b'_');
            let ours = [
                "POSTGRES_",
                "REDPANDA_",
                "KAFKA_RETENTION",
                "PROMETHEUS_",
                "CACHE_",
                "EVENTS_",
            ];
            if shouts && ours.iter().any(|start| word.starts_with(start)) {
                assert!(compose.variables.contains_key(word), "{document}: {word}");
            }
        }
    }
}

#[track_caller]
fn check_anchor(document: &str, path: &str, anchor: &str) {
    let found = files::text(path).lines().any(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        line.starts_with('#') && title.replace(' ', "-").replace(',', "") == anchor
    });
    assert!(found, "{document}: {path} has no #{anchor}");
}
