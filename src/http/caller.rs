//! Who calls the API, what that key may do, and how often somebody without one may create.

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header;

use crate::domain::key::Scope;
use crate::http::client::Client;
use crate::http::error::ApiError;
use crate::http::state::AppState;
use crate::service::keys::Caller;
use crate::service::keys::KeyError;
use crate::service::limits::Allowance;
use crate::service::link_input::FieldError;
use crate::telemetry;

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
        .map_err(|error| match error {
            KeyError::NotAuthenticated => {
                ApiError::Unauthenticated("The API key is unknown, revoked or expired.")
            }
            KeyError::NotRead => ApiError::Unavailable(
                "No database has answered since the start, so no API key can be checked.",
            ),
        })
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
    if let Some(most) = state.creations.most().filter(|most| cost > *most) {
        return Err(never_allowed(items, most)); // waiting would not help
    }
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

/// More links in one request than a client without a key may make in a minute.
fn never_allowed(items: usize, most: u32) -> ApiError {
    ApiError::Invalid(vec![FieldError {
        pointer: "/items".to_owned(),
        code: "too_many",
        detail: format!(
            "items holds {items} links, but {most} a minute may be made without a key \
             (limits.anonymous_creates_per_minute): send at most {most} at once, or an API key"
        ),
    }])
}

/// What the client may still do, as headers.
pub(super) fn allowance_headers(response: &mut HttpResponse, allowance: Option<Allowance>) {
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
