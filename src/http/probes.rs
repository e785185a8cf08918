//! Probes and metrics: `/livez`, `/readyz`, `/metrics`.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::http::header::HeaderValue;
use actix_web::web;
use serde_json::Value;
use serde_json::json;

use crate::http::client::Client;
use crate::http::error::ApiError;
use crate::http::front::NO_STORE;
use crate::http::state::AppState;
use crate::store::MemberState;
use crate::store::Store;
use crate::store::clock::SKEW_WARNING;

/// Why nothing can be served yet.
const NOT_STARTED: &str = "no shard is usable yet";

/// The process alone.
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("text/plain; charset=utf-8")
        .body("ok\n")
}

/// One check for each dependency. 503 only while draining or before the first successful start:
/// all replicas lose a shard at the same time, and cached redirects must go on.
pub(super) async fn ready(state: web::Data<AppState>) -> HttpResponse {
    let unfit = if state.health.is_draining() {
        Some("draining")
    } else if !state.store.has_started() {
        Some(NOT_STARTED)
    } else if !state.health.is_keyed() {
        Some("the first admin key is being made")
    } else {
        None
    };
    health(&checks(&state), unfit)
}

/// The same for a role that serves nothing but probes: its shards.
pub(super) async fn store_ready(store: web::Data<Store>) -> HttpResponse {
    let mut checks = Checks::new();
    shard_checks(&store, &mut checks);
    health(&checks, (!store.has_started()).then_some(NOT_STARTED))
}

fn health(checks: &Checks, unfit: Option<&str>) -> HttpResponse {
    let worst = |status: &str| {
        checks
            .values()
            .flatten()
            .any(|check| check.get("status").is_some_and(|is| is == status))
    };
    let status = if unfit.is_some() || worst("fail") {
        "fail"
    } else if worst("warn") {
        "warn"
    } else {
        "pass"
    };
    let mut body = json!({
        "status": status, "version": env!("CARGO_PKG_VERSION"), "serviceId": "urlshort",
        "checks": checks,
    });
    if let (Some(why), Some(map)) = (unfit, body.as_object_mut()) {
        map.insert("output".to_owned(), json!(why));
    }
    let code = if unfit.is_some() {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    let mut response = HttpResponse::build(code).body(body.to_string());
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/health+json"),
    );
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    if unfit.is_some() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Checks by name, as `application/health+json` has them.
type Checks = BTreeMap<String, Vec<Value>>;

fn add(checks: &mut Checks, name: String, status: &str, output: &str) {
    let mut check = json!({"status": status});
    if !output.is_empty()
        && let Some(map) = check.as_object_mut()
    {
        map.insert("output".to_owned(), json!(output));
    }
    checks.entry(name).or_default().push(check);
}

fn shard_checks(store: &Store, checks: &mut Checks) {
    for member in store.members() {
        let name = format!("shard-{}:connection", member.place);
        match &**member.state.load() {
            MemberState::Member if member.shard.is_up() => match member.shard.unwritable() {
                Some(why) => add(checks, name, "warn", &format!("cannot be written: {why}")),
                None => add(checks, name, "pass", ""),
            },
            MemberState::Member => match member.shard.impostor() {
                Some(who) => add(checks, name, "fail", &who),
                None => add(checks, name, "warn", "does not answer"),
            },
            MemberState::Waiting(why) => add(checks, name, "warn", why),
            MemberState::Failed(why) => add(checks, name, "fail", why),
        }
        let stopped = member.stopped.load(Ordering::Relaxed);
        if stopped > 0 {
            let name = format!("shard-{}:partitions", member.place);
            let output = format!(
                "{stopped} partitions of the clicks topic are stopped and their clicks wait; \
                 `urlshort diagnose` says why and what to do"
            );
            add(checks, name, "warn", &output);
        }
    }
}

fn checks(state: &AppState) -> Checks {
    let mut checks = Checks::new();
    shard_checks(&state.store, &mut checks);
    let mut add = |name: String, status: &str, output: &str| {
        add(&mut checks, name, status, output);
    };
    let far = state.redirector.far_cache();
    if !far.is_none() {
        let up = far.is_up();
        add(
            "redis:connection".to_owned(),
            if up { "pass" } else { "warn" },
            if up { "" } else { "does not answer" },
        );
    }
    if state.kafka {
        let up = state.health.is_kafka_up();
        add(
            "kafka:connection".to_owned(),
            if up { "pass" } else { "warn" },
            if up {
                ""
            } else {
                "does not answer, or the topic is wrong"
            },
        );
    }
    let skew = state.store.clock().skew();
    if skew.abs() > SKEW_WARNING {
        let output = format!(
            "this machine's clock is {} ms off its databases'",
            -skew / 1_000
        );
        add("clock:skew".to_owned(), "warn", &output);
    }
    if state.spool.is_failing() {
        add(
            "spool:disk".to_owned(),
            "warn",
            "cannot be written: clicks are lost; see the log",
        );
    }
    if state.spool.is_full() {
        add(
            "spool:size".to_owned(),
            "warn",
            "full: clicks are lost until it is shipped",
        );
    }
    for (name, message) in state.health.warnings() {
        add(name, "warn", &message);
    }
    checks
}

/// Prometheus' text. On the public port only without forwarding headers: never through a tunnel.
pub(super) async fn public_metrics(
    state: web::Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let peer = request.peer_addr().map(|peer| peer.ip());
    let client = Client::of(&state, peer, request.headers());
    if !state.settings.expose_metrics || client.is_forwarded() {
        return Err(ApiError::NotFound);
    }
    metrics(web::Data::new(state.metrics.clone())).await
}

/// Prometheus' text, on the admin listener.
pub(super) async fn metrics(
    metrics: web::Data<crate::telemetry::Metrics>,
) -> Result<HttpResponse, ApiError> {
    let metrics = metrics.into_inner();
    let text = web::block(move || metrics.render()).await;
    let text = text.map_err(|error| ApiError::Internal(format!("metrics: {error}")))?;
    Ok(HttpResponse::Ok()
        .insert_header((
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        ))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(text))
}
