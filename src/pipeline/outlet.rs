//! Where the clicks of a process go: into the counts at once, or over the bus.

use std::sync::Arc;
use std::sync::Mutex;

use tokio::time::Instant;
use tokio::time::timeout_at;

use crate::domain::agent::AgentTable;
use crate::events::kafka::Kafka;
use crate::events::spool::Spool;
use crate::pipeline::rollup;
use crate::pipeline::rollup::Reading;
use crate::pipeline::rollup::Rollup;
use crate::pipeline::ship;
use crate::pipeline::ship::Shipper;
use crate::store::Store;

/// What empties a spool.
#[derive(Clone, Debug)]
pub enum Outlet {
    /// Nobody is between the spool and the counts.
    Local(Rollup),
    /// The bus takes the clicks; `analytics` counts them.
    Bus(Shipper),
}

impl Outlet {
    /// The outlet of `spool`: the bus, where there is one.
    #[must_use]
    pub fn new(
        store: &Arc<Store>,
        spool: &Arc<Spool>,
        kafka: Option<&Kafka>,
        agents: &Arc<Mutex<AgentTable>>,
    ) -> Self {
        let (store, spool) = (Arc::clone(store), Arc::clone(spool));
        let agents = Arc::clone(agents);
        match kafka {
            Some(kafka) => {
                spool.ledger().refills();
                Self::Bus(Shipper {
                    store,
                    spool,
                    kafka: kafka.clone(),
                    agents,
                })
            }
            None => Self::Local(Rollup {
                store,
                spool,
                agents,
            }),
        }
    }

    /// Hands over what the spool holds; `false` where something is left at the deadline.
    pub async fn drain(&self, deadline: Instant) -> bool {
        match self {
            Self::Local(local) => drain_local(local, deadline).await,
            Self::Bus(shipper) => ship::drain(shipper, deadline).await,
        }
    }

    /// Deletes files that hold nothing any more; answers the bytes of the others. Blocks.
    #[must_use]
    pub fn close_files(&self) -> u64 {
        let (spool, shipped) = match self {
            Self::Local(local) => (&local.spool, false),
            Self::Bus(shipper) => (&shipper.spool, true),
        };
        let mut left = 0;
        for file in spool.files() {
            let empty = file.is_empty().unwrap_or(false);
            let held = file.oldest().map_or(true, |oldest| oldest.is_some());
            if empty {
                spool.discard(&file);
            } else if shipped && !held {
                // The bus has it all; the rows stay for a while, so that a gap can be shipped again.
                if let Err(error) = file.remember_acknowledged() {
                    tracing::debug!(%error, "whoever adopts the spool ships it again");
                }
            } else {
                left += file.bytes();
            }
        }
        left
    }
}

async fn drain_local(local: &Rollup, deadline: Instant) -> bool {
    let mut done = true;
    for member in local.store.members() {
        let mut reading = Reading::default();
        loop {
            let flushed = rollup::flush(local, member.place, &mut reading);
            match timeout_at(deadline, flushed).await {
                Ok(Ok(0)) => break,
                Ok(Ok(_)) => (),
                Ok(Err(_)) | Err(_) => {
                    done = false;
                    break;
                }
            }
        }
    }
    done
}
