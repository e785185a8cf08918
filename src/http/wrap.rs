//! What surrounds every request that the front did not answer: host check, request id, errors as
//! answers, security headers, counting.

use std::sync::Arc;
use std::time::Instant;

use actix_web::HttpMessage as _;
use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::dev::ServiceRequest;
use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::http::header::HeaderName;
use actix_web::http::header::HeaderValue;
use uuid::Uuid;

use crate::http::client::is_host;
use crate::http::error::ApiError;
use crate::http::state::AppState;
use crate::telemetry;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// Other hosts learn nothing; the form's own origin is told, so that strangers' forms are known.
const PAGE_REFERRER: HeaderValue = HeaderValue::from_static("same-origin");

/// What is noted of a request before it is answered.
#[derive(Debug)]
pub(super) struct Begun {
    at: Instant,
    id: String,
    method: &'static str,
    route: &'static str,
    _in_flight: InFlight,
}

impl Begun {
    /// Notes a request that came at this moment.
    pub(super) fn at(at: Instant, request: &ServiceRequest) -> Self {
        Self {
            at,
            id: request_id(request),
            method: method_label(request.method()),
            route: route_label(request.path()),
            _in_flight: InFlight::new(),
        }
    }
}

/// Counted while it lives, also where a visitor hangs up.
#[derive(Debug)]
pub(super) struct InFlight;

impl InFlight {
    pub(super) fn new() -> Self {
        telemetry::http_in_flight(1);
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        telemetry::http_in_flight(-1);
    }
}

/// The id of a request: the caller's, if it is a plain one, or a new one.
fn request_id(request: &ServiceRequest) -> String {
    let sent = request
        .headers()
        .get(X_REQUEST_ID)
        .and_then(|id| id.to_str().ok());
    let plain = |id: &&str| {
        (1..=64).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    sent.filter(plain)
        .map_or_else(|| Uuid::now_v7().simple().to_string(), str::to_owned)
}

/// The id that [`begin`] gave a request.
pub(super) fn id_of(request: &HttpRequest) -> String {
    request
        .extensions()
        .get::<String>()
        .cloned()
        .unwrap_or_default()
}

/// Notes the request for those who answer it, or refuses it: a host that is not ours.
pub(super) fn begin(state: &AppState, request: &ServiceRequest) -> Result<Begun, ApiError> {
    admit(state, request)?;
    let begun = Begun::at(Instant::now(), request);
    request.extensions_mut().insert(begun.id.clone());
    Ok(begun)
}

/// Whether the request is for a host that we are.
pub(super) fn admit(state: &AppState, request: &ServiceRequest) -> Result<(), ApiError> {
    let probe = matches!(request.path(), "/livez" | "/readyz" | "/metrics");
    if let Some(own) = state.settings.public_host.as_ref().filter(|_| !probe) {
        let host = request
            .headers()
            .get(header::HOST)
            .map(HeaderValue::as_bytes);
        if !host.is_some_and(|host| host.eq_ignore_ascii_case(own.as_bytes())) {
            return Err(ApiError::Misdirected);
        }
    } else if !probe {
        // It becomes part of short URLs and QR codes. HTTP/1.0 may leave it out.
        let host = request.headers().get(header::HOST);
        if host.is_some_and(|host| !host.to_str().is_ok_and(is_host)) {
            return Err(ApiError::BadHost);
        }
    }
    Ok(())
}

/// The answer to a request that got no further than `error`.
pub(super) fn refuse(
    state: &Arc<AppState>,
    begun: Begun,
    request: ServiceRequest,
    error: &ApiError,
) -> ServiceResponse {
    let html = wants_page(request.request());
    let response = error.respond(state, &begun.id, request.path(), html);
    finish(state, begun, request.into_response(response))
}

/// Completes an answer on its way out.
pub(super) fn finish(
    state: &Arc<AppState>,
    begun: Begun,
    mut answer: ServiceResponse,
) -> ServiceResponse {
    let error = answer
        .response()
        .error()
        .map(|error| match error.as_error::<ApiError>() {
            Some(error) => respond(state, &begun, answer.request(), error),
            // The framework's own refusals: bad paths and the like.
            None => foreign(state, &begun, answer.request(), answer.status()),
        });
    if let Some(response) = error {
        answer = answer.into_response(response);
    }
    let is_page = answer
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let redirected = answer.headers().contains_key(header::LOCATION);
    let headers = answer.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&begun.id) {
        headers.insert(X_REQUEST_ID, id);
    }
    if !redirected {
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    }
    if is_page {
        for (name, value) in [
            (header::CONTENT_SECURITY_POLICY, CSP),
            (header::REFERRER_POLICY, PAGE_REFERRER),
        ] {
            // What an answer says for itself stays.
            if !headers.contains_key(&name) {
                headers.insert(name, value);
            }
        }
    }
    last_of_connection(state, answer.response_mut());
    let status = answer.status().as_u16();
    telemetry::http_request(begun.route, begun.method, status, begun.at.elapsed());
    answer
}

