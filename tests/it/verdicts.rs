//! Labels and verdicts, from creation to redirect: on every tier, in every shape.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::app::ADMIN;
use crate::app::TestApp;
use crate::app::code_of;
use crate::app::embedded;
use crate::app::eventually;
use crate::app::on_each;

const SUSPICIOUS: &str = "https://paypal-login.example-billing.com/verify";
const PATIENCE: Duration = Duration::from_secs(20);

/// The link, once it has a label.
#[track_caller]
fn labelled(app: &TestApp, code: &str) -> Value {
    eventually("a label", PATIENCE, || {
        let link = app.link("GET", code).send().expect(200);
        (!link["risk"]["scored_at"].is_null()).then_some(link)
    })
}

#[track_caller]
fn overrule(app: &TestApp, code: &str, patch: &Value) -> Value {
    let request = app.ask("PATCH", &format!("/api/v1/links/{code}"));
    request.key(ADMIN).json(patch).send().expect(200)
}

#[test]
fn every_link_gets_a_category_and_a_verdict_without_a_new_version() {
    on_each(|app| {
        let link = app.make(&json!({
            "long_url": "https://omas-kueche.example/rezepte/kartoffelsuppe",
            "title": "Kartoffelsuppe kochen",
        }));
        let link = labelled(app, &code_of(&link));
        assert_eq!(link["category"], "food", "{link}");
        assert_eq!(link["risk"]["verdict"], "clean");
        assert_eq!(
            (&link["version"], &link["status"]),
            (&json!(1), &json!("active"))
        );
        assert!(
            link["risk"]["model"]
                .as_str()
                .unwrap()
                .starts_with("rules-")
        );
        let listed = app.ask("GET", "/api/v1/links?category=food").key(&app.ann);
        let listed = listed.send().expect(200);
        let codes: Vec<&Value> = listed["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|l| &l["code"])
            .collect();
        assert!(codes.contains(&&link["code"]), "{listed}");
        let wrong = app
            .ask("GET", "/api/v1/links?category=cooking")
            .key(&app.ann);
        wrong.send().expect_problem(422, "validation_failed");
        let page = app.get(&format!("/{}+", code_of(&link)));
        assert!(page.text().contains("food"), "{}", page.text());
    });
}

#[test]
fn a_suspicious_link_asks_a_person_and_a_confirmation_leads_on() {
    on_each(|app| {
        let code = app.code_to(SUSPICIOUS);
        let link = labelled(app, &code);
        assert_eq!(link["status"], "quarantined", "{link}");
        assert_eq!(link["version"], 2, "a changed verdict raises the version");
        let path = format!("/{code}");
        let held = eventually("quarantine", PATIENCE, || {
            Some(app.get(&path)).filter(|answer| answer.status == 403)
        });
        held.expect_problem(403, "quarantined");
        assert_eq!(held.header("cache-control"), Some("no-store"));
        assert_eq!(held.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(held.header("location"), None);
        // Both tiers: the first look was the owner's, the next ones the near cache's.
        for method in ["GET", "HEAD"] {
            assert_eq!(app.ask(method, &path).send().status, 403);
        }
        let page = app.ask("GET", &path).with("Accept", "text/html").send();
        assert_eq!(page.status, 403);
        let html = page.text();
        assert!(
            html.contains(&format!("action=\"/{code}/confirm\"")),
            "{html}"
        );
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.contains("form-action 'self' http: https:"),
            "{policy}"
        );
        assert_eq!(app.get(&format!("/{code}+")).status, 403);
        assert_eq!(app.get(&format!("/{code}/qr.svg")).status, 403);
        let confirm = format!("/{code}/confirm");
        let gone_on = app.ask("POST", &confirm).send();
        assert_eq!(gone_on.status, 303);
        assert_eq!(gone_on.header("location"), Some(SUSPICIOUS));
        assert_eq!(gone_on.header("cache-control"), Some("no-store"));
        assert_eq!(gone_on.header("referrer-policy"), Some("no-referrer"));
        let strange = app
            .ask("POST", &confirm)
            .with("Sec-Fetch-Site", "cross-site");
        assert_eq!(strange.send().status, 403);
        assert_eq!(app.get(&confirm).status, 405);
        // What a visitor brings along is shown and taken along.
        app.change(&code, &json!({"query_forward": "keep"}));
        let went_on = eventually("forwarding", PATIENCE, || {
            let asked = format!("{path}?a=1&b=%22%3E");
            let page = app.ask("GET", &asked).with("Accept", "text/html").send();
            let html = page.text();
            let (_, form) = html.split_once("action=\"")?;
            let action = form.split('"').next()?.replace("&amp;", "&");
            assert_eq!(action, format!("{confirm}?a=1&b=%22%3E"), "{html}");
            let shown = format!("{}?a=1", SUSPICIOUS.rsplit('/').next()?);
            html.contains(&shown)
                .then(|| app.ask("POST", &action).send())
        });
        assert_eq!(went_on.status, 303);
        let target = format!("{SUSPICIOUS}?a=1&b=%22%3E");
        assert_eq!(went_on.header("location"), Some(target.as_str()));
    });
}

#[test]
fn an_operator_overrules_either_way_and_it_survives() {
    on_each(|app| {
        let code = app.code_to("https://example.com/ordinary-page");
        labelled(app, &code);
        let path = format!("/{code}");
        let status = || app.get(&path).status;
        assert_eq!(status(), 302);
        // The owner of the link may not.
        let own = app
            .link("PATCH", &code)
            .json(&json!({"risk_override": "malicious"}));
        own.send().expect_problem(403, "forbidden");
        let link = overrule(app, &code, &json!({"risk_override": "malicious"}));
        assert_eq!(link["block_reason"], "malicious");
        assert_eq!(link["status"], "blocked");
        assert_eq!(status(), 403);
        assert_eq!(
            app.ask("POST", &format!("{path}/confirm")).send().status,
            403
        );
        // A new target is scored anew; the overrule stands.
        app.change(
            &code,
            &json!({"long_url": "https://example.com/another-page"}),
        );
        let link = labelled(app, &code);
        assert_eq!(link["risk"]["verdict"], "malicious", "{link}");
        assert_eq!(status(), 403);
        let link = overrule(app, &code, &json!({"risk_override": "suspicious"}));
        assert_eq!((&link["status"], status()), (&json!("quarantined"), 403));
        overrule(app, &code, &json!({"risk_override": null}));
        assert_eq!(status(), 302);
        let link = overrule(app, &code, &json!({"block_reason": "legal"}));
        assert_eq!((&link["block_reason"], status()), (&json!("legal"), 451));
        overrule(
            app,
            &code,
            &json!({"block_reason": null, "risk_override": "clean"}),
        );
        assert_eq!(status(), 302);
        let bad = json!({"risk_override": "good", "block_reason": "malicious"});
        let bad = app
            .ask("PATCH", &format!("/api/v1/links/{code}"))
            .key(ADMIN)
            .json(&bad);
        let problem = bad.send().expect_problem(422, "validation_failed");
        assert_eq!(problem["errors"].as_array().unwrap().len(), 2, "{problem}");
    });
}

#[test]
fn what_is_certain_is_refused_at_creation_with_its_reasons() {
    on_each(|app| {
        // Cyrillic letters that spell a brand.
        let url = "https://раураl.com/signin";
        let refused = app.post(&json!({"long_url": url}));
        let problem = refused.expect_problem(422, "url_blocked");
        assert!(
            !problem["reasons"].as_array().unwrap().is_empty(),
            "{problem}"
        );
        assert_eq!(problem["errors"][0]["pointer"], "/long_url");
        let items = json!({"items": [{"long_url": url}, {"long_url": "https://example.com/"}]});
        let bulk = app
            .ask("POST", "/api/v1/links/bulk")
            .json(&items)
            .send()
            .expect(200);
        assert_eq!(bulk["results"][0]["error"]["code"], "url_blocked");
        assert_eq!(bulk["results"][1]["ok"], true);
        let code = app.code_to("https://example.com/fine");
        let change = app.link("PATCH", &code).json(&json!({"long_url": url}));
        change.send().expect_problem(422, "url_blocked");
        for field in ["risk_override", "block_reason"] {
            let body = json!({"long_url": "https://example.com/", field: "clean"});
            app.post(&body).expect_problem(422, "validation_failed");
        }
    });
}

#[test]
fn urls_are_classified_without_a_link() {
    on_each(|app| {
        let ask = |body: Value| {
            app.ask("POST", "/api/v1/classify")
                .key(&app.ann)
                .json(&body)
                .send()
        };
        let one = ask(json!({"url": "https://e.example/recipes/tomato-soup"})).expect(200);
        assert_eq!(one.as_array().unwrap().len(), 1);
        assert_eq!(one[0]["category"], "food", "{one}");
        let confidence = one[0]["confidence"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&confidence));
        let bare = ask(json!({"url": "https://e.example/p/17", "title": null})).expect(200);
        let titled = json!({"url": "https://e.example/p/17", "title": "Easy tomato soup recipe"});
        let titled = ask(titled).expect(200);
        assert_eq!(bare[0]["category"], "other", "{bare}");
        assert_eq!(titled[0]["category"], "food", "{titled}");
        let two = ask(json!({"urls": ["https://e.example/", SUSPICIOUS]})).expect(200);
        assert_eq!(two[0]["risk"]["verdict"], "clean");
        assert_eq!(two[1]["risk"]["verdict"], "suspicious", "{two}");
        assert!(!two[1]["risk"]["reasons"].as_array().unwrap().is_empty());
        for bad in [
            json!({}),
            json!({"url": 5}),
            json!({"url": "a\u{0}b"}),
            json!({"url": "no url"}),
            json!({"urls": []}),
            json!({"urls": vec!["https://e.x/"; 101]}),
            json!({"url": "https://e.x/", "titel": "x"}),
            json!({"url": "https://e.x/", "title": 5}),
            json!({"url": "https://e.x/", "title": "a\u{0}b"}),
            json!({"url": "https://e.x/", "title": "a".repeat(513)}),
            json!({"urls": ["https://e.x/"], "title": "x"}),
            json!([]),
        ] {
            ask(bad).expect_problem(422, "validation_failed");
        }
        let nobody = app
            .ask("POST", "/api/v1/classify")
            .json(&json!({"url": "https://e.x/"}));
        nobody.send().expect_problem(401, "unauthenticated");
        assert_eq!(app.get("/api/v1/classify").status, 405);
    });
}

