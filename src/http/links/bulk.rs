//! Many links in one request.

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web;
use serde_json::Value;
use serde_json::json;

use crate::http::body;
use crate::http::caller::allowance_headers;
use crate::http::caller::creator;
use crate::http::client::Client;
use crate::http::error::ApiError;
use crate::http::links::link_json;
use crate::http::links::refuse_idempotency_key;
use crate::http::state::AppState;
use crate::service::link_input::FieldError;
use crate::service::links::LinkError;

const MAX_ITEMS: usize = 1_000;

/// `POST /api/v1/links/bulk`
pub(in crate::http) async fn create_many(
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
                    reused += 1;
                } else {
                    made += 1;
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
        Some(_) | None => Err(error("/items", "required", "items must be a list of links")),
    }
}

/// An item's failure with the codes of a single request.
fn item_error(error: LinkError) -> Value {
    let error = ApiError::from(error);
    let (status, code) = error.parts();
    json!({
        "status": status.as_u16(), "code": code, "detail": error.to_string(),
        "errors": error.errors(),
    })
}
