//! A page of links: filters, cursors, and which slots did not answer.

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web;
use serde_json::json;

use crate::domain::code::ShortCode;
use crate::domain::key::Scope;
use crate::domain::label::Category;
use crate::domain::time::Timestamp;
use crate::http::caller::caller_with;
use crate::http::client::Client;
use crate::http::error::ApiError;
use crate::http::error::parameter;
use crate::http::links::link_json;
use crate::http::links::query;
use crate::http::links::unknown_parameter;
use crate::http::state::AppState;
use crate::slots::Slot;
use crate::store::rows::ListFilter;
use crate::store::rows::ListStatus;

const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 200;

/// `GET /api/v1/links`
pub(in crate::http) async fn list(
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
    for (name, value) in query(request)? {
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
                    "quarantined" => ListStatus::Quarantined,
                    "blocked" => ListStatus::Blocked,
                    "deleted" => ListStatus::Deleted,
                    _ => {
                        let problem =
                            "must be active, disabled, expired, quarantined, blocked or deleted";
                        return Err(parameter("status", "invalid_choice", problem));
                    }
                });
            }
            "created_after" => filter.created_after = Some(time("created_after", &value)?),
            "created_before" => filter.created_before = Some(time("created_before", &value)?),
            "category" => match value.parse() {
                Ok(category) => filter.category = Some(category),
                Err(_) => {
                    let words = Category::ALL.map(Category::word).join(", ");
                    let problem = format!("must be one of {words}");
                    return Err(parameter("category", "invalid_choice", &problem));
                }
            },
            "q" => {
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
    Timestamp::parse_parameter(value)
        .map_err(|error| parameter(name, "invalid_time", &error.to_string()))
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
