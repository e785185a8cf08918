//! The REST API of links.

mod bulk;
mod list;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web;
use serde_json::Value;
use serde_json::json;

use crate::domain::code::ShortCode;
use crate::domain::key::Scope;
use crate::domain::link::Link;
use crate::domain::time::Timestamp;
use crate::http::body;
use crate::http::caller::allowance_headers;
use crate::http::caller::caller_with;
use crate::http::caller::creator;
use crate::http::client::Client;
use crate::http::error::ApiError;
use crate::http::error::parameter;
use crate::http::state::AppState;
use crate::http::wrap;
use crate::service::link_input::FieldError;
use crate::service::links::LinkError;
use crate::slots::Slot;

pub(super) use crate::http::links::bulk::create_many;
pub(super) use crate::http::links::list::list;

/// `POST /api/v1/links`
pub(super) async fn create(
    state: web::Data<AppState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    refuse_idempotency_key(&request)?;
    let body = body::json(&request, payload, body::ORDINARY).await?;
    let (caller, allowance) = creator(&state, &request, 1)?;
    let peer = request.peer_addr().map(|peer| peer.ip());
    let client = Client::of(&state, peer, request.headers());
    let created = state.links.create(&body, client.host(), &caller).await?;
    let base = client.base(&state);
    let mut response = if created.reused {
        HttpResponse::Ok()
    } else {
        HttpResponse::Created()
    };
    let location = format!("{base}/api/v1/links/{}", created.link.code);
    response.insert_header((header::LOCATION, location));
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    let now = state.redirector.now();
    let mut response = if wrap::accepts(&request, "text/plain") {
        response
            .content_type("text/plain; charset=utf-8")
            .body(short_url(&base, &created.link))
    } else {
        response.insert_header((header::ETAG, etag(&created.link, now)));
        response.json(link_json(&created.link, &base, now, now))
    };
    allowance_headers(&mut response, allowance);
    Ok(response)
}

/// Until when the clicks of a link are counted; since it was made where that is not known.
async fn counted_until(state: &AppState, link: &Link) -> Timestamp {
    let slot = Slot::of(link.code.as_str());
    state.stats.as_of(slot).await.unwrap_or(link.created_at)
}

/// `GET /api/v1/links/{code}`
pub(super) async fn show(
    state: web::Data<AppState>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let caller = caller_with(&state, &request, Scope::LinksRead)?;
    let code = code(&path)?;
    let link = state.links.find(&code, &caller).await?;
    let now = state.redirector.now();
    let as_of = counted_until(&state, &link).await;
    let etag = etag(&link, as_of);
    if matches_etag(&request, &etag) {
        return Ok(HttpResponse::NotModified()
            .insert_header((header::ETAG, etag))
            .finish());
    }
    let peer = request.peer_addr().map(|peer| peer.ip());
    let base = Client::of(&state, peer, request.headers()).base(&state);
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, etag))
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        .json(link_json(&link, &base, now, as_of)))
}

/// `PATCH /api/v1/links/{code}`
pub(super) async fn change(
    state: web::Data<AppState>,
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let caller = caller_with(&state, &request, Scope::LinksWrite)?;
    let code = code(&path)?;
    let if_match = if_match(&request)?;
    let body = body::json(&request, payload, body::ORDINARY).await?;
    let peer = request.peer_addr().map(|peer| peer.ip());
    let client = Client::of(&state, peer, request.headers());
    let link = state
        .links
        .change(&code, &body, if_match, client.host(), &caller)
        .await?;
    let now = state.redirector.now();
    let as_of = counted_until(&state, &link).await;
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, etag(&link, as_of)))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(link_json(&link, &client.base(&state), now, as_of)))
}

/// `DELETE /api/v1/links/{code}`
pub(super) async fn delete(
    state: web::Data<AppState>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let caller = caller_with(&state, &request, Scope::LinksDelete)?;
    let code = code(&path)?;
    let mut purge = false;
    for (name, value) in query(&request)? {
        match (name.as_str(), value.as_str()) {
            ("purge", "true") => purge = true,
            ("purge", "false") => purge = false,
            ("purge", _) => {
                return Err(parameter(
                    "purge",
                    "invalid_choice",
                    "must be true or false",
                ));
            }
            _ => return Err(unknown_parameter(&name)),
        }
    }
    state
        .links
        .delete(&code, if_match(&request)?, purge, &caller)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The decoded parameters of a URL; of one that is there twice, one would be ignored in silence.
pub(super) fn query(request: &HttpRequest) -> Result<Vec<(String, String)>, ApiError> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (name, value) in url::form_urlencoded::parse(request.query_string().as_bytes()) {
        if all.iter().any(|(known, _)| *known == name) {
            let problem = "is there twice; name it once";
            return Err(parameter(&shown(&name), "repeated_parameter", problem));
        }
        all.push((name.into_owned(), value.into_owned()));
    }
    Ok(all)
}

