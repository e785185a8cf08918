//! Loading a code: from the far cache, from its owner, or from what is known while that is away.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::cache::far::FarEntry;
use crate::cache::near::Lookup;
use crate::cache::near::NearEntry;
use crate::domain::code::ShortCode;
use crate::domain::time::Timestamp;
use crate::service::redirect::Redirector;
use crate::service::redirect::Resolved;
use crate::service::redirect::SLOW_READ;
use crate::service::redirect::Unavailable;
use crate::service::redirect::far::FarAnswer;
use crate::slots::Slot;
use crate::slots::hash;
use crate::store::StoreError;
use crate::telemetry;
use crate::telemetry::Tier;

/// A value that may be served while the shard is away.
#[derive(Clone, Debug, Default)]
pub(super) struct Fallback {
    pub(super) near: Option<Arc<NearEntry>>,
    pub(super) far: Option<(FarEntry, i64, Bytes)>,
}

impl Redirector {
    /// What the far cache has and may be answered, or else the outcome of a load.
    pub(super) async fn look_up(
        self: &Arc<Self>,
        code: &ShortCode,
        hash: u64,
        known: Option<Arc<NearEntry>>,
    ) -> Result<Resolved, Unavailable> {
        let mut fallback = Fallback {
            near: known,
            far: None,
        };
        // An entry that is only old is loaded by one of those who want it.
        if fallback.near.is_none() {
            match self.ask_far(code, hash).await {
                FarAnswer::Fresh(entry) => {
                    self.remember(hash, Arc::clone(&entry));
                    return Ok(Resolved::Entry(entry, Tier::Far));
                }
                FarAnswer::Unknown => {
                    self.near.insert_unknown(hash, code.as_str(), self.now());
                    return Ok(Resolved::Unknown);
                }
                FarAnswer::Old(entry, version, raw) => fallback.far = Some((entry, version, raw)),
                FarAnswer::Nothing => (),
            }
        }
        // The load goes on when the visitor hangs up: others may wait for it.
        let (this, code) = (Arc::clone(self), code.clone());
        let loading = self
            .runtime
            .spawn(async move { this.load_once(&code, hash, fallback).await });
        loading.await.unwrap_or(Err(Unavailable))
    }

    /// Loads a code unless somebody else is doing so; then waits for that outcome.
    async fn load_once(
        self: &Arc<Self>,
        code: &ShortCode,
        hash: u64,
        fallback: Fallback,
    ) -> Result<Resolved, Unavailable> {
        if let Some(entry) = fallback.near {
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
                let loaded = self.load(code, hash, fallback, true).await;
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
    pub(super) fn remember(&self, hash: u64, fresh: Arc<NearEntry>) {
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
    pub(super) async fn load(
        self: &Arc<Self>,
        code: &ShortCode,
        hash: u64,
        mut fallback: Fallback,
        skip_far: bool,
    ) -> Result<Resolved, Unavailable> {
        if !skip_far {
            match self.ask_far(code, hash).await {
                FarAnswer::Fresh(entry) => return Ok(Resolved::Entry(entry, Tier::Far)),
                FarAnswer::Unknown => return Ok(Resolved::Unknown),
                FarAnswer::Old(entry, version, raw) => fallback.far = Some((entry, version, raw)),
                FarAnswer::Nothing => (),
            }
        }
        let namespace = self.store.namespace();
        let asked = Instant::now();
        match Box::pin(self.store.route(code)).await {
            Ok(found) => {
                let now = self.now();
                let took = asked.elapsed();
                if let Some(namespace) = namespace.filter(|_| took < SLOW_READ) {
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
    pub(super) fn stale_near(
        &self,
        entry: Option<Arc<NearEntry>>,
        now: Timestamp,
    ) -> Option<Arc<NearEntry>> {
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
