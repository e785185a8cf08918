//! The load test against servers whose answers are known, and against `serve` itself.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use crate::answering::REDIRECT;
use crate::answering::Stall;
use crate::answering::TARGET;
use crate::answering::counting_server;
use crate::answering::server;
use crate::answering::slow_server;
use crate::support::Done;
use crate::support::Folder;

/// The results of a load test on `address` with these arguments.
pub(crate) fn load(folder: &Folder, address: SocketAddr, arguments: &[&str]) -> (Done, Value) {
    folder.write("keys.txt", &format!("abc {TARGET}\n"));
    let url = format!("http://{address}");
    let always = ["loadtest", &url, "--settle", "0", "--json", "run.json"];
    let done = folder.run(&[&always, arguments].concat());
    let text = std::fs::read_to_string(folder.path("run.json")).unwrap_or_default();
    let results = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {done:?}"));
    (done, results)
}

impl std::fmt::Debug for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {} {}", self.status, self.output, self.errors)
    }
}

fn ms(results: &Value, which: &str, quantile: &str) -> f64 {
    results["totals"][which][quantile].as_f64().unwrap()
}

#[test]
fn a_stall_shows_in_the_latency_and_not_in_the_service_time() {
    let folder = Folder::new();
    let stall = Stall {
        after: Duration::from_secs(1),
        length: Duration::from_secs(1),
    };
    let address = server(REDIRECT, Some(stall));
    let (done, results) = load(
        &folder,
        address,
        &[
            "--keys",
            "keys.txt",
            "--rate",
            "500",
            "--duration",
            "4s",
            "--connections",
            "4",
        ],
    );
    assert_eq!(done.status, Some(0), "{done:?}");
    let totals = &results["totals"];
    assert_eq!(totals["planned"], 2_000);
    assert_eq!(totals["finished"], 2_000);
    assert_eq!(totals["errors"], 0);
    // A quarter of the requests was due in that second; only four were under way in it.
    let latency = ms(&results, "latency", "p99_ms");
    let service = ms(&results, "service_time", "p99_ms");
    assert!(latency > 900.0, "latency {latency}");
    assert!(
        service < latency / 2.0,
        "service time {service}, latency {latency}"
    );
    assert!(ms(&results, "service_time", "max_ms") > 900.0);
    assert!(totals["late_busy"].as_u64().unwrap() > 300, "{totals}");
    // Second by second, too.
    let slow = results["series"].as_array().unwrap().iter();
    let slow = slow.filter(|second| second["latency"]["max_ms"].as_f64().unwrap() > 400.0);
    assert!((1..=3).contains(&slow.count()));
}

#[test]
fn wrong_answers_are_errors_by_kind_and_break_thresholds() {
    let folder = Folder::new();
    let elsewhere =
        "HTTP/1.1 302 Found\r\nlocation: https://evil.example/\r\ncontent-length: 0\r\n\r\n";
    let broken = "HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\noops";
    for (answer, kind) in [(elsewhere, "wrong_location"), (broken, "bad_status")] {
        let threshold = ["--threshold", "error_rate<0.1%", "--threshold", "p90<10s"];
        let plan = ["--keys", "keys.txt", "--rate", "200", "--duration", "1s"];
        let (done, results) = load(
            &folder,
            server(answer, None),
            &[&plan[..], &threshold].concat(),
        );
        assert_eq!(done.status, Some(99), "{done:?}");
        assert!(done.errors.contains("error_rate<0.1%"), "{}", done.errors);
        assert!(!done.errors.contains("p90<10s"), "{}", done.errors);
        assert_eq!(results["totals"]["troubles"][kind], 200, "{results}");
        let outcomes = results["thresholds"].as_array().unwrap();
        let holds: Vec<bool> = outcomes.iter().map(|one| one["holds"] == true).collect();
        assert_eq!(holds, [false, true]);
    }
}

