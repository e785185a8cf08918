//! Where a code leads now: near cache, far cache, owner, in that order.
//!
//! # Why
//!
//! The near hit is decided by [`Redirector::may_answer`] without awaiting anything; everything else goes
//! through [`Redirector::resolve`], one load for each code at a time. A lifetime means
//! "ask again", never "forget": while a shard is away, what is known goes on being served.

mod far;
mod load;
mod refresh;
mod warm;

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::cache::far::FarCache;
use crate::cache::near::NearCache;
use crate::cache::near::NearEntry;
use crate::domain::code::ShortCode;
use crate::domain::route::Route;
use crate::domain::target::TargetPolicy;
use crate::domain::time::Timestamp;
use crate::service::coherence::Coherence;
use crate::service::redirect::far::far_entry;
use crate::service::redirect::far::ttl_of;
use crate::service::redirect::refresh::Due;
use crate::slots::Slot;
use crate::slots::hash;
use crate::store::Store;
use crate::telemetry;
use crate::telemetry::CacheResult;
use crate::telemetry::CacheTier;
use crate::telemetry::Tier;

pub use crate::service::redirect::warm::Patience;
pub use crate::service::redirect::warm::Warmed;
pub use crate::service::redirect::warm::Warmth;

/// Everything a redirect may take, but for a hit.
const BUDGET: Duration = Duration::from_millis(290);
/// An entry older than this is refreshed behind the answer, microseconds.
const REFRESH_AFTER: i64 = 30_000_000;
/// An entry older than this is asked for first while the feed is silent.
const SILENT_LIFETIME: i64 = 2_000_000;
/// An entry older than this is asked for first; ± 10 % in the far cache.
const SOFT: i64 = 300_000_000;
/// Entries that are written to the far cache at once, behind answers. Thousands in one moment would
/// wait for each other past their deadlines, which looks like a server that is away.
const FILLS: usize = 64;
/// A database read slower than this fills no cache: what it read may be old news.
const SLOW_READ: Duration = Duration::from_secs(1);

/// Follows codes.
#[derive(Debug)]
pub struct Redirector {
    store: Arc<Store>,
    near: NearCache,
    far: FarCache,
    targets: TargetPolicy,
    coherence: Arc<Coherence>,
    stale: i64,
    runtime: Handle,
    due: Due,
    fills: Semaphore,
}

/// What stands behind a code, and where that was found.
#[derive(Clone, Debug)]
pub enum Resolved {
    /// A link, or its tombstone.
    Entry(Arc<NearEntry>, Tier),
    /// Nobody made it.
    Unknown,
}

/// Its shard is away and no cache has it.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the link's shard is unavailable")]
pub struct Unavailable;

impl Redirector {
    /// A redirector; `targets` is what it believes the far cache, `stale` how long a value outlives
    /// its shard, `runtime` where loads run.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        near: NearCache,
        far: FarCache,
        targets: TargetPolicy,
        coherence: Arc<Coherence>,
        stale: Duration,
        runtime: Handle,
    ) -> Arc<Self> {
        let stale = i64::try_from(stale.as_micros()).unwrap_or(i64::MAX);
        Arc::new(Self {
            due: Due::new(store.members().len()),
            fills: Semaphore::new(FILLS),
            store,
            near,
            far,
            targets,
            coherence,
            stale,
            runtime,
        })
    }

    /// The near cache, for the front and for those who keep it honest.
    #[must_use]
    pub const fn near_cache(&self) -> &NearCache {
        &self.near
    }

    /// The far cache, for those who keep it honest.
    #[must_use]
    pub const fn far_cache(&self) -> &FarCache {
        &self.far
    }

    /// The time by the databases' clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.store.clock().now()
    }

    /// The time by the databases' clock at a moment that was measured already.
    #[must_use]
    pub fn at(&self, moment: Instant) -> Timestamp {
        self.store.clock().at(moment)
    }

    /// Whether an entry of the near cache may be answered without asking anybody; past 30 s it is
    /// refreshed behind that.
    #[must_use]
    pub fn may_answer(self: &Arc<Self>, hash: u64, entry: &Arc<NearEntry>, now: Timestamp) -> bool {
        let age = entry.age(now);
        if age > self.lifetime(Slot::of_hash(hash), now) {
            return false;
        }
        if age > REFRESH_AFTER && entry.claim_refresh() {
            self.refresh(hash, Arc::clone(entry));
        }
        true
    }

    fn lifetime(&self, slot: Slot, now: Timestamp) -> i64 {
        if self.coherence.is_silent(slot, now) {
            SILENT_LIFETIME
        } else {
            SOFT
        }
    }

    /// What stands behind `code`, within a redirect's budget.
    ///
    /// # Errors
    /// [`Unavailable`]: its shard is away and no cache has it.
    pub async fn resolve(self: &Arc<Self>, code: &ShortCode) -> Result<Resolved, Unavailable> {
        let hash = hash(code.as_str().as_bytes());
        let now = self.now();
        let known = self.near.get(hash, code.as_str().as_bytes());
        if let Some(entry) = &known
            && entry.age(now) <= self.lifetime(Slot::of_hash(hash), now)
        {
            telemetry::cache_requests(CacheTier::Near, CacheResult::Hit);
            return Ok(Resolved::Entry(Arc::clone(entry), Tier::Near));
        }
        if self.near.is_unknown(hash, code.as_str(), now) {
            telemetry::cache_requests(CacheTier::Unknown, CacheResult::Hit);
            return Ok(Resolved::Unknown);
        }
        telemetry::cache_requests(CacheTier::Near, CacheResult::Miss);
        let outdated = known.clone();
        let looked_up = tokio::time::timeout(BUDGET, self.look_up(code, hash, known)).await;
        looked_up
            .unwrap_or(Err(Unavailable))
            .or_else(|Unavailable| {
                self.stale_near(outdated, now)
                    .map(|entry| Resolved::Entry(entry, Tier::Stale))
                    .ok_or(Unavailable)
            })
    }

    /// Puts a new version into the far cache and out of the near one: a writer's last step before
    /// it answers. `false`: the far cache did not confirm; the feed will do it.
    pub async fn publish(&self, code: &ShortCode, route: &Route) -> bool {
        let hash = hash(code.as_str().as_bytes());
        let now = self.now();
        // From here on, what the far cache still has is outdated, also if it cannot be told now.
        self.coherence.expect(hash, route.version, now);
        self.near.remove(hash);
        let Some(namespace) = self.store.namespace() else {
            return false;
        };
        let entry = far_entry(Some(route.clone()), Duration::from_millis(1), now);
        let ttl = ttl_of(&entry, now);
        let written = self
            .far
            .put(&namespace, code, route.version, &entry, ttl)
            .await;
        // Once more: a load that began before the change may have ended in between.
        self.near.remove(hash);
        if written.is_ok() {
            // Noted only now: what was not confirmed is news when the feed tells it.
            self.coherence.note(hash, route.version, now);
        }
        written.is_ok()
    }
}
