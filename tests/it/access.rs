//! Who may do what: keys, scopes, owners, and what needs no key.

use std::time::Duration;

use serde_json::json;

use crate::app::ADMIN;
use crate::app::code_of;
use crate::app::embedded;
use crate::app::eventually;
use crate::app::on_each;

const TARGET: &str = "https://example.com/page";

#[test]
fn a_link_of_somebody_else_is_not_there() {
    on_each(|app| {
        let code = app.code_to(TARGET);
        let path = format!("/api/v1/links/{code}");
        for method in ["GET", "HEAD", "PATCH", "DELETE"] {
            let request = app.ask(method, &path).key(&app.bob);
            let answer = request.json(&json!({"title": "mine"})).send();
            assert_eq!(answer.status, 404, "{method}");
        }
        let request = app.ask("PATCH", &path).key(ADMIN);
        request.json(&json!({"title": "admin"})).send().expect(200);
        assert_eq!(app.link("GET", &code).send().expect(200)["title"], "admin");
        app.ask("DELETE", &path).key(ADMIN).send().expect(204);
    });
}

#[test]
fn a_link_of_nobody_is_changed_by_the_admin_alone() {
    on_each(|app| {
        let code = code_of(&app.post(&json!({"long_url": TARGET})).expect(201));
        let path = format!("/api/v1/links/{code}");
        for method in ["GET", "PATCH", "DELETE"] {
            let ask = || app.ask(method, &path).json(&json!({"title": "x"}));
            let answer = ask().send();
            answer.expect_problem(401, "unauthenticated");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            ask().key(&app.ann).send().expect_problem(404, "not_found");
        }
        let request = app.ask("PATCH", &path).key(ADMIN);
        request.json(&json!({"title": "x"})).send().expect(200);
        app.ask("GET", "/api/v1/links")
            .send()
            .expect_problem(401, "unauthenticated");
        assert_eq!(app.get(&format!("{path}/stats")).status, 200);
        assert_eq!(app.get(&format!("{path}/stats/browser")).status, 200);
    });
}

#[test]
fn a_key_that_is_none_is_refused_wherever_it_is_shown() {
    on_each(|app| {
        let code = app.code_to(TARGET);
        let wrong = format!("{}x", app.ann);
        let stats = format!("/api/v1/links/{code}/stats");
        for (name, value) in [
            ("Authorization", format!("Bearer {wrong}")),
            ("Authorization", "Bearer us_nobody_nothing".to_owned()),
            ("Authorization", "Bearer".to_owned()),
            ("Authorization", format!("Basic {}", app.ann)),
            ("Authorization", app.ann.clone()),
            ("X-Api-Key", wrong.clone()),
            ("X-Api-Key", String::new()),
            ("X-Api-Key", "ä".to_owned()),
        ] {
            for (method, path) in [
                ("GET", "/api/v1/links"),
                ("POST", "/api/v1/links"),
                ("GET", stats.as_str()),
            ] {
                let request = app.ask(method, path).with(name, &value);
                let answer = request.json(&json!({"long_url": TARGET})).send();
                answer.expect_problem(401, "unauthenticated");
            }
        }
        let by_header = app.ask("GET", "/api/v1/links").with("X-Api-Key", &app.ann);
        by_header.send().expect(200);
        let any_case = app.ask("GET", "/api/v1/links");
        any_case
            .with("Authorization", &format!("bearer {}", app.ann))
            .send()
            .expect(200);
    });
}

#[test]
fn a_key_does_what_its_scopes_say_and_ends_when_it_is_revoked() {
    let patience = Duration::from_secs(7);
    on_each(|app| {
        let reader = app.create_key(&["--owner", "ann", "--scope", "links:read"]);
        let writer = app.create_key(&["--owner", "ann", "--scope", "links:write"]);
        let soon = chrono::Utc::now() + chrono::Duration::seconds(9);
        let soon = soon.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let brief = app.create_key(&["--owner", "ann", "--expires", &soon]);
        let code = app.code_to(TARGET);
        let path = format!("/api/v1/links/{code}");
        let ask = |key: &str, method: &str| {
            let path = if method == "POST" {
                "/api/v1/links"
            } else {
                path.as_str()
            };
            let body = if method == "POST" {
                json!({"long_url": TARGET})
            } else {
                json!({"title": "t"})
            };
            app.ask(method, path).key(key).json(&body).send()
        };
        for key in [&reader, &writer, &brief] {
            eventually("the key is known", patience, || {
                (ask(key, "GET").status != 401).then_some(())
            });
        }
        ask(&reader, "GET").expect(200);
        for method in ["POST", "PATCH", "DELETE"] {
            ask(&reader, method).expect_problem(403, "forbidden");
        }
        ask(&writer, "POST").expect(201);
        ask(&writer, "PATCH").expect(200);
        for method in ["GET", "DELETE"] {
            ask(&writer, method).expect_problem(403, "forbidden");
        }
        let id = reader.split('_').nth(1).unwrap();
        app.run(&["keys", "revoke", id]);
        eventually("the key is revoked", patience, || {
            (ask(&reader, "GET").status == 401).then_some(())
        });
        eventually("the key has expired", Duration::from_secs(12), || {
            (ask(&brief, "GET").status == 401).then_some(())
        });
        let listed = app.run(&["keys", "list"]);
        assert!(
            listed.contains("revoked") && listed.contains("expired"),
            "{listed}"
        );
        let secret = reader.rsplit('_').next().unwrap();
        assert!(!listed.contains(secret), "a secret is shown once");
    });
}

#[test]
fn creation_and_statistics_may_be_for_keys_alone() {
    let app = embedded(&[
        ("URLSHORT__AUTH__ANONYMOUS_CREATE", "false"),
        ("URLSHORT__AUTH__PUBLIC_STATS", "false"),
    ]);
    let code = app.code_to(TARGET);
    app.post(&json!({"long_url": TARGET}))
        .expect_problem(401, "unauthenticated");
    let bulk = app.ask("POST", "/api/v1/links/bulk");
    let bulk = bulk.json(&json!({"items": [{"long_url": TARGET}]})).send();
    bulk.expect_problem(401, "unauthenticated");
    let form = app
        .ask("POST", "/")
        .body("application/x-www-form-urlencoded", b"long_url=x");
    assert_eq!(form.send().status, 401);
    let stats = format!("/api/v1/links/{code}/stats");
    app.get(&stats).expect_problem(401, "unauthenticated");
    app.ask("GET", &stats).key(&app.ann).send().expect(200);
    app.ask("GET", &stats)
        .key(&app.bob)
        .send()
        .expect_problem(404, "not_found");
    let page = app.get(&format!("/links/{code}"));
    assert_eq!(page.status, 200);
    assert!(page.text().contains("can be read with an API key only"));
    assert_eq!(app.get("/api/docs").status, 200);
    assert_eq!(app.get("/api/v1/openapi.json").status, 200);
}
