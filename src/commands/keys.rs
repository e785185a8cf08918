//! `keys`: makes, lists and revokes API keys.

use std::sync::Arc;

use serde_json::json;

use crate::app;
use crate::commands::Failure;
use crate::commands::report;
use crate::config::Config;
use crate::domain::key::ApiKey;
use crate::domain::key::Scope;
use crate::domain::time::Timestamp;
use crate::service::keys::Keys;

/// Makes a key and prints it, once.
///
/// # Errors
/// [`Failure`] where no shard takes it.
pub async fn create(
    config: Config,
    owner: &str,
    scopes: Vec<Scope>,
    expires_at: Option<Timestamp>,
    as_json: bool,
) -> Result<(), Failure> {
    let store = app::started_store(&config).await?;
    let keys = Keys::new(store, None);
    let (key, text) = keys
        .create(owner, scopes, expires_at)
        .await
        .map_err(|error| Failure::Unavailable(error.to_string()))?;
    if as_json {
        report::json(
            &json!({"schema_version": 1, "key": text, "id": key.id, "owner": key.owner,
            "scopes": key.scopes, "expires_at": key.expires_at}),
        );
    } else {
        report::line(&text);
        report::note("This is shown once. Running processes know it within 5 seconds.");
    }
    Ok(())
}

/// Prints every key without its secret.
///
/// # Errors
/// [`Failure`] where no shard answers.
pub async fn list(config: Config, as_json: bool) -> Result<(), Failure> {
    let store = app::started_store(&config).await?;
    let now = store.clock().now();
    let keys = Keys::new(Arc::clone(&store), None).list();
    if as_json {
        let rows: Vec<_> = keys
            .iter()
            .map(|key| {
                json!({"id": key.id, "owner": key.owner, "scopes": key.scopes,
                    "created_at": key.created_at, "expires_at": key.expires_at,
                    "state": state(key, now)})
            })
            .collect();
        report::json(&json!({"schema_version": 1, "keys": rows}));
        return Ok(());
    }
    report::line(&format!(
        "{:<12} {:<16} {:<8} {:<28} SCOPES",
        "ID", "OWNER", "STATE", "EXPIRES"
    ));
    for key in keys {
        let expires = key
            .expires_at
            .map_or_else(|| "never".to_owned(), |end| end.to_string());
        let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.word()).collect();
        report::line(&format!(
            "{:<12} {:<16} {:<8} {:<28} {}",
            key.id,
            key.owner,
            state(&key, now),
            expires,
            scopes.join(",")
        ));
    }
    Ok(())
}

/// Revokes a key.
///
/// # Errors
/// [`Failure`] where there is no such key, or no shard takes it.
pub async fn revoke(config: Config, id: &str, as_json: bool) -> Result<(), Failure> {
    let store = app::started_store(&config).await?;
    // Whole keys are taken too: people have them at hand.
    let id = crate::domain::key::split(id).map_or(id, |(id, _)| id);
    let revoked = Keys::new(store, None).revoke(id).await;
    match revoked.map_err(|error| Failure::Unavailable(error.to_string()))? {
        true if as_json => {
            report::json(&json!({"schema_version": 1, "id": id, "state": "revoked"}));
            Ok(())
        }
        true => {
            report::line(&format!(
                "{id} is revoked; running processes know it within 5 seconds"
            ));
            Ok(())
        }
        false => Err(Failure::Failed(format!(
            "there is no key {id}; `urlshort keys list` shows them"
        ))),
    }
}

fn state(key: &ApiKey, now: Timestamp) -> &'static str {
    if key.revoked {
        "revoked"
    } else if key.is_live(now) {
        "live"
    } else {
        "expired"
    }
}
