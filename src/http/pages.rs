//! Pages for people: home, one link, its preview, the documentation, static files.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web;
use serde_json::Value;
use serde_json::json;

use crate::cache::near::NearEntry;
use crate::domain::calendar::Interval;
use crate::domain::calendar::Zone;
use crate::domain::click::Dimension;
use crate::domain::code::ShortCode;
use crate::domain::route::Decision;
use crate::http::body;
use crate::http::caller;
use crate::http::client::Client;
use crate::http::error::ApiError;
use crate::http::error::parameter;
use crate::http::labels;
use crate::http::links;
use crate::http::redirect;
use crate::http::render::FieldError;
use crate::http::render::Home;
use crate::http::render::HomeForm;
use crate::http::render::LinkPage;
use crate::http::render::Point;
use crate::http::render::Share;
use crate::http::render::Totals;
use crate::http::state::AppState;
use crate::http::wrap;
use crate::service::links::LinkError;
use crate::service::stats::Kind;
use crate::service::stats::Range;
use crate::service::stats::StatsError;

const OPENAPI: &str = include_str!("openapi.json");
const DAYS: u32 = 30;
/// Counts that lie back further than this, in seconds, are told to be late.
const LATE: f64 = 10.0;

pub(super) fn page(
    status: StatusCode,
    rendered: Result<String, tera::Error>,
) -> Result<HttpResponse, ApiError> {
    let html = rendered.map_err(|error| ApiError::Internal(format!("a page: {error}")))?;
    Ok(HttpResponse::build(status)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("text/html; charset=utf-8")
        .body(html))
}

/// `GET /`
pub(super) async fn home(state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    page(StatusCode::OK, state.pages.home(&Home::default()))
}

/// `POST /`: the form without script. A refusal shows it again, with the status of the API.
pub(super) async fn shorten(
    state: web::Data<AppState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    if is_cross_site(&request) {
        return Err(ApiError::Forbidden(
            "The form was sent from another site.".to_owned(),
        ));
    }
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let essence = kind.map(|kind| {
        kind.split(';')
            .next()
            .unwrap_or("")
            .trim()
            .to_ascii_lowercase()
    });
    if essence.is_some_and(|kind| kind != "application/x-www-form-urlencoded") {
        return Err(ApiError::NotAForm);
    }
    let bytes = body::read(&request, payload, body::ORDINARY).await?;
    let mut form = HomeForm::default();
    let mut seen = std::collections::BTreeSet::new();
    let mut surplus = None;
    for (name, value) in url::form_urlencoded::parse(&bytes) {
        if !seen.insert(name.clone()) {
            surplus = Some((name, "stands twice in the form"));
            continue;
        }
        match &*name {
            "long_url" => form.long_url = value.trim_matches(' ').to_owned(),
            "code" => form.code = value.trim_matches(' ').to_owned(),
            _ => surplus = Some((name, "is no field of this form; use the API for it")),
        }
    }
    // People type hosts without a scheme; the page's script completes them the same way.
    let bare = url::Url::parse(&form.long_url) == Err(url::ParseError::RelativeUrlWithoutBase);
    let long_url = if bare && !form.long_url.is_empty() {
        format!("https://{}", form.long_url)
    } else {
        form.long_url.clone()
    };
    let mut input = json!({"long_url": long_url});
    if !form.code.is_empty()
        && let Some(map) = input.as_object_mut()
    {
        map.insert("code".to_owned(), Value::String(form.code.clone()));
    }
    let peer = request.peer_addr().map(|peer| peer.ip());
    let client = Client::of(&state, peer, request.headers());
    let refused = surplus.map(|(name, problem)| {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        parameter(&shown, "unknown_field", problem)
    });
    let created = match refused.map_or_else(|| caller::creator(&state, &request, 1), Err) {
        Ok((caller, _)) => state
            .links
            .create(&input, client.host(), &caller)
            .await
            .map_err(ApiError::from),
        Err(error) => Err(error),
    };
    match created {
        Ok(created) => Ok(HttpResponse::SeeOther()
            .insert_header((
                header::LOCATION,
                format!("/links/{}?fresh=1", created.link.code),
            ))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .finish()),
        Err(error) => {
            let field = if matches!(error, ApiError::Link(LinkError::Taken)) {
                "code"
            } else {
                let first = error.errors().first();
                first.map_or("", |error| error.pointer.trim_start_matches('/'))
            };
            let refusal = FieldError {
                field: field.to_owned(),
                message: error.to_string(),
            };
            let status = actix_web::ResponseError::status_code(&error);
            let mut shown = page(
                status,
                state.pages.home(&Home {
                    form: form.shown(),
                    error: Some(refusal),
                }),
            )?;
            error.tell(&wrap::id_of(&request), shown.headers_mut());
            Ok(shown)
        }
    }
}

/// A form that another site sends in a visitor's name.
fn is_cross_site(request: &HttpRequest) -> bool {
    let headers = request.headers();
    if let Some(site) = headers.get("sec-fetch-site") {
        return site.as_bytes() == b"cross-site";
    }
    let origin = headers
        .get(header::ORIGIN)
        .and_then(|origin| origin.to_str().ok());
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    match (origin.and_then(|origin| origin.split_once("://")), host) {
        (Some((_, origin)), Some(host)) => !origin.eq_ignore_ascii_case(host),
        (None, _) => origin.is_some(),
        (_, None) => false,
    }
}

