//! A listener that shows one text to Prometheus, for commands that measure something themselves.

use std::net::TcpListener;

use actix_web::App;
use actix_web::HttpResponse;
use actix_web::HttpServer;
use actix_web::http::header;
use actix_web::web;

use crate::http::server::Listening;

/// Serves what `text` gives at `/metrics` until the process ends.
///
/// # Errors
/// Where the listener cannot be used.
pub fn figures(
    listener: TcpListener,
    text: impl Fn() -> String + Clone + Send + 'static,
) -> std::io::Result<Listening> {
    let address = listener.local_addr()?;
    let factory = move || {
        let text = text.clone();
        let show = move || {
            let text = text();
            async move {
                HttpResponse::Ok()
                    .insert_header((
                        header::CONTENT_TYPE,
                        "text/plain; version=0.0.4; charset=utf-8",
                    ))
                    .insert_header((header::CACHE_CONTROL, "no-store"))
                    .body(text)
            }
        };
        App::new().route("/metrics", web::get().to(show))
    };
    let server = HttpServer::new(factory)
        .workers(1)
        .disable_signals()
        .listen(listener)?
        .run();
    Ok(Listening { server, address })
}
