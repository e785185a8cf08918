//! Caches filled before anybody asks.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use futures_util::StreamExt as _;
use serde::Deserialize;
use serde::Serialize;

use crate::cache::far::FarFound;
use crate::domain::code::ShortCode;
use crate::service::redirect::Redirector;
use crate::service::redirect::Resolved;
use crate::service::redirect::Unavailable;
use crate::service::redirect::far::far_entry;
use crate::service::redirect::far::ttl_of;
use crate::telemetry::Tier;

/// Codes that are loaded at once.
const AT_ONCE: usize = 16;

/// The pauses before a code is asked for again that got no answer: longer than the far cache is
/// left alone after it failed for the first time. No visitor waits for this.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
];

/// What became of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warmth {
    /// It is in the cache now.
    Loaded,
    /// It was there before, and fresh.
    AlreadyWarm,
    /// Nobody made it.
    Missing,
    /// Its shard, or the cache, did not answer.
    Failed,
}

/// How many codes became what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warmed {
    /// In the cache now.
    pub loaded: u64,
    /// There before, and fresh.
    pub already_warm: u64,
    /// Nobody made them.
    pub missing: u64,
    /// A shard or the cache did not answer.
    pub failed: u64,
}

impl Warmed {
    /// Counts one code more.
    pub const fn count(&mut self, warmth: Warmth) {
        match warmth {
            Warmth::Loaded => self.loaded += 1,
            Warmth::AlreadyWarm => self.already_warm += 1,
            Warmth::Missing => self.missing += 1,
            Warmth::Failed => self.failed += 1,
        }
    }

    /// Counts what somebody else counted.
    pub const fn add(&mut self, other: Self) {
        self.loaded += other.loaded;
        self.already_warm += other.already_warm;
        self.missing += other.missing;
        self.failed += other.failed;
    }
}

/// How often what got no answer is asked for again: not any more once something got none at all,
/// since what is away would cost the pauses for each of a million codes.
#[derive(Debug)]
pub struct Patience {
    pauses: &'static [Duration],
    is_lost: AtomicBool,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            pauses: &PAUSES,
            is_lost: AtomicBool::new(false),
        }
    }
}

impl Patience {
    /// Waits before an attempt after the first; `false`: the outcome of the last one stands.
    async fn asks_again(&self, attempt: usize, last: Warmth) -> bool {
        if last != Warmth::Failed {
            return false;
        }
        let Some(pause) = self.pauses.get(attempt) else {
            self.is_lost.store(true, Ordering::Relaxed);
            return false;
        };
        if self.is_lost.load(Ordering::Relaxed) {
            return false;
        }
        tokio::time::sleep(*pause).await;
        true
    }
}

impl Redirector {
    /// Loads these codes into the near cache, and into the far one on the way; counts no click.
    pub async fn warm_near(self: &Arc<Self>, codes: Vec<ShortCode>) -> Warmed {
        let patience = Arc::new(Patience::default());
        let asked = codes.into_iter().map(|code| {
            let (this, patience) = (Arc::clone(self), Arc::clone(&patience));
            async move {
                let mut attempt = 0;
                loop {
                    let warmth = this.warm_near_once(&code).await;
                    if !patience.asks_again(attempt, warmth).await {
                        return warmth;
                    }
                    attempt += 1;
                }
            }
        });
        let mut warmed = Warmed::default();
        let mut asked = futures_util::stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some(warmth) = asked.next().await {
            warmed.count(warmth);
        }
        warmed
    }

    /// Puts a code into the far cache, unless it is there and fresh.
    pub async fn warm_far(&self, code: &ShortCode, patience: &Patience) -> Warmth {
        let mut attempt = 0;
        loop {
            let warmth = self.warm_far_once(code).await;
            if !patience.asks_again(attempt, warmth).await {
                return warmth;
            }
            attempt += 1;
        }
    }

    async fn warm_near_once(self: &Arc<Self>, code: &ShortCode) -> Warmth {
        match self.resolve(code).await {
            Ok(Resolved::Entry(_, Tier::Near)) => Warmth::AlreadyWarm,
            Ok(Resolved::Entry(_, Tier::Stale)) | Err(Unavailable) => Warmth::Failed,
            Ok(Resolved::Entry(..)) => Warmth::Loaded,
            Ok(Resolved::Unknown) => Warmth::Missing,
        }
    }

    async fn warm_far_once(&self, code: &ShortCode) -> Warmth {
        let Some(namespace) = self.store.namespace() else {
            return Warmth::Failed;
        };
        match self.read_far(&namespace, code).await {
            Err(_) => return Warmth::Failed,
            Ok(FarFound::Entry { entry, .. }) if entry.soft_until > self.now().micros() => {
                return if entry.route.is_some() {
                    Warmth::AlreadyWarm
                } else {
                    Warmth::Missing
                };
            }
            Ok(FarFound::Entry { .. } | FarFound::Miss | FarFound::Marker { .. }) => (),
        }
        let asked = Instant::now();
        let Ok(found) = self.store.route(code).await else {
            return Warmth::Failed;
        };
        let Some(route) = found else {
            return Warmth::Missing;
        };
        let (version, now) = (route.version, self.now());
        let entry = far_entry(Some(route), asked.elapsed(), now);
        let ttl = ttl_of(&entry, now);
        match self.far.put(&namespace, code, version, &entry, ttl).await {
            Ok(_) => Warmth::Loaded,
            Err(_) => Warmth::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_got_no_answer_is_asked_for_again_until_it_is_plain_that_nobody_answers() {
        let patience = Patience {
            pauses: &[Duration::ZERO; 2],
            is_lost: AtomicBool::new(false),
        };
        for settled in [Warmth::Loaded, Warmth::AlreadyWarm, Warmth::Missing] {
            assert!(!patience.asks_again(0, settled).await);
        }
        assert!(patience.asks_again(0, Warmth::Failed).await);
        assert!(patience.asks_again(1, Warmth::Failed).await);
        assert!(!patience.asks_again(2, Warmth::Failed).await);
        assert!(!patience.asks_again(0, Warmth::Failed).await);
    }
}
