//! The sweep: finds links without a label of this labeller, and verdicts that block lists turn.
//!
//! # Why
//!
//! A list is no part of a label: nothing in a row tells that its verdict is out of date. So all
//! links are walked over, a step at a time between new ones: at a start (lists may have come or
//! gone), after a change, once a shard has been away (it may be a backup that was restored), and
//! every few hours, for what somebody labelled with other lists.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::classify;
use crate::events::links::LinkEvents;
use crate::pipeline::label;
use crate::pipeline::label::BATCH;
use crate::pipeline::label::Labeller;
use crate::pipeline::pace::Backoff;
use crate::store::StoreError;
use crate::store::shard::Shard;
use crate::telemetry;

/// Rows in one step of a walk over all links.
const STEP: usize = 1_000;
/// How long news gather before they are read.
const GATHER: Duration = Duration::from_millis(10);
/// Between two walks for which there is no reason, where there are block lists.
const AGAIN: Duration = Duration::from_hours(6);

/// A walk over all links of a shard, in the order of their codes.
#[derive(Debug)]
struct Walk {
    /// The last code that was looked at; `None`: nothing is to do.
    after: Option<String>,
    begun: Instant,
}

impl Walk {
    fn new() -> Self {
        Self {
            after: Some(String::new()),
            begun: Instant::now(),
        }
    }

    /// The shard was away, perhaps to be replaced by a backup. A walk under way goes on.
    fn interrupted(&mut self) {
        if self.after.is_none() {
            *self = Self::new();
        }
    }

    /// One step: judges anew what the rules and lists of now judge otherwise.
    async fn step(&mut self, labeller: &Labeller, shard: &Shard) -> Result<(), StoreError> {
        let Some(after) = &self.after else {
            return Ok(());
        };
        let links = shard.to_label_after(after, STEP).await?;
        let last = links.last().map(|link| link.code.to_string());
        // A thousand verdicts take milliseconds: not on a thread that serves.
        let classifier = Arc::clone(&labeller.classifier);
        let turned = tokio::task::spawn_blocking(move || {
            let turned = { links.into_iter() }
                .filter(|link| label::verdict(&classifier, link) != link.verdict);
            turned.collect::<Vec<_>>()
        });
        let turned = turned.await.unwrap_or_else(|error| {
            telemetry::classify_errors("link", 1);
            tracing::error!(%error, "the rules fail on a link; its neighbours keep their verdicts");
            Vec::new()
        });
        for part in turned.chunks(BATCH) {
            labeller.label(shard, part.to_vec(), true).await?;
        }
        self.after = last;
        Ok(())
    }
}

/// Labels what has no label of this labeller's rank on the shard at `place`, until `stop`: after
/// every news, and every so often without.
pub async fn sweep(
    labeller: Labeller,
    place: usize,
    events: Arc<LinkEvents>,
    every: Duration,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::default();
    let (mut news, mut lists) = (events.news(), labeller.lists.subscribe());
    let mut walk = Walk::new();
    loop {
        let step = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            step = step(&labeller, place, &mut walk) => step,
        };
        let pause = match step {
            Ok(true) => Duration::ZERO,
            Ok(false) => {
                backoff.reset();
                every
            }
            Err(error) => {
                telemetry::classify_errors("store", 1);
                tracing::debug!(place, %error, "links cannot be labelled now");
                walk.interrupted();
                backoff.next()
            }
        };
        if labeller.classifier.lists().are_any() && walk.begun.elapsed() > AGAIN {
            walk = Walk::new();
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            // Whoever lists a host does not wait for the next look.
            Ok(()) = lists.changed() => walk = Walk::new(),
            () = tokio::time::sleep(pause) => (),
            // Those who come together are read together.
            Ok(()) = news.changed() => tokio::time::sleep(GATHER).await,
        }
    }
}

/// One batch; `true`: there may be more.
async fn step(labeller: &Labeller, place: usize, walk: &mut Walk) -> Result<bool, StoreError> {
    let Some(member) = labeller.store.members().get(place) else {
        return Ok(false);
    };
    if !member.takes_part() || !member.shard.is_up() {
        walk.interrupted();
        return Ok(false);
    }
    let rank = labeller.classifier.rank();
    let links = member.shard.unlabelled(rank, BATCH).await?;
    let found = links.len();
    let written = labeller.label(&member.shard, links, false).await?;
    let backlog = if found < BATCH {
        0
    } else {
        member.shard.label_backlog(rank, classify::COUNTED).await?
    };
    telemetry::classify_backlog(place, backlog);
    walk.step(labeller, &member.shard).await?;
    // Links that change faster than they are read would else keep this loop spinning.
    Ok(found == BATCH && written > 0 || walk.after.is_some())
}
