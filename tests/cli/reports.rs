//! Saved load tests: shown again, and two of them compared.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::answering::slow_server;
use crate::loadtest::load;
use crate::support::Done;
use crate::support::Folder;

#[test]
fn saved_results_are_shown_and_compared() {
    let folder = Folder::new();
    let plan = ["--keys", "keys.txt", "--rate", "100", "--duration", "9s"];
    // Both at once: they share the machine, so its noise is the same for both.
    let [quick, slow, again] = [20, 60, 20].map(|ms| slow_server(Duration::from_millis(ms)));
    let (quick, slow, again) = thread::scope(|scope| {
        let runs = [quick, slow, again].map(|address| {
            scope.spawn(move || {
                let folder = Folder::new();
                load(&folder, address, &plan);
                std::fs::read_to_string(folder.path("run.json")).unwrap()
            })
        });
        let [quick, slow, again] = runs.map(|run| run.join().unwrap());
        (quick, slow, again)
    });
    folder.write("quick.json", &quick);
    folder.write("slow.json", &slow);
    folder.write("again.json", &again);
    let compare = |files: [&str; 2], more: &[&str]| {
        let arguments = [&["loadtest", "compare", files[0], files[1]], more].concat();
        folder.run(&arguments)
    };
    let verdict = |done: &Done, figure: &str| {
        let value: Value = serde_json::from_str(&done.output).unwrap();
        let rows = value["figures"].as_array().unwrap().clone();
        let row = rows
            .into_iter()
            .find(|row| row["figure"] == figure)
            .unwrap();
        row["verdict"].as_str().unwrap().to_owned()
    };
    let worse = compare(["quick.json", "slow.json"], &["--json"]);
    assert_eq!(
        (worse.status, verdict(&worse, "p50")),
        (Some(0), "worse".to_owned())
    );
    let better = compare(["slow.json", "quick.json"], &["--json"]);
    assert_eq!(verdict(&better, "p50"), "better");
    let equal = compare(["quick.json", "again.json"], &["--json"]);
    for figure in ["rps", "p50", "error_rate"] {
        assert_eq!(
            verdict(&equal, figure),
            "noise",
            "{figure}: {}",
            equal.output
        );
    }
    let failed = compare(["quick.json", "slow.json"], &["--fail-on", "p50>+10%"]);
    assert_eq!(failed.status, Some(99), "{failed:?}");
    assert!(failed.output.contains("WORSE"), "{}", failed.output);
    let page = compare(["quick.json", "slow.json"], &["--html", "two.html"]);
    assert_eq!(page.status, Some(0));
    let page = std::fs::read_to_string(folder.path("two.html")).unwrap();
    assert!(page.contains("WORSE") && page.contains("<svg"), "{page}");

    let table = folder.run(&["loadtest", "report", "quick.json", "slow.json"]);
    assert_eq!(table.output.matches("milliseconds").count(), 2, "{table:?}");
    let page = folder.run(&["loadtest", "report", "quick.json", "--html", "-"]);
    assert!(page.output.starts_with("<!doctype html>"), "{page:?}");
    folder.write("other.json", "{\"kind\": \"something else\"}");
    let newer = quick.replacen("\"schema_version\": 1", "\"schema_version\": 9", 1);
    folder.write("newer.json", &newer);
    for (file, part) in [
        ("nobody.json", "cannot be read"),
        ("other.json", "no result of a load test"),
        ("newer.json", "schema_version 9"),
    ] {
        let done = folder.run(&["loadtest", "report", file]);
        assert_eq!(done.status, Some(1), "{done:?}");
        assert!(done.errors.contains(part), "{}", done.errors);
    }
}
