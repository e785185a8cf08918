//! Making links: every field goes in and comes out, and equal wishes may share a link.

use std::thread;

use serde_json::Value;
use serde_json::json;

use crate::app::TestApp;
use crate::app::code_of;
use crate::app::fresh;
use crate::app::on_each;

const TARGET: &str = "https://example.com/page";

#[test]
fn every_field_comes_back_as_it_went_in() {
    on_each(|app| {
        let code = fresh("full");
        let sent = json!({
            "long_url": "https://example.com/page?a=1", "code": code, "title": "Tïtle <b>",
            "notes": "notes 'quoted'; --", "tags": ["b", "a", "ä"], "redirect_status": 307,
            "valid_from": "2020-01-01T00:00:00Z", "expires_at": "2100-01-01T01:00:00.5+01:00",
            "expired_url": "https://example.com/over", "query_forward": "override",
            "hide_referrer": true, "indexable": true, "status": "active",
        });
        let answer = app
            .ask("POST", "/api/v1/links")
            .key(&app.ann)
            .json(&sent)
            .send();
        let base = format!("http://{}", app.address);
        let location = format!("{base}/api/v1/links/{code}");
        assert_eq!(answer.header("location"), Some(location.as_str()));
        let made = answer.expect(201);
        let shown = app.link("GET", &code).send().expect(200);
        // A link is labelled behind its creation: a moment later it may be.
        assert!(
            made["category"].is_null() && made["risk"].is_null(),
            "{made}"
        );
        for link in [&made, &shown] {
            for (name, value) in sent.as_object().unwrap() {
                match name.as_str() {
                    "tags" => assert_eq!(link["tags"], json!(["a", "b", "ä"])),
                    "expires_at" => {
                        let end = link["expires_at"].as_str().unwrap();
                        assert!(end.starts_with("2100-01-01T00:00:00.5"), "{end}");
                    }
                    "valid_from" => {
                        let begin = link["valid_from"].as_str().unwrap();
                        assert!(begin.starts_with("2020-01-01T00:00:00"), "{begin}");
                    }
                    _ => assert_eq!(&link[name], value, "{name}"),
                }
            }
            assert_eq!(link["short_url"], format!("{base}/{code}"));
            assert_eq!(link["version"], 1);
            let null = ["block_reason", "max_visits"];
            assert!(null.iter().all(|name| link[name].is_null()), "{link}");
            assert_eq!(link["has_password"], false);
            for kind in ["total", "human", "bot", "preview"] {
                assert_eq!(link["clicks"][kind], 0);
            }
            assert!(link["clicks"]["as_of"].is_string());
        }
        for name in ["created_at", "updated_at"] {
            assert_eq!(made[name], shown[name]);
            assert!(made[name].as_str().unwrap().ends_with('Z'));
        }
    });
}

