//! Following a suspicious link all the same: a person has read where it leads and confirmed it.

use std::sync::Arc;
use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::http::header::HeaderValue;

use crate::domain::code::ShortCode;
use crate::domain::route::Decision;
use crate::http::error::ApiError;
use crate::http::front;
use crate::http::redirect;
use crate::http::state::AppState;

/// `POST /{code}/confirm`: 303 to the target. Every check of the redirect holds here too.
pub(super) async fn answer(
    state: &Arc<AppState>,
    worker: usize,
    request: &HttpRequest,
    code: &ShortCode,
) -> Result<HttpResponse, ApiError> {
    let site = request.headers().get("sec-fetch-site");
    if site.is_some_and(|site| site == HeaderValue::from_static("cross-site")) {
        let why = "This form was sent by another site; open the short link itself.";
        return Err(ApiError::Forbidden(why.to_owned()));
    }
    let now = state.redirector.at(Instant::now());
    let (entry, _) = redirect::resolve(state, request, code).await?;
    match entry.route().decide(state.redirector.now()) {
        Decision::Follow | Decision::Confirm => (),
        Decision::NotFound => return Err(redirect::missed(state, request, now)),
        Decision::Gone | Decision::Instead(_) => return Err(redirect::gone(&entry)),
        Decision::Malicious | Decision::Legal => return Err(redirect::held(&entry, "")),
    }
    let mut response = redirect::count_and_redirect(state, worker, request, &entry, now).await?;
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, front::NO_STORE);
    headers.insert(header::REFERRER_POLICY, front::NO_REFERRER);
    Ok(response)
}