#[test]
fn a_block_list_is_read_again_and_turns_links_that_are_there() {
    let list = std::env::temp_dir().join(format!("urlshort-it-list-{}", uuid::Uuid::now_v7()));
    std::fs::write(&list, "evil.example\n").unwrap();
    let path = list.display().to_string();
    // The sweep is no help here: a changed list is looked at when it changes.
    let app = embedded(&[
        ("URLSHORT__CLASSIFY__BLOCKLISTS", &path),
        ("URLSHORT__CLASSIFY__SWEEP_SECONDS", "3600"),
    ]);
    let blocked = app.post(&json!({"long_url": "https://evil.example/a"}));
    blocked.expect_problem(422, "url_blocked");
    let code = app.code_to("https://later.example/a");
    labelled(&app, &code);
    assert_eq!(app.get(&format!("/{code}")).status, 302);
    std::fs::write(&list, "*.later.example\n203.0.113.0/24\n").unwrap();
    eventually("the verdict", PATIENCE, || {
        (app.get(&format!("/{code}")).status == 403).then_some(())
    });
    let link = app.link("GET", &code).send().expect(200);
    assert_eq!(link["risk"]["verdict"], "malicious", "{link}");
    std::fs::write(&list, "# nothing\n").unwrap();
    eventually("the way back", PATIENCE, || {
        (app.get(&format!("/{code}")).status == 302).then_some(())
    });
    std::fs::remove_file(&list).unwrap();
}

