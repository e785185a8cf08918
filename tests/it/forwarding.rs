//! Query strings: what a visitor adds to the short URL reaches the target, or does not.

use serde_json::json;

use crate::app::TestApp;
use crate::app::code_of;
use crate::app::on_each;

#[test]
fn a_query_is_sent_on_as_the_link_says() {
    on_each(|app| {
        let url = "https://example.com/p?role=guest&x=1#frag";
        let check = |mode: &str, query: &str, expected: &str| {
            let code = code_of(&app.make(&json!({"long_url": url, "query_forward": mode})));
            for _ in 0..2 {
                let answer = app.get(&format!("/{code}?{query}"));
                assert_eq!(answer.status, 302);
                let location = format!("https://example.com/p?{expected}#frag");
                assert_eq!(answer.header("location"), Some(location.as_str()), "{mode}");
            }
        };
        check("keep", "a=1&role=admin", "role=guest&x=1&a=1");
        check("keep", "%72ole=admin&b=%2f+%41", "role=guest&x=1&b=%2f+%41");
        check("override", "role=admin", "x=1&role=admin");
        check("override", "%72ole=admin&c", "x=1&%72ole=admin&c");
        check("off", "a=1&role=admin", "role=guest&x=1");
        check("keep", "qr=1", "role=guest&x=1");
        check("keep", "qr=1&a=1&%71r=2", "role=guest&x=1&a=1");
        check("keep", "", "role=guest&x=1");
        check("keep", "&&a=1&", "role=guest&x=1&a=1");
    });
}

#[test]
fn keep_is_the_default() {
    on_each(|app| {
        let code = app.code_to("https://example.com/");
        let answer = app.get(&format!("/{code}?utm_source=a&utm_source=b"));
        let location = "https://example.com/?utm_source=a&utm_source=b";
        assert_eq!(answer.header("location"), Some(location));
    });
}

#[test]
fn whole_parameters_are_sent_on_up_to_2048_bytes() {
    on_each(|app| {
        let code = app.code_to("https://example.com/");
        let fits = format!("a={}", "x".repeat(2_046));
        check_location(app, &code, &fits, &format!("https://example.com/?{fits}"));
        check_location(app, &code, &format!("{fits}y"), "https://example.com/");
        let part = format!("a={}", "x".repeat(1_500));
        let query = format!("{part}&b={}&c=1", "y".repeat(1_000));
        check_location(app, &code, &query, &format!("https://example.com/?{part}"));
    });
}

#[test]
fn no_query_adds_a_header_or_a_line() {
    on_each(|app| {
        let code = app.code_to("https://example.com/");
        for query in [
            "a=%0d%0aSet-Cookie:%20x=1",
            "a=%0a",
            "%00",
            "a=\"<>'`{}|\\^",
        ] {
            let answer = app.get(&format!("/{code}?{query}"));
            // What the parser of HTTP itself refuses is refused; the rest goes on as it came.
            if answer.status == 400 {
                continue;
            }
            assert_eq!(answer.status, 302, "{query}");
            assert_eq!(answer.header("set-cookie"), None);
            let location = answer.header("location").unwrap();
            assert_eq!(location, format!("https://example.com/?{query}"));
        }
    });
}

#[track_caller]
fn check_location(app: &TestApp, code: &str, query: &str, expected: &str) {
    let answer = app.get(&format!("/{code}?{query}"));
    assert_eq!(answer.header("location"), Some(expected));
}