#[test]
fn a_server_that_never_answers_times_out_and_what_cannot_start_is_dropped() {
    let folder = Folder::new();
    let stall = Stall {
        after: Duration::ZERO,
        length: Duration::from_secs(3_600),
    };
    let plan = ["--keys", "keys.txt", "--rate", "100", "--duration", "1s"];
    let limits = ["--connections", "2", "--timeout", "200ms"];
    let (_, results) = load(
        &folder,
        server(REDIRECT, Some(stall)),
        &[&plan[..], &limits].concat(),
    );
    let totals = &results["totals"];
    let of = |kind: &str| totals["troubles"][kind].as_u64().unwrap_or(0);
    assert_eq!(of("timeout") + of("dropped"), 100, "{totals}");
    assert!(of("timeout") >= 2 && of("dropped") > 50, "{totals}");
    assert_eq!(totals["dropped"], of("dropped"));
    assert_eq!(totals["error_rate"], 1.0);
}

#[test]
fn only_this_machine_is_loaded_unless_its_owner_says_so() {
    let folder = Folder::new();
    let done = folder.run(&["loadtest", "http://192.0.2.1:8000", "--duration", "1s"]);
    assert_eq!(done.status, Some(1));
    assert!(done.errors.contains("--i-own-this-host"), "{}", done.errors);
    // This machine by its other names.
    for here in ["[::ffff:127.0.0.1]:1", "0.0.0.0:1", "localhost:1"] {
        let done = folder.run(&["loadtest", here, "--duration", "1s"]);
        assert_eq!(done.status, Some(69), "{here}: {done:?}");
    }
    let nobody = folder.run(&["loadtest", "127.0.0.1:1", "--duration", "1s"]);
    assert_eq!(nobody.status, Some(69));
    assert!(
        nobody.errors.contains("urlshort serve"),
        "{}",
        nobody.errors
    );
    for (arguments, part) in [
        (&["--rate", "fast"][..], "requests a second"),
        (&["--duration", "0s"], "at least 1ms"),
        (&["--mix", "redirect=95,fly=5"], "no operation"),
        (&["--threshold", "p99<5"], "say the unit"),
        (&["--find-max"], "--slo"),
        (
            &["--rate", "5", "--concurrency", "5"],
            "cannot be used with",
        ),
        (&["--miss-ratio", "2"], "from 0 to 1"),
        (&["--json", "-", "--html", "-"], "name a file for one"),
        (
            &["--json", "same", "--html", "./same"],
            "name a file for one",
        ),
        (&["--threshold", "create.p50<1s"], "no create is in --mix"),
        (
            &["--threshold", "clicks_missing<1", "--settle", "0"],
            "not compared",
        ),
        (
            &["--threshold", "p99.99<1s", "--duration", "1s"],
            "run for longer",
        ),
        (&["https://127.0.0.1:1"], "behind the proxy"),
        (&["http://127.0.0.1:1/path"], "without a path"),
        (&["http://me:secret@127.0.0.1:1"], "holds credentials"),
        (&["--connections", "many"], "from 1 to 100000"),
        (&["host:port"], "http://127.0.0.1:8000"),
    ] {
        let done = folder.run(&[&["loadtest"], arguments].concat());
        assert_eq!(done.status, Some(2), "{arguments:?}: {done:?}");
        assert!(done.errors.contains(part), "{arguments:?}: {}", done.errors);
    }
}

