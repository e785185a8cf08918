//! The REST API of links.

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
use crate::http::client::Client;
use crate::http::error::ApiError;
use crate::http::error::parameter;
use crate::http::state::AppState;
use crate::http::wrap;
use crate::service::keys::Caller;
use crate::service::limits::Allowance;
use crate::service::link_input::FieldError;
use crate::service::links::LinkError;
use crate::slots::Slot;
use crate::store::rows::ListFilter;
use crate::store::rows::ListStatus;
use crate::telemetry;

const MAX_ITEMS: usize = 1_000;
const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 200;

/// Who calls; a key that is presented must be good.
pub(super) fn caller(state: &AppState, request: &HttpRequest) -> Result<Caller, ApiError> {
    let headers = request.headers();
    let bearer = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str().unwrap_or(""));
    let text = match bearer {
        Some(value) => match value.split_once(' ') {
            Some((scheme, text)) if scheme.eq_ignore_ascii_case("bearer") => text.trim(),
            _ => {
                return Err(ApiError::Unauthenticated(
                    "The Authorization header is no bearer key.",
                ));
            }
        },
        None => match headers.get("x-api-key") {
            Some(value) => value.to_str().unwrap_or(""),
            None => return Ok(Caller::Anonymous),
        },
    };
    state
        .keys
        .authenticate(text, state.redirector.now())
        .map_err(|_error| ApiError::Unauthenticated("The API key is unknown, revoked or expired."))
}

/// The caller, who must have `scope`.
pub(super) fn caller_with(
    state: &AppState,
    request: &HttpRequest,
    scope: Scope,
) -> Result<Caller, ApiError> {
    let caller = caller(state, request)?;
    if caller == Caller::Anonymous {
        return Err(ApiError::Unauthenticated("This needs an API key."));
    }
    if !caller.may(scope) {
        return Err(ApiError::Forbidden(format!(
            "This key lacks the scope {}.",
            scope.word()
        )));
    }
    Ok(caller)
}

/// The caller of a creation, charged for `items` links.
pub(super) fn creator(
    state: &AppState,
    request: &HttpRequest,
    items: usize,
) -> Result<(Caller, Option<Allowance>), ApiError> {
    let caller = caller(state, request)?;
    if caller != Caller::Anonymous {
        if !caller.may(Scope::LinksWrite) {
            let why = format!("This key lacks the scope {}.", Scope::LinksWrite.word());
            return Err(ApiError::Forbidden(why));
        }
        return Ok((caller, None));
    }
    if !state.settings.anonymous_create {
        return Err(ApiError::Unauthenticated(
            "Creating links needs an API key here.",
        ));
    }
    let peer = request.peer_addr().map(|peer| peer.ip());
    let address = Client::of(state, peer, request.headers()).address;
    if address.is_loopback() {
        return Ok((caller, None));
    }
    let cost = u32::try_from(items).unwrap_or(u32::MAX);
    match state
        .creations
        .charge(address, cost, state.redirector.now())
    {
        Ok(allowance) => Ok((caller, allowance)),
        Err(limited) => {
            telemetry::rate_limited("create");
            Err(ApiError::RateLimited(limited, "links made without a key"))
        }
    }
}

fn allowance_headers(response: &mut HttpResponse, allowance: Option<Allowance>) {
    let Some(allowance) = allowance else { return };
    let headers = response.headers_mut();
    headers.insert(
        header::HeaderName::from_static("ratelimit-limit"),
        allowance.limit.into(),
    );
    headers.insert(
        header::HeaderName::from_static("ratelimit-remaining"),
        allowance.remaining.into(),
    );
    headers.insert(
        header::HeaderName::from_static("ratelimit-reset"),
        allowance.reset_seconds.into(),
    );
}

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

