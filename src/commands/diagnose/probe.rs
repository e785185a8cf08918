//! The containers' health check: asks the process of this machine whether it is ready.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::Value;
use serde_json::json;
use url::Url;

use crate::commands::Failure;
use crate::commands::ask;
use crate::commands::ask::local;
use crate::commands::report;
use crate::config::Config;

/// How long the whole question may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Succeeds where `/readyz` of the local admin listener answers 200, also with warnings: a process
/// that goes on without a dependency must not be restarted for it. Says so, unless it is to be
/// `quiet`.
///
/// # Errors
/// [`Failure::Unavailable`].
pub(super) async fn probe(config: &Config, as_json: bool, quiet: bool) -> Result<(), Failure> {
    let ready = ask_itself(config).await;
    if as_json {
        let (is_ready, output) = match &ready {
            Ok(word) => (true, word.clone()),
            Err(failure) => (false, failure.to_string()),
        };
        report::json(&json!({"schema_version": 1, "ready": is_ready, "output": output}));
    } else if let (Ok(word), false) = (&ready, quiet) {
        report::line(word);
    }
    ready.map(drop)
}

async fn ask_itself(config: &Config) -> Result<String, Failure> {
    let address = local(config.admin.listen);
    if address.port() == 0 {
        let why = "admin.listen has port 0, so nobody knows where to ask; give it a port";
        return Err(Failure::Unavailable(why.to_owned()));
    }
    let url = format!("http://{address}/readyz");
    let url: Url = url
        .parse()
        .map_err(|error| Failure::Bug(format!("{url}: {error}")))?;
    let answer = ask::ask(&url, None, PATIENCE)
        .await
        .map_err(Failure::Unavailable)?;
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let word = body.get("status").and_then(Value::as_str);
    if answer.status != StatusCode::OK {
        let why = body.get("output").and_then(Value::as_str);
        return Err(Failure::Unavailable(format!(
            "not ready: {}, {}",
            answer.status.as_u16(),
            why.unwrap_or("without a reason")
        )));
    }
    let word = match word {
        Some("warn" | "fail") => "ready, but degraded; `urlshort diagnose` says why",
        _ => "ready",
    };
    Ok(word.to_owned())
}
