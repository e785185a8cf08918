//! Link events on their way to the labellers: kept for a moment, never waited for.
//!
//! The schema of the topic `urlshort.links` is [`LinkEvent`], one JSON record each, key = code,
//! partition = slot: a public contract, fields are only ever added. An event says that there is
//! something to read, never what to write: who labels reads the link's row. What is lost here
//! (a crash, a full queue, a bus that is away) is found by the sweep.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;

use serde::Deserialize;
use serde::Serialize;
use tokio::sync::watch;

use crate::domain::link::Link;
use crate::domain::time::Timestamp;
use crate::slots::Slot;
use crate::telemetry;

/// The version of the schema.
pub const SCHEMA_VERSION: u8 = 1;
/// Events that wait at most.
const WAITING: usize = 20_000;

/// What happened to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkEventKind {
    /// It was made.
    Created,
    /// It leads somewhere else, or has another title.
    TargetChanged,
    /// It was deleted or purged.
    Deleted,
}

/// One record of the topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkEvent {
    /// The schema: 1.
    pub v: u8,
    /// What happened.
    pub event: LinkEventKind,
    /// The short code.
    pub code: String,
    /// Its slot, which is the partition.
    pub slot: u8,
    /// The link's version after it.
    pub version: i64,
    /// When, by the database's clock.
    pub at: Timestamp,
    /// Where the link leads now; empty once it is purged.
    pub long_url: String,
}

impl LinkEvent {
    /// What happened to `link`, which looks like this now.
    #[must_use]
    pub fn of(event: LinkEventKind, link: &Link) -> Self {
        Self {
            v: SCHEMA_VERSION,
            event,
            code: link.code.to_string(),
            slot: Slot::of(link.code.as_str()).number(),
            version: link.route.version,
            at: link.updated_at,
            long_url: link.route.target.to_string(),
        }
    }
}

/// Where the writers leave their events.
#[derive(Debug)]
pub struct LinkEvents {
    /// `None`: nobody wants the events themselves, only to be woken.
    waiting: Option<Mutex<VecDeque<LinkEvent>>>,
    news: watch::Sender<()>,
}

impl LinkEvents {
    /// Events that wake a loop of this process, which then reads the rows.
    #[must_use]
    pub fn local() -> Self {
        Self {
            waiting: None,
            news: watch::Sender::new(()),
        }
    }

    /// Events that are kept until they are taken to a bus.
    #[must_use]
    pub fn for_bus() -> Self {
        Self {
            waiting: Some(Mutex::default()),
            news: watch::Sender::new(()),
        }
    }

    /// Tells what happened to `link`: at once, whoever listens.
    pub fn tell(&self, event: LinkEventKind, link: &Link) {
        if let Some(waiting) = &self.waiting {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() >= WAITING {
                telemetry::link_events("dropped", 1); // the sweep finds it
                return;
            }
            waiting.push_back(LinkEvent::of(event, link));
        }
        self.news.send_replace(());
    }

    /// Sees every news that comes after this call; several that come together are one.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Takes what waits, at most `limit`.
    #[must_use]
    pub fn take(&self, limit: usize) -> Vec<LinkEvent> {
        let Some(waiting) = &self.waiting else {
            return Vec::new();
        };
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.len().min(limit);
        waiting.drain(..count).collect()
    }
}
