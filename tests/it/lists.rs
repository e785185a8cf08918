//! Lists: newest first, page by page, merged over the shards.

use std::collections::HashSet;

use serde_json::Value;
use serde_json::json;

use crate::app::ADMIN;
use crate::app::TestApp;
use crate::app::code_of;
use crate::app::fresh;
use crate::app::on_each;

const TARGET: &str = "https://example.com/page";

#[test]
fn a_list_is_newest_first_and_pages_miss_and_repeat_nothing() {
    on_each(|app| {
        let tag = fresh("tag");
        let made: Vec<String> = (0..25)
            .map(|_| code_of(&app.make(&json!({"long_url": TARGET, "tags": [tag]}))))
            .collect();
        let newest_first: Vec<String> = made.iter().rev().cloned().collect();
        for limit in [1, 7, 25, 200] {
            let mut seen = Vec::new();
            let mut cursor = String::new();
            loop {
                let page = list(app, &app.ann, &format!("tag={tag}&limit={limit}{cursor}"));
                seen.extend(codes(&page));
                assert!(page.get("partial").is_none(), "{page}");
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(seen, newest_first, "{limit}");
        }
        assert_eq!(codes(&list(app, ADMIN, &format!("tag={tag}"))).len(), 25);
        assert!(codes(&list(app, &app.bob, &format!("tag={tag}"))).is_empty());
    });
}

#[test]
fn a_list_may_be_narrowed() {
    on_each(|app| {
        let tag = fresh("narrow");
        let make = |more: Value| {
            let mut body = json!({"long_url": TARGET, "tags": [tag, "x"]});
            for (name, value) in more.as_object().unwrap() {
                body[name] = value.clone();
            }
            app.make(&body)
        };
        let active = make(json!({}));
        let disabled = make(json!({"status": "disabled"}));
        let expired = make(json!({"expires_at": "2020-01-01T00:00:00Z"}));
        let deleted = make(json!({}));
        app.link("DELETE", &code_of(&deleted)).send().expect(204);
        for (status, link) in [
            ("active", &active),
            ("disabled", &disabled),
            ("expired", &expired),
            ("deleted", &deleted),
        ] {
            let page = list(app, &app.ann, &format!("tag={tag}&status={status}"));
            assert_eq!(codes(&page), [code_of(link)], "{status}");
            assert_eq!(page["data"][0]["status"], status);
        }
        let at = disabled["created_at"].as_str().unwrap();
        let (older, newer) = (
            format!("tag={tag}&created_before={at}"),
            format!("tag={tag}&created_after={at}"),
        );
        let older: HashSet<String> = codes(&list(app, &app.ann, &older)).into_iter().collect();
        let newer: HashSet<String> = codes(&list(app, &app.ann, &newer)).into_iter().collect();
        assert!(older.contains(&code_of(&active)) && !older.contains(&code_of(&expired)));
        assert!(newer.contains(&code_of(&expired)) && !newer.contains(&code_of(&active)));
    });
}

#[test]
fn what_a_list_cannot_be_asked_is_refused_by_name() {
    on_each(|app| {
        for (query, name) in [
            ("limit=0", "limit"),
            ("limit=201", "limit"),
            ("limit=1&limit=2", "limit"),
            ("limit=x", "limit"),
            ("cursor=zz", "cursor"),
            ("cursor=ff", "cursor"),
            ("cursor=", "cursor"),
            ("status=on", "status"),
            ("status=gone", "status"),
            ("created_after=yesterday", "created_after"),
            ("created_before=2020", "created_before"),
            ("tag=a%00b", "tag"),
            ("q=x", "q"),
            ("category=x", "category"),
            ("tags=x", "tags"),
        ] {
            let answer = app
                .ask("GET", &format!("/api/v1/links?{query}"))
                .key(&app.ann)
                .send();
            let problem = answer.expect_problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], format!("?{name}"));
        }
    });
}

#[track_caller]
fn list(app: &TestApp, key: &str, query: &str) -> Value {
    let request = app.ask("GET", &format!("/api/v1/links?{query}"));
    request.key(key).send().expect(200)
}

fn codes(page: &Value) -> Vec<String> {
    page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(code_of)
        .collect()
}
