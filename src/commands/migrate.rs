//! `migrate`: applies pending migrations to every shard, and stops.

use crate::app;
use crate::commands::Failure;
use crate::commands::report;
use crate::config::Config;

/// Migrates every shard; with `restored`, also gives the caches' keys a new generation.
///
/// # Errors
/// [`Failure`] where a shard does not answer or the shards contradict each other.
pub async fn run(config: Config, restored: bool) -> Result<(), Failure> {
    let store = app::started_store(&config).await?;
    let mut away = Vec::new();
    for member in store.members() {
        if member.takes_part() && member.shard.is_up() {
            report::line(&format!("{}: up to date", member.label()));
        } else {
            away.push(format!("{}: {}", member.label(), member.state.load()));
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
        report::line(&format!(
            "generation {}: restart every process, old cache entries are not found any more",
            newest + 1
        ));
    }
    if away.is_empty() {
        Ok(())
    } else {
        Err(Failure::Unavailable(away.join("\n")))
    }
}
