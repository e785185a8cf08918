//! What can go wrong with a shard, named by what the caller can do.

use std::error::Error;

use crate::slots::Slot;

/// A failure of one shard.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The slot is not active there: re-read the map and ask again.
    #[error("the shard does not own this slot")]
    NotOwner,
    /// It did not answer, or not in time: try again, or 503. Whether a write happened is unknown.
    #[error("shard {shard} is unavailable")]
    Unavailable {
        /// The shard's place in the configuration.
        shard: usize,
        /// What the driver said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Nobody is known to own the slot right now.
    #[error("slot {} has no reachable owner", .0.number())]
    NoOwner(Slot),
    /// It refused these values; the same statement fails again.
    #[error("shard {shard} refused the values")]
    Refused {
        /// The shard's place in the configuration.
        shard: usize,
        /// What the driver said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// What it holds cannot be right: somebody must act.
    #[error("shard {shard} holds damaged data: {what}")]
    Corrupt {
        /// The shard's place in the configuration.
        shard: usize,
        /// What is wrong.
        what: String,
    },
}

impl StoreError {
    /// A short word for metrics.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NotOwner => "not_owner",
            Self::Unavailable { .. } => "unavailable",
            Self::NoOwner(_) => "no_owner",
            Self::Refused { .. } => "refused",
            Self::Corrupt { .. } => "corrupt",
        }
    }

    /// Whether the shard, not the request, is at fault.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::NoOwner(_) | Self::NotOwner
        )
    }
}

/// A deadline of ours passed before the server answered.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
pub struct DeadlinePassed(pub std::time::Duration);

/// Our breaker is open: the server failed a moment ago and is being probed.
#[derive(Debug, thiserror::Error)]
#[error("not asked: it failed a moment ago and is being probed")]
pub struct BreakerOpen;

/// The connection was not made yet.
#[derive(Debug, thiserror::Error)]
#[error("not connected yet")]
pub struct NotConnected;
