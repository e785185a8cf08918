//! Codes that the front has no answer for, followed in front of the router too.
//!
//! # Why
//!
//! A look-up in the far cache costs less than the router, the extractors and the labels of
//! everything else. What is no plain code goes on inwards.

use std::sync::Arc;
use std::time::Instant;

use actix_web::dev::ServiceRequest;
use actix_web::dev::ServiceResponse;
use actix_web::http::Method;

use crate::domain::code::ShortCode;
use crate::http::redirect;
use crate::http::state::AppState;
use crate::http::wrap;
use crate::http::wrap::Begun;
use crate::http::wrap::InFlight;

/// The code that is asked for and nothing beside it, by somebody who may ask.
pub(super) fn code_of(state: &AppState, request: &ServiceRequest) -> Option<ShortCode> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return None;
    }
    // Every other path of ours is a reserved word, or has a character that no code has.
    let code = redirect::followable(request.uri().path().strip_prefix('/')?)?;
    wrap::admit(state, request).is_ok().then_some(code)
}

/// Follows what [`code_of`] found, by the worker of this number.
pub(super) async fn follow(
    state: Arc<AppState>,
    worker: usize,
    request: ServiceRequest,
    code: ShortCode,
) -> ServiceResponse {
    let (at, _in_flight) = (Instant::now(), InFlight::new());
    match redirect::follow_code(&state, worker, request.request(), &code).await {
        // It has every header it needs, and is counted by its tier.
        Ok(mut response) => {
            wrap::last_of_connection(&state, &mut response);
            request.into_response(response)
        }
        Err(error) => wrap::refuse(&state, Begun::at(at, &request), request, &error),
    }
}
