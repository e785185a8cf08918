//! Where a code leads now: near cache, far cache, owner, in that order.
//!
//! # Why
//!
//! The near hit is decided by [`Redirector::may_answer`] without awaiting anything; everything else goes
//! through [`Redirector::resolve`], one load for each code at a time. A lifetime means
//! "ask again", never "forget": while a shard is away, what is known goes on being served.

mod far;
mod refresh;
mod warm;

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use tokio::runtime::Handle;

use crate::cache::far::FarCache;
use crate::cache::far::FarEntry;
use crate::cache::near::Lookup;
use crate::cache::near::NearCache;
use crate::cache::near::NearEntry;
use crate::domain::code::ShortCode;
use crate::domain::route::Route;
use crate::domain::time::Timestamp;
use crate::service::coherence::Coherence;
use crate::service::redirect::far::FarAnswer;
use crate::service::redirect::far::far_entry;
use crate::service::redirect::far::ttl_of;
use crate::service::redirect::refresh::Due;
use crate::slots::Slot;
use crate::slots::hash;
use crate::store::Store;
use crate::store::StoreError;
use crate::telemetry;
use crate::telemetry::CacheResult;
use crate::telemetry::CacheTier;
use crate::telemetry::Tier;

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
/// A database read slower than this fills no cache: what it read may be old news.
const SLOW_READ: Duration = Duration::from_secs(1);

