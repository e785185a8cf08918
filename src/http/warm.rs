//! `POST /warm` on the admin listener: loads codes into this process's near cache.

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::web;
use serde_json::Value;
use serde_json::json;

use crate::domain::code::ShortCode;
use crate::http::body;
use crate::http::error::ApiError;
use crate::http::state::AppState;

/// Codes of one request.
pub(crate) const MOST_CODES: usize = 10_000;

/// Takes `{"codes": [...]}` and answers `{loaded, already_warm, missing, failed}`. No click is
/// counted.
pub(super) async fn warm(
    state: web::Data<AppState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let asked = body::json(&request, payload, body::BULK).await?;
    let codes = asked.get("codes").and_then(Value::as_array);
    let codes = codes
        .filter(|codes| codes.len() <= MOST_CODES)
        .ok_or_else(|| {
            ApiError::Malformed(format!(
                "the body is {{\"codes\": […]}} with at most {MOST_CODES} codes"
            ))
        })?;
    let codes: Vec<ShortCode> = codes
        .iter()
        .map(|code| code.as_str().and_then(|text| text.parse().ok()))
        .collect::<Option<_>>()
        .ok_or_else(|| ApiError::Malformed("each of codes is a short code".to_owned()))?;
    let warmed = state.redirector.warm_near(codes).await;
    Ok(HttpResponse::Ok().json(json!(warmed)))
}
