//! `migrate`: applies pending migrations to every shard, and stops.

use serde_json::json;

use crate::app;
use crate::commands::Failure;
use crate::commands::report;
use crate::config::Config;

/// Migrates every shard; with `restored`, also gives the caches' keys a new generation. Says what
/// it did, as JSON where that is wanted.
///
/// # Errors
/// [`Failure`] where a shard does not answer or the shards contradict each other.
pub async fn run(config: Config, restored: bool, as_json: bool) -> Result<(), Failure> {
    let store = app::started_store(&config).await?;
    let (mut away, mut shards, mut generation) = (Vec::new(), Vec::new(), None);
    for member in store.members() {
        let (label, schema) = (member.label(), member.shard.newest_schema());
        if member.takes_part() && member.shard.is_up() {
            if !as_json {
                report::line(&format!("{label}: up to date, schema {schema}"));
            }
            shards.push(json!({"shard": label, "up_to_date": true, "schema": schema}));
        } else {
            let why = member.state.load().to_string();
            shards.push(json!({"shard": label, "up_to_date": false, "error": why}));
            away.push(format!("{label}: {why}"));
        }
    }
    if restored {
        let newest = store
            .usable()
            .filter_map(|member| member.identity.load_full())
            .map(|row| row.generation)
            .max()
            .unwrap_or(1);
        for member in store.usable() {
            let raised = member.shard.set_generation(newest + 1).await;
            raised.map_err(|error| Failure::Unavailable(format!("{}: {error}", member.label())))?;
        }
        generation = Some(newest + 1);
        if !as_json {
            report::line(&format!(
                "generation {}: restart every process, old cache entries are not found any more",
                newest + 1
            ));
        }
    }
    if as_json {
        report::json(&json!({
            "schema_version": 1, "shards": shards, "generation": generation,
        }));
    }
    if away.is_empty() {
        Ok(())
    } else {
        Err(Failure::Unavailable(away.join("\n")))
    }
}
