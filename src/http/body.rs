//! Request bodies: bounded in length and time.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web;
use futures_util::StreamExt as _;
use serde_json::Value;

use crate::http::error::ApiError;
use crate::http::unique_keys::UniqueKeys;

/// The length of an ordinary body, bytes.
pub(super) const ORDINARY: usize = 64 << 10;
/// The length of a bulk request, bytes.
pub(super) const BULK: usize = 4 << 20;
/// The server has no timer for bodies: a slow one would hold its connection for ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads a JSON body.
pub(super) async fn json(
    request: &HttpRequest,
    payload: web::Payload,
    limit: usize,
) -> Result<Value, ApiError> {
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .map(|value| value.to_str().unwrap_or("?"));
    if !kind.is_none_or(is_json) {
        return Err(ApiError::UnsupportedMedia);
    }
    let bytes = read(request, payload, limit).await?;
    serde_json::from_slice(&bytes)
        .map(|UniqueKeys(value)| value)
        .map_err(|error| ApiError::Malformed(error.to_string()))
}

/// Whether this names JSON, which is always written in UTF-8.
fn is_json(kind: &str) -> bool {
    let mut parts = kind.split(';').map(|part| part.trim().to_ascii_lowercase());
    let named = parts
        .next()
        .is_some_and(|name| name == "application/json" || name.ends_with("+json"));
    named
        && parts.all(|part| match part.strip_prefix("charset=") {
            Some(charset) => matches!(charset.trim_matches('"'), "utf-8" | "utf8" | "us-ascii"),
            None => true,
        })
}

/// Reads a body.
pub(super) async fn read(
    request: &HttpRequest,
    mut payload: web::Payload,
    limit: usize,
) -> Result<Vec<u8>, ApiError> {
    let declared = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    // What says that it is too long is not waited for.
    if declared
        .and_then(|length| length.parse::<usize>().ok())
        .is_some_and(|length| length > limit)
    {
        return Err(ApiError::TooLarge(limit));
    }
    let reading = async {
        let mut bytes = Vec::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|error| ApiError::Malformed(error.to_string()))?;
            if bytes.len() + chunk.len() > limit {
                return Err(ApiError::TooLarge(limit));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    };
    tokio::time::timeout(PATIENCE, reading)
        .await
        .unwrap_or(Err(ApiError::BodyTimeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_named_in_many_ways_and_written_in_one() {
        for kind in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/merge-patch+json",
            "application/json; profile=x",
        ] {
            assert!(is_json(kind), "{kind}");
        }
        for kind in [
            "",
            "text/json",
            "application/json; charset=latin1",
            "application/jsonp",
        ] {
            assert!(!is_json(kind), "{kind}");
        }
    }
}
