//! A history of clicks for made-up links, through the pipeline that every click takes.
//!
//! # Why
//!
//! The producer and the order of the clicks follow from the seed number, so each click has the
//! identity it had in an earlier run: what is counted already is a duplicate to the rollup, and a
//! run that was interrupted is simply run again. Which links are clicked is settled by the first
//! run of a seed and kept in the cluster's data: another `--count` would else be another history.

use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use serde::Deserialize;
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app;
use crate::commands::Failure;
use crate::commands::report;
use crate::commands::seed::SeedArgs;
use crate::commands::seed::dice::Dice;
use crate::commands::seed::made_up;
use crate::commands::seed::visitors::BOTS;
use crate::commands::seed::visitors::BROWSERS;
use crate::commands::seed::visitors::HOURS;
use crate::commands::seed::visitors::PLACES;
use crate::commands::seed::visitors::PREVIEWS;
use crate::commands::seed::visitors::REFERRERS;
use crate::config::Config;
use crate::domain::click::Hit;
use crate::domain::click::Trigger;
use crate::domain::code::ShortCode;
use crate::domain::route::LinkState;
use crate::domain::target::TargetPolicy;
use crate::domain::time::Timestamp;
use crate::events::queue::Queue;
use crate::events::queue::Visit;
use crate::events::spool::Spool;
use crate::events::spool::SpoolOptions;
use crate::pipeline::heartbeat::Heart;
use crate::pipeline::outlet::Outlet;
use crate::slots::Slot;
use crate::slots::hash;
use crate::store::Store;
use crate::store::rows::DataRow;

/// The days that the history covers.
const DAYS: u64 = 30;
/// Only this many links of a seed are clicked: nobody follows the others.
const CLICKED: u64 = 200_000;
/// Clicks between two waits for the spool, and between two deliveries.
const ROUND: u64 = 20_000;
const DELIVERY: u64 = 200_000;
/// How long one delivery may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Streams of the dice that links do not use.
const STREAM: u64 = 1 << 32;

/// What became of the clicks that were asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clicked {
    /// Handed over for the first time.
    pub(super) new: u64,
    /// Handed over by an earlier run too, and counted once.
    pub(super) there: u64,
}

impl Clicked {
    /// All of them.
    pub(super) const fn total(self) -> u64 {
        self.new + self.there
    }
}

/// Sends the history of `wanted.clicks` clicks, or as much of it as comes before `stop`.
///
/// # Errors
/// Where the spool loses a click, or the shards or the bus do not take them.
pub(super) async fn send(
    config: &Config,
    wanted: &SeedArgs,
    store: &Arc<Store>,
    policy: &TargetPolicy,
    stop: &CancellationToken,
) -> Result<Clicked, Failure> {
    if wanted.clicks == 0 || stop.is_cancelled() {
        return Ok(Clicked::default());
    }
    let bar = report::progress(wanted.clicks, "clicks", wanted.quiet || wanted.json);
    let mut told = Told::of(store, wanted);
    told.keep(store, wanted.seed).await?;
    let history = History::new((wanted.seed, told.links), store.clock().now(), policy);
    if history.codes.is_empty() {
        return Ok(Clicked::default());
    }
    let spool = Spool::of(
        producer(store, (wanted.seed, told.links)),
        SpoolOptions {
            folder: config.data_dir.clone(),
            drain: config.events.drain,
            fsync: config.events.fsync,
            bytes: config.events.spool_bytes,
        },
    );
    if let Some(cluster) = store.cluster() {
        spool.set_cluster(&cluster.cluster_id);
    }
    let queue = Arc::new(Queue::new(1));
    let writer = spool
        .start(Arc::clone(&queue))
        .map_err(|error| Failure::Bug(format!("no thread for the spool: {error}")))?;
    let heart = Arc::new(Heart::new(Arc::clone(store), Arc::clone(&spool)));
    heart.beat(false).await;
    let kafka = app::kafka(config);
    if let Some(kafka) = &kafka {
        kafka.check_topic().await.map_err(|error| {
            Failure::Unavailable(format!("events.kafka_brokers: {error}; start Kafka first"))
        })?;
    }
    let outlet = Outlet::new(store, &spool, kafka.as_ref(), &Arc::default());
    let lines = (&*queue, &spool, &outlet);
    let sent = fill(&history, wanted.clicks, lines, (&bar, stop)).await;
    queue.close();
    spool.stop();
    let joined = tokio::task::spawn_blocking(move || writer.join()).await;
    let done = outlet.drain(Instant::now() + PATIENCE).await;
    let closed = tokio::task::spawn_blocking(move || outlet.close_files()).await;
    heart.beat(true).await;
    bar.finish_and_clear();
    if !matches!(joined, Ok(Ok(()))) {
        return Err(Failure::Bug("the spool's writer ended badly".to_owned()));
    }
    let sent = sent?;
    if done && closed.unwrap_or(0) == 0 {
        let there = told.clicks.min(sent);
        told.clicks = told.clicks.max(sent);
        told.keep(store, wanted.seed).await?;
        return Ok(Clicked {
            new: sent - there,
            there,
        });
    }
    Err(Failure::Unavailable(format!(
        "some clicks could not be handed over and wait in {}; whoever starts here next takes them \
         over, and the same command can be run again",
        config.data_dir.display()
    )))
}

/// What earlier runs told of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    /// Its history is of so many links.
    links: u64,
    /// So many clicks of it were handed over.
    clicks: u64,
}

