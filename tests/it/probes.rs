//! Probes and metrics, on the public port and on the operators' one.

use std::time::Duration;

use crate::app::TestApp;
use crate::app::embedded;
use crate::app::eventually;
use crate::app::on_each;
use crate::client::Answer;
use crate::client::Request;

#[test]
fn a_fit_process_says_so_and_names_each_dependency() {
    on_each(|app| {
        assert_eq!(app.get("/livez").status, 200);
        // A process listens before it has met everybody.
        let answer = eventually("it is fit", Duration::from_secs(10), || {
            let answer = app.get("/readyz");
            (answer.json()["status"] == "pass").then_some(answer)
        });
        let kind = answer.header("content-type");
        assert_eq!(kind, Some("application/health+json"));
        let body = answer.expect(200);
        let checks: Vec<&String> = body["checks"].as_object().unwrap().keys().collect();
        let expected: &[&str] = match app.shape {
            crate::app::Shape::Embedded => &["shard-0:connection"],
            crate::app::Shape::Files => &[
                "shard-0:connection",
                "shard-1:connection",
                "shard-2:connection",
            ],
            crate::app::Shape::Distributed => &[
                "kafka:connection",
                "redis:connection",
                "shard-0:connection",
                "shard-1:connection",
                "shard-2:connection",
            ],
        };
        assert_eq!(checks, expected);
        for path in ["/livez", "/readyz", "/metrics"] {
            assert_eq!(
                Request::new(app.admin, "GET", path).send().status,
                200,
                "{path}"
            );
        }
    });
}

#[test]
fn metrics_are_prometheus_text() {
    on_each(|app| {
        let code = app.code_to("https://example.com/");
        app.get(&format!("/{code}"));
        check_metrics(&app.get("/metrics"));
        let own = Request::new(app.admin, "GET", "/metrics").send();
        check_metrics(&own);
        // What has not happened yet is a 0 already.
        let none = "urlshort_classify_errors_total{what=\"model\"} 0";
        assert!(own.text().contains(none), "{}", own.text());
    });
}

#[test]
fn metrics_are_not_for_those_who_come_through_a_proxy() {
    on_each(|app| {
        for name in [
            "X-Forwarded-For",
            "Forwarded",
            "CF-Connecting-IP",
            "X-Real-IP",
            "CF-Ray",
        ] {
            let answer = app.ask("GET", "/metrics").with(name, "203.0.113.5").send();
            answer.expect_problem(404, "not_found");
        }
    });
    let app = embedded(&[("URLSHORT__HTTP__EXPOSE_METRICS", "false")]);
    app.get("/metrics").expect_problem(404, "not_found");
    check_metrics(&Request::new(app.admin, "GET", "/metrics").send());
}

#[test]
fn every_answer_has_an_id_and_a_plain_one_is_kept() {
    on_each(|app: &TestApp| {
        let ask = |id: &str| {
            let answer = app.ask("GET", "/nothing").with("X-Request-Id", id).send();
            answer.header("x-request-id").unwrap().to_owned()
        };
        assert_eq!(ask("abc-DEF_1.2"), "abc-DEF_1.2");
        for odd in ["a b", "<x>", "\"", &"x".repeat(65)] {
            assert_ne!(ask(odd), *odd);
        }
        let plain = |path: &str| app.get(path).header("x-request-id").unwrap().to_owned();
        assert_ne!(plain("/"), plain("/"));
    });
}

#[track_caller]
fn check_metrics(answer: &Answer) {
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let text = answer.text();
    let mut samples = 0;
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            let word = comment.split(' ').next().unwrap();
            assert!(matches!(word, "HELP" | "TYPE"), "{line}");
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = series.split('{').next().unwrap();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
        assert!(name.bytes().all(plain), "{line}");
        assert!(!series.contains('{') || series.ends_with('}'), "{line}");
        samples += 1;
    }
    assert!(samples > 20, "{text}");
}
