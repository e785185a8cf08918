//! One worker's own table of the links it follows, in front of the near cache.
//!
//! # Why
//!
//! A hit of the shared cache writes to four lines of memory that every core writes to: a lock, two
//! reference counts and a mark of use. Each is fetched from the core that wrote it last. Here a hit
//! only reads what is shared. Nothing is believed longer: an entry that leaves the near cache, for
//! whatever reason, says so itself.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::http::header::HeaderValue;

use crate::cache::near::BuildIdentity;
use crate::cache::near::NearEntry;

/// Links of the table; beyond it the table begins anew.
const MAX_LINKS: usize = 32_768;
/// Every so many hits the near cache is asked, so that it knows what is in use.
const TELL_EVERY: u32 = 32;

/// The table of one worker, by the hash of the code.
#[derive(Debug, Default)]
pub struct WorkerCache(HashMap<u64, Followed, BuildIdentity>);

/// A link that this worker followed.
#[derive(Debug)]
pub struct Followed {
    entry: Arc<NearEntry>,
    location: HeaderValue,
    hits: u32,
}

impl Followed {
    /// What the near cache had.
    #[must_use]
    pub const fn entry(&self) -> &Arc<NearEntry> {
        &self.entry
    }

    /// Its `Location`; no other worker counts references to it.
    #[must_use]
    pub fn location(&self) -> HeaderValue {
        self.location.clone()
    }
}

impl WorkerCache {
    /// Whether `code`, whose hash is `hash`, is here and still what the near cache says. Now and
    /// then `false` also where it is: the near cache has to be asked.
    pub fn holds(&mut self, hash: u64, code: &[u8]) -> bool {
        let Some(followed) = self.0.get_mut(&hash) else {
            return false;
        };
        if followed.entry.is_withdrawn() {
            self.0.remove(&hash);
            return false;
        }
        followed.hits = followed.hits.wrapping_add(1);
        !followed.hits.is_multiple_of(TELL_EVERY) && followed.entry.is_of(code)
    }

    /// The link under `hash`: what [`holds`](Self::holds) agreed to, or [`put`](Self::put) put
    /// there.
    #[must_use]
    pub fn followed(&self, hash: u64) -> Option<&Followed> {
        self.0.get(&hash)
    }

    /// Remembers what the near cache has under `hash`.
    pub fn put(&mut self, hash: u64, entry: Arc<NearEntry>) {
        let known = self.0.get(&hash);
        if known.is_some_and(|followed| Arc::ptr_eq(&followed.entry, &entry)) {
            return;
        }
        if self.0.len() >= MAX_LINKS {
            self.0.clear();
        }
        let followed = Followed {
            location: entry.location(),
            entry,
            hits: 0,
        };
        self.0.insert(hash, followed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::near::NearCache;
    use crate::domain::route::Route;
    use crate::slots::hash;

    fn entry(code: &str, target: &str) -> Arc<NearEntry> {
        Arc::new(NearEntry::new(code, Route::plain(target), 0).unwrap())
    }

    /// A worker's table that holds `abc` as the near cache does.
    fn filled(near: &NearCache) -> WorkerCache {
        let code = hash(b"abc");
        near.insert(code, entry("abc", "https://example.com/1"));
        let mut own = WorkerCache::default();
        assert!(!own.holds(code, b"abc"));
        own.put(code, near.get(code, b"abc").unwrap());
        assert!(own.holds(code, b"abc"));
        own
    }

    #[test]
    fn what_leaves_the_near_cache_is_believed_no_longer() {
        let code = hash(b"abc");
        let near = NearCache::new(1 << 20);
        let mut own = filled(&near);
        near.remove(code);
        assert!(!own.holds(code, b"abc"), "removed");
        let mut own = filled(&near);
        near.insert(code, entry("abc", "https://example.com/2"));
        assert!(!own.holds(code, b"abc"), "replaced");
        let small = NearCache::new(10_000);
        let mut own = filled(&small);
        for n in 0..10_000 {
            let other = format!("other-{n}");
            let place = hash(other.as_bytes());
            small.insert(place, entry(&other, "https://example.com/"));
            // Asked for, so that it is worth more than what nobody asks for again.
            drop(small.get(place, other.as_bytes()));
            drop(small.get(place, other.as_bytes()));
        }
        assert!(small.get(code, b"abc").is_none());
        assert!(!own.holds(code, b"abc"), "pushed out");
    }

    #[test]
    fn only_the_code_itself_is_found_and_the_near_cache_is_asked_now_and_then() {
        let code = hash(b"abc");
        let near = NearCache::new(1 << 20);
        let mut own = filled(&near);
        assert!(!own.holds(code, b"abd"), "another code with the same hash");
        assert!(!own.holds(code ^ 1, b"abc"), "another hash");
        let found = own.followed(code).unwrap();
        assert_eq!(found.location(), "https://example.com/1");
        let asked = (0..TELL_EVERY * 4).filter(|_| !own.holds(code, b"abc"));
        assert_eq!(asked.count(), 4);
        let long = format!("https://example.com/{}", "x".repeat(300));
        own.put(code, entry("abc", &long));
        assert_eq!(own.followed(code).unwrap().location(), *long);
        for other in 0..MAX_LINKS as u64 {
            own.put(other, entry("other", "https://example.com/"));
        }
        assert!(own.0.len() < MAX_LINKS, "it is bounded");
    }
}
