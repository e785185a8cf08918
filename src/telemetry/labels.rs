//! The label values that are a closed set.

/// Which cache was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheTier {
    /// The one of this process.
    Near,
    /// The one that processes share.
    Far,
    /// The near one's memory of codes that nobody made.
    Unknown,
}

/// What a cache answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheResult {
    /// A link, fresh.
    Hit,
    /// A link past its time.
    Stale,
    /// Nothing.
    Miss,
    /// No answer.
    Error,
}

/// Why a click was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// More clicks than the writer of the spool keeps up with.
    QueueFull,
    /// The spool holds all it may.
    SpoolFull,
    /// The disk refused.
    SpoolError,
    /// The click came after the queue was closed.
    Stopping,
}

/// What goes wrong with a command of the far cache.
pub(super) const REDIS_ERROR_KINDS: &[&str] = &[
    "timeout",
    "full",
    "cluster",
    "connection",
    "refused",
    "undecodable",
    "forged",
];

/// What goes wrong with a batch for the bus.
pub(super) const SHIP_ERROR_KINDS: &[&str] = &["unavailable", "refused", "wrong_topic"];

/// What labelling fails at.
pub(super) const CLASSIFY_ERROR_KINDS: &[&str] =
    &["model", "link", "event", "store", "bus", "fetch"];

/// What goes wrong with a query.
pub(super) const SHARD_ERROR_KINDS: &[&str] =
    &["unavailable", "no_owner", "not_owner", "refused", "corrupt"];

impl CacheTier {
    pub(super) const ALL: [Self; 3] = [Self::Near, Self::Far, Self::Unknown];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Near => "near",
            Self::Far => "far",
            Self::Unknown => "unknown",
        }
    }
}

impl CacheResult {
    pub(super) const ALL: [Self; 4] = [Self::Hit, Self::Stale, Self::Miss, Self::Error];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Miss => "miss",
            Self::Error => "error",
        }
    }
}

impl DropReason {
    pub(super) const ALL: [Self; 4] = [
        Self::QueueFull,
        Self::SpoolFull,
        Self::SpoolError,
        Self::Stopping,
    ];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::SpoolFull => "spool_full",
            Self::SpoolError => "spool_error",
            Self::Stopping => "stopping",
        }
    }
}
