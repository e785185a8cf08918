//! `producers`: who holds clicks, and giving up one whose disk is gone for good.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::Subcommand;
use serde_json::json;
use uuid::Uuid;

use crate::app;
use crate::commands::Failure;
use crate::commands::report;
use crate::config::Config;
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::store::rows::Beat;
use crate::store::vitals::ProducerHeld;

/// Who gave a sign of life within this time lives.
const ALIVE: Duration = Duration::from_secs(60);

/// List the processes that hold clicks, and give up one that never comes back
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  urlshort producers list\n  \
    urlshort producers forget 0193b2f4-8d1e-7a54-9c0b-5f2f2a1c7d10")]
pub struct ProducersArgs {
    #[command(subcommand)]
    action: ProducersAction,
}

#[derive(Debug, Subcommand)]
enum ProducersAction {
    /// Print every process that may hold clicks which are not counted
    #[command(
        after_help = "Examples:\n  urlshort producers list\n  urlshort producers list --json"
    )]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say that a process and the disk with its spool are gone: statistics wait for it no more
    ///
    /// What lay on that disk is lost. Should it turn up within 30 days, start `serve` on its data
    /// folder: its clicks are counted all the same.
    #[command(after_help = "Examples:\n  urlshort producers forget ID\n  \
        urlshort producers forget ID --json")]
    Forget {
        /// The identity, from `urlshort producers list`
        id: Uuid,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Does what was asked.
///
/// # Errors
/// [`Failure`] where no shard answers, or who is to be forgotten lives or is unknown.
pub async fn run(config: Config, args: ProducersArgs) -> Result<(), Failure> {
    let store = app::started_store(&config).await?;
    let known = known(&store).await?;
    match args.action {
        ProducersAction::List { json } => {
            list(&store, &known, json);
            Ok(())
        }
        ProducersAction::Forget { id, json } => forget(&store, &known, id, json).await,
    }
}

/// Every producer that did not close, as the shard tells it that saw it last.
async fn known(store: &Arc<Store>) -> Result<BTreeMap<String, ProducerHeld>, Failure> {
    let mut known: BTreeMap<String, ProducerHeld> = BTreeMap::new();
    for member in store.usable() {
        let vitals = member.shard.vitals().await;
        let vitals = vitals.map_err(|error| Failure::Unavailable(error.to_string()))?;
        for producer in vitals.producers {
            let newest = known
                .entry(producer.id.clone())
                .or_insert_with(|| producer.clone());
            newest.seen_at = newest.seen_at.max(producer.seen_at);
            newest.held_since = match (newest.held_since, producer.held_since) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
    }
    Ok(known)
}

fn list(store: &Store, known: &BTreeMap<String, ProducerHeld>, as_json: bool) {
    let now = store.clock().now();
    if as_json {
        let rows: Vec<_> = known
            .values()
            .map(|producer| {
                json!({"id": producer.id, "host": producer.host, "seen_at": producer.seen_at,
                    "held_since": producer.held_since, "state": state(producer, now)})
            })
            .collect();
        report::json(&json!({"schema_version": 1, "producers": rows}));
        return;
    }
    report::line(&format!(
        "{:<36} {:<8} {:<28} {:<28} HOST",
        "ID", "STATE", "SEEN", "HOLDS CLICKS SINCE"
    ));
    for producer in known.values() {
        let held = producer
            .held_since
            .map_or_else(|| "-".to_owned(), |at| at.to_string());
        report::line(&format!(
            "{:<36} {:<8} {:<28} {held:<28} {}",
            producer.id,
            state(producer, now),
            producer.seen_at.to_string(),
            producer.host
        ));
    }
}

fn state(producer: &ProducerHeld, now: Timestamp) -> &'static str {
    if now.since(producer.seen_at) <= ALIVE {
        "alive"
    } else {
        "vanished"
    }
}

async fn forget(
    store: &Arc<Store>,
    known: &BTreeMap<String, ProducerHeld>,
    id: Uuid,
    as_json: bool,
) -> Result<(), Failure> {
    let Some(producer) = known.get(&id.to_string()) else {
        return Err(Failure::Failed(format!(
            "there is no open producer {id}; `urlshort producers list` shows them"
        )));
    };
    let silent = store.clock().now().since(producer.seen_at);
    if silent <= ALIVE {
        return Err(Failure::Failed(format!(
            "{id} ({}) gave a sign of life {} s ago: stop it, and it hands its clicks over; only one \
             that is silent for {} s can be forgotten",
            producer.host,
            silent.as_secs(),
            ALIVE.as_secs()
        )));
    }
    let last = Beat {
        producer: id,
        host: producer.host.clone(),
        at: producer.seen_at,
        held_since: None,
        closed: true,
    };
    for member in store.usable() {
        let told = member.shard.beat(&last).await;
        told.map_err(|error| {
            Failure::Unavailable(format!("shard {}: {error}; run this again", member.place))
        })?;
    }
    if as_json {
        report::json(&json!({"schema_version": 1, "id": id, "state": "forgotten"}));
    } else {
        report::line(&format!(
            "{id} is forgotten; statistics wait for it no more"
        ));
    }
    Ok(())
}