/// A name that was sent, as it can be told.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// A misspelt parameter must not be silence.
pub(super) fn unknown_parameter(name: &str) -> ApiError {
    parameter(
        &shown(name),
        "unknown_parameter",
        "is no parameter here; is it misspelt?",
    )
}

/// The code of a path; what is none has no link.
pub(super) fn code(text: &str) -> Result<ShortCode, ApiError> {
    text.parse().map_err(|_error| ApiError::NotFound)
}

fn refuse_idempotency_key(request: &HttpRequest) -> Result<(), ApiError> {
    if request.headers().contains_key("idempotency-key") {
        return Err(ApiError::Invalid(vec![FieldError {
            pointer: "header:Idempotency-Key".to_owned(),
            code: "not_implemented",
            detail: "Idempotency-Key is not implemented yet; leave it out".to_owned(),
        }]));
    }
    Ok(())
}

/// The version of `If-Match`: `"5"`, or the `ETag` of an answer, `W/"5-…"`. `*` is any.
fn if_match(request: &HttpRequest) -> Result<Option<i64>, ApiError> {
    let Some(value) = request.headers().get(header::IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or("").trim();
    if text == "*" {
        return Ok(None);
    }
    let tag = text.strip_prefix("W/").unwrap_or(text);
    let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    let version = inner.and_then(|inner| inner.split('-').next()?.parse().ok());
    // What is no version of ours matches none.
    version
        .map(Some)
        .ok_or(ApiError::Link(LinkError::VersionMismatch))
}

pub(super) fn matches_etag(request: &HttpRequest, etag: &str) -> bool {
    let value = request.headers().get(header::IF_NONE_MATCH);
    value
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| {
            tags.split(',')
                .any(|tag| tag.trim() == etag || tag.trim() == "*")
        })
}

fn etag(link: &Link, as_of: Timestamp) -> String {
    format!("W/\"{}-{}\"", link.route.version, as_of.micros())
}

fn short_url(base: &str, link: &Link) -> String {
    format!("{base}/{}", link.code)
}

/// The verdict in force with what led to it; null before the first one.
fn risk_json(link: &Link) -> Option<Value> {
    let labelled = link.labelled.as_ref();
    if labelled.is_none() && link.risk_override.is_none() {
        return None;
    }
    let risk = labelled.map(|labelled| &labelled.label.risk);
    let verdict = link.risk_override.or(risk.map(|risk| risk.verdict));
    Some(json!({
        "score": risk.map(|risk| rounded(risk.score)), "verdict": verdict,
        "reasons": risk.map_or(&[] as &[String], |risk| &risk.reasons),
        "model": labelled.map(|labelled| &labelled.model),
        "scored_at": labelled.map(|labelled| labelled.at),
        "override": link.risk_override,
    }))
}

/// A share with three digits: more would pretend to know more.
pub(super) fn rounded(share: f32) -> f64 {
    (f64::from(share) * 1_000.0).round() / 1_000.0
}

/// The link object of the contract. What is not implemented yet has its neutral value.
fn link_json(link: &Link, base: &str, now: Timestamp, as_of: Timestamp) -> Value {
    let route = &link.route;
    json!({
        "code": link.code.as_str(), "short_url": short_url(base, link), "long_url": route.target,
        "title": link.title, "notes": link.notes, "tags": link.tags,
        "status": link.status_word(now), "block_reason": route.hold.block_reason(),
        "redirect_status": route.status.code(),
        "valid_from": route.valid_from().map(Timestamp::from_micros),
        "expires_at": route.expires_at().map(Timestamp::from_micros),
        "max_visits": null, "expired_url": route.expired_url(), "has_password": false,
        "query_forward": route.query_forward, "hide_referrer": route.hide_referrer,
        "indexable": route.indexable, "category": link.labelled.as_ref().map(|labelled| labelled.label.category),
        "risk": risk_json(link),
        "clicks": {
            "total": link.clicks.total(), "human": link.clicks.human, "bot": link.clicks.bot,
            "preview": link.clicks.preview, "as_of": as_of,
        },
        "created_at": link.created_at, "updated_at": link.updated_at, "version": route.version,
    })
}