#[test]
fn lists_that_are_gone_hold_what_they_blocked_until_they_are_taken_out_of_the_configuration() {
    let list = std::env::temp_dir().join(format!("urlshort-it-gone-{}", uuid::Uuid::now_v7()));
    let data = list.with_extension("data");
    std::fs::write(&list, "*.listed.example\n").unwrap();
    let (lists, shard) = (list.display().to_string(), data.display().to_string());
    let shard = format!("sqlite:{shard}/links.db");
    let start = |lists: &str| {
        embedded(&[
            ("URLSHORT__CLASSIFY__BLOCKLISTS", lists),
            ("DB_SHARD_0_URL", &shard),
        ])
    };
    let app = start("");
    let code = app.code_to("https://page.listed.example/a");
    let status = |app: &TestApp| app.get(&format!("/{code}")).status;
    labelled(&app, &code);
    assert_eq!(status(&app), 302);
    drop(app);
    // The list is there from the start: what was labelled before is looked at.
    let app = start(&lists);
    eventually("the verdict", PATIENCE, || {
        (status(&app) == 403).then_some(())
    });
    drop(app);
    // It cannot be read: a new target does not free the link, nor does the next start.
    std::fs::remove_file(&list).unwrap();
    let app = start(&lists);
    let fine = app.code_to("https://example.com/fine");
    labelled(&app, &fine);
    assert_eq!(status(&app), 403);
    drop(app);
    let app = start("");
    eventually("the way back", PATIENCE, || {
        (status(&app) == 302).then_some(())
    });
    drop(app);
    std::fs::remove_dir_all(&data).unwrap();
}

