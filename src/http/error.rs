//! Failures as answers: one match to status and stable code, problem+json or a page.

use std::fmt;

use actix_web::HttpResponse;
use actix_web::ResponseError;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::http::header::HeaderMap;
use actix_web::http::header::HeaderName;
use actix_web::http::header::HeaderValue;
use serde_json::json;

use crate::http::front::NO_REFERRER;
use crate::http::render::Confirm;
use crate::http::render::ErrorPage;
use crate::http::state::AppState;
use crate::service::limits::Limited;
use crate::service::link_input::FieldError;
use crate::service::links::LinkError;
use crate::service::stats::StatsError;

/// The usual policy, but a form may lead to any site.
const CONFIRM_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self' data:; \
     form-action 'self' http: https:; base-uri 'none'; frame-ancestors 'none'",
);

/// Why a request is not answered as hoped.
#[derive(Debug)]
pub(super) enum ApiError {
    /// The body is no JSON.
    Malformed(String),
    /// A key is needed, or the one that came is not good.
    Unauthenticated(&'static str),
    /// The key may not do this.
    Forbidden(String),
    /// There is no such thing.
    NotFound,
    /// It was deleted, or has expired.
    Gone(&'static str),
    /// Fields or parameters that are wrong.
    Invalid(Vec<FieldError>),
    /// The body is too long.
    TooLarge(usize),
    /// A bulk request holds more items than this.
    TooManyItems(usize),
    /// The body has the wrong type.
    UnsupportedMedia,
    /// The body is no urlencoded form.
    NotAForm,
    /// The body did not come in time.
    BodyTimeout,
    /// Another method is needed.
    Method(&'static str),
    /// The host is not ours.
    Misdirected,
    /// The `Host` header is no host.
    BadHost,
    /// Too often.
    RateLimited(Limited, &'static str),
    /// Judged suspicious: a person may confirm.
    Quarantined(Box<Confirm>),
    /// Judged malicious.
    Malicious,
    /// Blocked for legal reasons.
    Legal,
    /// It took too long.
    TooSlow(&'static str),
    /// What is needed is away.
    Unavailable(&'static str),
    /// A use case of links failed.
    Link(LinkError),
    /// Statistics failed.
    Stats(StatsError),
    /// A bug or damage; the text is for the log alone.
    Internal(String),
}

impl ApiError {
    /// No `_` arm: a new failure must choose its status before it compiles.
    pub(super) fn parts(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed_json"),
            Self::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NotFound | Self::Link(LinkError::NotFound) => {
                (StatusCode::NOT_FOUND, "not_found")
            }
            Self::Gone(_) | Self::Link(LinkError::Gone) => (StatusCode::GONE, "gone"),
            Self::Invalid(_) | Self::Link(LinkError::Invalid(_)) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "validation_failed")
            }
            Self::TooLarge(_) | Self::TooManyItems(_) => {
                (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large")
            }
            Self::NotAForm => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media"),
            Self::UnsupportedMedia => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media"),
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "body_timeout"),
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::BadHost => (StatusCode::BAD_REQUEST, "malformed_host"),
            Self::Misdirected => (StatusCode::MISDIRECTED_REQUEST, "misdirected_request"),
            Self::RateLimited(..) => (StatusCode::TOO_MANY_REQUESTS, "rate_limited"),
            Self::Quarantined(_) => (StatusCode::FORBIDDEN, "quarantined"),
            Self::Malicious => (StatusCode::FORBIDDEN, "blocked"),
            Self::Legal => (StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS, "blocked"),
            Self::TooSlow(_) => (StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded"),
            Self::Link(LinkError::Blocked(_)) => (StatusCode::UNPROCESSABLE_ENTITY, "url_blocked"),
            Self::Link(LinkError::Forbidden(_)) => (StatusCode::FORBIDDEN, "forbidden"),
            Self::Link(LinkError::Taken) => (StatusCode::CONFLICT, "code_taken"),
            Self::Link(LinkError::VersionMismatch) => {
                (StatusCode::PRECONDITION_FAILED, "version_mismatch")
            }
            Self::Unavailable(_)
            | Self::Link(LinkError::Unavailable(_))
            | Self::Stats(StatsError::Store(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "shard_unavailable")
            }
            Self::Stats(StatsError::Range(_)) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "validation_failed")
            }
            Self::Link(LinkError::Damaged(_)) | Self::Internal(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
        }
    }

    /// For the caller: the problem and the remedy, nothing of the inside.
    fn detail(&self) -> String {
        match self {
            Self::Malformed(why) => format!("The body is no valid JSON: {why}."),
            Self::Unauthenticated(why) => format!("{why} Send Authorization: Bearer us_…"),
            Self::Forbidden(why) => why.clone(),
            Self::NotFound | Self::Link(LinkError::NotFound) => "There is nothing here.".to_owned(),
            Self::Gone(why) => (*why).to_owned(),
            Self::Link(LinkError::Gone) => "This link was deleted.".to_owned(),
            Self::Invalid(errors) | Self::Link(LinkError::Invalid(errors)) => {
                let first: Vec<&str> = errors
                    .iter()
                    .map(|error| error.detail.as_str())
                    .take(3)
                    .collect();
                let more = errors.len().saturating_sub(3);
                let rest = if more > 0 {
                    format!("; and {more} more")
                } else {
                    String::new()
                };
                let text = format!("{}{rest}", first.join("; "));
                if text.ends_with('?') {
                    text
                } else {
                    text + "."
                }
            }
            Self::TooLarge(limit) => format!("The body may have {limit} bytes at most."),
            Self::TooManyItems(limit) => format!("A request may hold {limit} items at most."),
            Self::UnsupportedMedia => {
                "The body must be JSON: send Content-Type: application/json.".to_owned()
            }
            Self::NotAForm => {
                "The form must be sent as application/x-www-form-urlencoded.".to_owned()
            }
            Self::BodyTimeout => "The body did not arrive within 5 seconds.".to_owned(),
            Self::Method(allowed) => format!("Only {allowed} is answered here."),
            Self::BadHost => "The Host header is no host name with an optional port.".to_owned(),
            Self::Misdirected => "This host is not served here.".to_owned(),
            Self::RateLimited(limited, what) => format!(
                "Too many {what}: {} a minute are allowed. Try again in {} s.",
                limited.limit, limited.retry_after
            ),
            Self::Quarantined(_) => "This link may be dangerous. A person can confirm that they \
                 want to go on."
                .to_owned(),
            Self::Malicious => "This link is blocked: it leads to something dangerous.".to_owned(),
            Self::Legal => "This link is blocked for legal reasons.".to_owned(),
            Self::TooSlow(why) | Self::Link(LinkError::Forbidden(why)) => (*why).to_owned(),
            Self::Link(LinkError::Blocked(reasons)) => {
                let reasons: Vec<&str> = reasons.iter().map(|one| one.detail.as_str()).collect();
                format!("No link is made to this address: {}.", reasons.join("; "))
            }
            Self::Link(LinkError::Taken) => "This code is taken; choose another one.".to_owned(),
            Self::Link(LinkError::VersionMismatch) => {
                "The link was changed meanwhile; read it again and repeat the change.".to_owned()
            }
            Self::Unavailable(why) => (*why).to_owned(),
            Self::Link(LinkError::Unavailable(_)) | Self::Stats(StatsError::Store(_)) => {
                "The database behind this link does not answer; try again soon.".to_owned()
            }
            Self::Stats(StatsError::Range(error)) => format!("The range {error}."),
            Self::Link(LinkError::Damaged(_)) | Self::Internal(_) => {
                "Something failed on our side; the request id helps to find it.".to_owned()
            }
        }
    }

    /// The complaints about single fields, if this is about fields.
    pub(super) fn errors(&self) -> &[FieldError] {
        if let Self::Invalid(errors)
        | Self::Link(LinkError::Invalid(errors) | LinkError::Blocked(errors)) = self
        {
            errors
        } else {
            &[]
        }
    }

    /// The complete answer: a page for browsers where `html`, else problem+json.
    pub(super) fn respond(
        &self,
        state: &AppState,
        id: &str,
        instance: &str,
        html: bool,
    ) -> HttpResponse {
        let (status, code) = self.parts();
        self.log(id);
        let mut response = HttpResponse::build(status);
        let title = status.canonical_reason().unwrap_or("Error");
        let page = html.then(|| {
            if let Self::Quarantined(confirm) = self {
                state.pages.confirm(confirm)
            } else {
                state.pages.error(&self.page(status))
            }
        });
        if let Some(Ok(page)) = page {
            let mut response = response.content_type("text/html; charset=utf-8").body(page);
            self.tell(id, response.headers_mut());
            return response;
        }
        let mut problem = json!({
            "type": format!("urn:urlshort:problem:{code}"), "title": title,
            "status": status.as_u16(), "detail": self.detail(), "instance": instance,
            "code": code, "request_id": id,
        });
        let errors = self.errors();
        if !errors.is_empty()
            && let Some(map) = problem.as_object_mut()
        {
            map.insert("errors".to_owned(), json!(errors));
        }
        if let (Self::Link(LinkError::Blocked(_)), Some(map)) = (self, problem.as_object_mut()) {
            let reasons: Vec<&str> = errors.iter().map(|one| one.detail.as_str()).collect();
            map.insert("reasons".to_owned(), json!(reasons));
        }
        let mut response = response.body(problem.to_string());
        let json = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        self.tell(id, response.headers_mut());
        response
    }

    /// What the headers of an answer say about this failure.
    pub(super) fn tell(&self, id: &str, headers: &mut HeaderMap) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Self::RateLimited(limited, _) = self {
            headers.insert(header::RETRY_AFTER, limited.retry_after.into());
            for (name, value) in [
                ("ratelimit-limit", u64::from(limited.limit)),
                ("ratelimit-remaining", u64::from(limited.remaining)),
                ("ratelimit-reset", limited.retry_after),
            ] {
                headers.insert(HeaderName::from_static(name), value.into());
            }
        } else if let Self::Method(allowed) = self {
            headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
        } else if let Self::Unauthenticated(_) = self {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        } else if matches!(self, Self::Quarantined(_) | Self::Malicious | Self::Legal) {
            headers.insert(header::REFERRER_POLICY, NO_REFERRER);
            if let Self::Quarantined(_) = self {
                // The answer to its form leads to another site, which browsers hold against it.
                headers.insert(header::CONTENT_SECURITY_POLICY, CONFIRM_POLICY);
            }
        } else if self.parts().0 == StatusCode::SERVICE_UNAVAILABLE {
            // Spread over 1 to 3 s, so that those who wait do not come back together.
            let seconds = 1 + id.bytes().map(u64::from).sum::<u64>() % 3;
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
    }

    fn page(&self, status: StatusCode) -> ErrorPage {
        let (title, message, hint) = match status.as_u16() {
            403 if matches!(self, Self::Malicious) => (
                "This link is blocked",
                "It leads to something dangerous, so nobody is sent there.",
                "If you made this link and think that this is wrong, ask whoever runs this service.",
            ),
            451 => (
                "This link is blocked",
                "It is not available for legal reasons.",
                "",
            ),
            404 => (
                "Nothing here",
                "This short link does not exist, or does not work any more.",
                "Check the address for a typing error.",
            ),
            410 => (
                "This link is gone",
                "It was deleted or has expired, and it will not come back.",
                "Ask the person who gave it to you for a new one.",
            ),
            421 => ("Wrong address", "This host is not served here.", ""),
            429 => (
                "Slow down",
                "Too many addresses that do not exist were asked for.",
                "Wait a moment and try again.",
            ),
            503 => (
                "Just a moment",
                "The database behind this link does not answer. The link is not lost.",
                "Try again in a few seconds.",
            ),
            _ => (status.canonical_reason().unwrap_or("Error"), "", ""),
        };
        let message = if message.is_empty() {
            self.detail()
        } else {
            message.to_owned()
        };
        ErrorPage {
            status: status.as_u16(),
            title: title.to_owned(),
            message,
            hint: hint.to_owned(),
        }
    }

    /// What went wrong inside, once, with the id that the caller has.
    fn log(&self, id: &str) {
        if let Self::Internal(why) = self {
            tracing::error!(request_id = id, why, "a request failed");
        } else if let Self::Link(LinkError::Damaged(error)) = self {
            let source = causes(error);
            tracing::error!(request_id = id, %error, source, "a request failed");
        } else if let Self::Link(LinkError::Unavailable(error))
        | Self::Stats(StatsError::Store(error)) = self
        {
            let source = causes(error);
            tracing::warn!(request_id = id, %error, source, "a shard did not answer");
        } else if let Self::Unavailable(why) = self {
            tracing::warn!(request_id = id, why, "a request cannot be answered for now");
        }
    }
}

/// What led to an error, outermost first: a driver's own word may be no more than "db error".
fn causes(error: &dyn std::error::Error) -> String {
    let mut told = Vec::new();
    let mut source = error.source();
    while let Some(inner) = source {
        told.push(inner.to_string());
        source = inner.source();
    }
    told.join(": ")
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail())
    }
}

/// The bare answer; the middleware replaces it with the complete one.
impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.parts().0
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

impl From<LinkError> for ApiError {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

impl From<StatsError> for ApiError {
    fn from(error: StatsError) -> Self {
        Self::Stats(error)
    }
}

/// A complaint about a parameter of the URL.
pub(super) fn parameter(name: &str, code: &'static str, detail: &str) -> ApiError {
    ApiError::Invalid(vec![FieldError {
        pointer: format!("?{name}"),
        code,
        detail: format!("{name} {detail}"),
    }])
}
