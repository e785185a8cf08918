//! `classify`: explains a URL, labels what is there, measures, and works until it is stopped.

use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use crate::support::Folder;

const SOUP: &str = "https://omas-kueche.example/rezepte/kartoffelsuppe";
const PHISH: &str = "https://paypal-login.example-billing.com/verify";

#[test]
fn a_url_is_explained() {
    let folder = Folder::new();
    let done = folder.run(&["classify", "--url", SOUP, PHISH]);
    assert_eq!(done.status, Some(0), "{}", done.errors);
    for word in [
        "food",
        "kartoffelsuppe",
        "lexicon",
        "clean",
        "suspicious",
        "paypal",
    ] {
        assert!(done.output.contains(word), "{word}: {}", done.output);
    }
    let told = folder.json(&["classify", "--json", "--title", "Suppe", "--url", SOUP]);
    assert_eq!(told["schema_version"], 1);
    let answer = &told["answers"][0];
    assert_eq!(answer["category"], "food", "{answer}");
    assert_eq!(answer["decided_by"], "rules");
    assert_eq!(answer["top"][0]["category"], "food");
    assert!(
        answer["tokens"]
            .as_array()
            .unwrap()
            .contains(&json!("suppe"))
    );
    assert!(!answer["lexicon"].as_array().unwrap().is_empty());
}

#[test]
fn a_model_that_is_not_there_is_told_and_the_rules_answer() {
    let folder = Folder::new();
    let done = folder.run(&["classify", "--model-dir", "nowhere", "--url", SOUP]);
    assert_eq!(done.status, Some(0));
    assert!(
        done.errors.contains("classify.model_dir: nowhere"),
        "{}",
        done.errors
    );
    assert!(done.output.contains("food"));
}

#[test]
fn a_file_is_measured_and_a_wrong_line_is_named() {
    let folder = Folder::new();
    let lines = format!("food\t{SOUP}\tKartoffelsuppe\ntravel\thttps://e.example/reise-nach-rom\n");
    folder.write("links.tsv", &lines);
    let told = folder.json(&["classify", "eval", "links.tsv", "--json"]);
    let figures = &told["figures"];
    assert_eq!(
        (&figures["examples"], &figures["top1"]),
        (&json!(2), &json!(1.0))
    );
    for name in [
        "top3",
        "macro_f1",
        "calibration_error",
        "coverage",
        "precision",
    ] {
        assert!(figures[name].is_f64(), "{name}: {figures}");
    }
    assert_eq!(figures["confusion"].as_array().unwrap().len(), 17);
    let done = folder.run(&["classify", "eval", "links.tsv"]);
    assert!(
        done.output.contains("top-1") && done.output.contains("truth"),
        "{}",
        done.output
    );
    folder.write(
        "bad.tsv",
        "food\thttps://a.example/\ncooking\thttps://b.example/\n",
    );
    let done = folder.run(&["classify", "eval", "bad.tsv"]);
    assert_eq!(done.status, Some(1));
    assert!(done.errors.contains("line 2"), "{}", done.errors);
}

fn link(key: &str, server: &crate::support::Server, code: &str) -> Value {
    let path = format!("/api/v1/links/{code}");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    );
    let mut stream = std::net::TcpStream::connect(server.public).unwrap();
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap()
}

#[test]
fn everything_is_labelled_again_and_serve_labels_by_itself() {
    let folder = Folder::new();
    folder.run(&["seed", "--count", "300"]);
    let told = folder.json(&["classify", "--backfill", "--json"]);
    assert_eq!(told["labelled"], 300, "{told}");
    let again = folder.json(&["classify", "--backfill", "--json"]);
    assert_eq!(again["labelled"], 300, "whoever did before");
    let server = folder.serve();
    let body = json!({"long_url": SOUP, "code": "soup"}).to_string();
    assert_eq!(server.ask("POST", "/api/v1/links", &body).0, 201);
    // Made when the shards are known, which is after the port answers.
    server.printed("admin key");
    let path = folder.path("data/admin-key");
    let key = std::fs::read_to_string(path).unwrap();
    let begun = Instant::now();
    let labelled = loop {
        let link = link(key.trim(), &server, "soup");
        if !link["category"].is_null() {
            break link;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{link}");
        std::thread::yield_now();
    };
    assert_eq!(labelled["category"], "food");
    let (_, metrics) = crate::support::ask(server.admin, "GET", "/metrics", "");
    for name in [
        "urlshort_classify_links_total{category=\"food\"",
        "urlshort_classify_batch_links_bucket",
        "urlshort_classify_batch_duration_seconds_bucket",
        "urlshort_classify_backlog_links",
        "urlshort_classify_verdicts_total",
        "urlshort_blocklist_entries",
    ] {
        assert!(metrics.contains(name), "{name}");
    }
}

#[test]
fn a_worker_labels_what_is_there_and_stops_when_told() {
    let folder = Folder::new();
    folder.run(&["seed", "--count", "50"]);
    let worker = folder
        .program(&["classify"])
        .env("URLSHORT__ADMIN__LISTEN", "127.0.0.1:0")
        .start_worker();
    let begun = Instant::now();
    loop {
        let (_, metrics) = crate::support::ask(worker.admin, "GET", "/metrics", "");
        let labelled: f64 = metrics
            .lines()
            .filter(|line| line.starts_with("urlshort_classify_links_total"))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        if labelled >= 50.0 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{labelled}");
        std::thread::yield_now();
    }
    worker.terminate();
    assert_eq!(worker.ended().0, Some(0));
}
