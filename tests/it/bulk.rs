//! Many links in one request: each its own outcome, in request order.

use serde_json::Value;
use serde_json::json;

use crate::app::fresh;
use crate::app::on_each;

const TARGET: &str = "https://example.com/page";

#[test]
fn results_come_in_request_order_each_with_its_own_outcome() {
    on_each(|app| {
        let (code, taken) = (fresh("bulk"), fresh("taken"));
        app.make(&json!({"long_url": TARGET, "code": taken}));
        let mut items = vec![
            json!({"long_url": "https://example.com/0", "code": code}),
            json!({"long_url": "javascript:alert(1)"}),
            json!({"long_url": "https://example.com/2", "code": taken}),
            json!({"long_url": "https://example.com/3", "code": code}),
            json!({"long_url": "https://example.com/4", "title": "a\u{0}"}),
            json!("https://example.com/5"),
            json!({"long_url": "https://example.com/6", "password": "x"}),
        ];
        for index in items.len()..100 {
            items.push(json!({"long_url": format!("https://example.com/{index}")}));
        }
        let request = app.ask("POST", "/api/v1/links/bulk").key(&app.ann);
        let answer = request.json(&json!({"items": items})).send().expect(200);
        let expected = json!({"total": 100, "created": 94, "reused": 0, "failed": 6});
        assert_eq!(answer["summary"], expected);
        let results = answer["results"].as_array().unwrap();
        assert_eq!(results.len(), 100);
        for (index, result) in results.iter().enumerate() {
            assert_eq!(result["index"], index);
            if result["ok"] == true {
                let url = format!("https://example.com/{index}");
                assert_eq!(result["link"]["long_url"], url);
            }
        }
        for (index, code, pointer) in [
            (1, "validation_failed", Some("/long_url")),
            (2, "code_taken", None),
            (3, "code_taken", None),
            (4, "validation_failed", Some("/title")),
            (5, "validation_failed", Some("")),
            (6, "validation_failed", Some("/password")),
        ] {
            let error = &results[index]["error"];
            assert_eq!(results[index]["ok"], false);
            assert_eq!(error["code"], code, "{error}");
            assert_eq!(error["errors"][0]["pointer"].as_str(), pointer, "{error}");
        }
        let last = results[99]["link"]["code"].as_str().unwrap();
        assert_eq!(app.get(&format!("/{last}")).status, 302);
    });
}

#[test]
fn a_bulk_request_that_is_wrong_as_a_whole_tries_nothing() {
    on_each(|app| {
        let ask = |body: &Value| app.ask("POST", "/api/v1/links/bulk").json(body).send();
        for body in [
            json!({}),
            json!([]),
            json!({"items": []}),
            json!({"items": {}}),
            json!({"items": null}),
            json!({"items": [{"long_url": TARGET}], "more": 1}),
        ] {
            ask(&body).expect_problem(422, "validation_failed");
        }
        let items = vec![json!({"long_url": TARGET}); 1_001];
        ask(&json!({"items": items})).expect_problem(413, "payload_too_large");
        let long = vec![json!({"long_url": TARGET, "notes": "n".repeat(4_400)}); 1_000];
        ask(&json!({"items": long})).expect_problem(413, "payload_too_large");
    });
}

#[test]
fn a_thousand_links_go_in_at_once_also_without_a_key() {
    on_each(|app| {
        let items = vec![json!({"long_url": TARGET}); 1_000];
        let answer = app
            .ask("POST", "/api/v1/links/bulk")
            .json(&json!({"items": items}));
        assert_eq!(answer.send().expect(200)["summary"]["created"], 1_000);
    });
}

#[test]
fn equal_items_may_share_a_link() {
    on_each(|app| {
        let url = format!("https://example.com/{}", fresh("same"));
        let items = vec![json!({"long_url": url, "reuse_existing": true}); 3];
        let answer = app
            .ask("POST", "/api/v1/links/bulk")
            .json(&json!({"items": items}));
        let answer = answer.send().expect(200);
        let expected = json!({"total": 3, "created": 1, "reused": 2, "failed": 0});
        assert_eq!(answer["summary"], expected);
        let code = |index: usize| answer["results"][index]["link"]["code"].clone();
        assert!(code(0) == code(1) && code(1) == code(2));
    });
}

#[test]
fn an_item_may_share_the_link_of_another_item() {
    on_each(|app| {
        let url = format!("https://example.com/{}", fresh("shared"));
        let mine = fresh("mine");
        let items = [
            json!({"long_url": url, "reuse_existing": true}),
            json!({"long_url": url}),
            json!({"long_url": "https://example.com/", "code": mine, "reuse_existing": true}),
            json!({"long_url": "https://example.com/", "code": mine}),
        ];
        let answer = app
            .ask("POST", "/api/v1/links/bulk")
            .json(&json!({"items": items}));
        let answer = answer.send().expect(200);
        let expected = json!({"total": 4, "created": 2, "reused": 1, "failed": 1});
        assert_eq!(answer["summary"], expected, "{answer}");
        let code = |index: usize| answer["results"][index]["link"]["code"].clone();
        assert_eq!(code(0), code(1));
        assert_eq!(code(2), json!(mine), "the earlier item has the code");
    });
}