/// `POST /api/v1/links/bulk`
pub(super) async fn create_many(
    state: web::Data<AppState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    refuse_idempotency_key(&request)?;
    let body = body::json(&request, payload, body::BULK).await?;
    let items = bulk_items(&body)?;
    let (caller, allowance) = creator(&state, &request, items.len())?;
    let peer = request.peer_addr().map(|peer| peer.ip());
    let client = Client::of(&state, peer, request.headers());
    let base = client.base(&state);
    let results = state.links.create_many(items, client.host(), &caller).await;
    let now = state.redirector.now();
    let (mut made, mut reused, mut failed) = (0, 0, 0);
    let results: Vec<Value> = results
        .into_iter()
        .enumerate()
        .map(|(index, result)| match result {
            Ok(created) => {
                if created.reused {
                    reused += 1
                } else {
                    made += 1
                }
                let link = link_json(&created.link, &base, now, now);
                json!({"index": index, "ok": true, "link": link})
            }
            Err(error) => {
                failed += 1;
                json!({"index": index, "ok": false, "error": item_error(error)})
            }
        })
        .collect();
    let summary =
        json!({"total": results.len(), "created": made, "reused": reused, "failed": failed});
    let mut response = HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({"summary": summary, "results": results}));
    allowance_headers(&mut response, allowance);
    Ok(response)
}

fn bulk_items(body: &Value) -> Result<&[Value], ApiError> {
    let error = |pointer: &str, code, detail: &str| {
        ApiError::Invalid(vec![FieldError {
            pointer: pointer.to_owned(),
            code,
            detail: detail.to_owned(),
        }])
    };
    let Value::Object(map) = body else {
        return Err(error(
            "",
            "wrong_type",
            "the body must be an object {\"items\": [...]}",
        ));
    };
    if let Some(name) = map.keys().find(|name| *name != "items") {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        return Err(error(
            &format!("/{shown}"),
            "unknown_field",
            "only items is known here",
        ));
    }
    match map.get("items") {
        Some(Value::Array(items)) if items.is_empty() => Err(error(
            "/items",
            "required",
            "items must hold at least one link",
        )),
        Some(Value::Array(items)) if items.len() > MAX_ITEMS => {
            Err(ApiError::TooManyItems(MAX_ITEMS))
        }
        Some(Value::Array(items)) => Ok(items),
        _ => Err(error("/items", "required", "items must be a list of links")),
    }
}

