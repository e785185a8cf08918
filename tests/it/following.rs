//! Following a link: what each state of a link answers.

use std::time::Duration;

use serde_json::json;

use crate::app::TestApp;
use crate::app::code_of;
use crate::app::eventually;
use crate::app::fresh;
use crate::app::on_each;

const TARGET: &str = "https://example.com/page";

#[test]
fn an_active_link_redirects_with_the_status_it_asks_for() {
    on_each(|app| {
        let code = app.code_to(TARGET);
        for _ in 0..2 {
            let answer = app.get(&format!("/{code}"));
            assert_eq!(answer.status, 302);
            assert_eq!(answer.header("location"), Some(TARGET));
            assert_eq!(answer.header("cache-control"), Some("private, no-store"));
            assert_eq!(answer.header("x-robots-tag"), Some("noindex"));
            assert_eq!(answer.header("referrer-policy"), None);
            assert!(answer.body.is_empty());
        }
        for (status, caching) in [
            (301, "private, max-age=60"),
            (302, "private, no-store"),
            (307, "private, no-store"),
            (308, "private, max-age=60"),
        ] {
            let link = json!({"long_url": TARGET, "redirect_status": status});
            let code = code_of(&app.make(&link));
            for _ in 0..2 {
                let answer = app.get(&format!("/{code}"));
                assert_eq!(answer.status, status);
                assert_eq!(answer.header("cache-control"), Some(caching));
            }
        }
    });
}

#[test]
fn the_location_is_the_url_as_the_parser_writes_it() {
    on_each(|app| {
        for (typed, sent) in [
            (
                "HTTPS://Example.COM:443/a/../b?q=ä#f",
                "https://example.com/b?q=%C3%A4#f",
            ),
            ("https://bücher.example/", "https://xn--bcher-kva.example/"),
            ("https://example.com", "https://example.com/"),
            (
                "https://example.com/a b%20c",
                "https://example.com/a%20b%20c",
            ),
        ] {
            let code = app.code_to(typed);
            assert_eq!(app.get(&format!("/{code}")).header("location"), Some(sent));
        }
    });
}

#[test]
fn head_answers_like_get() {
    on_each(|app| {
        let active = app.code_to(TARGET);
        let deleted = app.code_to(TARGET);
        app.link("DELETE", &deleted).send().expect(204);
        for path in [
            format!("/{active}"),
            format!("/{active}/"),
            format!("/{active}+"),
            format!("/{active}/qr.svg"),
            format!("/{active}/qr.png"),
            format!("/links/{active}"),
            format!("/{deleted}"),
            format!("/{}", fresh("no")),
            "/".to_owned(),
            "/api/docs".to_owned(),
            "/api/v1/openapi.json".to_owned(),
            "/livez".to_owned(),
            "/readyz".to_owned(),
            "/robots.txt".to_owned(),
            "/favicon.ico".to_owned(),
        ] {
            let (get, head) = (app.get(&path), app.ask("HEAD", &path).send());
            assert_eq!(head.status, get.status, "{path}");
            let plain = |headers: &[(String, String)]| {
                let mut kept = headers.to_vec();
                kept.retain(|(name, _)| name != "date" && name != "x-request-id");
                // What these pages show changes: a click is counted, a label comes.
                let changes = path.starts_with("/links/") || path.ends_with('+');
                kept.retain(|(name, _)| name != "content-length" || !changes);
                kept.retain(|(name, _)| name != "content-length" || get.status < 400);
                kept.sort();
                kept
            };
            assert_eq!(plain(&head.headers), plain(&get.headers), "{path}");
        }
    });
}