/// The link may be followed now; else the status that following it has.
pub(super) async fn followable(
    state: &Arc<AppState>,
    request: &HttpRequest,
    code: &ShortCode,
) -> Result<Arc<NearEntry>, ApiError> {
    let (entry, _) = redirect::resolve(state, request, code).await?;
    let now = state.redirector.now();
    match entry.route().decide(now) {
        Decision::Follow => Ok(entry),
        Decision::NotFound => Err(redirect::missed(state, request, now)),
        Decision::Gone | Decision::Instead(_) => Err(redirect::gone(&entry)),
        Decision::Confirm | Decision::Malicious | Decision::Legal => {
            Err(redirect::held(&entry, ""))
        }
    }
}

/// `GET /links/{code}`: one link with its clicks.
pub(super) async fn link(
    state: web::Data<AppState>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let state = state.into_inner();
    let code = links::code(&path)?;
    followable(&state, &request, &code).await?;
    let link = state.links.find_public(&code).await?;
    let peer = request.peer_addr().map(|peer| peer.ip());
    let base = Client::of(&state, peer, request.headers()).base(&state);
    let now = state.redirector.now();
    let mut shown = LinkPage {
        code: code.to_string(),
        short_url: format!("{base}/{code}"),
        long_url: link.route.target.to_string(),
        title: link.title.clone(),
        created: day(&link.created_at.to_string()),
        status: link.status_word(now).to_owned(),
        category: labels::category(&link),
        totals: Totals::default(),
        uniques: 0,
        series: Vec::new(),
        referrers: Vec::new(),
        browsers: Vec::new(),
        countries: Vec::new(),
        as_of: String::new(),
        complete: true,
        late: false,
        fresh: request.query_string().contains("fresh=1"),
        days: DAYS,
        stats_hidden: !state.settings.public_stats,
    };
    if !shown.stats_hidden {
        fill_statistics(&state, &code, &mut shown).await?;
    }
    page(StatusCode::OK, state.pages.link(&shown))
}

async fn fill_statistics(
    state: &AppState,
    code: &ShortCode,
    page: &mut LinkPage,
) -> Result<(), ApiError> {
    let zone = Zone::named("UTC").map_err(StatsError::Range)?;
    let now = state.redirector.now();
    let range = Range::of(None, None, zone, Interval::Day, Kind::All, now)
        .map_err(|(_, error)| StatsError::Range(error))?;
    let report = state.stats.report(code, &range).await?;
    let count = |clicks: i64| u64::try_from(clicks).unwrap_or(0);
    page.totals = Totals {
        human: count(report.totals.human),
        bot: count(report.totals.bot),
        preview: count(report.totals.preview),
        head: count(report.totals.head),
    };
    page.uniques = report.uniques;
    page.series = report
        .series
        .into_iter()
        .map(|point| Point {
            label: point.start.get(5..10).unwrap_or("").to_owned(),
            human: count(point.human),
            bot: count(point.bot),
            preview: count(point.preview),
            start: point.start,
        })
        .collect();
    page.as_of = minute(&report.as_of.to_string());
    page.complete = report.complete;
    page.late = !report.complete && report.lag_seconds > LATE;
    page.referrers = shares(state, code, Dimension::Referrer, &range).await?;
    page.browsers = shares(state, code, Dimension::Browser, &range).await?;
    page.countries = shares(state, code, Dimension::Country, &range).await?;
    Ok(())
}

async fn shares(
    state: &AppState,
    code: &ShortCode,
    dimension: Dimension,
    range: &Range,
) -> Result<Vec<Share>, ApiError> {
    let values = state.stats.values(code, dimension, range, 8).await?;
    let all: i64 = values.iter().map(|value| value.clicks).sum();
    let share = |clicks: i64| u8::try_from(clicks * 100 / all.max(1)).unwrap_or(100);
    Ok(values
        .into_iter()
        .map(|value| Share {
            percent: share(value.clicks),
            clicks: u64::try_from(value.clicks).unwrap_or(0),
            value: value.value,
        })
        .collect())
}

/// The day of an RFC 3339 time.
pub(super) fn day(time: &str) -> String {
    time.get(..10).unwrap_or(time).to_owned()
}

/// Day and minute of an RFC 3339 time, for people.
fn minute(time: &str) -> String {
    format!("{} {} UTC", day(time), time.get(11..16).unwrap_or(""))
}

/// `GET /assets/{name}`: pages add the hash, so it may be kept for ever.
pub(super) async fn asset(
    state: web::Data<AppState>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    file(&state, &request, &path)
}

/// `GET /favicon.ico`
pub(super) async fn favicon(
    state: web::Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    file(&state, &request, "favicon.svg")
}

fn file(state: &AppState, request: &HttpRequest, name: &str) -> Result<HttpResponse, ApiError> {
    let asset = state.pages.asset(name).ok_or(ApiError::NotFound)?;
    let seen = links::matches_etag(request, &asset.etag);
    let mut response = if seen {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((header::ETAG, asset.etag.clone()))
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"));
    if seen {
        return Ok(response.finish());
    }
    Ok(response
        .content_type(asset.content_type)
        .body(asset.content))
}

/// `GET /robots.txt`: pages may be listed, the API not; links say so themselves.
pub(super) async fn robots() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body("User-agent: *\nDisallow: /api/\nDisallow: /links/\n")
}

/// `GET /api/v1/openapi.json`
pub(super) async fn openapi() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(OPENAPI)
}

/// `GET /api/docs`
pub(super) async fn docs(state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    let document: Value = serde_json::from_str(OPENAPI)
        .map_err(|error| ApiError::Internal(format!("openapi.json: {error}")))?;
    page(StatusCode::OK, state.pages.docs(&document))
}
