//! Statistics: what was clicked is counted once, and told by time and by kind.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::app::TestApp;
use crate::app::eventually;
use crate::app::fresh;
use crate::app::on_each;

const TARGET: &str = "https://example.com/page";
const FIREFOX: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:120.0) Gecko/20100101 Firefox/120.0";
const BOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const PREVIEW: &str = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)";
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn every_click_is_counted_once_by_kind_and_dimension() {
    on_each(|app| {
        let code = app.code_to(TARGET);
        for _ in 0..3 {
            let person = visit(app, "GET", &format!("/{code}"), FIREFOX);
            person
                .with("Referer", "https://News.example/page?secret=1")
                .with("Accept-Language", "de-DE,de;q=0.9")
                .with("CF-IPCountry", "de")
                .send();
        }
        visit(app, "GET", &format!("/{code}?qr=1"), FIREFOX).send();
        visit(app, "GET", &format!("/{code}"), BOT).send();
        visit(app, "GET", &format!("/{code}"), PREVIEW).send();
        visit(app, "HEAD", &format!("/{code}"), FIREFOX).send();
        let prefetch = visit(app, "GET", &format!("/{code}"), FIREFOX);
        prefetch.with("Sec-Purpose", "prefetch;prerender").send();
        // Looking at a link is no visit.
        app.get(&format!("/{code}+"));
        app.get(&format!("/{code}/qr.svg"));
        let totals = json!({"human": 4, "bot": 1, "preview": 1, "head": 2});
        let report = eventually("all is counted", PATIENCE, || {
            let report = stats(app, &code, "");
            (report["totals"] == totals && report["complete"] == true).then_some(report)
        });
        assert_eq!(report["uniques"], 1, "{report}");
        assert_eq!(report["tz"], "UTC");
        assert_eq!(report["interval"], "day");
        assert!(report["lag_seconds"].as_f64().unwrap() < 60.0, "{report}");
        let series = report["series"].as_array().unwrap();
        let sum = |kind: &str| {
            series
                .iter()
                .map(|point| point[kind].as_i64().unwrap())
                .sum::<i64>()
        };
        assert_eq!((sum("human"), sum("bot"), sum("preview")), (4, 1, 1));
        assert_eq!(series.len(), 30, "empty days are there");
        let shown = app.link("GET", &code).send().expect(200);
        assert_eq!(shown["clicks"]["total"], 6);
        assert_eq!(shown["clicks"]["human"], 4);
        for (dimension, query, expected) in [
            (
                "country",
                "kind=human",
                json!([{"value": "DE", "clicks": 3}]),
            ),
            (
                "referrer",
                "kind=human",
                json!([{"value": "news.example", "clicks": 3}]),
            ),
            (
                "browser",
                "kind=human",
                json!([{"value": "Firefox", "clicks": 4}]),
            ),
            (
                "language",
                "kind=human",
                json!([{"value": "de", "clicks": 3}]),
            ),
            (
                "trigger",
                "",
                json!([{"value": "link", "clicks": 5}, {"value": "qr", "clicks": 1}]),
            ),
            (
                "trigger",
                "limit=1",
                json!([{"value": "link", "clicks": 5}]),
            ),
            (
                "trigger",
                "kind=bot",
                json!([{"value": "link", "clicks": 1}]),
            ),
        ] {
            let values = stats(app, &code, &format!("/{dimension}?{query}"));
            let known: Vec<Value> = values
                .as_array()
                .unwrap()
                .iter()
                .filter(|value| !matches!(value["value"].as_str(), Some("" | "unknown" | "direct")))
                .cloned()
                .collect();
            assert_eq!(json!(known), expected, "{dimension} {query}");
        }
        for (kind, expected) in [("human", 4), ("bot", 1), ("preview", 1)] {
            let report = stats(app, &code, &format!("?kind={kind}"));
            let totals = &report["totals"];
            assert_eq!(totals[kind], expected, "{totals}");
            let all: i64 = ["human", "bot", "preview"]
                .iter()
                .map(|kind| totals[kind].as_i64().unwrap())
                .sum();
            assert_eq!(all, expected);
        }
    });
}

#[test]
fn a_country_is_believed_from_a_trusted_proxy_alone() {
    let app = crate::app::embedded(&[("URLSHORT__HTTP__TRUSTED_PROXIES", "192.0.2.1/32")]);
    let code = app.code_to(TARGET);
    let request = visit(&app, "GET", &format!("/{code}"), FIREFOX);
    request.with("CF-IPCountry", "DE").send();
    eventually("it is counted", PATIENCE, || {
        (stats(&app, &code, "")["totals"]["human"] == 1).then_some(())
    });
    let countries = stats(&app, &code, "/country");
    assert!(!countries.to_string().contains("DE"), "{countries}");
}

