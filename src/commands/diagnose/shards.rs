//! Asks every shard who it is; `cluster` judges what they say together.

use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde_json::json;
use tokio::time::timeout;

use crate::app;
use crate::classify;
use crate::commands::Failure;
use crate::commands::diagnose::away;
use crate::commands::diagnose::cluster;
use crate::commands::diagnose::finding::Finding;
use crate::commands::diagnose::finding::PATIENCE;
use crate::commands::diagnose::finding::Remedy;
use crate::commands::diagnose::finding::cause;
use crate::commands::diagnose::shell;
use crate::commands::diagnose::vitals;
use crate::config::Config;
use crate::config::Loaded;
use crate::config::ShardUrl;
use crate::domain::time::Timestamp;
use crate::store::shard::Shard;
use crate::store::shard::Sighting;
use crate::store::vitals::Vitals;

/// Whether `serve` could follow a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// On one shard at least.
    Usable,
    /// Every shard answers, and none has anything yet.
    NotStarted,
    /// On none.
    Broken,
}

/// What the shards said.
#[derive(Debug)]
pub(super) struct Shards {
    /// One for each shard, and for what they are together.
    pub(super) findings: Vec<Finding>,
    /// What they come to.
    pub(super) verdict: Verdict,
    /// How those are that answer.
    pub(super) health: Vec<Health>,
}

/// How a shard is.
#[derive(Debug)]
pub(super) struct Health {
    /// `shard 0 health`.
    pub(super) name: String,
    /// Where it lives.
    pub(super) url: ShardUrl,
    /// The database's clock.
    pub(super) now: Timestamp,
    /// What it says of itself.
    pub(super) vitals: Vitals,
    /// Links that wait for a label, counted up to [`classify::COUNTED`].
    pub(super) unlabelled: i64,
}

/// What one shard said.
#[derive(Debug)]
pub(super) struct Look {
    /// `shard 0 (sqlite:data/shard-0.db)`.
    pub(super) name: String,
    /// Where it lives.
    pub(super) url: ShardUrl,
    /// `None`: no file is there. Else why there is no answer.
    pub(super) answer: Result<Option<Sighting>, Remedy>,
    /// The newest migration that this program has for it.
    pub(super) newest_schema: i64,
    /// The time of the whole look.
    pub(super) latency: Duration,
    /// How far this machine's clock is ahead of the database's, in microseconds.
    pub(super) skew: i64,
}

/// Looks at every shard at once.
pub(super) async fn ask(loaded: &Loaded) -> Result<Shards, Failure> {
    let config = &loaded.config;
    let mut shards = Vec::new();
    for (place, shard) in config.shards.iter().enumerate() {
        let name = format!("shard {place} ({})", shard.url);
        let setting = loaded.named(&format!("shards[{place}].url"));
        let asked = Shard::of(place, &shard.url)
            .map_err(|error| Failure::Configuration(format!("{setting}: {error}")))?;
        shards.push((name, asked, &shard.url, setting));
    }
    let looks = shards
        .iter()
        .map(|(name, shard, url, setting)| look(name, shard, url, setting));
    let (looks, unnamed) = tokio::join!(futures_util::future::join_all(looks), unnamed(config));
    let (findings, verdict) = cluster::judge(&looks);
    let mut judged = Shards {
        findings,
        verdict,
        health: Vec::new(),
    };
    let felt = looks
        .iter()
        .zip(&shards)
        .map(|(look, (_, shard, ..))| feel(look, shard, config));
    for felt in futures_util::future::join_all(felt)
        .await
        .into_iter()
        .flatten()
    {
        match felt {
            Ok(health) => {
                judged.findings.extend(vitals::of(&health));
                judged.health.push(health);
            }
            Err(finding) => judged.findings.push(finding),
        }
    }
    judged.findings.extend(unnamed);
    Ok(judged)
}

/// How a shard is that is known to have tables; `None` for every other one.
async fn feel(look: &Look, shard: &Shard, config: &Config) -> Option<Result<Health, Finding>> {
    let seen = look.answer.as_ref().ok()?.as_ref()?;
    seen.identity.as_ref()?;
    let place = look.name.split(" (").next().unwrap_or_default();
    let name = format!("{place} health");
    let why = match timeout(PATIENCE, shard.vitals()).await {
        Ok(Ok(vitals)) => {
            return Some(Ok(Health {
                name,
                url: look.url.clone(),
                now: seen.now,
                unlabelled: backlog(shard, config).await,
                vitals,
            }));
        }
        Ok(Err(error)) => cause(&error),
        Err(_) => "silent for 2 s".to_owned(),
    };
    let remedy = if seen.schema < look.newest_schema {
        let next = "apply the migrations: its schema is old";
        Remedy::new(why, next, "urlshort migrate")
    } else {
        let next = "look at its log and its load";
        let sql = "SELECT pid, state, wait_event, query FROM pg_stat_activity";
        let command = match &look.url {
            ShardUrl::Sqlite(path) => format!("fuser -v {}", shell::file(path)),
            ShardUrl::Postgres(_) => shell::sql(&look.url, sql),
        };
        Remedy::new(why, next, command)
    };
    Some(Err(Finding::warn(&name, "does not say how it is", remedy)))
}

/// Links that wait for a label; a schema of before there were labels has none.
async fn backlog(shard: &Shard, config: &Config) -> i64 {
    let rank = classify::rank(config.classify.model_dir.is_some());
    match timeout(PATIENCE, shard.label_backlog(rank, classify::COUNTED)).await {
        Ok(Ok(waiting)) => waiting,
        Ok(Err(_)) | Err(_) => 0,
    }
}

async fn look(name: &str, shard: &Shard, url: &ShardUrl, setting: &str) -> Look {
    let (begun, asked) = (Instant::now(), micros());
    let answer = match timeout(PATIENCE, shard.peek()).await {
        Ok(Ok(None)) => away::folder(url, setting).map_or(Ok(None), Err),
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(away::explain(url, Some(&error), setting).await),
        Err(_) => Err(away::explain(url, None, setting).await),
    };
    // The database said its time somewhere in between.
    let skew = match &answer {
        Ok(Some(seen)) if seen.now.micros() < asked => asked - seen.now.micros(),
        Ok(Some(seen)) => (micros() - seen.now.micros()).min(0),
        Ok(None) | Err(_) => 0,
    };
    Look {
        name: name.to_owned(),
        url: url.clone(),
        answer,
        newest_schema: shard.newest_schema(),
        latency: begun.elapsed(),
        skew,
    }
}

fn micros() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}

/// Shard files of the data folder that hold links and that nobody serves.
async fn unnamed(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in app::unnamed_shards(config).await {
        let what = format!("{} holds links, and no shard names it", path.display());
        let remedy = Remedy::new(
            "the list of shards was changed, or the file was left behind by another deployment",
            "add it to [[shards]], or move it out of the data folder",
            "urlshort diagnose --offline",
        );
        let facts = json!({"path": path.display().to_string()});
        findings.push(Finding::warn("unnamed shard", what, remedy).with(facts));
    }
    findings
}
