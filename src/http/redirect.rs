//! Following a code where the near cache did not answer, and what stands beside a code.

use std::sync::Arc;
use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::http::header::HeaderValue;
use actix_web::web;

use crate::cache::near::NearEntry;
use crate::domain::click::Trigger;
use crate::domain::code::ShortCode;
use crate::domain::label::Hold;
use crate::domain::query;
use crate::domain::route::Decision;
use crate::domain::time::Timestamp;
use crate::http::client::Client;
use crate::http::confirm;
use crate::http::error::ApiError;
use crate::http::front;
use crate::http::preview;
use crate::http::qr;
use crate::http::render::Confirm;
use crate::http::state::AppState;
use crate::http::visit;
use crate::http::visit::Asked;
use crate::service::redirect::Resolved;
use crate::service::redirect::Unavailable;
use crate::slots::Slot;
use crate::telemetry;
use crate::telemetry::Tier;

const METHODS: &str = "GET, HEAD";
const GONE_DELETED: &str = "This link was deleted.";
const GONE_EXPIRED: &str = "This link has expired.";
const AWAY: &str = "The database behind this link does not answer; try again soon.";

/// The lane and stripe of the worker that serves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Worker(pub(super) usize);

/// Everything that is no other path of ours: a code, its preview or its QR code, or nothing.
pub(super) async fn follow(
    state: web::Data<AppState>,
    worker: web::Data<Worker>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let Some(path) = Path::of(request.path()) else {
        return Err(ApiError::NotFound);
    };
    if let Path::Confirm(code) = &path {
        if request.method() != Method::POST {
            return Err(ApiError::Method("POST"));
        }
        return confirm::answer(&state.into_inner(), worker.0, &request, code).await;
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return Err(ApiError::Method(METHODS));
    }
    match path {
        Path::Code(code) => follow_code(&state.into_inner(), worker.0, &request, &code).await,
        Path::Preview(code) => preview::preview(&state, &request, &code).await,
        Path::Qr(code, format) => qr::answer(&state, &request, &code, format).await,
        Path::Confirm(_) => Err(ApiError::Method("POST")),
    }
}

/// What a path names.
enum Path {
    Code(ShortCode),
    Preview(ShortCode),
    Qr(ShortCode, qr::Format),
    Confirm(ShortCode),
}

impl Path {
    fn of(path: &str) -> Option<Self> {
        let path = percent_decoded(path.strip_prefix('/')?)?;
        if let Some((code, file)) = path.split_once("/qr.") {
            let format = qr::Format::of(file)?;
            return Some(Self::Qr(followable(code)?, format));
        }
        if let Some(code) = path.strip_suffix("/confirm") {
            return Some(Self::Confirm(followable(code)?));
        }
        if let Some(code) = path.strip_suffix('+') {
            return Some(Self::Preview(followable(code)?));
        }
        Some(Self::Code(followable(
            path.strip_suffix('/').unwrap_or(&path),
        )?))
    }
}

/// A code that somebody may own: no look-up for anything else.
pub(super) fn followable(text: &str) -> Option<ShortCode> {
    text.parse::<ShortCode>()
        .ok()
        .filter(|code| !code.is_reserved())
}

/// Decoded once; a path with control bytes or broken encoding is no path of ours.
fn percent_decoded(path: &str) -> Option<std::borrow::Cow<'_, str>> {
    if !path.contains('%') {
        return Some(path.into());
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then_some(text.into())
}

/// The answer to whoever follows a code.
pub(super) async fn follow_code(
    state: &Arc<AppState>,
    worker: usize,
    request: &HttpRequest,
    code: &ShortCode,
) -> Result<HttpResponse, ApiError> {
    let begun = Instant::now();
    let (tier, answer) = decide(state, worker, request, code, begun).await;
    let status = match &answer {
        Ok(response) => response.status(),
        Err(error) => actix_web::ResponseError::status_code(error),
    };
    let slot = Slot::of(code.as_str());
    state
        .stripes
        .of(worker)
        .record(tier, slot.number(), status.as_u16(), begun.elapsed());
    answer
}

async fn decide(
    state: &Arc<AppState>,
    worker: usize,
    request: &HttpRequest,
    code: &ShortCode,
    begun: Instant,
) -> (Tier, Result<HttpResponse, ApiError>) {
    let now = state.redirector.at(begun);
    if state.settings.wait_for_spool && state.spool.is_full() {
        return (
            Tier::None,
            Err(ApiError::Unavailable(
                "Too busy to count this visit; try again soon.",
            )),
        );
    }
    let (entry, tier) = match resolve(state, request, code).await {
        Ok(found) => found,
        Err(error) => return (Tier::None, Err(error)),
    };
    let answer = match entry.route().decide(state.redirector.now()) {
        Decision::Follow => count_and_redirect(state, worker, request, &entry, now).await,
        Decision::NotFound => Err(missed(state, request, now)),
        Decision::Gone => Err(gone(&entry)),
        Decision::Instead(url) => HeaderValue::from_str(url)
            .map(|location| instead(&entry, location))
            .map_err(|_error| gone(&entry)),
        Decision::Confirm | Decision::Malicious | Decision::Legal => {
            Err(held(&entry, request.query_string()))
        }
    };
    (tier, answer)
}

