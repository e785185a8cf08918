//! How often one client may do something, and who that client is.

use serde_json::json;

use crate::app::TestApp;
use crate::app::embedded;
use crate::client::Answer;

const TARGET: &str = "https://example.com/page";

#[test]
fn who_guesses_codes_waits_while_hits_go_on() {
    let app = embedded(&[("URLSHORT__LIMITS__MISSES_PER_MINUTE", "20")]);
    let code = app.code_to(TARGET);
    for miss in 0..20 {
        assert_eq!(app.get(&format!("/miss{miss}")).status, 404);
    }
    for path in [
        "/another",
        "/another+",
        "/another/qr.svg",
        "/links/another",
        "/api/v1/links/another/stats",
        "/api/v1/links/another/stats/browser",
    ] {
        let answer = app.get(path);
        answer.expect_problem(429, "rate_limited");
        check_limit(&answer, 20);
    }
    for beside in ["", "+", "/qr.svg", "?a=1"] {
        assert!(app.get(&format!("/{code}{beside}")).status < 400);
    }
    assert_eq!(app.get(&format!("/links/{code}")).status, 200);
    let elsewhere = app
        .ask("GET", "/another")
        .with("X-Forwarded-For", "198.51.100.9");
    assert_eq!(elsewhere.send().status, 404);
}

#[test]
fn creations_without_a_key_are_limited_but_for_the_machine_itself() {
    let app = embedded(&[("URLSHORT__LIMITS__ANONYMOUS_CREATES_PER_MINUTE", "5")]);
    for _ in 0..10 {
        let answer = app.post(&json!({"long_url": TARGET}));
        answer.expect(201);
        assert_eq!(answer.header("ratelimit-limit"), None);
    }
    for left in (0..5).rev() {
        let answer = create_from(&app, "203.0.113.5");
        answer.expect(201);
        assert_eq!(answer.header("ratelimit-limit"), Some("5"));
        assert_eq!(
            answer.header("ratelimit-remaining"),
            Some(left.to_string().as_str())
        );
        assert!(answer.header("ratelimit-reset").is_some());
    }
    let refused = create_from(&app, "203.0.113.5");
    refused.expect_problem(429, "rate_limited");
    check_limit(&refused, 5);
    // What a client writes itself stands to the left of what the proxy saw.
    create_from(&app, "9.9.9.9, 203.0.113.5").expect_problem(429, "rate_limited");
    create_from(&app, "203.0.113.5, 127.0.0.1").expect_problem(429, "rate_limited");
    create_from(&app, "203.0.113.6").expect(201);
    let form = app
        .ask("POST", "/")
        .with("X-Forwarded-For", "203.0.113.5")
        .body(
            "application/x-www-form-urlencoded",
            b"long_url=https://example.com/",
        );
    let form = form.send();
    assert_eq!(form.status, 429);
    check_limit(&form, 5);
    let keyed = app
        .ask("POST", "/api/v1/links")
        .with("X-Forwarded-For", "203.0.113.5")
        .key(&app.ann)
        .json(&json!({"long_url": TARGET}));
    keyed.send().expect(201);
}

#[test]
fn bulk_without_a_key_is_told_what_can_succeed() {
    let app = embedded(&[("URLSHORT__LIMITS__ANONYMOUS_CREATES_PER_MINUTE", "5")]);
    let bulk = |items: usize| {
        app.ask("POST", "/api/v1/links/bulk")
            .with("X-Forwarded-For", "203.0.113.7")
            .json(&json!({"items": vec![json!({"long_url": TARGET}); items]}))
    };
    let answer = bulk(6).send();
    let problem = answer.expect_problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "/items", "{problem}");
    let detail = problem["errors"][0]["detail"].as_str().unwrap();
    for word in [
        "limits.anonymous_creates_per_minute",
        "at most 5",
        "API key",
    ] {
        assert!(detail.contains(word), "{detail}");
    }
    assert_eq!(answer.header("retry-after"), None);
    bulk(6).key(&app.ann).send().expect(200);
    bulk(2).send().expect(200); // nothing was charged
    let refused = bulk(5).send();
    refused.expect_problem(429, "rate_limited");
    assert_eq!(refused.header("ratelimit-remaining"), Some("3"));
    assert_eq!(refused.header("ratelimit-limit"), Some("5"));
    bulk(3).send().expect(200);
}

#[test]
fn forwarding_headers_of_a_stranger_are_not_believed() {
    let app = embedded(&[
        ("URLSHORT__LIMITS__MISSES_PER_MINUTE", "3"),
        ("URLSHORT__HTTP__TRUSTED_PROXIES", "192.0.2.1/32"),
    ]);
    let statuses: Vec<u16> = (0..5)
        .map(|n| {
            let request = app.ask("GET", "/nothing");
            request
                .with("X-Forwarded-For", &format!("203.0.113.{n}"))
                .send()
                .status
        })
        .collect();
    assert_eq!(statuses, [404, 404, 404, 429, 429]);
    let link = app
        .ask("POST", "/api/v1/links")
        .with("X-Forwarded-Proto", "https");
    let link = link.json(&json!({"long_url": TARGET})).send().expect(201);
    assert!(link["short_url"].as_str().unwrap().starts_with("http://"));
    // A private peer that forwards without being trusted is told to the operator.
    assert!(app.get("/readyz").text().contains("trusted_proxies"));
}

#[test]
fn a_trusted_proxy_says_which_scheme_the_visitor_used() {
    let app = embedded(&[]);
    let request = app
        .ask("POST", "/api/v1/links")
        .with("X-Forwarded-Proto", "https")
        .with("Host", "sho.rt");
    let link = request
        .json(&json!({"long_url": TARGET}))
        .send()
        .expect(201);
    assert!(
        link["short_url"]
            .as_str()
            .unwrap()
            .starts_with("https://sho.rt/")
    );
}

fn create_from(app: &TestApp, client: &str) -> Answer {
    let request = app
        .ask("POST", "/api/v1/links")
        .with("X-Forwarded-For", client);
    request.json(&json!({"long_url": TARGET})).send()
}

#[track_caller]
fn check_limit(answer: &Answer, limit: u32) {
    let limit = limit.to_string();
    assert_eq!(answer.header("ratelimit-limit"), Some(limit.as_str()));
    assert_eq!(answer.header("ratelimit-remaining"), Some("0"));
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert!(answer.header("ratelimit-reset").is_some());
}
