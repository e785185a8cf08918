//! Old entries of the near cache, asked for behind the answer: many in one query.
//!
//! # Why
//!
//! Every link that is followed has to be confirmed every 30 s. One query for each would be tens of
//! thousands a second where a million links are in use, and each would wake two threads.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use rand::RngExt as _;

use crate::cache::near::NearEntry;
use crate::domain::code::ShortCode;
use crate::domain::route::Route;
use crate::service::redirect::Redirector;
use crate::service::redirect::Resolved;
use crate::service::redirect::SLOW_READ;
use crate::service::redirect::Unavailable;
use crate::service::redirect::load::Fallback;
use crate::slots::Slot;
use crate::slots::hash;

/// How long entries are gathered for one query.
const GATHER: Duration = Duration::from_millis(20);
/// Codes of one query.
const AT_ONCE: usize = 500;

/// Of the refreshed entries one in so many is written to the far cache, where what is asked for
/// again every 30 s here is good for 300 s.
const FILL_ONE_IN: u32 = 4;

/// Entries whose refresh was claimed, by the place of their shard.
#[derive(Debug)]
pub(super) struct Due(Box<[Mutex<Vec<Arc<NearEntry>>>]>);

impl Due {
    pub(super) fn new(places: usize) -> Self {
        Self((0..places).map(|_| Mutex::default()).collect())
    }

    /// Adds an entry; whether it is the first, so that somebody has to begin.
    fn push(&self, place: usize, entry: Arc<NearEntry>) -> bool {
        let Some(due) = self.0.get(place) else {
            return false;
        };
        let mut due = due.lock().unwrap_or_else(PoisonError::into_inner);
        due.push(entry);
        due.len() == 1
    }

    fn take(&self, place: usize) -> Vec<Arc<NearEntry>> {
        let due = self.0.get(place).map(Mutex::lock);
        let due = due.map(|due| due.unwrap_or_else(PoisonError::into_inner));
        due.map(|mut due| std::mem::take(&mut *due))
            .unwrap_or_default()
    }
}

impl Redirector {
    /// Has an entry refreshed whose refresh this caller claimed.
    pub(super) fn refresh(self: &Arc<Self>, hash: u64, entry: Arc<NearEntry>) {
        let Some(place) = self
            .store
            .owner(Slot::of_hash(hash))
            .map(|owner| owner.place)
        else {
            entry.release_refresh();
            return;
        };
        if self.due.push(place, entry) {
            let this = Arc::clone(self);
            self.runtime.spawn(async move {
                tokio::time::sleep(GATHER).await;
                // What is pushed from now on begins anew.
                let due = this.due.take(place);
                for entries in due.chunks(AT_ONCE) {
                    this.refresh_all(place, entries).await;
                }
            });
        }
    }

    /// Asks one shard for entries that it should own.
    async fn refresh_all(self: &Arc<Self>, place: usize, entries: &[Arc<NearEntry>]) {
        let (codes, versions): (Vec<ShortCode>, Vec<i64>) = entries
            .iter()
            .filter_map(|entry| Some((entry.code().parse().ok()?, entry.route().version)))
            .unzip();
        let asked = Instant::now();
        // While the shard is away, what is known goes on being served.
        if let Ok(found) = self.store.routes(place, &codes).await {
            let known = codes.into_iter().zip(versions).collect();
            self.renew_all(known, found, asked.elapsed()).await;
        }
        for entry in entries {
            entry.release_refresh();
        }
    }

    async fn renew_all(
        self: &Arc<Self>,
        known: Vec<(ShortCode, i64)>,
        found: Vec<(ShortCode, Route)>,
        took: Duration,
    ) {
        let mut found: HashMap<ShortCode, Route> = found.into_iter().collect();
        let each = took / u32::try_from(known.len().max(1)).unwrap_or(u32::MAX);
        let fills_far = took < SLOW_READ && !self.far.is_none();
        let namespace = self.store.namespace().filter(|_| fills_far);
        for (code, version) in known {
            let hash = hash(code.as_str().as_bytes());
            let Some(route) = found.remove(&code) else {
                // Unknown, or not here: only the way that asks again can tell.
                self.refresh_one(hash, code).await;
                continue;
            };
            let now = self.now();
            if let Some(namespace) = &namespace
                && (route.version != version || rand::rng().random_ratio(1, FILL_ONE_IN))
            {
                let namespace = Arc::clone(namespace);
                self.fill_far(namespace, &code, Some(route.clone()), each, now, None);
            }
            if let Some(fresh) = NearEntry::new(code.as_str(), route, now.micros()) {
                self.remember(hash, Arc::new(fresh));
            }
        }
    }

