//! One worker's own table of the links it follows, in front of the near cache.
//!
//! # Why
//!
//! A hit of the shared cache writes to four lines of memory that every core writes to: a lock, two
//! reference counts and a mark of use. Each is fetched from the core that wrote it last. Here a hit
//! only reads what is shared. Nothing is believed longer: an entry that leaves the near cache, for
//! whatever reason, says so itself.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use actix_web::http::header::HeaderValue;

use crate::cache::near::BuildIdentity;
use crate::cache::near::NearEntry;
use crate::domain::inline::InlineCode;

/// Links of the table; beyond it the table begins anew.
const MAX_LINKS: usize = 32_768;
/// Every so many hits the near cache is asked, so that it knows what is in use.
const TELL_EVERY: u32 = 32;
/// A longer `Location` lies outside the table. With it a place of the table has 128 bytes: two
/// lines of memory, which are fetched together.
const INLINE_LOCATION: usize = 78;

/// The table of one worker, by the hash of the code.
#[derive(Debug, Default)]
pub struct WorkerCache(HashMap<u64, Followed, BuildIdentity>);

/// A link that this worker followed. What a hit needs lies together: a pointer more is a line of
/// memory more to wait for.
#[derive(Debug)]
pub struct Followed {
    entry: Arc<NearEntry>,
    hits: u32,
    code: InlineCode,
    location: Location,
}

#[derive(Debug)]
enum Location {
    Here(u8, [u8; INLINE_LOCATION]),
    Elsewhere(Box<HeaderValue>),
}

impl Followed {
    fn new(entry: Arc<NearEntry>) -> Self {
        let target = entry.target().as_bytes();
        let mut bytes = [0; INLINE_LOCATION];
        let location = match (bytes.get_mut(..target.len()), u8::try_from(target.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(target);
                Location::Here(length, bytes)
            }
            _ => Location::Elsewhere(Box::new(entry.location())),
        };
        Self {
            code: InlineCode::new(entry.code()),
            entry,
            hits: 0,
            location,
        }
    }

    /// What the near cache had.
    #[must_use]
    pub const fn entry(&self) -> &Arc<NearEntry> {
        &self.entry
    }

    /// Its `Location`; no other worker counts references to it.
    #[must_use]
    pub fn location(&self) -> HeaderValue {
        match &self.location {
            Location::Here(length, bytes) => {
                let text = bytes.get(..usize::from(*length)).unwrap_or_default();
                // It was a header's value before.
                HeaderValue::from_bytes(text).unwrap_or_else(|_| self.entry.location())
            }
            Location::Elsewhere(location) => HeaderValue::clone(location),
        }
    }
}

impl WorkerCache {
    /// The link that `code`, whose hash is `hash`, stands for, if it is here and still what the
    /// near cache says. Now and then `None` also where it is: the near cache has to be asked.
    pub fn find(&mut self, hash: u64, code: &[u8]) -> Option<&Followed> {
        let Entry::Occupied(mut place) = self.0.entry(hash) else {
            return None;
        };
        let followed = place.get_mut();
        if followed.entry.is_withdrawn() {
            place.remove();
            return None;
        }
        followed.hits = followed.hits.wrapping_add(1);
        let asks = followed.hits.is_multiple_of(TELL_EVERY);
        let is_it = !asks && followed.code.as_bytes() == code;
        is_it.then(|| &*place.into_mut())
    }

    /// Remembers what the near cache has under `hash`.
    pub fn put(&mut self, hash: u64, entry: Arc<NearEntry>) -> &Followed {
        if self.0.len() >= MAX_LINKS && !self.0.contains_key(&hash) {
            self.0.clear();
        }
        match self.0.entry(hash) {
            Entry::Occupied(mut place) => {
                if !Arc::ptr_eq(&place.get().entry, &entry) {
                    place.insert(Followed::new(entry));
                }
                place.into_mut()
            }
            Entry::Vacant(place) => place.insert(Followed::new(entry)),
        }
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
        assert!(own.find(code, b"abc").is_none());
        own.put(code, near.get(code, b"abc").unwrap());
        assert!(own.find(code, b"abc").is_some());
        own
    }

    #[test]
    fn what_leaves_the_near_cache_is_believed_no_longer() {
        let code = hash(b"abc");
        let near = NearCache::new(1 << 20);
        let mut own = filled(&near);
        near.remove(code);
        assert!(own.find(code, b"abc").is_none(), "removed");
        let mut own = filled(&near);
        near.insert(code, entry("abc", "https://example.com/2"));
        assert!(own.find(code, b"abc").is_none(), "replaced");
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
        assert!(own.find(code, b"abc").is_none(), "pushed out");
    }

    #[test]
    fn only_the_code_itself_is_found_and_the_near_cache_is_asked_now_and_then() {
        let code = hash(b"abc");
        let near = NearCache::new(1 << 20);
        let mut own = filled(&near);
        assert!(
            own.find(code, b"abd").is_none(),
            "another code with the same hash"
        );
        assert!(own.find(code ^ 1, b"abc").is_none(), "another hash");
        let found = own.find(code, b"abc").unwrap();
        assert_eq!(found.location(), "https://example.com/1");
        let asked = (0..TELL_EVERY * 4).filter(|_| own.find(code, b"abc").is_none());
        assert_eq!(asked.count(), 4);
        let long = format!("https://example.com/{}", "x".repeat(300));
        let found = own.put(code, entry("abc", &long));
        assert_eq!(found.location(), *long);
        assert_eq!(size_of::<(u64, Followed)>(), 128, "two lines of memory");
        for other in 0..MAX_LINKS as u64 {
            own.put(other, entry("other", "https://example.com/"));
        }
        assert!(own.0.len() < MAX_LINKS, "it is bounded");
    }
}
