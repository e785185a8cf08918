//! `keys`: makes, lists and revokes API keys.

use std::sync::Arc;

use clap::Args;
use clap::Subcommand;
use serde_json::json;

use crate::app;
use crate::commands::Failure;
use crate::commands::report;
use crate::config::Config;
use crate::domain::key::ApiKey;
use crate::domain::key::Scope;
use crate::domain::time::Timestamp;
use crate::service::keys::Keys;

/// Make, list and revoke API keys
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  urlshort keys create --owner team --scope links:read,links:write\n  \
    urlshort keys list --json\n  urlshort keys revoke ID"
)]
pub struct KeysArgs {
    #[command(subcommand)]
    action: KeysAction,
}

#[derive(Debug, Subcommand)]
enum KeysAction {
    /// Make a key and print it, once
    #[command(
        after_help = "Examples:\n  urlshort keys create --owner team --scope links:read,links:write\n  \
        urlshort keys create --owner ci --expires 30d --json"
    )]
    Create {
        /// Whose links it sees
        #[arg(long, default_value = "admin", value_parser = owner)]
        owner: String,
        /// What it may do: links:read, links:write, links:delete, stats:read, keys:admin
        #[arg(long = "scope", value_delimiter = ',', value_parser = scope,
            default_values = ["links:read", "links:write", "links:delete", "stats:read"])]
        scopes: Vec<Scope>,
        /// When it ends: an RFC 3339 time, or days such as 30d
        #[arg(long, value_name = "TIME", value_parser = expiry)]
        expires: Option<Timestamp>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print every key, without secrets
    #[command(after_help = "Examples:\n  urlshort keys list\n  urlshort keys list --json")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key
    #[command(
        after_help = "Examples:\n  urlshort keys revoke ID\n  urlshort keys revoke ID --json"
    )]
    Revoke {
        /// Its id, or the key itself
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

fn owner(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    if (1..=64).contains(&text.len()) && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("has 1 to 64 letters, digits, and - _ . @".to_owned())
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::from_word(text).ok_or_else(|| {
        let words: Vec<&str> = Scope::ALL.into_iter().map(Scope::word).collect();
        format!("is none of {}", words.join(", "))
    })
}

fn expiry(text: &str) -> Result<Timestamp, String> {
    if let Some(days) = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<u32>().ok())
    {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = i64::try_from(now.unwrap_or_default().as_micros()).unwrap_or(0);
        let hours = u64::from(days) * 24;
        return Ok(Timestamp::from_micros(now).plus(std::time::Duration::from_hours(hours)));
    }
    Timestamp::parse(text).map_err(|error| format!("{error}, nor days such as 30d"))
}

/// Does what was asked.
///
/// # Errors
/// [`Failure`] where no shard answers or takes it.
pub async fn run(config: Config, args: KeysArgs) -> Result<(), Failure> {
    match args.action {
        KeysAction::Create {
            owner,
            scopes,
            expires,
            json,
        } => create(config, &owner, scopes, expires, json).await,
        KeysAction::List { json } => list(config, json).await,
        KeysAction::Revoke { id, json } => revoke(config, &id, json).await,
    }
}

/// Makes a key and prints it, once.
///
/// # Errors
/// [`Failure`] where no shard takes it.
async fn create(
    config: Config,
    owner: &str,
    scopes: Vec<Scope>,
    expires_at: Option<Timestamp>,
    as_json: bool,
) -> Result<(), Failure> {
    let store = app::started_store(&config).await?;
    let is_over = expires_at.is_some_and(|end| end <= store.clock().now());
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
    if is_over {
        report::note("--expires has passed already: nobody can use this key.");
    }
    Ok(())
}

/// Prints every key without its secret.
///
/// # Errors
/// [`Failure`] where no shard answers.
async fn list(config: Config, as_json: bool) -> Result<(), Failure> {
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
async fn revoke(config: Config, id: &str, as_json: bool) -> Result<(), Failure> {
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
