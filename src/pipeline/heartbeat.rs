//! Signs of life: every producer says to every shard how old the oldest click is that it holds.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::events::spool::Spool;
use crate::events::spool::adopt;
use crate::store::Store;
use crate::store::rows::Beat;
use crate::telemetry;

/// Between two signs of life.
const EVERY: Duration = Duration::from_secs(5);
/// Every how many signs nobody's spools are looked for.
const ADOPT_EVERY: u64 = 6;

/// Speaks for this process and for the producers whose spools it adopted.
#[derive(Debug)]
pub struct Heart {
    store: Arc<Store>,
    spool: Arc<Spool>,
    host: String,
    /// Producers that this process spoke for, and the shards that do not know yet that they ended.
    spoken_for: Mutex<BTreeMap<Uuid, BTreeSet<usize>>>,
}

impl Heart {
    /// A heart that does not beat yet.
    #[must_use]
    pub fn new(store: Arc<Store>, spool: Arc<Spool>) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = format!("{}:{}", host.trim(), std::process::id());
        Self {
            store,
            spool,
            host,
            spoken_for: Mutex::default(),
        }
    }

    /// Whose clicks this process holds: itself, and adopted producers.
    #[must_use]
    pub fn producers(&self) -> Vec<Uuid> {
        let adopted = self
            .spool
            .files()
            .iter()
            .map(|file| file.producer())
            .collect::<BTreeSet<_>>();
        adopted
            .into_iter()
            .chain([self.spool.producer()])
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// Every producer with the oldest click that it holds.
    async fn holdings(&self) -> BTreeMap<Uuid, Option<Timestamp>> {
        let (spool, own) = (Arc::clone(&self.spool), self.spool.producer());
        let looked = tokio::task::spawn_blocking(move || {
            let mut holdings: BTreeMap<Uuid, Option<Timestamp>> = BTreeMap::from([(own, None)]);
            for file in spool.files() {
                let oldest = file.oldest().unwrap_or_else(|error| {
                    tracing::error!(%error, "a spool cannot be read");
                    Some(Timestamp::default())
                });
                let held = holdings.entry(file.producer()).or_default();
                *held = match (*held, oldest) {
                    (Some(left), Some(right)) => Some(left.min(right)),
                    (left, right) => left.or(right),
                };
            }
            holdings
        });
        looked.await.unwrap_or_default()
    }

    /// One sign of life to one shard, after something changed for it.
    pub async fn beat_one(&self, place: usize) {
        let holdings = self.holdings().await;
        self.tell(place, &holdings, false).await;
    }

    /// One sign of life to every shard that answers; `closing`: the last one of this process.
    pub async fn beat(&self, closing: bool) {
        let holdings = self.holdings().await;
        let oldest = holdings.values().flatten().min().copied();
        let age = oldest.map_or(0.0, |at| self.store.clock().now().since(at).as_secs_f64());
        telemetry::spool_oldest(age);
        let places: Vec<usize> = self
            .store
            .usable()
            .filter(|member| member.shard.is_up())
            .map(|member| member.place)
            .collect();
        let told = places
            .into_iter()
            .map(|place| self.tell(place, &holdings, closing));
        futures_util::future::join_all(told).await;
    }

    async fn tell(
        &self,
        place: usize,
        holdings: &BTreeMap<Uuid, Option<Timestamp>>,
        closing: bool,
    ) {
        let Some(member) = self.store.members().get(place) else {
            return;
        };
        let gone: Vec<Uuid> = {
            let mut spoken_for = self
                .spoken_for
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            for producer in holdings.keys() {
                let all = self
                    .store
                    .members()
                    .iter()
                    .map(|member| member.place)
                    .collect();
                spoken_for.insert(*producer, all);
            }
            spoken_for
                .iter()
                .filter(|(producer, shards)| {
                    !holdings.contains_key(*producer) && shards.contains(&place)
                })
                .map(|(producer, _)| *producer)
                .collect()
        };
        let alive = holdings.iter().map(|(producer, oldest)| {
            let closed = closing && oldest.is_none();
            Beat {
                producer: *producer,
                host: self.host.clone(),
                oldest_unshipped: *oldest,
                closed,
            }
        });
        let ended = gone.iter().map(|producer| Beat {
            producer: *producer,
            host: self.host.clone(),
            oldest_unshipped: None,
            closed: true,
        });
        for beat in alive.chain(ended) {
            if let Err(error) = member.shard.beat(&beat).await {
                tracing::debug!(place, %error, "no sign of life there for now");
                return;
            }
        }
        let mut spoken_for = self
            .spoken_for
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for producer in gone {
            if let Some(shards) = spoken_for.get_mut(&producer) {
                shards.remove(&place);
                if shards.is_empty() {
                    spoken_for.remove(&producer);
                }
            }
        }
    }
}

/// Beats until `stop`, and adopts spools that nobody holds.
pub async fn run(heart: Arc<Heart>, stop: CancellationToken) {
    let mut beats = 0_u64;
    loop {
        if let Some(cluster) = heart.store.cluster()
            && beats.is_multiple_of(ADOPT_EVERY)
        {
            let spool = Arc::clone(&heart.spool);
            let adopting = move || adopt(&spool, &cluster.cluster_id);
            if let Err(error) = tokio::task::spawn_blocking(adopting).await {
                tracing::error!(%error, "looking for spools failed");
            }
        }
        if heart.store.has_started() {
            heart.beat(false).await;
            gaps(&heart).await;
            beats += 1;
        }
        let pause = if beats == 0 {
            Duration::from_millis(200)
        } else {
            EVERY
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => (),
        }
    }
}

/// Open gaps of our producers: a gauge that goes back to 0.
async fn gaps(heart: &Heart) {
    let producers = heart.producers();
    let mut open = 0_u64;
    for member in heart.store.usable().filter(|member| member.shard.is_up()) {
        if let Ok(gaps) = member.shard.gaps(&producers).await {
            open += gaps.iter().map(|gap| gap.to - gap.from + 1).sum::<u64>();
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a gauge for people")]
    telemetry::gaps_open(open as f64);
}