#[test]
fn an_unknown_a_disabled_and_a_later_link_answer_alike() {
    on_each(|app| {
        let disabled = code_of(&app.make(&json!({"long_url": TARGET, "status": "disabled"})));
        let later = json!({"long_url": TARGET, "valid_from": "2100-01-01T00:00:00Z"});
        let later = code_of(&app.make(&later));
        for beside in ["", "+", "/qr.svg", "/qr.png"] {
            for code in [&disabled, &later, &fresh("no")] {
                let answer = app.get(&format!("/{code}{beside}"));
                let problem = answer.expect_problem(404, "not_found");
                assert_eq!(problem["detail"], "There is nothing here.");
                assert_eq!(answer.header("cache-control"), Some("no-store"));
            }
        }
        let page = |code: &str| {
            let request = app
                .ask("GET", &format!("/{code}"))
                .with("Accept", "text/html");
            request.send().text().replace(code, "")
        };
        assert_eq!(page(&disabled), page(&fresh("no")));
        assert_eq!(page(&later), page(&fresh("no")));
        for code in [&disabled, &later, &fresh("no")] {
            for path in [
                format!("/links/{code}"),
                format!("/api/v1/links/{code}/stats"),
                format!("/api/v1/links/{code}/stats/country"),
            ] {
                app.get(&path).expect_problem(404, "not_found");
            }
        }
        let owners = format!("/api/v1/links/{disabled}/stats");
        app.ask("GET", &owners).key(&app.ann).send().expect(200);
        app.change(&disabled, &json!({"status": "active"}));
        eventually("it can be followed", Duration::from_secs(1), || {
            (app.get(&format!("/{disabled}")).status == 302).then_some(())
        });
    });
}