#[test]
fn a_service_is_loaded_checked_and_counted() {
    let folder = Folder::new();
    folder.json(&["seed", "--count", "300", "--json"]);
    let server = folder.serve();
    server.wait_until_ready();
    let url = format!("http://{}", server.public);
    let mix = ["--mix", "redirect=80,head=5,create=5,stats=5,preview=5"];
    let run = |more: &[&str]| {
        let always = [
            "loadtest",
            url.as_str(),
            "--duration",
            "2s",
            "--json",
            "run.json",
        ];
        let done = folder.run(&[&always, more].concat());
        assert_eq!(done.status, Some(0), "{done:?}");
        let text = std::fs::read(folder.path("run.json")).unwrap();
        (done, serde_json::from_slice::<Value>(&text).unwrap())
    };
    let (done, results) = run(&[&mix[..], &["--rate", "200", "--miss-ratio", "0.05"]].concat());
    assert_eq!(results["schema_version"], 1);
    assert_eq!(results["totals"]["errors"], 0, "{done:?}");
    let operations = results["operations"].as_array().unwrap();
    assert_eq!(operations.len(), 5, "{operations:?}");
    assert!(results["totals"]["statuses"]["404"].as_u64().unwrap() > 0);
    let clicks = &results["clicks"];
    assert!(clicks["acknowledged"].as_u64().unwrap() > 200, "{clicks}");
    assert_eq!(clicks["counted"], clicks["acknowledged"], "{clicks}");
    assert_eq!(
        (&clicks["missing"], &clicks["surplus"]),
        (&0.into(), &0.into())
    );
    assert_eq!(results["service"]["clicks_dropped"], 0, "{results}");
    assert!(results["service"]["near_hit_ratio"].as_f64().unwrap() > 0.1);
    // The same by other ways to name the links, in a closed loop, at random, without keep-alive.
    let by_seed = ["--seed-run", "300", "--concurrency", "4", "--settle", "0"];
    let (_, closed) = run(&by_seed);
    assert_eq!(closed["totals"]["errors"], 0, "{closed}");
    assert!(closed["plan"]["rate"].is_null() && closed["plan"]["arrivals"].is_null());
    let random = [
        "--arrivals",
        "poisson",
        "--rate",
        "100",
        "--no-keep-alive",
        "--settle",
        "0",
    ];
    let (_, random) = run(&random);
    assert_eq!(random["totals"]["errors"], 0, "{random}");
    assert_eq!(random["totals"]["connects"], random["totals"]["started"]);
}

#[test]
fn the_highest_rate_that_holds_is_found() {
    let folder = Folder::new();
    // One connection whose answers take at least 5 ms cannot hold more than 200/s.
    let address = slow_server(Duration::from_millis(5));
    let (done, results) = load(
        &folder,
        address,
        &[
            "--keys",
            "keys.txt",
            "--find-max",
            "--slo",
            "p50<50ms",
            "--rate",
            "50",
            "--duration",
            "1s",
            "--connections",
            "1",
            "--timeout",
            "1s",
        ],
    );
    assert_eq!(done.status, Some(0), "{done:?}");
    let search = &results["search"];
    let best = search["best"].as_f64().unwrap();
    assert!((50.0..=200.0).contains(&best), "{search}");
    let steps = search["steps"].as_array().unwrap();
    assert!(
        steps
            .iter()
            .any(|step| !step["broken"].as_array().unwrap().is_empty())
    );
}

#[test]
fn a_search_in_which_no_rate_holds_has_failed() {
    let folder = Folder::new();
    let address = slow_server(Duration::from_millis(5));
    let demand = ["--find-max", "--slo", "p50<1ms", "--rate", "20"];
    let form = ["--keys", "keys.txt", "--duration", "1s"];
    let (done, results) = load(&folder, address, &[&demand[..], &form].concat());
    assert_eq!(done.status, Some(99), "{done:?}");
    assert!(done.errors.contains("--slo"), "{done:?}");
    assert!(results["search"]["best"].is_null(), "{results}");
}

#[test]
fn a_signal_ends_the_load_and_reports_what_was_measured() {
    let folder = Folder::new();
    folder.write("keys.txt", &format!("abc {TARGET}\n"));
    let gate = Arc::new((Mutex::new(0), Condvar::new()));
    let address = counting_server(Arc::clone(&gate));
    let url = format!("http://{address}");
    let mut child = Command::new(env!("CARGO_BIN_EXE_urlshort"))
        .args(["loadtest", &url, "--keys", "keys.txt", "--settle", "0"])
        .args(["--rate", "100", "--duration", "1h", "--json", "run.json"])
        .current_dir(folder.path("."))
        .env_clear()
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let (answered, more) = &*gate;
    let enough = more.wait_timeout_while(answered.lock().unwrap(), Duration::from_secs(60), |n| {
        *n < 50
    });
    assert!(!enough.unwrap().1.timed_out());
    let kill = format!("kill -INT {}", child.id());
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let text = std::fs::read(folder.path("run.json")).unwrap();
    let results: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(results["interrupted"], true);
    let totals = &results["totals"];
    assert!(totals["finished"].as_u64().unwrap() >= 40, "{totals}");
    assert_eq!(totals["finished"], totals["started"]);
    assert_eq!(results["totals"]["errors"], 0);
}
