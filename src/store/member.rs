//! A configured shard and what is known of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use arc_swap::ArcSwap;
use arc_swap::ArcSwapOption;

use crate::store::rows::ClusterRow;
use crate::store::shard::Shard;

/// A configured shard and what is known of it.
#[derive(Debug)]
pub struct Member {
    /// Its place in the configuration.
    pub place: usize,
    /// Its URL without secrets.
    pub name: String,
    /// Its share in a new cluster.
    pub weight: f64,
    /// The database.
    pub shard: Shard,
    /// Whether it takes part.
    pub state: ArcSwap<MemberState>,
    /// Who it is, once it said so.
    pub identity: ArcSwapOption<ClusterRow>,
    /// Its partitions of the bus that nobody may count, when they were last looked at.
    pub stopped: AtomicUsize,
}

/// Whether a shard takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// Not judged yet, with the reason.
    Waiting(String),
    /// Part of the cluster. It may be down at the moment.
    Member,
    /// Contradicts the cluster: somebody must act.
    Failed(String),
}

impl fmt::Display for MemberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting(why) | Self::Failed(why) => f.write_str(why),
            Self::Member => f.write_str("does not answer"),
        }
    }
}

impl Member {
    pub(super) fn wait_for(&self, why: &str) {
        self.state
            .store(Arc::new(MemberState::Waiting(why.to_owned())));
    }

    pub(super) fn fail(&self, why: &str) {
        let failed = MemberState::Failed(why.to_owned());
        if **self.state.load() != failed {
            tracing::error!(shard = self.place, why, "the shard cannot take part");
            self.state.store(Arc::new(failed));
        }
    }

    /// Whether it is part of the cluster.
    #[must_use]
    pub fn takes_part(&self) -> bool {
        **self.state.load() == MemberState::Member
    }

    /// Whether it is the shard of this id, as far as is known.
    #[must_use]
    pub fn is(&self, id: &str) -> bool {
        let known = self.identity.load();
        known.as_ref().is_some_and(|row| row.shard_id == id)
    }

    /// Says where it is, for people: `shard 1 (postgres://host/db)`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("shard {} ({})", self.place, self.name)
    }
}
