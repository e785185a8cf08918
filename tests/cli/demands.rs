//! What a load test refuses: demands it cannot measure, links that are not there, answers that are
//! all wrong.

use std::time::Duration;

use crate::answering::REDIRECT;
use crate::answering::TARGET;
use crate::answering::server;
use crate::answering::slow_server;
use crate::loadtest::load;
use crate::support::Folder;

#[test]
fn a_run_without_one_right_answer_has_failed() {
    let folder = Folder::new();
    let form = ["--keys", "keys.txt", "--rate", "50", "--duration", "1s"];
    let lost = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    let (done, results) = load(&folder, server(lost, None), &form);
    assert_eq!(done.status, Some(1), "{done:?}");
    assert_eq!(results["totals"]["error_rate"], 1.0);
    assert!(done.errors.contains("not one answer"), "{done:?}");
}

#[test]
fn what_the_table_does_not_show_is_not_judged() {
    let folder = Folder::new();
    // A closed loop has no plan: how many requests there are is known only afterwards.
    let form = [
        "--keys",
        "keys.txt",
        "--concurrency",
        "1",
        "--duration",
        "1s",
    ];
    let demand = ["--threshold", "p99<1h", "--threshold", "max<1h"];
    let slow = slow_server(Duration::from_millis(20));
    let (done, results) = load(&folder, slow, &[&form[..], &demand].concat());
    assert_eq!(done.status, Some(99), "{done:?}");
    let judged = results["thresholds"].as_array().unwrap();
    assert_eq!(judged[0]["holds"], false);
    let why = judged[0]["value"].as_str().unwrap();
    assert!(why.contains("are too few, it takes 1000"), "{why}");
    assert_eq!(judged[1]["holds"], true);
    let form = ["--keys", "keys.txt", "--rate", "50", "--duration", "1s"];
    let page = ["--html", "run.html"];
    let (done, results) = load(
        &folder,
        server(REDIRECT, None),
        &[&form[..], &page].concat(),
    );
    assert_eq!(done.status, Some(0), "{done:?}");
    // The last start is not the end of the second: 50 in it are 50/s, and not more.
    let rate = results["totals"]["rate"].as_f64().unwrap();
    assert!(rate <= 50.0, "{rate}");
    let page = std::fs::read_to_string(folder.path("run.html")).unwrap();
    let (_, tile) = page.split_once("latency p99").unwrap();
    let tile: String = tile.chars().take(120).collect();
    assert!(tile.contains('–'), "{tile}");
    // Whatever answers at /metrics, it is not urlshort.
    let why = results["service"]["not_known"].as_str().unwrap();
    assert!(why.contains("/metrics"), "{why}");
    let saved = folder.json(&["loadtest", "report", "run.json", "run.json", "--json"]);
    assert_eq!(saved["runs"].as_array().unwrap().len(), 2);
    let run = &saved["runs"][1];
    assert_eq!(run["file"], "run.json");
    assert_eq!(run["results"]["totals"]["finished"], 50);
}

#[test]
fn a_file_without_links_and_a_silent_server_are_told_apart() {
    let folder = Folder::new();
    let address = server(REDIRECT, None).to_string();
    folder.write("empty.txt", "# nothing\n");
    let done = folder.run(&["loadtest", &address, "--keys", "empty.txt"]);
    assert_eq!(done.status, Some(1));
    assert!(done.errors.contains("empty.txt names no link"), "{done:?}");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    let done = folder.run(&["loadtest", &silent, "--timeout", "200ms"]);
    assert_eq!(done.status, Some(69));
    let said =
        format!("http://{silent}/api/v1/links?status=active&limit=200: no answer within 200ms");
    assert!(done.errors.contains(&said), "{done:?}");
}

#[test]
fn a_search_with_steps_too_short_for_its_percentile_says_how_long_they_must_be() {
    let folder = Folder::new();
    let address = server(REDIRECT, None).to_string();
    folder.write("keys.txt", &format!("abc {TARGET}\n"));
    let search = [
        "--find-max",
        "--slo",
        "p99<1s",
        "--rate",
        "50",
        "--duration",
        "2s",
    ];
    let aimed = [
        "loadtest", &address, "--keys", "keys.txt", "--json", "run.json",
    ];
    let done = folder.run(&[&aimed[..], &search].concat());
    assert_eq!(done.status, Some(2), "{done:?}");
    assert!(done.errors.contains("a --duration of 20s"), "{done:?}");
    folder.check_holds(&["keys.txt"]); // and no empty run.json
}

#[test]
fn a_seed_run_that_nobody_made_is_not_followed() {
    let folder = Folder::new();
    let lost = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    let address = server(lost, None).to_string();
    let done = folder.run(&["loadtest", &address, "--seed-run", "30:77"]);
    assert_eq!(done.status, Some(1), "{done:?}");
    assert!(
        done.errors.contains("urlshort seed --count 30 --seed 77"),
        "{done:?}"
    );
    let done = folder.run(&["loadtest", &address]);
    assert!(done.errors.contains("name the public port"), "{done:?}");
}