#[test]
fn an_expired_link_is_gone_or_leads_elsewhere() {
    on_each(|app| {
        let past = "2020-01-01T00:00:00Z";
        let gone = code_of(&app.make(&json!({"long_url": TARGET, "expires_at": past})));
        check_gone(app, &gone);
        let instead = json!({"long_url": TARGET, "expires_at": past,
            "expired_url": "https://example.com/over", "hide_referrer": true});
        let instead = code_of(&app.make(&instead));
        let answer = app.get(&format!("/{instead}"));
        assert_eq!(answer.status, 302);
        assert_eq!(answer.header("location"), Some("https://example.com/over"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        app.get(&format!("/{instead}+")).expect_problem(410, "gone");
        let shown = app.link("GET", &instead).send().expect(200);
        assert_eq!(shown["status"], "expired");
    });
}

#[test]
fn a_cached_link_ends_when_its_time_is_over() {
    on_each(|app| {
        let soon = chrono::Utc::now() + chrono::Duration::milliseconds(1_500);
        let soon = soon.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let code = code_of(&app.make(&json!({"long_url": TARGET, "expires_at": soon})));
        assert_eq!(app.get(&format!("/{code}")).status, 302);
        eventually("it is over", Duration::from_secs(4), || {
            (app.get(&format!("/{code}")).status == 410).then_some(())
        });
    });
}

#[test]
fn a_deleted_link_is_gone_and_its_code_is_never_given_again() {
    on_each(|app| {
        let code = fresh("once");
        app.make(&json!({"long_url": TARGET, "code": code}));
        assert_eq!(app.get(&format!("/{code}")).status, 302);
        app.link("DELETE", &code).send().expect(204);
        check_gone(app, &code);
        app.post(&json!({"long_url": TARGET, "code": code}))
            .expect_problem(409, "code_taken");
        app.link("DELETE", &code).send().expect_problem(410, "gone");
        app.link("PATCH", &code)
            .json(&json!({"title": "x"}))
            .send()
            .expect_problem(410, "gone");
        let shown = app.link("GET", &code).send();
        assert!(shown.header("etag").is_some());
        assert_eq!(shown.expect(200)["status"], "deleted");
        app.link("DELETE", &format!("{code}?purge=true"))
            .send()
            .expect(204);
        check_gone(app, &code);
        app.post(&json!({"long_url": TARGET, "code": code}))
            .expect_problem(409, "code_taken");
    });
}

#[track_caller]
fn check_gone(app: &TestApp, code: &str) {
    for beside in ["", "/", "+", "/qr.svg"] {
        let answer = app.get(&format!("/{code}{beside}"));
        answer.expect_problem(410, "gone");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("location"), None);
    }
    app.get(&format!("/links/{code}"))
        .expect_problem(410, "gone");
}

#[test]
fn a_path_is_decoded_once_and_what_is_no_code_is_nothing() {
    on_each(|app| {
        let code = fresh("path");
        app.make(&json!({"long_url": TARGET, "code": code}));
        let encoded = format!("%{:02x}{}", code.as_bytes()[0], code.get(1..).unwrap());
        for path in [
            format!("/{code}/"),
            format!("/{encoded}"),
            format!("/{encoded}/"),
        ] {
            assert_eq!(app.get(&path).status, 302, "{path}");
        }
        for path in [
            format!("/{code}//"),
            format!("//{code}"),
            format!("/{}", encoded.replace('%', "%25")),
            format!("/{code}%00"),
            format!("/{code}%0a"),
            format!("/{code}%0d%0aX:y"),
            format!("/{code}%7f"),
            format!("/{code}%zz"),
            format!("/{code}%"),
            format!("/{code}/x"),
            format!("/{code}/qr.gif"),
            format!("/{}", code.to_uppercase()),
            "/admin".to_owned(),
            "/LOGIN".to_owned(),
            "/.well-known/x".to_owned(),
            "/.env".to_owned(),
            "/%C3%A4".to_owned(),
            "/%ff".to_owned(),
            "/api".to_owned(),
            "/api/v1/nothing".to_owned(),
            "/api/v2/links".to_owned(),
            "/links".to_owned(),
            "/assets/nothing.js".to_owned(),
            "/assets/..%2f..%2fetc%2fpasswd".to_owned(),
            format!("/{}", "a".repeat(65)),
            format!("/{}", "a".repeat(10_000)),
        ] {
            app.get(&path).expect_problem(404, "not_found");
        }
    });
}

#[test]
fn a_link_may_be_indexed_and_hide_where_visitors_come_from() {
    on_each(|app| {
        let link = json!({"long_url": TARGET, "indexable": true, "hide_referrer": true});
        let code = code_of(&app.make(&link));
        for _ in 0..2 {
            let answer = app.get(&format!("/{code}"));
            assert_eq!(answer.header("x-robots-tag"), None);
            assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        }
    });
}

#[test]
fn other_methods_are_told_which_ones_there_are() {
    on_each(|app| {
        let code = app.code_to(TARGET);
        for (path, allowed) in [
            (format!("/{code}"), "GET, HEAD"),
            (format!("/{code}+"), "GET, HEAD"),
            (format!("/{code}/qr.png"), "GET, HEAD"),
            (format!("/links/{code}"), "GET, HEAD"),
            ("/".to_owned(), "GET, HEAD, POST"),
            ("/api/v1/links".to_owned(), "GET, POST"),
            (
                "/api/v1/links/bulk".to_owned(),
                "GET, HEAD, POST, PATCH, DELETE",
            ),
            (format!("/api/v1/links/{code}"), "GET, HEAD, PATCH, DELETE"),
            (format!("/api/v1/links/{code}/stats"), "GET, HEAD"),
            (format!("/api/v1/links/{code}/stats/browser"), "GET, HEAD"),
            ("/api/v1/openapi.json".to_owned(), "GET, HEAD"),
            ("/api/docs".to_owned(), "GET, HEAD"),
            ("/livez".to_owned(), "GET, HEAD"),
            ("/readyz".to_owned(), "GET, HEAD"),
            ("/metrics".to_owned(), "GET, HEAD"),
            ("/robots.txt".to_owned(), "GET, HEAD"),
            ("/favicon.ico".to_owned(), "GET, HEAD"),
            ("/assets/app.js".to_owned(), "GET, HEAD"),
        ] {
            for method in ["PUT", "OPTIONS", "TRACE", "BREW"] {
                let answer = app.ask(method, &path).send();
                answer.expect_problem(405, "method_not_allowed");
                assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
            }
        }
        app.ask("POST", &format!("/{code}"))
            .send()
            .expect_problem(405, "method_not_allowed");
    });
}

#[test]
fn a_change_is_seen_by_the_next_visitor() {
    on_each(|app| {
        let code = app.code_to(TARGET);
        assert_eq!(app.get(&format!("/{code}")).status, 302);
        for round in 0..5 {
            let url = format!("https://example.com/{round}");
            app.change(&code, &json!({"long_url": url}));
            let answer = app.get(&format!("/{code}"));
            assert_eq!(answer.header("location"), Some(url.as_str()));
        }
        let code = fresh("asked");
        app.get(&format!("/{code}"))
            .expect_problem(404, "not_found");
        app.make(&json!({"long_url": TARGET, "code": code}));
        assert_eq!(app.get(&format!("/{code}")).status, 302, "asked for before");
    });
}