#[test]
fn intervals_follow_the_time_zone_and_empty_ones_are_zeros() {
    on_each(|app| {
        let code = app.code_to(TARGET);
        for (query, starts) in [
            (
                "from=2026-01-01&to=2026-01-03&tz=Asia/Kolkata",
                vec!["2026-01-01T00:00:00+05:30", "2026-01-02T00:00:00+05:30"],
            ),
            (
                "from=2026-01-01T00:00:00Z&to=2026-01-01T03:00:00Z&interval=hour",
                vec![
                    "2026-01-01T00:00:00Z",
                    "2026-01-01T01:00:00Z",
                    "2026-01-01T02:00:00Z",
                ],
            ),
            (
                "from=2026-01-05&to=2026-01-19&interval=week",
                vec!["2026-01-05T00:00:00", "2026-01-12T00:00:00"],
            ),
            (
                "from=2026-01-01&to=2026-03-01&interval=month&tz=Europe/Berlin",
                vec!["2026-01-01T00:00:00+01:00", "2026-02-01T00:00:00+01:00"],
            ),
        ] {
            let report = stats(app, &code, &format!("?{query}"));
            let series = report["series"].as_array().unwrap();
            assert_eq!(series.len(), starts.len(), "{query}: {report}");
            for (point, start) in series.iter().zip(starts) {
                let got = point["start"].as_str().unwrap();
                assert!(got.starts_with(start), "{query}: {got} is not {start}");
                assert_eq!(point["human"], 0);
            }
            // What an answer says can be asked again, as it stands.
            let text = |name: &str| report[name].as_str().unwrap().to_owned();
            let (from, to) = (text("from"), text("to"));
            let again = format!("?from={from}&to={to}&tz={}", text("tz"));
            let again = stats(app, &code, &again);
            assert_eq!(again["from"], json!(from), "{query}");
            assert_eq!(again["to"], json!(to), "{query}");
            assert_eq!(
                report["totals"],
                json!({"human": 0, "bot": 0, "preview": 0, "head": 0})
            );
        }
    });
}

#[test]
fn from_is_in_and_to_is_out() {
    on_each(|app| {
        let code = app.code_to(TARGET);
        visit(app, "GET", &format!("/{code}"), FIREFOX).send();
        eventually("it is counted", PATIENCE, || {
            (stats(app, &code, "")["totals"]["human"] == 1).then_some(())
        });
        let today = chrono::Utc::now().date_naive();
        let day = |days: i64| today + chrono::Duration::days(days);
        let human = |from, to| {
            let query = format!("?from={}&to={}", day(from), day(to));
            stats(app, &code, &query)["totals"]["human"]
                .as_i64()
                .unwrap()
        };
        // The click may lie a moment before midnight.
        assert_eq!(human(-1, 1), 1);
        assert_eq!(human(-9, -1), 0);
        assert_eq!(human(1, 2), 0);
        assert_eq!(
            human(-1, 0) + human(0, 1),
            1,
            "in exactly one of two days that touch"
        );
    });
}

#[test]
fn what_statistics_cannot_be_asked_is_refused_by_name() {
    on_each(|app| {
        let code = app.code_to(TARGET);
        for (query, name) in [
            ("?from=yesterday", "from"),
            ("?from=2026-01-01T00:00:00+x", "from"),
            ("?to=x", "to"),
            ("?from=2026-02-01&to=2026-01-01", "from"),
            ("?from=2026-01-01&to=2026-01-01", "from"),
            ("?from=2000-01-01&to=2026-01-01&interval=hour", "from"),
            ("?from=9999-12-31&to=99999-01-01", "to"),
            ("?from=-9999-01-01", "from"),
            ("?tz=Mars/Olympus", "tz"),
            ("?tz=../../etc/passwd", "tz"),
            ("?tz=", "tz"),
            ("?interval=minute", "interval"),
            ("?kind=head", "kind"),
            ("?limit=5", "limit"),
            ("?form=2026-01-01", "form"),
            ("/browser?limit=0", "limit"),
            ("/browser?limit=1001", "limit"),
            ("/colour", "dimension"),
            ("/%00", "dimension"),
        ] {
            let answer = app.get(&format!("/api/v1/links/{code}/stats{query}"));
            let problem = answer.expect_problem(422, "validation_failed");
            let pointer = problem["errors"][0]["pointer"].as_str().unwrap();
            assert_eq!(pointer, format!("?{name}"), "{query}");
        }
        let unknown = format!("/api/v1/links/{}/stats", fresh("no"));
        app.get(&unknown).expect_problem(404, "not_found");
    });
}

fn visit(app: &TestApp, method: &str, path: &str, agent: &str) -> crate::client::Request {
    app.ask(method, path).with("User-Agent", agent)
}

#[track_caller]
fn stats(app: &TestApp, code: &str, rest: &str) -> Value {
    let path = format!("/api/v1/links/{code}/stats{rest}");
    app.get(&path).expect(200)
}