/// An item's failure with the codes of a single request.
fn item_error(error: LinkError) -> Value {
    let error = ApiError::from(error);
    let status = actix_web::ResponseError::status_code(&error).as_u16();
    let code = match &error {
        ApiError::Link(LinkError::Invalid(_)) => "validation_failed",
        ApiError::Link(LinkError::Taken) => "code_taken",
        ApiError::Link(LinkError::Unavailable(_)) => "shard_unavailable",
        _ => "internal",
    };
    let errors = match &error {
        ApiError::Link(LinkError::Invalid(errors)) => json!(errors),
        _ => json!([]),
    };
    json!({"status": status, "code": code, "detail": error.to_string(), "errors": errors})
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
    let as_of = state
        .stats
        .as_of(Slot::of(code.as_str()))
        .await
        .unwrap_or(link.created_at);
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
    let as_of = state
        .stats
        .as_of(Slot::of(code.as_str()))
        .await
        .unwrap_or(link.created_at);
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
    for (name, value) in query(&request) {
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

/// `GET /api/v1/links`
pub(super) async fn list(
    state: web::Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let caller = caller_with(&state, &request, Scope::LinksRead)?;
    let (filter, limit) = list_filter(&request)?;
    // One more than asked for says whether there is a next page.
    let (mut links, missing) = state.links.list(filter, limit + 1, &caller).await;
    let more = links.len() > limit;
    links.truncate(limit);
    let next = links
        .last()
        .filter(|_| more)
        .map(|link| hex(&format!("{}.{}", link.created_at.micros(), link.code)));
    let peer = request.peer_addr().map(|peer| peer.ip());
    let base = Client::of(&state, peer, request.headers()).base(&state);
    let now = state.redirector.now();
    let mut data = Vec::with_capacity(links.len());
    for link in &links {
        let as_of = state
            .stats
            .as_of(Slot::of(link.code.as_str()))
            .await
            .unwrap_or(link.created_at);
        data.push(link_json(link, &base, now, as_of));
    }
    let mut answer = json!({"data": data, "next_cursor": next});
    if !missing.is_empty()
        && let Some(map) = answer.as_object_mut()
    {
        let slots: Vec<u8> = missing.into_iter().map(Slot::number).collect();
        map.insert("partial".to_owned(), json!(true));
        map.insert("missing_slots".to_owned(), json!(slots));
    }
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(answer))
}

fn list_filter(request: &HttpRequest) -> Result<(ListFilter, usize), ApiError> {
    let mut filter = ListFilter::default();
    let mut limit = DEFAULT_PAGE;
    for (name, value) in query(request) {
        match name.as_str() {
            "limit" => match value.parse() {
                Ok(number @ 1..=MAX_PAGE) => limit = number,
                _ => {
                    return Err(parameter(
                        "limit",
                        "out_of_range",
                        "must be a number from 1 to 200",
                    ));
                }
            },
            "cursor" => filter.before = Some(cursor(&value)?),
            "tag" if crate::service::link_input::has_control(&value) => {
                return Err(parameter(
                    "tag",
                    "control_characters",
                    "contains control characters",
                ));
            }
            "tag" => filter.tag = Some(value),
            "status" => {
                filter.status = Some(match value.as_str() {
                    "active" => ListStatus::Active,
                    "disabled" => ListStatus::Disabled,
                    "expired" => ListStatus::Expired,
                    "deleted" => ListStatus::Deleted,
                    _ => {
                        let problem = "must be active, disabled, expired or deleted";
                        return Err(parameter("status", "invalid_choice", problem));
                    }
                });
            }
            "created_after" => filter.created_after = Some(time("created_after", &value)?),
            "created_before" => filter.created_before = Some(time("created_before", &value)?),
            "q" | "category" => {
                return Err(parameter(
                    &name,
                    "not_implemented",
                    "is not implemented yet; leave it out",
                ));
            }
            _ => return Err(unknown_parameter(&name)),
        }
    }
    Ok((filter, limit))
}

fn time(name: &str, value: &str) -> Result<Timestamp, ApiError> {
    Timestamp::parse(value).map_err(|error| parameter(name, "invalid_time", &error.to_string()))
}

fn cursor(text: &str) -> Result<(i64, String), ApiError> {
    let decoded = unhex(text).filter(|text| text.is_ascii());
    let parts = decoded.as_deref().and_then(|text| text.split_once('.'));
    let read = parts.and_then(|(at, code)| {
        Some((
            at.parse::<i64>().ok()?,
            code.parse::<ShortCode>().ok()?.to_string(),
        ))
    });
    read.ok_or_else(|| {
        parameter(
            "cursor",
            "invalid_cursor",
            "is none of this list's; leave it out to begin anew",
        )
    })
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<String> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect();
    String::from_utf8(bytes?).ok()
}

/// The decoded parameters of a URL.
pub(super) fn query(request: &HttpRequest) -> Vec<(String, String)> {
    url::form_urlencoded::parse(request.query_string().as_bytes())
        .into_owned()
        .collect()
}

/// A misspelt parameter must not be silence.
pub(super) fn unknown_parameter(name: &str) -> ApiError {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    parameter(
        &shown,
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

/// The version of `If-Match`: `"5"`, or the ETag of an answer, `W/"5-…"`. `*` is any.
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

/// The link object of the contract. What is not implemented yet has its neutral value.
fn link_json(link: &Link, base: &str, now: Timestamp, as_of: Timestamp) -> Value {
    let route = &link.route;
    json!({
        "code": link.code.as_str(), "short_url": short_url(base, link), "long_url": route.target,
        "title": link.title, "notes": link.notes, "tags": link.tags,
        "status": link.status_word(now), "block_reason": null,
        "redirect_status": route.status.code(),
        "valid_from": route.valid_from.map(Timestamp::from_micros),
        "expires_at": route.expires_at.map(Timestamp::from_micros),
        "max_visits": null, "expired_url": route.expired_url, "has_password": false,
        "query_forward": route.query_forward, "hide_referrer": route.hide_referrer,
        "indexable": route.indexable, "category": null, "risk": null,
        "clicks": {
            "total": link.clicks.total(), "human": link.clicks.human, "bot": link.clicks.bot,
            "preview": link.clicks.preview, "as_of": as_of,
        },
        "created_at": link.created_at, "updated_at": link.updated_at, "version": route.version,
    })
}
