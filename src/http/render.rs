//! This file renders the pages: one typed context and one method for each.
//!
//! Templates and static files are compiled in. Every text in a context may be hostile: the
//! templates are named `*.html`, so the engine escapes what it prints. Only attributes in
//! double quotes hold values, and an `href` holds only addresses that were validated before.

mod chart;
mod reference;

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use tera::Context;
use tera::Kwargs;
use tera::State;
use tera::Tera;
use xxhash_rust::xxh3::xxh3_64;

use self::chart::Chart;
pub use self::chart::Point;
use self::reference::Reference;

const TEMPLATES: [(&str, &str); 8] = [
    ("base.html", include_str!("templates/base.html")),
    ("parts.html", include_str!("templates/parts.html")),
    ("home.html", include_str!("templates/home.html")),
    ("link.html", include_str!("templates/link.html")),
    ("preview.html", include_str!("templates/preview.html")),
    ("confirm.html", include_str!("templates/confirm.html")),
    ("error.html", include_str!("templates/error.html")),
    ("docs.html", include_str!("templates/docs.html")),
];

const ASSETS: [(&str, &str, &[u8]); 3] = [
    (
        "app.css",
        "text/css; charset=utf-8",
        include_bytes!("static/app.css"),
    ),
    (
        "app.js",
        "text/javascript; charset=utf-8",
        include_bytes!("static/app.js"),
    ),
    (
        "favicon.svg",
        "image/svg+xml",
        include_bytes!("static/favicon.svg"),
    ),
];

/// The templates, parsed once, and the static files, hashed once.
pub struct Pages {
    tera: Tera,
    assets: Vec<(&'static str, Asset)>,
}

/// A static file that pages load from `/assets/{name}`.
#[derive(Debug, Clone)]
pub struct Asset {
    /// The file itself.
    pub content: &'static [u8],
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// Its `ETag`, with the quotes.
    pub etag: String,
}

/// The home page; after a refusal, with what was typed and why it was refused.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Home {
    /// What stands in the form.
    pub form: HomeForm,
    /// Why the form was refused.
    pub error: Option<FieldError>,
}

/// What somebody typed on the home page.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HomeForm {
    /// The link to shorten.
    pub long_url: String,
    /// The short name, or nothing.
    pub code: String,
}

impl HomeForm {
    /// What of it can be shown again: HTML has no place for control characters.
    #[must_use]
    pub fn shown(mut self) -> Self {
        for text in [&mut self.long_url, &mut self.code] {
            text.retain(|letter| !letter.is_control());
        }
        self
    }
}

/// A refusal, and the field it belongs to.
#[derive(Debug, Clone, Serialize)]
pub struct FieldError {
    /// `long_url`, `code`, or anything else for the form as a whole.
    pub field: String,
    /// What to do about it.
    pub message: String,
}

/// The page of one link, with its statistics.
#[derive(Debug, Clone, Serialize)]
pub struct LinkPage {
    /// The short code.
    pub code: String,
    /// The whole short address.
    pub short_url: String,
    /// Where it leads.
    pub long_url: String,
    /// The title of the target, if anybody knows it.
    pub title: Option<String>,
    /// When the link was made, for people.
    pub created: String,
    /// `active`, or what else it is.
    pub status: String,
    /// What it is about, once that is known.
    pub category: Option<String>,
    /// Clicks by kind.
    pub totals: Totals,
    /// Unique visitors, a sum of days.
    pub uniques: u64,
    /// Clicks by interval, oldest first.
    pub series: Vec<Point>,
    /// Where visitors came from, most first.
    pub referrers: Vec<Share>,
    /// What they browsed with, most first.
    pub browsers: Vec<Share>,
    /// From which countries, most first.
    pub countries: Vec<Share>,
    /// Up to when clicks are counted, for people.
    pub as_of: String,
    /// Whether every click up to now is counted.
    pub complete: bool,
    /// Whether clicks of more than a few seconds are not.
    pub late: bool,
    /// Whether the visitor made this link a moment ago.
    pub fresh: bool,
    /// How many days `series` covers.
    pub days: u32,
    /// Whether statistics need a key; the counts are then not shown.
    pub stats_hidden: bool,
}

/// Clicks by kind.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Totals {
    /// By people.
    pub human: u64,
    /// By bots.
    pub bot: u64,
    /// By services that show what is behind a link.
    pub preview: u64,
    /// Requests that only looked.
    pub head: u64,
}

/// One row of a list of the most frequent.
#[derive(Debug, Clone, Serialize)]
pub struct Share {
    /// What was counted.
    pub value: String,
    /// How often.
    pub clicks: u64,
    /// How often in a hundred.
    pub percent: u8,
}

/// Where a short link leads, before anybody goes there.
#[derive(Debug, Clone, Serialize)]
pub struct Preview {
    /// The short code.
    pub code: String,
    /// The whole short address.
    pub short_url: String,
    /// Where it leads.
    pub long_url: String,
    /// The host of `long_url`.
    pub host: String,
    /// The title of the target, if anybody knows it.
    pub title: Option<String>,
    /// When the link was made, for people; nobody may know it at the moment.
    pub created: Option<String>,
    /// What it is about, once that is known.
    pub category: Option<String>,
    /// What is known of its risk, for people.
    pub safety: String,
}

