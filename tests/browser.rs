//! The page in a real browser: shorten a link, follow it, see the click.
//!
//! Speaks `WebDriver` (plain HTTP and JSON) with `chromedriver`. Without Chromium the test is
//! skipped; `URLSHORT_TEST_REQUIRED=1` makes that a failure.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

#[path = "browser/driver.rs"]
mod driver;
#[path = "browser/sites.rs"]
mod sites;

use std::time::Duration;

use driver::Browser;
use sites::Shortener;
use sites::Target;

#[test]
fn a_person_shortens_a_link_follows_it_and_sees_the_click() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let target = Target::start();
    let app = Shortener::start();
    let home = format!("{}/", app.url);
    browser.open(&home);
    browser.type_into("#long_url", &target.url);
    browser.click("#submit");
    let short = browser.wait_for("return document.querySelector('#result [data-short]')?.href");
    assert!(short.starts_with(&home), "{short}");
    browser.wait_for(
        "const image = document.querySelector('#result [data-qr]');
         return image && image.complete && image.naturalWidth > 0 ? 'loaded' : null",
    );
    check_own_requests(&browser, &app.url);
    let code = short.strip_prefix(&home).unwrap().to_owned();
    let recent = browser.wait_for("return document.querySelector('#recent-list')?.textContent");
    assert!(recent.contains(&code), "{recent}");

    browser.open(&short);
    let title = browser.wait_for("return document.title");
    assert_eq!(title, "The target");
    assert_eq!(browser.wait_for("return location.href"), target.url);

    let page = format!("{}/links/{code}", app.url);
    browser.until(Duration::from_secs(20), || {
        browser.open(&page);
        let shown = browser.run("return document.querySelector('.totals dd').textContent.trim()");
        shown == "1"
    });
    browser.wait_for(
        "const image = document.querySelector('img.qr');
         return image && image.complete && image.naturalWidth > 0 ? 'loaded' : null",
    );
    check_own_requests(&browser, &app.url);
    check_log(&browser);
}

#[test]
fn a_refusal_is_told_beside_the_field_and_the_form_works_without_script() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let target = Target::start();
    let app = Shortener::start();
    let home = format!("{}/", app.url);
    browser.open(&home);
    browser.type_into("#long_url", "javascript:alert(1)");
    browser.click("#submit");
    let told = browser.wait_for("return document.querySelector('#long_url-error').textContent");
    assert!(told.contains("http"), "{told}");

    browser.open(&home);
    // A submit that the page's script does not hear of is what a browser without script does.
    let url = &target.url;
    browser.run(&format!(
        "document.querySelector('#long_url').value = '{url}';
         HTMLFormElement.prototype.submit.call(document.querySelector('#shorten'))"
    ));
    let place = browser.wait_for(
        "return location.pathname.startsWith('/links/') && document.readyState === 'complete'
         ? location.pathname : null",
    );
    let code = place.strip_prefix("/links/").unwrap();
    browser.open(&format!("{home}{code}+"));
    let shown = browser.run("return document.body.textContent");
    assert!(shown.as_str().unwrap().contains(url), "{shown}");
    browser.open(&format!("{home}api/docs"));
    check_own_requests(&browser, &app.url);
    check_log(&browser);
}

#[test]
fn the_report_of_a_load_test_fits_a_phone_and_loads_nothing() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let app = Shortener::start();
    let page = app.load_test();
    browser.open(&format!("file://{}", page.display()));
    browser.narrow_to(390);
    let shown = browser.run(
        "return [document.querySelectorAll('svg path.line').length,
                 document.documentElement.scrollWidth - window.innerWidth,
                 document.querySelector('h1').textContent]",
    );
    assert!(shown[0].as_u64().unwrap() >= 5, "{shown}");
    assert!(
        shown[1].as_i64().unwrap() <= 0,
        "it is wider than the screen: {shown}"
    );
    assert_eq!(shown[2], "Load test");
    let loaded =
        browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)");
    assert_eq!(loaded, serde_json::json!([]));
    check_log(&browser);
}

/// Nothing that the page loaded came from another host.
#[track_caller]
fn check_own_requests(browser: &Browser, own: &str) {
    let names = browser.run(
        "return performance.getEntries().filter(entry =>
         ['resource', 'navigation'].includes(entry.entryType)).map(entry => entry.name)",
    );
    let names: Vec<&str> = names
        .as_array()
        .unwrap()
        .iter()
        .filter_map(serde_json::Value::as_str)
        .collect();
    assert!(names.len() > 1, "{names:?}");
    for name in names {
        assert!(name.starts_with(own), "{name} is not of {own}");
    }
}

/// The browser complained of nothing but the answers it was meant to get.
#[track_caller]
fn check_log(browser: &Browser) {
    for entry in browser.log() {
        let message = entry["message"].as_str().unwrap_or("");
        assert!(
            !message.contains("Content Security Policy") && entry["source"] != "javascript",
            "{entry}"
        );
    }
}