/// Tells the client to come again by another connection, where this process is about to stop.
pub(super) fn last_of_connection(state: &AppState, response: &mut HttpResponse) {
    if state.health.is_draining() {
        let head = response.head_mut();
        head.set_connection_type(actix_web::http::ConnectionType::Close);
    }
}

fn respond(
    state: &AppState,
    begun: &Begun,
    request: &HttpRequest,
    error: &ApiError,
) -> HttpResponse {
    error.respond(state, &begun.id, request.path(), wants_page(request))
}

fn foreign(
    state: &AppState,
    begun: &Begun,
    request: &HttpRequest,
    status: StatusCode,
) -> HttpResponse {
    let error = match status {
        StatusCode::NOT_FOUND => ApiError::NotFound,
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge(super::body::ORDINARY),
        StatusCode::METHOD_NOT_ALLOWED => ApiError::Method("another method"),
        _ if status.is_client_error() => {
            ApiError::Malformed("the request cannot be read".to_owned())
        }
        _ => ApiError::Internal(format!("an answer with status {status}")),
    };
    respond(state, begun, request, &error)
}

/// Whether an error is shown as a page: a browser asks, and not the API.
fn wants_page(request: &HttpRequest) -> bool {
    !request.path().starts_with("/api/v1") && accepts(request, "text/html")
}

/// Whether `Accept` names this type itself (a mere `*/*` does not count) and prefers it to JSON, or
/// as much.
pub(super) fn accepts(request: &HttpRequest, kind: &str) -> bool {
    let wished = weight(request, &[kind]);
    wished > 0.0 && wished >= weight(request, &["application/json", "application/problem+json"])
}

/// The highest weight that `Accept` gives to one of these types by name; 0 where it names none.
fn weight(request: &HttpRequest, kinds: &[&str]) -> f32 {
    let lists = request.headers().get_all(header::ACCEPT);
    lists
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            let name = parts.next()?;
            let named = kinds.iter().any(|kind| name.eq_ignore_ascii_case(kind));
            let weight = parts.find_map(|part| {
                let value = part.strip_prefix("q=").or(part.strip_prefix("Q="))?;
                Some(value.trim().parse().unwrap_or(0.0))
            });
            named.then(|| weight.unwrap_or(1.0))
        })
        .fold(0.0, f32::max)
}

fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// The template of a path: a bounded set, whatever is asked for.
fn route_label(path: &str) -> &'static str {
    if let Some(rest) = path.strip_prefix("/api/v1/links") {
        return match rest {
            "" => "/api/v1/links",
            "/bulk" => "/api/v1/links/bulk",
            _ if rest.ends_with("/stats") => "/api/v1/links/{code}/stats",
            _ if rest.contains("/stats/") => "/api/v1/links/{code}/stats/{dimension}",
            _ => "/api/v1/links/{code}",
        };
    }
    match path {
        "/" => "/",
        "/livez" => "/livez",
        "/readyz" => "/readyz",
        "/metrics" => "/metrics",
        "/api/v1/classify" => "/api/v1/classify",
        _ if path.starts_with("/api/") => "/api",
        _ if path.starts_with("/assets/") => "/assets/{name}",
        _ if path.starts_with("/links/") => "/links/{code}",
        _ if path.ends_with('+') => "/{code}+",
        _ if path.ends_with("/confirm") => "/{code}/confirm",
        _ if path.ends_with("/qr.svg") || path.ends_with("/qr.png") => "/{code}/qr",
        _ => "/{code}",
    }
}