#[test]
fn poisoned_links_are_labelled_and_stop_nobody() {
    on_each(|app| {
        let path = "%00%ff%F0%9F%92%A9/".repeat(100);
        let odd = [
            json!({"long_url": format!("https://e.example/{path}")}),
            json!({"long_url": format!("https://e.example/{}", "a".repeat(2_000))}),
            json!({"long_url": format!("https://{}.example/", "a-".repeat(30) + "b")}),
            json!({"long_url": "https://e.example/?a=b", "title": "</title><script>\u{202e}\u{feff}😀".repeat(10)}),
            json!({"long_url": "https://xn--0.example/"}),
        ];
        for body in odd {
            let made = app
                .ask("POST", "/api/v1/links")
                .key(&app.ann)
                .json(&body)
                .send();
            if made.status == 201 {
                let link = made.json();
                labelled(app, &code_of(&link));
            }
        }
        let fine = app.code_to("https://example.com/after-the-poison");
        labelled(app, &fine);
    });
}

#[test]
fn where_an_expired_link_leads_is_judged_too() {
    on_each(|app| {
        let link = app.make(&json!({
            "long_url": "https://example.com/ordinary-page",
            "expired_url": SUSPICIOUS,
            "expires_at": "2030-01-01T00:00:00Z",
        }));
        let link = labelled(app, &code_of(&link));
        assert_eq!(link["status"], "quarantined", "{link}");
        let reasons = link["risk"]["reasons"].to_string();
        assert!(reasons.contains("expired_url: "), "{reasons}");
        let code = app.code_to("https://example.com/ordinary-page");
        labelled(app, &code);
        let patch = json!({"expired_url": SUSPICIOUS});
        app.link("PATCH", &code).json(&patch).send().expect(200);
        eventually("quarantine", PATIENCE, || {
            let link = app.link("GET", &code).send().expect(200);
            (link["status"] == "quarantined").then_some(())
        });
    });
}

#[test]
fn what_an_operator_cleared_is_not_what_the_owner_puts_in_its_place() {
    on_each(|app| {
        let code = app.code_to(SUSPICIOUS);
        labelled(app, &code);
        let cleared = overrule(app, &code, &json!({"risk_override": "clean"}));
        assert_eq!(cleared["status"], "active", "{cleared}");
        // The same page under another title stays cleared; another page does not.
        let patch = |patch: Value| app.link("PATCH", &code).json(&patch).send().expect(200);
        assert_eq!(patch(json!({"title": "mine"}))["status"], "active");
        patch(json!({"long_url": format!("{SUSPICIOUS}/again")}));
        eventually("quarantine", PATIENCE, || {
            let link = app.link("GET", &code).send().expect(200);
            (link["status"] == "quarantined").then_some(())
        });
    });
}
