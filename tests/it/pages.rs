//! Pages for people: safe, self-contained, and usable without script.

use serde_json::json;

use crate::app::TestApp;
use crate::app::code_of;
use crate::app::fresh;
use crate::app::on_each;
use crate::client::Answer;

const TARGET: &str = "https://example.com/page";
const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn every_page_is_strict_and_loads_nothing_from_elsewhere() {
    on_each(|app| {
        let link = json!({"long_url": TARGET, "title": "<script>x</script>\"'", "notes": "secret"});
        let code = code_of(&app.make(&link));
        for (path, status) in [
            ("/".to_owned(), 200),
            ("/api/docs".to_owned(), 200),
            (format!("/links/{code}"), 200),
            (format!("/links/{code}?fresh=1"), 200),
            (format!("/{code}+"), 200),
            (format!("/{}", fresh("no")), 404),
            (format!("/links/{}", fresh("no")), 404),
        ] {
            let page = page(app, &path);
            assert_eq!(page.status, status, "{path}");
            let policy = page.header("content-security-policy").unwrap();
            assert!(policy.contains("default-src 'none'"), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
            let text = page.text();
            assert!(!text.contains("<script>"), "{path}: markup of a title");
            assert!(!text.contains("secret"), "{path}: notes");
            for attribute in ["src=\"", "<link rel=\"stylesheet\" href=\"", "action=\""] {
                for rest in text.split(attribute).skip(1) {
                    let here = rest.starts_with('/') && !rest.starts_with("//");
                    assert!(here, "{path}: {attribute}{rest:.60}");
                }
            }
            assert!(
                !text.contains("style=\"") && !text.contains("onclick="),
                "{path}"
            );
        }
        assert!(page(app, &format!("/{code}+")).text().contains(TARGET));
        assert!(page(app, &format!("/links/{code}")).text().contains(TARGET));
        let preview = app.get(&format!("/{code}+"));
        assert_eq!(preview.header("x-robots-tag"), Some("noindex"));
        assert_eq!(preview.header("cache-control"), Some("no-store"));
    });
}

#[test]
fn what_a_page_names_is_there_and_may_be_kept() {
    on_each(|app| {
        let home = page(app, "/").text();
        let mut found = 0;
        for rest in home.split("\"/assets/").skip(1) {
            let name = rest.split('"').next().unwrap();
            let asset = app.get(&format!("/assets/{name}"));
            assert_eq!(asset.status, 200, "{name}");
            let caching = asset.header("cache-control").unwrap();
            assert!(caching.contains("immutable"), "{caching}");
            let etag = asset.header("etag").unwrap();
            let again = app.ask("GET", &format!("/assets/{name}"));
            assert_eq!(again.with("If-None-Match", etag).send().status, 304);
            found += 1;
        }
        assert!(found >= 2, "{home}");
        assert_eq!(app.get("/robots.txt").status, 200);
        assert_eq!(app.get("/favicon.ico").status, 200);
        let document = app.get("/api/v1/openapi.json").expect(200);
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    });
}

#[test]
fn errors_are_pages_for_browsers_and_json_for_programs() {
    on_each(|app| {
        let gone = app.code_to(TARGET);
        app.link("DELETE", &gone).send().expect(204);
        for (path, status) in [
            (format!("/{gone}"), 410),
            (format!("/{}", fresh("no")), 404),
        ] {
            let answer = page(app, &path);
            assert_eq!(answer.status, status);
            let kind = answer.header("content-type").unwrap();
            assert!(kind.starts_with("text/html"), "{kind}");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            for accept in [
                "*/*",
                "application/json",
                "text/html;q=0",
                "text/html;q=0.1, application/json",
                "text/html; q=0.5, application/problem+json;q=0.6",
                "",
            ] {
                let answer = app.ask("GET", &path).with("Accept", accept).send();
                let kind = answer.header("content-type");
                assert_eq!(kind, Some("application/problem+json"), "{accept}");
            }
        }
        let api = app
            .ask("GET", "/api/v1/links/x")
            .with("Accept", "text/html");
        api.send().expect_problem(401, "unauthenticated");
    });
}

#[test]
fn the_form_works_without_script() {
    on_each(|app| {
        let code = fresh("form");
        let body = format!("long_url=https%3A%2F%2Fexample.com%2Fa%2Bb&code={code}");
        let answer = submit(app, &body);
        assert_eq!(answer.status, 303);
        let location = answer.header("location").unwrap();
        assert!(
            location.starts_with(&format!("/links/{code}")),
            "{location}"
        );
        assert!(app.get(location).text().contains("https://example.com/a+b"));
        let redirect = app.get(&format!("/{code}"));
        assert_eq!(redirect.header("location"), Some("https://example.com/a+b"));
        let random = submit(app, "long_url=https://example.com/&code=");
        assert_eq!(random.status, 303);
        // A host without a scheme is completed, as the script does it.
        let code = fresh("bare");
        assert_eq!(
            submit(app, &format!("long_url=example.com/x&code={code}")).status,
            303
        );
        let redirect = app.get(&format!("/{code}"));
        assert_eq!(redirect.header("location"), Some("https://example.com/x"));
    });
}

#[test]
fn a_refused_form_is_shown_again_with_what_was_typed() {
    on_each(|app| {
        let taken = app.code_to(TARGET);
        for (body, status) in [
            (String::new(), 422),
            ("long_url=".to_owned(), 422),
            ("long_url=javascript:alert(1)".to_owned(), 422),
            ("long_url=%3Cscript%3E%22".to_owned(), 422),
            ("long_url=https://example.com/%00".to_owned(), 422),
            ("long_url=https://example.com/&code=a%20b".to_owned(), 422),
            ("long_url=https://example.com/&code=%00".to_owned(), 422),
            ("long_url=https://%01example%C2%9F.com/".to_owned(), 422),
            (format!("long_url=https://example.com/&code={taken}"), 409),
        ] {
            let answer = submit(app, &body);
            assert_eq!(answer.status, status, "{body}");
            let text = answer.text();
            assert!(text.contains("<form"), "{body}");
            assert!(!text.contains("<script>"), "{body}");
            let control = text.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(control, None, "{body}");
            assert!(answer.header("content-security-policy").is_some());
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
        assert!(
            submit(app, "long_url=ftp://x/")
                .text()
                .contains("value=\"ftp:&#x2F;&#x2F;x&#x2F;\"")
                || submit(app, "long_url=ftp://x/")
                    .text()
                    .contains("value=\"ftp://x/\"")
        );
        let long = format!("long_url={}", "a".repeat(70_000));
        assert_eq!(submit(app, &long).status, 413);
    });
}

#[test]
fn a_form_of_another_site_is_refused() {
    on_each(|app| {
        let own = format!("http://{}", app.address);
        let with = |headers: &[(&str, &str)]| {
            let mut request = app.ask("POST", "/");
            for (name, value) in headers {
                request = request.with(name, value);
            }
            request
                .body(FORM, b"long_url=https://example.com/")
                .send()
                .status
        };
        assert_eq!(with(&[("Origin", &own)]), 303);
        assert_eq!(
            with(&[("Sec-Fetch-Site", "same-origin"), ("Origin", "null")]),
            303
        );
        assert_eq!(with(&[("Origin", "https://evil.example")]), 403);
        assert_eq!(with(&[("Sec-Fetch-Site", "cross-site")]), 403);
        assert_eq!(with(&[("Origin", "null")]), 403);
        // Browsers tell the origin of a form only where the page's policy lets them.
        let policy = page(app, "/");
        assert_eq!(policy.header("referrer-policy"), Some("same-origin"));
    });
}

fn page(app: &TestApp, path: &str) -> Answer {
    let accept = "text/html,application/xhtml+xml,*/*;q=0.8";
    app.ask("GET", path).with("Accept", accept).send()
}

fn submit(app: &TestApp, body: &str) -> Answer {
    let request = app.ask("POST", "/").with("Accept", "text/html");
    request.body(FORM, body.as_bytes()).send()
}

#[test]
fn the_form_refuses_what_it_would_have_to_ignore() {
    on_each(|app| {
        for (body, word) in [
            ("long_url=https://example.com/&password=x", "password"),
            (
                "long_url=https://example.com/&long_url=https://example.org/",
                "long_url",
            ),
        ] {
            let answer = submit(app, body);
            assert_eq!(answer.status, 422, "{body}");
            assert!(answer.text().contains(word), "{body}");
        }
        let json = app.ask("POST", "/").body("application/json", b"{}");
        assert_eq!(json.send().status, 415);
    });
}

#[test]
fn a_host_that_is_none_never_becomes_a_short_url() {
    on_each(|app| {
        let long = "a".repeat(2_400);
        for host in [long.as_str(), "[::1", "x:99999", "u@x", "a b"] {
            let answer = app.ask("GET", "/").with("Host", host).send();
            assert_eq!(answer.status, 400, "{host}");
        }
    });
}

#[test]
fn a_link_may_be_called_like_a_path_of_the_api() {
    on_each(|app| {
        let link = br#"{"long_url":"https://example.com/","code":"bulk","reuse_existing":true}"#;
        let answer = app
            .ask("POST", "/api/v1/links")
            .body("application/json", link)
            .send();
        assert!(matches!(answer.status, 200 | 201), "{}", answer.status);
        // Without a key a 401, and not "no such method".
        let shown = app.ask("GET", "/api/v1/links/bulk").send();
        assert_eq!(shown.status, 401);
    });
}