    async fn refresh_one(self: &Arc<Self>, hash: u64, code: ShortCode) {
        match self.load(&code, hash, Fallback::default(), true).await {
            Ok(Resolved::Entry(fresh, _)) => self.remember(hash, fresh),
            Ok(Resolved::Unknown) => self.near.remove(hash),
            Err(Unavailable) => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::far::FarCache;
    use crate::cache::near::NearCache;
    use crate::config::ShardConfig;
    use crate::config::ShardUrl;
    use crate::domain::link::LinkFields;
    use crate::domain::link::NewLink;
    use crate::domain::time::Timestamp;
    use crate::service::coherence::Coherence;
    use crate::service::redirect::REFRESH_AFTER;
    use crate::store::Store;

    /// How long a refresh may take at most, on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A redirector over one file that holds these links, and near entries of theirs that say
    /// something else and are due.
    async fn with_old_entries(codes: &[ShortCode]) -> Arc<Redirector> {
        let path = std::env::temp_dir().join(format!("urlshort-{}.db", uuid::Uuid::now_v7()));
        let shard = ShardConfig {
            url: ShardUrl::Sqlite(path),
            weight: 1.0,
        };
        let store = Arc::new(Store::new(&[shard]).unwrap());
        store.judge().await;
        let coherence = Arc::new(Coherence::default());
        let redirector = Redirector::new(
            Arc::clone(&store),
            NearCache::new(1 << 20),
            FarCache::None,
            crate::domain::target::TargetPolicy::default(),
            Arc::clone(&coherence),
            Duration::from_secs(60),
            tokio::runtime::Handle::current(),
        );
        let now = redirector.now();
        coherence.feed_read(&Slot::all().collect::<Vec<_>>(), now);
        for code in codes {
            let new = NewLink {
                code: code.clone(),
                owner: None,
                fields: LinkFields::to("https://example.com/new".to_owned()),
            };
            store.insert(&new, false).await.unwrap();
            remember_old(&redirector, code, now);
        }
        redirector
    }

    fn remember_old(redirector: &Arc<Redirector>, code: &ShortCode, now: Timestamp) {
        let old = Route::plain("https://example.com/old");
        let checked_at = now.micros() - REFRESH_AFTER - 1;
        let entry = NearEntry::new(code.as_str(), old, checked_at).unwrap();
        redirector.near.insert(hash_of(code), Arc::new(entry));
    }

    fn hash_of(code: &ShortCode) -> u64 {
        hash(code.as_str().as_bytes())
    }

    /// What the front would answer.
    fn near(redirector: &Arc<Redirector>, code: &ShortCode) -> Option<Arc<NearEntry>> {
        let (hash, now) = (hash_of(code), redirector.now());
        // However slowly this runs, the feed is not silent.
        redirector
            .coherence
            .feed_read(&Slot::all().collect::<Vec<_>>(), now);
        let entry = redirector.near.get(hash, code.as_str().as_bytes())?;
        redirector.may_answer(hash, &entry, now).then_some(entry)
    }

    /// Follows a code until the near cache says something else than before.
    async fn follow_until(redirector: &Arc<Redirector>, code: &ShortCode, target: Option<&str>) {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "{code} is not {target:?}");
            let entry = near(redirector, code);
            if entry.as_ref().map(|entry| entry.target()) == target {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn old_entries_are_answered_at_once_and_renewed_behind_that() {
        let codes: Vec<ShortCode> = (0..AT_ONCE + 3)
            .map(|n| format!("code-{n}").parse().unwrap())
            .collect();
        let redirector = with_old_entries(&codes).await;
        for code in &codes {
            let entry = near(&redirector, code);
            assert_eq!(entry.unwrap().target(), "https://example.com/old");
        }
        for code in &codes {
            follow_until(&redirector, code, Some("https://example.com/new")).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_old_entry_of_a_code_that_is_none_is_forgotten() {
        let redirector = with_old_entries(&[]).await;
        let code: ShortCode = "nobody".parse().unwrap();
        remember_old(&redirector, &code, redirector.now());
        follow_until(&redirector, &code, None).await;
    }
}
