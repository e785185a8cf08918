//! The near cache: routes in this process, ready to be sent.
//!
//! # Why
//!
//! Keyed by the code's xxh3 (which also gives the slot), hashed no further; the entry holds the code
//! and is compared, because collisions of an unkeyed hash can be made. Unknown codes have a small
//! cache of their own, so that a scan cannot push hot links out. Entries are dropped with `remove`,
//! never `remove_if`: the latter lets a running load insert the old value afterwards.

use std::hash::BuildHasher;
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use actix_web::http::header::HeaderValue;
use bytes::Bytes;
use quick_cache::DefaultHashBuilder;
use quick_cache::Lifecycle;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use quick_cache::sync::DefaultLifecycle;

use crate::domain::inline::InlineCode;
use crate::domain::route::Route;
use crate::domain::route::Times;
use crate::domain::time::Timestamp;
use crate::telemetry;

/// Unknown codes that are remembered at most, and for how long in microseconds.
const UNKNOWN_ENTRIES: usize = 50_000;
const UNKNOWN_LIFETIME: i64 = 1_000_000;
/// What an entry costs besides its texts: the entry, its counts, and the cache's own bookkeeping.
const ENTRY_BYTES: usize = 220;
/// A longer `Location` is not copied but shared.
const MAX_COPIED: usize = 256;

/// A route with its `Location` ready. What every hit reads comes first, in one line of memory.
#[derive(Debug)]
#[repr(C)]
pub struct NearEntry {
    /// When the database was last known to say this, by its clock.
    checked_at: AtomicI64,
    /// It has left the cache: whoever still has it must ask again.
    withdrawn: AtomicBool,
    refreshing: AtomicBool,
    code: InlineCode,
    /// The route; its `target` is empty and stands in `location` alone.
    route: Route,
    location: HeaderValue,
}

impl NearEntry {
    /// An entry for `code`; `None` where the target cannot stand in a header.
    #[must_use]
    pub fn new(code: &str, mut route: Route, checked_at: i64) -> Option<Self> {
        let target = std::mem::take(&mut route.target).into_string().into_bytes();
        let location = HeaderValue::from_maybe_shared(Bytes::from(target)).ok()?;
        Some(Self {
            code: InlineCode::new(code),
            route,
            location,
            checked_at: AtomicI64::new(checked_at),
            withdrawn: AtomicBool::new(false),
            refreshing: AtomicBool::new(false),
        })
    }

    /// The code it stands for.
    #[must_use]
    pub fn code(&self) -> &str {
        self.code.as_str()
    }

    /// Whether it stands for `code`.
    #[must_use]
    pub fn is_of(&self, code: &[u8]) -> bool {
        self.code.as_bytes() == code
    }

    /// The route without its target.
    #[must_use]
    pub const fn route(&self) -> &Route {
        &self.route
    }

    /// The `Location`: copied, so that no other worker counts references to it, and since counting
    /// them takes 32 bytes for each link once it is shared; a long one is shared.
    #[must_use]
    pub fn location(&self) -> HeaderValue {
        let copied = (self.location.len() <= MAX_COPIED)
            .then(|| HeaderValue::from_bytes(self.location.as_bytes()).ok());
        copied.flatten().unwrap_or_else(|| self.location.clone())
    }

    /// The target as text.
    #[must_use]
    pub fn target(&self) -> &str {
        // A target is a serialised URL: ASCII.
        std::str::from_utf8(self.location.as_bytes()).unwrap_or("")
    }

    /// The time since the database said this, in microseconds.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> i64 {
        now.micros()
            .saturating_sub(self.checked_at.load(Ordering::Relaxed))
    }

    /// Whether it was in the cache and is so no longer: replaced, removed or pushed out.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Acquire)
    }

    fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Release);
    }

    /// Claims the refresh of this entry; only one caller gets it.
    #[must_use]
    pub fn claim_refresh(&self) -> bool {
        !self.refreshing.swap(true, Ordering::Relaxed)
    }

    /// Gives the claim back.
    pub fn release_refresh(&self) {
        self.refreshing.store(false, Ordering::Relaxed);
    }

    fn bytes(&self) -> usize {
        let times = self.route.times.as_ref().map_or(0, |times| {
            size_of::<Times>() + times.expired_url.as_ref().map_or(0, |url| url.len())
        });
        ENTRY_BYTES + self.code.more_bytes() + self.location.len() + times
    }
}

/// The code's hash is its own hash.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, bits: u64) {
        self.0 = bits;
    }
}

/// Builds [`Identity`].
#[derive(Clone, Copy, Debug, Default)]
pub struct BuildIdentity;

impl BuildHasher for BuildIdentity {
    type Hasher = Identity;

    fn build_hasher(&self) -> Identity {
        Identity::default()
    }
}

