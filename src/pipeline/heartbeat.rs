//! Signs of life: every producer says to every shard how old the oldest click is that it holds.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::events::spool::Spool;
use crate::events::spool::adopt;
use crate::service::freshness;
use crate::slots::Slot;
use crate::store::Member;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::rows::Beat;
use crate::telemetry;

/// Between two signs of life, while nothing is held and while clicks are on their way.
const QUIET: Duration = Duration::from_secs(2);
const BUSY: Duration = Duration::from_secs(1);
/// From a sign of life to the one that tells of the first click after it.
const SOON: Duration = Duration::from_millis(50);
/// Between two looks whether the shards are known.
const START: Duration = Duration::from_millis(200);
/// Between two looks for spools that nobody holds.
const ADOPT_EVERY: Duration = Duration::from_secs(5);

/// Speaks for this process and for the producers whose spools it adopted.
#[derive(Debug)]
pub struct Heart {
    store: Arc<Store>,
    spool: Arc<Spool>,
    host: String,
    /// Producers that this process speaks for, and the shards that do not know that they ended.
    untold: Mutex<BTreeMap<Uuid, BTreeSet<usize>>>,
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
            untold: Mutex::default(),
        }
    }

    /// One sign of life to every shard that answers; `closing`: the last one of this process.
    pub async fn beat(&self, closing: bool) {
        let age = self
            .oldest_in_files()
            .await
            .map_or(0.0, |at| self.store.clock().now().since(at).as_secs_f64());
        telemetry::spool_oldest(age);
        let members = self.store.usable().filter(|member| member.shard.is_up());
        let told = members.map(|member| async move {
            if let Err(error) = self.tell(member, closing).await {
                let place = member.place;
                tracing::debug!(place, %error, "no sign of life there for now");
            }
        });
        futures_util::future::join_all(told).await;
    }

    /// The time of the oldest click that lies in a file and was not handed over.
    async fn oldest_in_files(&self) -> Option<Timestamp> {
        let spool = Arc::clone(&self.spool);
        let looked = tokio::task::spawn_blocking(move || {
            let files = spool.files();
            let oldest = files.iter().map(|file| {
                file.oldest().unwrap_or_else(|error| {
                    file.complain(&error);
                    Some(Timestamp::default())
                })
            });
            oldest.flatten().min()
        });
        looked.await.unwrap_or_default()
    }

    /// Whether clicks of this producer still lie in files that nobody took over.
    async fn holds_files(&self, producer: Uuid) -> bool {
        let spool = Arc::clone(&self.spool);
        let looked = tokio::task::spawn_blocking(move || {
            let mut files = spool.files().into_iter();
            files.any(|file| file.producer() == producer && !matches!(file.oldest(), Ok(None)))
        });
        looked.await.unwrap_or(true)
    }

    /// One sign of life to one shard: what it did not count yet of its slots.
    async fn tell(&self, member: &Member, closing: bool) -> Result<(), StoreError> {
        let slots = self.store.slots_of(member.place);
        let at = self.store.clock().now();
        let mine = freshness::mine(&self.spool, &member.shard, &slots, at).await?;
        if !mine.is_whole && !closing {
            return Ok(()); // silence says that there may be more
        }
        let mut ended = Vec::new();
        for (producer, held_since) in mine.held {
            // A row that is open needs a file on the disk, for whoever comes after a kill.
            if !self.spool.ledger().has_issued(producer) {
                continue;
            }
            let closed = closing && !self.holds_files(producer).await;
            if !closed {
                self.speaks_for(producer);
            }
            let beat = self.sign(producer, at, held_since, closed);
            member.shard.beat(&beat).await?;
            if closed {
                ended.push(producer);
            }
        }
        for producer in self.over(member.place) {
            let beat = self.sign(producer, at, None, true);
            member.shard.beat(&beat).await?;
            ended.push(producer);
        }
        self.told(member.place, &ended);
        Ok(())
    }

    fn sign(&self, producer: Uuid, at: Timestamp, held: Option<Timestamp>, closed: bool) -> Beat {
        Beat {
            producer,
            host: self.host.clone(),
            at,
            held_since: held,
            closed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uuid, BTreeSet<usize>>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn places(&self) -> BTreeSet<usize> {
        let members = self.store.members().iter();
        members.map(|member| member.place).collect()
    }

    /// Notes that every shard is to be told of this producer's end, once it comes: also those that
    /// were told already, since it goes on.
    fn speaks_for(&self, producer: Uuid) {
        self.lock().insert(producer, self.places());
    }

    /// Producers that ended, and who did not say so to this shard.
    fn over(&self, place: usize) -> Vec<Uuid> {
        let own = self.spool.producer();
        let over = self.spool.over().into_iter();
        let untold = self.lock();
        let is_untold = |producer: &Uuid| {
            let places = untold.get(producer);
            places.is_none_or(|places| places.contains(&place))
        };
        over.filter(|producer| *producer != own)
            .filter(is_untold)
            .collect()
    }

    /// A shard knows that these producers ended; once all do, nothing of them need be kept.
    fn told(&self, place: usize, ended: &[Uuid]) {
        for producer in ended {
            let mut untold = self.lock();
            let places = untold.entry(*producer).or_insert_with(|| self.places());
            places.remove(&place);
            if places.is_empty() {
                untold.remove(producer);
                drop(untold);
                self.spool.bury(*producer);
            }
        }
    }

    /// Takes nobody's spools over, if it is time.
    async fn adopt(&self) {
        let Some(cluster) = self.store.cluster() else {
            return;
        };
        let spool = Arc::clone(&self.spool);
        let adopting = move || {
            adopt(&spool, &cluster.cluster_id);
            spool.ledger().complete();
        };
        if let Err(error) = tokio::task::spawn_blocking(adopting).await {
            tracing::error!(%error, "looking for spools failed");
        }
    }
}

/// Beats until `stop`, and adopts spools that nobody holds.
///
/// A click after a silence is told at once, so that nobody takes the counts for complete; what is
/// counted meanwhile is told a second later.
pub async fn run(heart: Arc<Heart>, stop: CancellationToken) {
    let ledger = heart.spool.ledger();
    let every_slot: Vec<Slot> = Slot::all().collect();
    let mut adopted: Option<Instant> = None;
    loop {
        if adopted.is_none_or(|at| at.elapsed() >= ADOPT_EVERY) {
            heart.adopt().await;
            adopted = ledger.is_whole().then(Instant::now);
        }
        let mut pause = START;
        if heart.store.has_started() {
            ledger.listen();
            heart.beat(false).await;
            gaps(&heart).await;
            let busy = ledger.held(&every_slot).values().any(Option::is_some);
            pause = if busy { BUSY } else { QUIET };
        }
        let woken = async {
            ledger.woken().await;
            tokio::time::sleep(SOON).await;
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = woken => (),
            () = tokio::time::sleep(pause) => (),
        }
    }
}

/// Open gaps of our producers: a gauge that goes back to 0.
async fn gaps(heart: &Heart) {
    let producers = heart.spool.ledger().producers();
    let mut open = 0_u64;
    for member in heart.store.usable().filter(|member| member.shard.is_up()) {
        if let Ok(gaps) = member.shard.gaps(&producers).await {
            open += gaps.iter().map(|gap| gap.to - gap.from + 1).sum::<u64>();
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a gauge for people")]
    telemetry::gaps_open(open as f64);
}
