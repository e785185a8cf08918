//! The listeners: the public port, and the admin port of every role.

use std::future::Future;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use actix_web::App;
use actix_web::FromRequest;
use actix_web::Handler;
use actix_web::HttpServer;
use actix_web::Resource;
use actix_web::Responder;
use actix_web::dev::Server;
use actix_web::dev::Service as _;
use actix_web::guard;
use actix_web::http::Method;
use actix_web::web;
use futures_util::FutureExt as _;
use futures_util::future::Either;
use futures_util::future::ready;

use crate::http::classify;
use crate::http::error::ApiError;
use crate::http::follow;
use crate::http::front::Front;
use crate::http::links;
use crate::http::pages;
use crate::http::probes;
use crate::http::redirect;
use crate::http::redirect::Worker;
use crate::http::state::AppState;
use crate::http::stats;
use crate::http::warm;
use crate::http::wrap;
use crate::http::wrap::Begun;
use crate::store::Store;

/// Tunnels keep idle connections for 90 s; ours must outlive theirs.
const KEEP_ALIVE: Duration = Duration::from_secs(120);
/// How long requests in flight may take once the server stops.
const DRAIN_SECONDS: u64 = 20;

/// A server that listens already.
pub struct Listening {
    /// To be awaited; ends after its shutdown signal.
    pub server: Server,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Whose health the admin port tells.
#[derive(Clone, Debug)]
pub enum Role {
    /// A process that serves the public port.
    Service(Arc<AppState>),
    /// A process that works on the shards alone.
    Worker(Arc<Store>),
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The routes of the public port.
fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::scope("/api")
                .service(
                    web::scope("/v1")
                        .service(
                            web::resource("/links")
                                .route(web::post().to(links::create))
                                .route(web::get().to(links::list))
                                .default_service(web::to(|| async { method("GET, POST") })),
                        )
                        .service(
                            // The methods of a link mean the link that has this code.
                            web::resource("/links/bulk")
                                .guard(guard::fn_guard(|request| {
                                    let method = &request.head().method;
                                    ![Method::GET, Method::HEAD, Method::PATCH, Method::DELETE]
                                        .contains(method)
                                }))
                                .route(web::post().to(links::create_many))
                                .default_service(web::to(|| async {
                                    method("GET, HEAD, POST, PATCH, DELETE")
                                })),
                        )
                        .service(
                            web::resource("/links/{code}")
                                .route(web::get().to(links::show))
                                .route(web::head().to(links::show))
                                .route(web::patch().to(links::change))
                                .route(web::delete().to(links::delete))
                                .default_service(web::to(|| async {
                                    method("GET, HEAD, PATCH, DELETE")
                                })),
                        )
                        .service(readable("/links/{code}/stats", stats::report))
                        .service(readable("/links/{code}/stats/{dimension}", stats::values))
                        .service(
                            web::resource("/classify")
                                .route(web::post().to(classify::classify))
                                .default_service(web::to(|| async { method("POST") })),
                        )
                        .service(readable("/openapi.json", pages::openapi)),
                )
                .service(readable("/docs", pages::docs))
                .default_service(web::to(nothing)),
        )
        .service(
            web::resource("/")
                .route(web::get().to(pages::home))
                .route(web::head().to(pages::home))
                .route(web::post().to(pages::shorten))
                .default_service(web::to(|| async { method("GET, HEAD, POST") })),
        )
        .service(
            web::scope("/assets")
                .service(readable("/{name}", pages::asset))
                .default_service(web::to(nothing)),
        )
        .service(
            web::scope("/links")
                .service(readable("/{code}", pages::link))
                .default_service(web::to(nothing)),
        )
        .service(web::scope("/.well-known").default_service(web::to(nothing)))
        .service(readable("/livez", probes::live))
        .service(readable("/readyz", probes::ready))
        .service(readable("/metrics", probes::public_metrics))
        .service(readable("/robots.txt", pages::robots))
        .service(readable("/favicon.ico", pages::favicon))
        .default_service(web::to(redirect::follow));
}

/// What can only be read: GET, and HEAD, which answers the same.
fn readable<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path)
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
        .default_service(web::to(|| async { method("GET, HEAD") }))
}

async fn nothing() -> Result<String, ApiError> {
    Err(ApiError::NotFound)
}

fn method(allowed: &'static str) -> Result<String, ApiError> {
    Err(ApiError::Method(allowed))
}

/// Serves the public port until `stop` ends; then finishes what is in flight.
///
/// # Errors
/// Where the listener cannot be used.
pub fn public(
    listener: TcpListener,
    state: Arc<AppState>,
    workers: usize,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<Listening> {
    let address = listener.local_addr()?;
    let next = Arc::new(AtomicUsize::new(0));
    let factory = move || {
        // Called once for each worker: its lane and stripe are its own.
        let worker = next.fetch_add(1, Ordering::Relaxed);
        let front = Front::new(Arc::clone(&state), worker);
        let state = Arc::clone(&state);
        App::new()
            .app_data(web::Data::from(Arc::clone(&state)))
            .app_data(web::Data::new(Worker(worker)))
            .configure(routes)
            .wrap_fn(move |request, inner| {
                if let Some(response) = front.answer(&request) {
                    return Either::Left(ready(Ok(request.into_response(response))));
                }
                if let Some(code) = follow::code_of(&state, &request) {
                    let followed = follow::follow(Arc::clone(&state), worker, request, code);
                    return Either::Right(followed.map(Ok).boxed_local());
                }
                let begun = match wrap::begin(&state, &request) {
                    Ok(begun) => begun,
                    Err(error) => {
                        let begun = Begun::at(Instant::now(), &request);
                        let refused = wrap::refuse(&state, begun, request, &error);
                        return Either::Left(ready(Ok(refused)));
                    }
                };
                let (state, answer) = (Arc::clone(&state), inner.call(request));
                let finished = async move { Ok(wrap::finish(&state, begun, answer.await?)) };
                // In a box, so that a near hit does not move the room for it.
                Either::Right(finished.boxed_local())
            })
    };
    let server = HttpServer::new(factory)
        .workers(workers)
        .backlog(4_096)
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(Duration::from_secs(5))
        .tcp_nodelay(true)
        .shutdown_timeout(DRAIN_SECONDS)
        .disable_signals()
        .shutdown_signal(stop)
        .listen(listener)?
        .run();
    Ok(Listening { server, address })
}

/// Serves probes and metrics for operators.
///
/// # Errors
/// Where the listener cannot be used.
pub fn admin(
    listener: TcpListener,
    role: Role,
    metrics: crate::telemetry::Metrics,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<Listening> {
    let address = listener.local_addr()?;
    let factory = move || {
        let app = App::new()
            .app_data(web::Data::new(metrics.clone()))
            .route("/metrics", web::get().to(probes::metrics))
            .route("/livez", web::get().to(probes::live));
        match &role {
            Role::Service(state) => app
                .app_data(web::Data::from(Arc::clone(state)))
                .route("/readyz", web::get().to(probes::ready))
                .route("/warm", web::post().to(warm::warm)),
            Role::Worker(store) => app
                .app_data(web::Data::from(Arc::clone(store)))
                .route("/readyz", web::get().to(probes::store_ready)),
        }
    };
    let server = HttpServer::new(factory)
        .workers(1)
        .shutdown_timeout(1)
        .disable_signals()
        .shutdown_signal(stop)
        .listen(listener)?
        .run();
    Ok(Listening { server, address })
}
