//! What may be a target: one policy for `long_url` and `expired_url`, on creation and on change.

use serde_json::json;

use crate::app::embedded;
use crate::app::on_each;

const GOOD: &str = "https://example.com/";

#[test]
fn what_is_no_public_web_page_is_refused_with_a_reason() {
    on_each(|app| {
        let own = format!("http://{}/x", app.address);
        let long = format!("https://example.com/{}", "a".repeat(10_000));
        let grows = format!("https://example.com/{}", "ä".repeat(500));
        let code = app.code_to(GOOD);
        for (url, reason) in [
            ("javascript:alert(1)", "scheme"),
            ("JaVaScRiPt:alert(1)", "scheme"),
            ("data:text/html,x", "scheme"),
            ("file:///etc/passwd", "scheme"),
            ("ftp://example.com/", "scheme"),
            ("mailto:a@example.com", "scheme"),
            ("example.com", "malformed_url"),
            ("/path", "malformed_url"),
            ("//example.com/", "malformed_url"),
            ("", "malformed_url"),
            ("https://", "no_host"),
            ("https://user@example.com/", "credentials"),
            ("https://user:pass@example.com/", "credentials"),
            ("https://:pass@example.com/", "credentials"),
            ("https://example.com:0/", "port"),
            ("https://example.com:99999/", "malformed_url"),
            ("https://exa mple.com/", "malformed_url"),
            (long.as_str(), "too_long"),
            (grows.as_str(), "too_long"),
            (own.as_str(), "own_host"),
            ("http://localhost/", "private_target"),
            ("http://LOCALHOST./", "private_target"),
            ("http://a.localhost/", "private_target"),
            ("http://printer.local/", "private_target"),
            ("http://db.internal/", "private_target"),
            ("http://10.0.0.1/", "private_target"),
            ("http://192.168.0.1/", "private_target"),
            ("http://172.16.5.5/", "private_target"),
            ("http://169.254.169.254/latest/", "private_target"),
            ("http://0/", "private_target"),
            ("http://2130706433/", "own_host"),
            ("http://0x7f000001/", "own_host"),
            ("http://0177.0.0.1/", "own_host"),
            ("http://127.1/", "own_host"),
            ("http://127.0.0.2/", "private_target"),
            ("http://[::1]/", "private_target"),
            ("http://[::ffff:127.0.0.1]/", "private_target"),
            ("http://[fe80::1]/", "private_target"),
            ("http://[fd00::1]/", "private_target"),
            ("http://[64:ff9b::a00:1]/", "private_target"),
        ] {
            let target = json!({"long_url": url});
            let instead = json!({"long_url": GOOD, "expired_url": url});
            let change = |patch| app.link("PATCH", &code).json(&patch).send();
            for (answer, name) in [
                (app.post(&target), "/long_url"),
                (app.post(&instead), "/expired_url"),
                (change(json!({"long_url": url})), "/long_url"),
                (change(json!({"expired_url": url})), "/expired_url"),
            ] {
                let problem = answer.expect_problem(422, "validation_failed");
                assert_eq!(problem["errors"][0]["pointer"], name, "{url:.50}");
                assert_eq!(problem["errors"][0]["code"], reason, "{url:.50}");
            }
        }
        let edge = format!("https://example.com/{}", "a".repeat(2_048 - 20));
        app.make(&json!({"long_url": edge}));
        app.post(&json!({"long_url": format!("{edge}a")}))
            .expect_problem(422, "validation_failed");
    });
}

#[test]
fn the_host_of_the_request_is_a_loop_whatever_its_spelling() {
    on_each(|app| {
        for (host, url) in [
            ("short.example", "https://short.example/x"),
            ("short.example:8000", "https://SHORT.example./x"),
            ("SHORT.example", "http://short.example:81/"),
            ("xn--bcher-kva.example", "https://bücher.example/"),
        ] {
            let request = app.ask("POST", "/api/v1/links").with("Host", host);
            let answer = request.json(&json!({"long_url": url})).send();
            let problem = answer.expect_problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["code"], "own_host", "{host}");
        }
    });
}

#[test]
fn private_targets_may_be_allowed_but_a_loop_never() {
    let app = embedded(&[("URLSHORT__LINKS__ALLOW_PRIVATE_TARGETS", "true")]);
    for url in [
        "http://localhost/",
        "http://10.0.0.1/",
        "http://[fd00::1]/",
        "http://nas.local/",
    ] {
        app.make(&json!({"long_url": url}));
    }
    let own = format!("http://{}/", app.address);
    let problem = app.post(&json!({"long_url": own})).expect(422);
    assert_eq!(problem["errors"][0]["code"], "own_host");
}

#[test]
fn with_a_public_url_other_hosts_are_not_served() {
    let app = embedded(&[("URLSHORT__HTTP__PUBLIC_URL", "https://sho.rt")]);
    let ask = |method: &str, path: &str, host: &str| app.ask(method, path).with("Host", host);
    let created = ask("POST", "/api/v1/links", "sho.rt").json(&json!({"long_url": GOOD}));
    let link = created.send().expect(201);
    let short = link["short_url"].as_str().unwrap();
    let code = short.strip_prefix("https://sho.rt/").unwrap();
    for _ in 0..2 {
        // The second time from the near cache.
        assert_eq!(ask("GET", &format!("/{code}"), "SHO.rt").send().status, 302);
        let other = ask("GET", &format!("/{code}"), "evil.example").send();
        other.expect_problem(421, "misdirected_request");
    }
    for path in ["/", "/api/v1/links", "/assets/app.js", "/nothing"] {
        ask("GET", path, "evil.example")
            .send()
            .expect_problem(421, "misdirected_request");
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(
            ask("GET", path, "10.0.0.7:8000").send().status,
            200,
            "{path}"
        );
    }
    let own = ask("POST", "/api/v1/links", "sho.rt").json(&json!({"long_url": "http://sho.rt/a"}));
    assert_eq!(own.send().expect(422)["errors"][0]["code"], "own_host");
}