impl Told {
    /// Of `wanted.seed`; the first run decides over the links.
    fn of(store: &Store, wanted: &SeedArgs) -> Self {
        let row = store.datum(&Self::key(wanted.seed));
        let told = row.and_then(|row| serde_json::from_str(&row.value).ok());
        told.unwrap_or(Self {
            links: wanted.count,
            clicks: 0,
        })
    }

    fn key(seed: u64) -> String {
        format!("seed/{seed}")
    }

    async fn keep(self, store: &Store, seed: u64) -> Result<(), Failure> {
        let key = Self::key(seed);
        let known = store.datum(&key);
        let value = serde_json::to_string(&self)
            .map_err(|error| Failure::Bug(format!("{key}: {error}")))?;
        if known.as_ref().is_some_and(|row| row.value == value) {
            return Ok(());
        }
        let row = DataRow {
            key,
            version: known.map_or(1, |row| row.version + 1),
            value,
        };
        let kept = store.put_data(&row).await;
        kept.map_err(|error| Failure::Unavailable(format!("no shard remembers the seed: {error}")))
    }
}

/// The same producer for the same numbers, in this cluster.
fn producer(store: &Store, (seed, links): (u64, u64)) -> Uuid {
    let cluster = store.cluster().map(|cluster| cluster.cluster_id.clone());
    let cluster = cluster.unwrap_or_default();
    let half = |part: u8| {
        let text = format!("seed/{cluster}/{seed}/{links}/{part}");
        u128::from(hash(text.as_bytes()))
    };
    // Version 8: made by a rule of one's own.
    uuid::Builder::from_custom_bytes(((half(0) << 64) | half(1)).to_be_bytes()).into_uuid()
}

/// Fills the spool click by click and empties it now and then; answers how many it took.
async fn fill(
    history: &History,
    n_clicks: u64,
    (queue, spool, outlet): (&Queue, &Arc<Spool>, &Outlet),
    (bar, stop): (&ProgressBar, &CancellationToken),
) -> Result<u64, Failure> {
    for index in 0..n_clicks {
        let (code, visit) = history.click(index);
        let slot = Slot::of(code.as_str());
        let pushed = queue.push(0, slot, code.as_str(), &visit);
        let lost = || Failure::Failed("the spool takes no more; free some disk".to_owned());
        let ticket = pushed.map_err(|_dropped| lost())?;
        let n = index + 1;
        if n % ROUND == 0 || n == n_clicks {
            if !spool.committed(ticket).await {
                return Err(lost());
            }
            bar.set_position(n);
            if stop.is_cancelled() {
                return Ok(n);
            }
        }
        if n % DELIVERY == 0 && !outlet.drain(Instant::now() + PATIENCE).await {
            let why = "the clicks are not taken; `urlshort diagnose` says why";
            return Err(Failure::Unavailable(why.to_owned()));
        }
    }
    Ok(n_clicks)
}

/// What is clicked, and when.
struct History {
    seed: u64,
    codes: Vec<ShortCode>,
    from: Timestamp,
    now: Timestamp,
}

impl History {
    fn new((seed, links): (u64, u64), now: Timestamp, policy: &TargetPolicy) -> Self {
        let followable = |index: &u64| {
            made_up::fields(seed, *index, now, policy).is_ok_and(|fields| {
                fields.state() == LinkState::Active && fields.valid_from.is_none()
            })
        };
        let codes = (0..links.min(CLICKED))
            .filter(followable)
            .filter_map(|index| made_up::code(seed, index, 0))
            .collect();
        Self {
            seed,
            codes,
            from: now.minus(Duration::from_hours(24 * DAYS)),
            now,
        }
    }

    /// The `index`th click.
    fn click(&self, index: u64) -> (&ShortCode, Visit<'static>) {
        let mut dice = Dice::of(self.seed, index, STREAM);
        let n = self.codes.len() as u64;
        // The least of four: a few links get most of the clicks.
        let rank = (0..4).map(|_| dice.below(n)).min().unwrap_or(0);
        let code = usize::try_from(rank)
            .ok()
            .and_then(|rank| self.codes.get(rank))
            .expect("a rank is below the number of codes");
        let agent: &'static str = match dice.below(100) {
            0..84 => dice.favourite::<&str>(BROWSERS),
            84..95 => dice.one(BOTS),
            _ => dice.one(PREVIEWS),
        };
        let (country, language) = *dice.favourite(PLACES);
        let visit = Visit {
            at: self.time(&mut dice).micros(),
            visitor: dice.below(n * 40 + 1_000),
            agent: agent.as_bytes(),
            referrer: dice.favourite::<&str>(REFERRERS).as_bytes(),
            language: language.as_bytes(),
            country,
            hit: if dice.happens(2) { Hit::Head } else { Hit::Get },
            trigger: if dice.happens(6) {
                Trigger::Qr
            } else {
                Trigger::Link
            },
        };
        (code, visit)
    }

    /// Later days are busier, and so are the waking hours.
    fn time(&self, dice: &mut Dice) -> Timestamp {
        let day = dice.below(DAYS + 1).max(dice.below(DAYS + 1));
        let mut hour = dice.below(24);
        while dice.below(100)
            >= usize::try_from(hour).map_or(0, |at| HOURS.get(at).copied().unwrap_or(0))
        {
            hour = dice.below(24);
        }
        let seconds = day * 86_400 + hour * 3_600 + dice.below(3_600);
        let midnight = self.from.micros().rem_euclid(86_400_000_000);
        let midnight = Duration::from_micros(u64::try_from(midnight).unwrap_or(0));
        let at = self.from.minus(midnight).plus(Duration::from_secs(seconds));
        if at < self.now {
            at
        } else {
            at.minus(Duration::from_hours(24)) // later today: yesterday, then
        }
    }
}
