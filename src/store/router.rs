//! The router: which shard answers for a slot, and what happens when it does not.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use std::time::Instant;

use arc_swap::ArcSwap;
use arc_swap::ArcSwapOption;

use crate::config::ShardConfig;
use crate::domain::code::ShortCode;
use crate::domain::link::Link;
use crate::domain::link::LinkFields;
use crate::domain::link::NewLink;
use crate::domain::route::Route;
use crate::slots::Slot;
use crate::slots::SlotMap;
use crate::store::clock::Clock;
use crate::store::error::StoreError;
use crate::store::member::Member;
use crate::store::member::MemberState;
use crate::store::namespace::Namespace;
use crate::store::rows::Changed;
use crate::store::rows::ClusterRow;
use crate::store::rows::DataRow;
use crate::store::rows::Inserted;
use crate::store::rows::ListFilter;
use crate::store::shard::Shard;
use crate::telemetry;

/// The map is re-read at most this often because of "not the owner" answers.
const REROUTE_EVERY: Duration = Duration::from_millis(100);

/// Who owns which slot, as far as this process knows.
#[derive(Debug, Default)]
pub(super) struct Routing {
    /// The place of the owner, by slot.
    pub(super) owners: Vec<Option<usize>>,
    /// The newest map.
    pub(super) map: Option<SlotMap>,
}

/// The shards of the configuration and the way to the right one.
#[derive(Debug)]
pub struct Store {
    members: Vec<Member>,
    pub(super) routing: ArcSwap<Routing>,
    /// The cluster-wide small data, merged, by key.
    pub(super) data: ArcSwap<HashMap<String, DataRow>>,
    clock: Arc<Clock>,
    rerouted: Mutex<Option<Instant>>,
    /// What [`Store::namespace`] said last: every read of the far cache asks for it.
    pub(super) namespace: ArcSwapOption<Namespace>,
}

impl Store {
    /// The shards of the configuration; nothing is opened yet.
    ///
    /// # Errors
    /// What is wrong with which URL.
    pub fn new(shards: &[ShardConfig]) -> Result<Self, String> {
        let member = |(place, config): (usize, &ShardConfig)| {
            let shard = Shard::of(place, &config.url)
                .map_err(|error| format!("shards[{place}].url ({}): {error}", config.url))?;
            Ok(Member {
                place,
                name: config.url.to_string(),
                weight: config.weight,
                shard,
                state: ArcSwap::from_pointee(MemberState::Waiting("not asked yet".to_owned())),
                identity: ArcSwapOption::empty(),
                stopped: AtomicUsize::new(0),
            })
        };
        Ok(Self {
            members: shards
                .iter()
                .enumerate()
                .map(member)
                .collect::<Result<_, String>>()?,
            routing: ArcSwap::default(),
            data: ArcSwap::default(),
            clock: Arc::default(),
            rerouted: Mutex::default(),
            namespace: ArcSwapOption::empty(),
        })
    }