/// Weighs entries in bytes.
#[derive(Clone, Copy, Debug)]
pub struct ByBytes;

impl Weighter<u64, Arc<NearEntry>> for ByBytes {
    fn weight(&self, _key: &u64, entry: &Arc<NearEntry>) -> u64 {
        entry.bytes() as u64
    }
}

/// Tells entries that they are replaced or pushed out, and counts the latter.
#[derive(Clone, Copy, Debug)]
pub struct Withdraw;

impl Lifecycle<u64, Arc<NearEntry>> for Withdraw {
    /// The key that is being inserted: its older entry is replaced, not pushed out.
    type RequestState = Option<u64>;

    fn on_evict(&self, inserted: &mut Option<u64>, key: u64, entry: Arc<NearEntry>) {
        entry.withdraw();
        if *inserted != Some(key) {
            telemetry::cache_evicted();
        }
    }
}

type Known = Cache<u64, Arc<NearEntry>, ByBytes, BuildIdentity, Withdraw>;

/// The cache of one process.
#[derive(Debug)]
pub struct NearCache {
    known: Option<Known>,
    limit: u64,
    unknown: Cache<u64, (Box<str>, i64)>,
}

/// The right to load a code while others wait for the outcome.
pub type Loading<'cache> = quick_cache::sync::PlaceholderGuard<
    'cache,
    u64,
    Arc<NearEntry>,
    ByBytes,
    BuildIdentity,
    Withdraw,
>;

/// What a cache that may be loading has for a code.
#[derive(Debug)]
pub enum Lookup<'cache> {
    /// A route, of any age.
    Entry(Arc<NearEntry>),
    /// This caller loads; others wait until the guard is used or dropped.
    Load(Option<Loading<'cache>>),
}

impl NearCache {
    /// A cache of about `bytes`; 0 turns it off.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let known = (bytes > 0).then(|| {
            let entries = usize::try_from(bytes).unwrap_or(usize::MAX) / (ENTRY_BYTES + 60);
            Cache::with(entries.max(16), bytes, ByBytes, BuildIdentity, Withdraw)
        });
        let unknown = Cache::with(
            UNKNOWN_ENTRIES,
            UNKNOWN_ENTRIES as u64,
            quick_cache::UnitWeighter,
            DefaultHashBuilder::default(),
            DefaultLifecycle::default(),
        );
        Self {
            known,
            limit: bytes,
            unknown,
        }
    }

    /// The entry of `code`, whose hash is `hash`, of any age.
    #[must_use]
    pub fn get(&self, hash: u64, code: &[u8]) -> Option<Arc<NearEntry>> {
        let entry = self.known.as_ref()?.get(&hash)?;
        entry.is_of(code).then_some(entry)
    }

    /// The entry of `code`, or the right to load it. Concurrent callers of one code wait for one
    /// load.
    pub async fn get_or_load(&self, hash: u64, code: &str) -> Lookup<'_> {
        let Some(known) = &self.known else {
            return Lookup::Load(None);
        };
        match known.get_value_or_guard_async(&hash).await {
            Ok(entry) if entry.is_of(code.as_bytes()) => Lookup::Entry(entry),
            // Another code with the same hash: it keeps its place, this one is not remembered.
            Ok(_) => Lookup::Load(None),
            Err(guard) => Lookup::Load(Some(guard)),
        }
    }

    /// Remembers a route that was looked up without [`get_or_load`](Self::get_or_load).
    pub fn insert(&self, hash: u64, entry: Arc<NearEntry>) {
        if let Some(known) = &self.known {
            known.insert_with_lifecycle(hash, entry, &mut Some(hash));
        }
    }

    /// Whether `code` is known to be nobody's, at `now`.
    #[must_use]
    pub fn is_unknown(&self, hash: u64, code: &str, now: Timestamp) -> bool {
        let found = self.unknown.get(&hash);
        found.is_some_and(|(known, until)| &*known == code && now.micros() < until)
    }

    /// Remembers for a second that nobody made `code`.
    pub fn insert_unknown(&self, hash: u64, code: &str, now: Timestamp) {
        self.unknown
            .insert(hash, (code.into(), now.micros() + UNKNOWN_LIFETIME));
    }

    /// Forgets what is known under this hash, and stops a running load from being remembered.
    pub fn remove(&self, hash: u64) {
        let removed = self.known.as_ref().and_then(|known| known.remove(&hash));
        if let Some((_, entry)) = removed {
            entry.withdraw();
        }
        self.unknown.remove(&hash);
    }

    /// The bytes that it may take.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Entries and their bytes.
    #[must_use]
    pub fn size(&self) -> (u64, u64) {
        self.known
            .as_ref()
            .map_or((0, 0), |known| (known.len() as u64, known.weight()))
    }
}