pub(super) async fn count_and_redirect(
    state: &Arc<AppState>,
    worker: usize,
    request: &HttpRequest,
    entry: &NearEntry,
    at: Timestamp,
) -> Result<HttpResponse, ApiError> {
    let query_string = request.query_string();
    let trigger = if query::from_qr(query_string) {
        Trigger::Qr
    } else {
        Trigger::Link
    };
    let asked = Asked {
        at,
        head: request.method() == Method::HEAD,
        trigger,
    };
    let peer = request.peer_addr().map(|peer| peer.ip());
    let click = (Slot::of(entry.code()), entry.code());
    let recorded = visit::record(state, worker, click, (peer, request.headers()), asked);
    if state.settings.wait_for_spool {
        let durable = match recorded {
            Ok(ticket) => state.spool.committed(ticket).await,
            Err(_) => false,
        };
        if !durable {
            return Err(ApiError::Unavailable(
                "This visit could not be counted; try again soon.",
            ));
        }
    }
    let forwarded = query::forward(entry.target(), query_string, entry.route().query_forward);
    let location = match forwarded {
        None => entry.location(),
        // A visitor's bytes that cannot stand in a header are not sent on.
        Some(url) => HeaderValue::try_from(url).unwrap_or_else(|_| entry.location()),
    };
    Ok(front::redirect(entry, location, || {
        front::permanent_cache_control(state)
    }))
}

/// The entry behind a code, tombstones included.
pub(super) async fn resolve(
    state: &Arc<AppState>,
    request: &HttpRequest,
    code: &ShortCode,
) -> Result<(Arc<NearEntry>, Tier), ApiError> {
    match state.redirector.resolve(code).await {
        Ok(Resolved::Entry(entry, tier)) => Ok((entry, tier)),
        Ok(Resolved::Unknown) => Err(missed(state, request, state.redirector.now())),
        Err(Unavailable) => Err(ApiError::Unavailable(AWAY)),
    }
}

/// 404, or 429 for a client that found nothing too often: the brake on guessing.
pub(super) fn missed(state: &AppState, request: &HttpRequest, now: Timestamp) -> ApiError {
    let peer = request.peer_addr().map(|peer| peer.ip());
    let client = Client::of(state, peer, request.headers());
    match state.misses.charge(client.address, 1, now) {
        Ok(_) => ApiError::NotFound,
        Err(limited) => {
            telemetry::rate_limited("miss");
            ApiError::RateLimited(limited, "addresses that do not exist")
        }
    }
}

/// The refusal of a tombstone or of a link whose time is over.
pub(super) fn gone(entry: &NearEntry) -> ApiError {
    use crate::domain::route::LinkState;
    match entry.route().state {
        LinkState::Deleted | LinkState::Purged => ApiError::Gone(GONE_DELETED),
        LinkState::Active | LinkState::Disabled => ApiError::Gone(GONE_EXPIRED),
    }
}

/// The refusal of a link that a verdict or the law keeps from being followed; whoever goes on all
/// the same takes `query_string` along.
pub(super) fn held(entry: &NearEntry, query_string: &str) -> ApiError {
    match entry.route().hold {
        Hold::None | Hold::Quarantined => {
            let mode = entry.route().query_forward;
            let long_url = query::forward(entry.target(), query_string, mode);
            let long_url = long_url.unwrap_or_else(|| entry.target().to_owned());
            let host = url::Url::parse(&long_url).ok();
            let host = host.and_then(|url| url.host_str().map(str::to_owned));
            ApiError::Quarantined(Box::new(Confirm {
                code: entry.code().to_owned(),
                query: query_string.to_owned(),
                host: host.unwrap_or_default(),
                long_url,
            }))
        }
        Hold::Malicious => ApiError::Malicious,
        Hold::Legal => ApiError::Legal,
    }
}

/// 302 to where an expired link sends its visitors.
fn instead(entry: &NearEntry, location: HeaderValue) -> HttpResponse {
    let mut response = HttpResponse::new(StatusCode::FOUND);
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, front::NO_STORE);
    if entry.route().hide_referrer {
        headers.insert(header::REFERRER_POLICY, front::NO_REFERRER);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        let got = match Path::of(path) {
            None => "nothing".to_owned(),
            Some(Path::Code(code)) => format!("code {code}"),
            Some(Path::Preview(code)) => format!("preview {code}"),
            Some(Path::Confirm(code)) => format!("confirm {code}"),
            Some(Path::Qr(code, format)) => format!("qr {code} {format:?}"),
        };
        assert_eq!(got, expected, "{path}");
    }

    #[test]
    fn a_path_names_a_code_or_what_stands_beside_it() {
        check("/abc", "code abc");
        check("/abc/", "code abc");
        check("/a%62c", "code abc");
        check("/abc+", "preview abc");
        check("/abc%2B", "preview abc");
        check("/abc/confirm", "confirm abc");
        check("/abc/qr.svg", "qr abc Svg");
        check("/abc/qr.png", "qr abc Png");
        for nothing in [
            "/",
            "/abc//",
            "/abc/def",
            "/abc/qr.gif",
            "/a%00b",
            "/a%zz",
            "/%",
            "/API",
            "/-a",
            "/ä",
            "/++",
        ] {
            check(nothing, "nothing");
        }
    }
}