/// Where a suspicious link leads, and the way to go there all the same.
#[derive(Debug, Clone, Serialize)]
pub struct Confirm {
    /// The short code.
    pub code: String,
    /// The query that the visitor came with, without the question mark.
    pub query: String,
    /// Where it leads.
    pub long_url: String,
    /// The host of `long_url`.
    pub host: String,
}

/// Why there is nothing else to see.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorPage {
    /// The HTTP status.
    pub status: u16,
    /// What happened, in a few words.
    pub title: String,
    /// What happened, in a sentence.
    pub message: String,
    /// What the visitor can do; may be empty.
    pub hint: String,
}

/// A target around its host, so that the host can stand out.
#[derive(Serialize)]
struct Around<'a> {
    before: &'a str,
    after: &'a str,
}

impl Pages {
    /// Parses the templates; an error names the template and the line.
    pub fn new() -> Result<Self, tera::Error> {
        let mut assets = Vec::with_capacity(ASSETS.len());
        let mut all = Vec::new();
        for (name, content_type, content) in ASSETS {
            all.extend_from_slice(content);
            let etag = format!("\"{:016x}\"", xxh3_64(content));
            let asset = Asset {
                content,
                content_type,
                etag,
            };
            assets.push((name, asset));
        }
        let mut tera = Tera::new();
        let version = format!("{:016x}", xxh3_64(&all));
        tera.global_context().insert("assets_version", &version);
        tera.register_filter("grouped", |count: u64, _: Kwargs, _: &State<'_>| {
            chart::grouped(count)
        });
        tera.add_raw_templates(TEMPLATES)?;
        Ok(Self { tera, assets })
    }

    /// The static file `name`, as in `/assets/{name}`; pages add `?v=` with a hash.
    pub fn asset(&self, name: &str) -> Option<&Asset> {
        let found = self.assets.iter().find(|(asset, _)| *asset == name);
        found.map(|(_, asset)| asset)
    }

    /// The home page.
    pub fn home(&self, page: &Home) -> Result<String, tera::Error> {
        self.tera
            .render("home.html", &Context::from_serialize(page)?)
    }

    /// The page of one link.
    pub fn link(&self, page: &LinkPage) -> Result<String, tera::Error> {
        let mut context = Context::from_serialize(page)?;
        context.insert("short_shown", without_scheme(&page.short_url));
        context.insert("is_active", &(page.status == "active"));
        context.insert("chart", &Chart::of(&page.series));
        self.tera.render("link.html", &context)
    }

    /// The page that says where a short link leads.
    pub fn preview(&self, page: &Preview) -> Result<String, tera::Error> {
        let mut context = Context::from_serialize(page)?;
        context.insert("short_shown", without_scheme(&page.short_url));
        context.insert("around", &around_host(&page.long_url, &page.host));
        self.tera.render("preview.html", &context)
    }

    /// The page in front of a suspicious link.
    pub fn confirm(&self, page: &Confirm) -> Result<String, tera::Error> {
        let mut context = Context::from_serialize(page)?;
        context.insert("around", &around_host(&page.long_url, &page.host));
        self.tera.render("confirm.html", &context)
    }

    /// The page of a failure.
    pub fn error(&self, page: &ErrorPage) -> Result<String, tera::Error> {
        self.tera
            .render("error.html", &Context::from_serialize(page)?)
    }

    /// The page about the API, made of its description in JSON.
    pub fn docs(&self, openapi: &Value) -> Result<String, tera::Error> {
        let page = Reference::of(openapi);
        self.tera
            .render("docs.html", &Context::from_serialize(&page)?)
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

fn without_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

/// `None` where `host` is not what follows the scheme: nothing then stands out.
fn around_host<'a>(url: &'a str, host: &str) -> Option<Around<'a>> {
    let (scheme, rest) = url.split_once("://")?;
    let after = rest.strip_prefix(host)?;
    let before = url.get(..scheme.len() + "://".len())?;
    Some(Around { before, after })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Breaks out of text, of an attribute and of a script, if it is let.
    const HOSTILE: &str = "\"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 1 + 1 }}";

    fn pages() -> Pages {
        Pages::new().unwrap()
    }

    fn link_page(text: &str, counts: &[u64]) -> LinkPage {
        let share = || Share {
            value: text.to_owned(),
            clicks: 1_234,
            percent: 61,
        };
        let point = |(index, &human)| Point {
            label: format!("{text} {index}"),
            start: text.to_owned(),
            human,
            bot: human / 5,
            preview: human / 9,
        };
        LinkPage {
            code: text.to_owned(),
            short_url: format!("https://sho.rt/{text}"),
            long_url: format!("https://example.org/{text}"),
            title: Some(text.to_owned()),
            created: text.to_owned(),
            category: Some(text.to_owned()),
            status: text.to_owned(),
            totals: Totals {
                human: counts.iter().sum(),
                ..Totals::default()
            },
            uniques: 7,
            series: counts.iter().enumerate().map(point).collect(),
            referrers: vec![share()],
            browsers: vec![share()],
            countries: Vec::new(),
            as_of: text.to_owned(),
            complete: false,
            late: true,
            fresh: true,
            days: 30,
            stats_hidden: false,
        }
    }

    fn preview(text: &str) -> Preview {
        Preview {
            category: Some(text.to_owned()),
            safety: text.to_owned(),
            code: text.to_owned(),
            short_url: text.to_owned(),
            long_url: text.to_owned(),
            host: text.to_owned(),
            title: Some(text.to_owned()),
            created: Some(text.to_owned()),
        }
    }

    fn home(field: &str, text: &str) -> Home {
        Home {
            form: HomeForm {
                long_url: text.to_owned(),
                code: text.to_owned(),
            },
            error: Some(FieldError {
                field: field.to_owned(),
                message: text.to_owned(),
            }),
        }
    }

    fn openapi(text: &str) -> Value {
        json!({
            "info": {"title": text, "version": text, "description": text},
            "servers": [{"url": text}],
            "paths": {text: {"post": {
                "tags": [text],
                "summary": text,
                "parameters": [{"name": text, "in": text, "schema": {"type": text}}],
                "requestBody": {"content": {text: {"schema": {
                    "properties": {text: {"type": "string", "description": text}},
                }}}},
                "responses": {text: {"description": text}},
            }}},
        })
    }

    #[test]
    fn hostile_text_stays_text_on_every_page() {
        let pages = pages();
        let error = ErrorPage {
            status: 404,
            title: HOSTILE.to_owned(),
            message: HOSTILE.to_owned(),
            hint: HOSTILE.to_owned(),
        };
        for html in [
            pages.home(&home("long_url", HOSTILE)).unwrap(),
            pages.home(&home("code", HOSTILE)).unwrap(),
            pages.home(&home("other", HOSTILE)).unwrap(),
            pages.link(&link_page(HOSTILE, &[3, 0, 9])).unwrap(),
            pages.preview(&preview(HOSTILE)).unwrap(),
            pages.error(&error).unwrap(),
            pages.docs(&openapi(HOSTILE)).unwrap(),
        ] {
            assert!(html.contains("&lt;script&gt;alert"), "{html}");
            assert!(
                html.contains("{{ 1 + 1 }}"),
                "a text is no template: {html}"
            );
            assert!(!html.contains("<script>"), "{html}");
            assert!(!html.contains("<img src=x"), "{html}");
        }
    }

    #[test]
    fn no_page_needs_what_the_content_policy_forbids() {
        let pages = pages();
        for html in [
            pages.home(&Home::default()).unwrap(),
            pages.link(&link_page("spring", &[0; 30])).unwrap(),
            pages.preview(&preview("spring")).unwrap(),
            pages.docs(&openapi("spring")).unwrap(),
        ] {
            for forbidden in [
                " style=",
                "<style",
                " onclick=",
                "javascript:",
                "src=\"http",
            ] {
                assert!(!html.contains(forbidden), "{forbidden} in {html}");
            }
        }
    }

    #[test]
    fn a_link_without_clicks_says_so() {
        let html = pages().link(&link_page("spring", &[0; 30])).unwrap();
        assert!(html.contains("No clicks yet"));
        let html = pages().link(&link_page("spring", &[])).unwrap();
        assert!(html.contains("No clicks yet"));
    }

    #[test]
    fn statistics_behind_a_key_are_not_on_the_page() {
        let mut page = link_page("spring", &[4_141_414]);
        page.stats_hidden = true;
        let html = pages().link(&page).unwrap();
        assert!(html.contains("API key"));
        assert!(
            !html.contains("4,141,414") && !html.contains("1,234"),
            "{html}"
        );
    }

    #[test]
    fn the_refused_form_keeps_what_was_typed() {
        let html = pages().home(&home("code", "spring")).unwrap();
        assert!(html.contains("value=\"spring\""));
        assert!(html.contains("<details class=\"more\" open>"));
        assert_eq!(html.matches("aria-invalid").count(), 1);
    }

    #[test]
    fn the_host_of_a_target_stands_out() {
        let mut page = preview("spring");
        page.host = "example.org".to_owned();
        page.long_url = "https://example.org/a".to_owned();
        let html = pages().preview(&page).unwrap();
        assert!(html.contains("<strong>example.org</strong><span class=\"quiet\">/a</span>"));
    }

    #[test]
    fn static_files_are_found_by_name_alone() {
        let pages = pages();
        let css = pages.asset("app.css").unwrap();
        assert!(css.etag.starts_with('"') && css.etag.ends_with('"'));
        assert_ne!(css.etag, pages.asset("app.js").unwrap().etag);
        assert!(pages.asset("../render.rs").is_none());
    }
}
