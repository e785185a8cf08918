//! The preview page: where a link leads, before anybody goes there.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;

use crate::domain::code::ShortCode;
use crate::http::client::Client;
use crate::http::error::ApiError;
use crate::http::front::X_ROBOTS_TAG;
use crate::http::labels;
use crate::http::pages::day;
use crate::http::pages::followable;
use crate::http::pages::page;
use crate::http::render::Preview;
use crate::http::state::AppState;
use crate::service::links::LinkError;

/// `GET /{code}+`: where it leads, before going there.
pub(super) async fn preview(
    state: &Arc<AppState>,
    request: &HttpRequest,
    code: &ShortCode,
) -> Result<HttpResponse, ApiError> {
    let entry = followable(state, request, code).await?;
    // A cache knows where it leads; what the shard alone knows is left out while it is away.
    let link = match state.links.find_public(code).await {
        Ok(link) => Some(link),
        Err(LinkError::Unavailable(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let long_url = link
        .as_ref()
        .map_or(entry.target(), |link| &link.route.target);
    let peer = request.peer_addr().map(|peer| peer.ip());
    let base = Client::of(state, peer, request.headers()).base(state);
    let host = url::Url::parse(long_url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_default();
    let mut answer = page(
        StatusCode::OK,
        state.pages.preview(&Preview {
            code: code.to_string(),
            short_url: format!("{base}/{code}"),
            long_url: long_url.to_owned(),
            host,
            category: link.as_ref().and_then(labels::category),
            safety: link
                .as_ref()
                .map_or("more is not known at the moment", labels::safety)
                .to_owned(),
            created: link.as_ref().map(|link| day(&link.created_at.to_string())),
            title: link.and_then(|link| link.title),
        }),
    )?;
    answer
        .headers_mut()
        .insert(X_ROBOTS_TAG, header::HeaderValue::from_static("noindex"));
    Ok(answer)
}