    /// Every configured shard, in the order of the configuration.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The shards that take part in the cluster.
    pub fn usable(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.takes_part())
    }

    /// The databases' clock.
    #[must_use]
    pub const fn clock(&self) -> &Arc<Clock> {
        &self.clock
    }

    /// Whether the map is known and a shard takes part.
    #[must_use]
    pub fn has_started(&self) -> bool {
        // The owners come last: until they are read, every code would be "away".
        let routing = self.routing.load();
        routing.map.is_some()
            && routing.owners.iter().any(Option::is_some)
            && self.usable().next().is_some()
    }

    /// The cluster, as any of its shards names it.
    #[must_use]
    pub fn cluster(&self) -> Option<Arc<ClusterRow>> {
        self.usable().find_map(|member| member.identity.load_full())
    }

    /// The newest slot map.
    #[must_use]
    pub fn map(&self) -> Option<SlotMap> {
        self.routing.load().map.clone()
    }

    /// The member that answers for `slot`, up or not.
    #[must_use]
    pub fn owner(&self, slot: Slot) -> Option<&Member> {
        let place = self
            .routing
            .load()
            .owners
            .get(slot.index())
            .copied()
            .flatten()?;
        self.members.get(place).filter(|member| member.takes_part())
    }

    /// Whether the owner of `slot` is known and answered last time.
    #[must_use]
    pub fn is_up(&self, slot: Slot) -> bool {
        self.owner(slot).is_some_and(|member| member.shard.is_up())
    }

    /// The slots that this member answers for.
    #[must_use]
    pub fn slots_of(&self, place: usize) -> Vec<Slot> {
        let routing = self.routing.load();
        Slot::all()
            .filter(|slot| routing.owners.get(slot.index()).copied().flatten() == Some(place))
            .collect()
    }

    /// Asks the owner of `slot`; where it says that it is not, re-reads the map and asks again.
    async fn on_owner<T, Answer>(
        &self,
        slot: Slot,
        what: &'static str,
        ask: impl Fn(Shard) -> Answer,
    ) -> Result<T, StoreError>
    where
        Answer: Future<Output = Result<T, StoreError>>,
    {
        let mut again = true;
        loop {
            let member = self.owner(slot).ok_or(StoreError::NoOwner(slot))?;
            let asked = Instant::now();
            let answer = ask(member.shard.clone()).await;
            telemetry::shard_query(member.place, what, asked.elapsed());
            match answer {
                Err(StoreError::NotOwner) if again => {
                    again = false;
                    self.reroute_soon().await;
                }
                Err(error) => {
                    telemetry::shard_errors(member.place, error.word());
                    return Err(error);
                }
                Ok(answer) => return Ok(answer),
            }
        }
    }

    async fn reroute_soon(&self) {
        let due = {
            let mut last = self.rerouted.lock().unwrap_or_else(PoisonError::into_inner);
            let due = last.is_none_or(|last| last.elapsed() >= REROUTE_EVERY);
            if due {
                *last = Some(Instant::now());
            }
            due
        };
        if due {
            self.read_owners().await;
        }
    }

    /// What the redirect needs of `code`; `None` only where its owner says that nobody made it.
    ///
    /// # Errors
    /// An outage of its shard.
    pub async fn route(&self, code: &ShortCode) -> Result<Option<Route>, StoreError> {
        let ask = |shard: Shard| async move { shard.route(code).await };
        self.on_owner(Slot::of(code.as_str()), "route", ask).await
    }

    /// The routes of codes that the member at `place` should own; those that are no links in its
    /// active slots are left out.
    ///
    /// # Errors
    /// An outage of that shard.
    pub async fn routes(
        &self,
        place: usize,
        codes: &[ShortCode],
    ) -> Result<Vec<(ShortCode, Route)>, StoreError> {
        let Some(member) = self.members.get(place) else {
            return Ok(Vec::new());
        };
        let asked = Instant::now();
        let answer = member.shard.routes(codes).await;
        telemetry::shard_query(place, "routes", asked.elapsed());
        if let Err(error) = &answer {
            telemetry::shard_errors(place, error.word());
        }
        answer
    }

    /// The link behind `code`, tombstones included.
    ///
    /// # Errors
    /// An outage of its shard.
    pub async fn find(&self, code: &ShortCode) -> Result<Option<Link>, StoreError> {
        let ask = |shard: Shard| async move { shard.find(code).await };
        self.on_owner(Slot::of(code.as_str()), "find", ask).await
    }

    /// Inserts one link; `announce` tells the feed.
    ///
    /// # Errors
    /// [`StoreError::Refused`], or an outage of its shard.
    pub async fn insert(&self, new: &NewLink, announce: bool) -> Result<Inserted, StoreError> {
        let ask = |shard: Shard| async move { shard.insert(new, announce).await };
        self.on_owner(Slot::of(new.code.as_str()), "insert", ask)
            .await
    }

    /// Inserts links that one shard owns, all or none; results in order.
    ///
    /// # Errors
    /// [`StoreError::Refused`], or an outage of the shard.
    pub async fn insert_many(
        &self,
        new: &[NewLink],
        announce: bool,
    ) -> Result<Vec<Inserted>, StoreError> {
        let Some(first) = new.first() else {
            return Ok(Vec::new());
        };
        let ask = |shard: Shard| async move { shard.insert_many(new, announce).await };
        self.on_owner(Slot::of(first.code.as_str()), "insert_many", ask)
            .await
    }

    /// Writes `fields` over the link if its version still is `version`.
    ///
    /// # Errors
    /// [`StoreError::Refused`], or an outage of its shard.
    pub async fn update(
        &self,
        code: &ShortCode,
        version: i64,
        fields: &LinkFields,
    ) -> Result<Changed, StoreError> {
        let ask = |shard: Shard| async move { shard.update(code, version, fields).await };
        self.on_owner(Slot::of(code.as_str()), "update", ask).await
    }

    /// Makes the link a tombstone if its version still is `version`; `purge` blanks it.
    ///
    /// # Errors
    /// An outage of its shard.
    pub async fn delete(
        &self,
        code: &ShortCode,
        version: i64,
        purge: bool,
    ) -> Result<Changed, StoreError> {
        let ask = |shard: Shard| async move { shard.delete(code, version, purge).await };
        self.on_owner(Slot::of(code.as_str()), "delete", ask).await
    }

    /// The caller's active links to exactly this URL, on every shard that answers.
    pub async fn reusable(&self, url: &str, owner: Option<&str>) -> Vec<Link> {
        let asked = self
            .usable()
            .map(|member| member.shard.reusable(url, owner));
        let answers = futures_util::future::join_all(asked).await;
        answers
            .into_iter()
            .filter_map(Result::ok)
            .flatten()
            .collect()
    }

    /// A page over all shards, newest first, and the slots that did not answer.
    pub async fn list(&self, filter: &ListFilter, limit: usize) -> (Vec<Link>, Vec<Slot>) {
        let (page, missing) = self.list_once(filter, limit).await;
        if missing.is_empty() {
            return (page, missing);
        }
        // A slot that moved, or was read twice, deserves a second look with a new map.
        self.read_owners().await;
        self.list_once(filter, limit).await
    }

    async fn list_once(&self, filter: &ListFilter, limit: usize) -> (Vec<Link>, Vec<Slot>) {
        let asked = self.usable().map(|member| member.shard.list(filter, limit));
        let answers = futures_util::future::join_all(asked).await;
        let mut links = Vec::new();
        let mut seen = [0_u8; 64];
        for page in answers.into_iter().filter_map(Result::ok) {
            links.extend(page.links);
            for slot in page.slots {
                if let Some(times) = seen.get_mut(slot.index()) {
                    *times += 1;
                }
            }
        }
        links.sort_by(|left, right| {
            (right.created_at, &right.code).cmp(&(left.created_at, &left.code))
        });
        links.dedup_by(|left, right| left.code == right.code);
        links.truncate(limit);
        let missing = Slot::all()
            .filter(|slot| seen.get(slot.index()) != Some(&1))
            .collect();
        (links, missing)
    }

    /// The most followed links of every shard that answers, taken in turns, and how many shards did
    /// not answer. Each shard names `limit` at most; so does the whole.
    pub async fn most_followed(&self, limit: usize) -> (Vec<ShortCode>, usize) {
        let asked = self.members().iter().map(|member| async move {
            if member.takes_part() {
                member.shard.most_followed(limit).await.ok()
            } else {
                None
            }
        });
        let answers = futures_util::future::join_all(asked).await;
        let silent = answers.iter().filter(|answer| answer.is_none()).count();
        let mut ranked: Vec<(usize, ShortCode)> = answers
            .into_iter()
            .flatten()
            .flat_map(|codes| codes.into_iter().enumerate())
            .collect();
        // Slots are spread by hash, so the n-th of one shard is about as popular as another's.
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked.truncate(limit);
        (ranked.into_iter().map(|(_, code)| code).collect(), silent)
    }

    /// Leaves the databases in order: files hold everything without their write-ahead logs.
    pub async fn close(&self) {
        for member in self.usable() {
            if let Shard::Sqlite(shard) = &member.shard {
                shard.checkpoint().await;
            }
        }
    }

    /// The owner of `slot`, to be asked for what only it can tell.
    ///
    /// # Errors
    /// [`StoreError::NoOwner`].
    pub fn shard_of(&self, slot: Slot) -> Result<&Shard, StoreError> {
        self.owner(slot)
            .map(|member| &member.shard)
            .ok_or(StoreError::NoOwner(slot))
    }
}