/// Follows codes.
#[derive(Debug)]
pub struct Redirector {
    store: Arc<Store>,
    near: NearCache,
    far: FarCache,
    coherence: Arc<Coherence>,
    stale: i64,
    runtime: Handle,
    due: Due,
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

/// A value that may be served while the shard is away.
#[derive(Clone, Debug, Default)]
struct Fallback {
    near: Option<Arc<NearEntry>>,
    far: Option<(FarEntry, i64, Bytes)>,
}

impl Redirector {
    /// A redirector; `stale` is how long a value outlives its shard, `runtime` where loads run.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        near: NearCache,
        far: FarCache,
        coherence: Arc<Coherence>,
        stale: Duration,
        runtime: Handle,
    ) -> Arc<Self> {
        let stale = i64::try_from(stale.as_micros()).unwrap_or(i64::MAX);
        Arc::new(Self {
            due: Due::new(store.members().len()),
            store,
            near,
            far,
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
        // The load goes on when the visitor hangs up: others may wait for it.
        let (this, code) = (Arc::clone(self), code.clone());
        let fallback = known.clone();
        let loading = self
            .runtime
            .spawn(async move { this.load_once(&code, hash, known).await });
        match tokio::time::timeout(BUDGET, loading).await {
            Ok(Ok(resolved)) => resolved,
            Ok(Err(_)) | Err(_) => self
                .stale_near(fallback, now)
                .map(|entry| Resolved::Entry(entry, Tier::Stale))
                .ok_or(Unavailable),
        }
    }

    /// Loads a code unless somebody else is doing so; then waits for that outcome.
    async fn load_once(
        self: &Arc<Self>,
        code: &ShortCode,
        hash: u64,
        known: Option<Arc<NearEntry>>,
    ) -> Result<Resolved, Unavailable> {
        if let Some(entry) = known {
            // An old entry blocks the guard, so its refresh is claimed instead; who does not get
            // the claim waits for nothing and takes what there is.
            let now = self.now();
            let first = entry.claim_refresh();
            if !first
                && self.stale_near(Some(Arc::clone(&entry)), now).is_some()
                && !self.shard_is_up(hash)
            {
                return Ok(Resolved::Entry(entry, Tier::Stale));
            }
            let fallback = Fallback {
                near: Some(Arc::clone(&entry)),
                far: None,
            };
            let loaded = self.load(code, hash, fallback, false).await;
            if first {
                entry.release_refresh();
            }
            if let Ok(Resolved::Entry(fresh, Tier::Far | Tier::Owner)) = &loaded {
                self.remember(hash, Arc::clone(fresh));
            }
            return loaded;
        }
        match self.near.get_or_load(hash, code.as_str()).await {
            Lookup::Entry(entry) => {
                telemetry::shared_load();
                Ok(Resolved::Entry(entry, Tier::Near))
            }
            Lookup::Load(guard) => {
                // Whoever loaded before us may have found that nobody made it.
                if self.near.is_unknown(hash, code.as_str(), self.now()) {
                    telemetry::shared_load();
                    return Ok(Resolved::Unknown);
                }
                let loaded = self.load(code, hash, Fallback::default(), false).await;
                match (&loaded, guard) {
                    (Ok(Resolved::Entry(entry, Tier::Far | Tier::Owner)), Some(guard)) => {
                        // Refused where a change was told meanwhile: then it is not remembered.
                        drop(guard.insert(Arc::clone(entry)));
                    }
                    (Ok(Resolved::Unknown), _) => {
                        self.near.insert_unknown(hash, code.as_str(), self.now());
                    }
                    _ => (),
                }
                loaded
            }
        }
    }

    /// Puts what was just loaded into the near cache.
    fn remember(&self, hash: u64, fresh: Arc<NearEntry>) {
        let version = fresh.route().version;
        self.near.insert(hash, fresh);
        // A change that was told while this was being loaded has removed the entry before it came.
        if self.coherence.is_outdated(hash, version) {
            self.near.remove(hash);
        }
    }

    fn shard_is_up(&self, hash: u64) -> bool {
        self.store.is_up(Slot::of_hash(hash))
    }

    /// Far cache, then owner; while that is away, what `fallback` has.
    async fn load(
        self: &Arc<Self>,
        code: &ShortCode,
        hash: u64,
        mut fallback: Fallback,
        skip_far: bool,
    ) -> Result<Resolved, Unavailable> {
        let namespace = self.store.namespace().unwrap_or_default();
        if !skip_far && !self.far.is_none() && !namespace.is_empty() {
            match self.ask_far(&namespace, code, hash).await {
                FarAnswer::Fresh(entry) => return Ok(Resolved::Entry(entry, Tier::Far)),
                FarAnswer::Unknown => return Ok(Resolved::Unknown),
                FarAnswer::Old(entry, version, raw) => fallback.far = Some((entry, version, raw)),
                FarAnswer::Nothing => (),
            }
        }
        let asked = Instant::now();
        match Box::pin(self.store.route(code)).await {
            Ok(found) => {
                let now = self.now();
                let took = asked.elapsed();
                if took < SLOW_READ && !namespace.is_empty() {
                    self.fill_far(namespace, code, found.clone(), took, now, fallback.far);
                }
                let Some(route) = found else {
                    return Ok(Resolved::Unknown);
                };
                match NearEntry::new(code.as_str(), route, now.micros()) {
                    Some(entry) => Ok(Resolved::Entry(Arc::new(entry), Tier::Owner)),
                    None => Err(Unavailable), // a target that cannot stand in a header: damage
                }
            }
            Err(error) => {
                log_outage(code, &error);
                self.stale(code, fallback).ok_or(Unavailable)
            }
        }
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

    fn stale(&self, code: &ShortCode, fallback: Fallback) -> Option<Resolved> {
        let now = self.now();
        if let Some(entry) = self.stale_near(fallback.near, now) {
            return Some(Resolved::Entry(entry, Tier::Stale));
        }
        let (entry, _, _) = fallback.far?;
        if now.micros() - entry.fetched_at > self.stale {
            return None;
        }
        let near = Arc::new(NearEntry::new(
            code.as_str(),
            entry.route?,
            entry.fetched_at,
        )?);
        // Kept, so that the next visit finds it without asking anybody; its age stays what it is.
        self.near
            .insert(hash(code.as_str().as_bytes()), Arc::clone(&near));
        self.stale_near(Some(near), now)
            .map(|entry| Resolved::Entry(entry, Tier::Stale))
    }

    /// An old entry that may be served while its shard is away: not too old, and followable.
    fn stale_near(&self, entry: Option<Arc<NearEntry>>, now: Timestamp) -> Option<Arc<NearEntry>> {
        // Whether it may be followed is decided with every answer, so what is known to be over
        // stays over.
        entry.filter(|entry| entry.age(now) <= self.stale)
    }
}

fn log_outage(code: &ShortCode, error: &StoreError) {
    match error {
        StoreError::Corrupt { .. } | StoreError::Refused { .. } => {
            tracing::error!(%code, %error, "a link cannot be read");
        }
        StoreError::NotOwner | StoreError::NoOwner(_) | StoreError::Unavailable { .. } => {
            tracing::debug!(%code, %error, "a link's shard did not answer");
        }
    }
}
