//! Who is expected behind the URL: an address may lead to another database from one moment to the
//! next, and what is read or written there then is somebody else's.

use arc_swap::ArcSwapOption;
use deadpool_postgres::HookError;
use tokio_postgres::Client;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

/// Who a shard is, once it was judged, and who was found in its place.
#[derive(Debug)]
pub(super) struct Expected {
    shard: usize,
    known: ArcSwapOption<Identity>,
    impostor: ArcSwapOption<String>,
}

/// What a database says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    cluster: String,
    shard: String,
}

impl Expected {
    /// Nobody is expected yet.
    pub(super) const fn new(shard: usize) -> Self {
        Self {
            shard,
            known: ArcSwapOption::const_empty(),
            impostor: ArcSwapOption::const_empty(),
        }
    }

    /// From here on a connection to any other shard is refused; whether that is news.
    pub(super) fn set(&self, cluster: &str, shard: &str) -> bool {
        let identity = Identity {
            cluster: cluster.to_owned(),
            shard: shard.to_owned(),
        };
        let before = self.known.swap(Some(identity.into()));
        before.as_deref() != self.known.load().as_deref()
    }

    /// Who was found in its place, when it was last asked.
    pub(super) fn impostor(&self) -> Option<String> {
        self.impostor.load().as_deref().cloned()
    }

    /// Refuses a new connection that leads to another database.
    pub(super) async fn check(&self, client: &Client) -> Result<(), HookError> {
        let Some(known) = self.known.load_full() else {
            return Ok(());
        };
        let sql = "SELECT cluster_id, shard_id FROM urlshort.cluster";
        let found = match client.query_opt(sql, &[]).await {
            Ok(found) => found.as_ref().map(identity_of),
            // Without our tables it is an empty database, or somebody else's.
            Err(error) if is_absent(error.code()) => None,
            Err(error) => return Err(HookError::Backend(error)),
        };
        let why = match found {
            Some(found) if found == *known => {
                if self.impostor.swap(None).is_some() {
                    tracing::info!(shard = self.shard, "the shard is itself again");
                }
                return Ok(());
            }
            Some(found) if found.cluster == known.cluster => format!(
                "its URL leads to shard {} of this cluster, not to shard {}",
                found.shard, known.shard
            ),
            Some(_) => "its URL leads to a shard of another cluster".to_owned(),
            None => "its URL leads to a database without a shard; restore it".to_owned(),
        };
        if self.impostor.swap(Some(why.clone().into())).is_none() {
            tracing::error!(shard = self.shard, why, "the shard is not itself");
        }
        Err(HookError::message(why))
    }
}

fn identity_of(row: &Row) -> Identity {
    Identity {
        cluster: row.get(0),
        shard: row.get(1),
    }
}

fn is_absent(state: Option<&SqlState>) -> bool {
    matches!(state, Some(state) if *state == SqlState::UNDEFINED_TABLE || *state == SqlState::INVALID_SCHEMA_NAME)
}
