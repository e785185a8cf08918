//! The far cache's part of a redirect: asked before the owner, filled behind the answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;

use crate::cache::far::FarEntry;
use crate::cache::far::FarError;
use crate::cache::far::FarFound;
use crate::cache::near::NearEntry;
use crate::domain::code::ShortCode;
use crate::domain::route::LinkState;
use crate::domain::route::Route;
use crate::domain::time::Timestamp;
use crate::service::redirect::Redirector;
use crate::service::redirect::SOFT;
use crate::telemetry;
use crate::telemetry::CacheResult;
use crate::telemetry::CacheTier;
use crate::telemetry::metrics;

/// How long the far cache keeps a value at all.
const HARD: i64 = 24 * 3_600_000_000;
/// How long the far cache remembers that nobody made a code.
const UNKNOWN: i64 = 5_000_000;

/// What the far cache knows.
pub(super) enum FarAnswer {
    Fresh(Arc<NearEntry>),
    Unknown,
    Old(FarEntry, i64, Bytes),
    Nothing,
}

impl Redirector {
    /// What the far cache has of a code; what is past its soft lifetime is for emergencies.
    pub(super) async fn ask_far(self: &Arc<Self>, code: &ShortCode, hash: u64) -> FarAnswer {
        if self.far.is_none() {
            return FarAnswer::Nothing;
        }
        let Some(namespace) = self.store.namespace() else {
            return FarAnswer::Nothing;
        };
        let Ok(found) = self.read_far(&namespace, code).await else {
            telemetry::cache_requests(CacheTier::Far, CacheResult::Error);
            return FarAnswer::Nothing;
        };
        let now = self.now();
        let FarFound::Entry {
            entry,
            version,
            raw,
        } = found
        else {
            telemetry::cache_requests(CacheTier::Far, CacheResult::Miss);
            return FarAnswer::Nothing;
        };
        if self.coherence.is_outdated(hash, version) {
            telemetry::cache_requests(CacheTier::Far, CacheResult::Miss);
            return FarAnswer::Nothing;
        }
        if entry.soft_until <= now.micros() {
            telemetry::cache_requests(CacheTier::Far, CacheResult::Stale);
            return FarAnswer::Old(entry, version, raw);
        }
        telemetry::cache_requests(CacheTier::Far, CacheResult::Hit);
        let early = refresh_early(&entry, now);
        let Some(route) = entry.route else {
            return FarAnswer::Unknown;
        };
        let Some(near) = NearEntry::new(code.as_str(), route, entry.fetched_at) else {
            return FarAnswer::Nothing;
        };
        let near = Arc::new(near);
        if early && near.claim_refresh() {
            self.refresh(hash, Arc::clone(&near));
        }
        FarAnswer::Fresh(near)
    }

    /// What the far cache has of a code. Others may write there: what leads where no link may lead
    /// is a miss, and the owner's word replaces it.
    pub(super) async fn read_far(
        &self,
        namespace: &str,
        code: &ShortCode,
    ) -> Result<FarFound, FarError> {
        let found = self.far.get(namespace, code).await?;
        if let FarFound::Entry { entry, .. } = &found
            && let Some(route) = &entry.route
            && !self.believes(route)
        {
            metrics::redis_errors("forged");
            tracing::warn!(
                code = code.as_str(),
                "the far cache leads where no link may lead; its value is not used"
            );
            return Ok(FarFound::Miss);
        }
        Ok(found)
    }

    fn believes(&self, route: &Route) -> bool {
        // A tombstone leads nowhere.
        let is_gone = matches!(route.state, LinkState::Deleted | LinkState::Purged);
        (is_gone || self.targets.admits(&route.target))
            && route
                .expired_url()
                .is_none_or(|target| self.targets.admits(target))
    }

    /// Writes what the owner said to the far cache, behind the answer.
    pub(super) fn fill_far(
        self: &Arc<Self>,
        namespace: Arc<str>,
        code: &ShortCode,
        route: Option<Route>,
        took: Duration,
        now: Timestamp,
        old: Option<(FarEntry, i64, Bytes)>,
    ) {
        if self.far.is_none() {
            return;
        }
        let version = route.as_ref().map_or(0, |route| route.version);
        let entry = far_entry(route, took, now);
        let (this, code) = (Arc::clone(self), code.clone());
        self.runtime.spawn(async move {
            // Only a semaphore that is closed refuses, and this one never is.
            let _turn = this.fills.acquire().await;
            let ttl = ttl_of(&entry, now);
            let written = match old {
                // A restored database says less than the cache: its word counts, if the cache
                // still holds what was read.
                Some((_, old_version, raw)) if old_version > version => {
                    this.far
                        .replace_if_same(&namespace, &code, &raw, version, &entry, ttl)
                        .await
                }
                _ => this.far.put(&namespace, &code, version, &entry, ttl).await,
            };
            if written.is_err() {
                telemetry::cache_requests(CacheTier::Far, CacheResult::Error);
            }
        });
    }
}

pub(super) fn far_entry(route: Option<Route>, took: Duration, now: Timestamp) -> FarEntry {
    let (soft, hard) = if route.is_some() {
        (
            rand::rng().random_range(SOFT * 9 / 10..=SOFT * 11 / 10),
            HARD,
        )
    } else {
        (UNKNOWN, UNKNOWN)
    };
    FarEntry {
        fetched_at: now.micros(),
        soft_until: now.micros() + soft,
        hard_until: now.micros() + hard,
        load_micros: u32::try_from(took.as_micros()).unwrap_or(u32::MAX),
        route,
    }
}

pub(super) fn ttl_of(entry: &FarEntry, now: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(entry.hard_until - now.micros()).unwrap_or(0))
}

/// Probabilistic early refresh (Vattani 2015): the nearer the end and the slower the load, the
/// likelier one of many processes refreshes before all of them have to.
fn refresh_early(entry: &FarEntry, now: Timestamp) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "microseconds of minutes fit")]
    let left = (entry.soft_until - now.micros()) as f64;
    let draw: f64 = rand::rng().random_range(f64::MIN_POSITIVE..1.0);
    f64::from(entry.load_micros) * -draw.ln() >= left
}