#[test]
fn a_random_code_has_7_characters_or_as_many_as_are_wished() {
    on_each(|app| {
        let code = app.code_to(TARGET);
        assert_eq!(code.len(), 7);
        assert!(code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        for length in [8, 32] {
            let link = app.make(&json!({"long_url": TARGET, "code_length": length}));
            assert_eq!(code_of(&link).len(), length);
        }
        let plain = app.make(&json!({"long_url": TARGET}));
        assert_eq!(plain["redirect_status"], 302);
        assert_eq!(plain["status"], "active");
        assert_eq!(plain["query_forward"], "keep");
        assert_eq!(plain["tags"], json!([]));
    });
}

#[test]
fn curl_gets_the_bare_short_url() {
    on_each(|app| {
        let request = app.ask("POST", "/api/v1/links");
        let answer = request
            .with("Accept", "text/plain")
            .json(&json!({"long_url": TARGET}))
            .send();
        assert_eq!(answer.status, 201);
        let kind = answer.header("content-type").unwrap();
        assert!(kind.starts_with("text/plain"), "{kind}");
        let url = answer.text();
        let start = format!("http://{}/", app.address);
        let code = url.strip_prefix(&start).unwrap();
        assert_eq!(app.get(&format!("/{}", code.trim())).status, 302);
    });
}

#[test]
fn a_custom_code_is_taken_once_and_case_counts() {
    on_each(|app| {
        let code = fresh("Case");
        app.make(&json!({"long_url": TARGET, "code": code}));
        app.post(&json!({"long_url": TARGET, "code": code}))
            .expect_problem(409, "code_taken");
        app.make(&json!({"long_url": TARGET, "code": code.to_lowercase()}));
    });
}

#[test]
fn reuse_existing_finds_only_the_callers_equal_active_link() {
    on_each(|app| {
        let url = format!("https://example.com/{}", fresh("reuse"));
        let wish = json!({"long_url": url, "reuse_existing": true});
        let ask = |key: Option<&str>, body: &Value| {
            let request = app.ask("POST", "/api/v1/links").json(body);
            key.map_or(request.clone(), |key| request.key(key)).send()
        };
        let first = code_of(&ask(Some(&app.ann), &wish).expect(201));
        let again = code_of(&ask(Some(&app.ann), &wish).expect(200));
        assert_eq!(again, first);
        let bob = code_of(&ask(Some(&app.bob), &wish).expect(201));
        let nobody = code_of(&ask(None, &wish).expect(201));
        assert_eq!(code_of(&ask(None, &wish).expect(200)), nobody);
        let titled = json!({"long_url": url, "reuse_existing": true, "title": "other"});
        let other = code_of(&ask(Some(&app.ann), &titled).expect(201));
        let mut codes = vec![first.clone(), bob, nobody, other];
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), 4, "{codes:?}");
        app.change(&first, &json!({"status": "disabled"}));
        assert_ne!(code_of(&ask(Some(&app.ann), &wish).expect(201)), first);
        app.make(&json!({"long_url": url})); // without the wish there is always a new one
        let wish = json!({"long_url": url, "reuse_existing": true, "code": fresh("mine")});
        ask(Some(&app.ann), &wish).expect(201);
        ask(Some(&app.ann), &wish).expect(200);
        ask(Some(&app.bob), &wish).expect_problem(409, "code_taken");
    });
}

#[test]
fn reuse_existing_never_answers_with_a_link_that_has_expired() {
    on_each(|app| {
        let url = format!("https://example.com/{}", fresh("expired"));
        let past = "2020-01-01T00:00:00Z";
        let wish = json!({"long_url": url, "reuse_existing": true, "expires_at": past});
        // More often than there are codes to derive from one URL.
        let mut codes: Vec<String> = (0..12)
            .map(|_| code_of(&app.post(&wish).expect(201)))
            .collect();
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), 12, "{codes:?}");
        let good = json!({"long_url": url, "reuse_existing": true});
        let made = code_of(&app.post(&good).expect(201));
        assert_eq!(code_of(&app.post(&good).expect(200)), made);
        let mine = json!({
            "long_url": url, "reuse_existing": true, "expires_at": past, "code": fresh("mine"),
        });
        app.post(&mine).expect(201);
        app.post(&mine).expect_problem(409, "code_taken");
    });
}

#[test]
fn eight_racers_for_one_url_make_one_link() {
    on_each(|app| {
        for _ in 0..3 {
            let url = format!("https://example.com/{}", fresh("race"));
            let wish = json!({"long_url": url, "reuse_existing": true});
            let codes = race(app, &wish);
            assert!(
                codes.iter().all(|(_, code)| *code == codes[0].1),
                "{codes:?}"
            );
            let made = codes.iter().filter(|(status, _)| *status == 201).count();
            assert_eq!(made, 1, "{codes:?}");
        }
    });
}

fn race(app: &TestApp, wish: &Value) -> Vec<(u16, String)> {
    thread::scope(|scope| {
        let racers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let answer = app.post(wish);
                    (answer.status, code_of(&answer.json()))
                })
            })
            .collect();
        racers
            .into_iter()
            .map(|racer| racer.join().unwrap())
            .collect()
    })
}
