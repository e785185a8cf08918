//! Who the shards are: founding a cluster, joining one, refusing what contradicts it.
//!
//! # Why
//!
//! A shard is its id, not its URL. Everything here is decided from what the databases say, in the
//! table of `README.md` ("First start"), and can be decided again at any time: a shard that was
//! away is judged when it comes.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use uuid::Uuid;

use crate::domain::key::random_secret;
use crate::slots::MapShard;
use crate::slots::Slot;
use crate::slots::SlotMap;
use crate::store::error::StoreError;
use crate::store::router::Member;
use crate::store::router::MemberState;
use crate::store::router::Routing;
use crate::store::router::Store;
use crate::store::rows::ClusterRow;
use crate::store::rows::DataRow;
use crate::telemetry;

/// The key of the slot map in the cluster-wide data; its version is the map's epoch.
pub const SLOT_MAP_KEY: &str = "slot-map";
/// Written once every shard of the first start has its identity.
const FOUNDED_KEY: &str = "founded";
/// How long a shard may take to be judged at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a look at the shards came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The map is known and a shard is usable.
    Started,
    /// Not yet, and why.
    Waiting(String),
    /// The configuration contradicts what the shards say.
    Refused(Vec<String>),
}

/// The shards as one look found them.
struct View<'store> {
    known: Vec<(&'store Member, Arc<ClusterRow>)>,
    empty: Vec<&'store Member>,
    away: Vec<&'store Member>,
}

impl Store {
    /// Asks every shard that is not part of the cluster yet who it is, and decides.
    ///
    /// Called before listening, where [`Judgement::Refused`] ends the program, and again and again
    /// by a loop, where what contradicts is marked and the process lives.
    pub async fn judge(&self) -> Judgement {
        // Founding takes two rounds: shard 0, then the others. A third is a contradiction.
        for _ in 0..4 {
            let view = self.look().await;
            match self.decide(&view).await {
                Ok(Some(judgement)) => {
                    self.read_owners().await;
                    return judgement;
                }
                Ok(None) => (),
                Err(error) => return Judgement::Waiting(format!("{error}")),
            }
        }
        Judgement::Waiting("the shards change faster than they can be judged".to_owned())
    }

    async fn look(&self) -> View<'_> {
        let looked = self.members().iter().map(|member| async move {
            let identity = member.identity.load_full();
            let answer = tokio::time::timeout(PATIENCE, async {
                if !member.shard.is_up() {
                    member.shard.connect().await?;
                }
                if identity.is_some() {
                    return Ok(identity.clone());
                }
                Ok(member.shard.cluster_row().await?.map(Arc::new))
            });
            let answer = answer.await;
            (member, identity, answer)
        });
        let mut view = View {
            known: vec![],
            empty: vec![],
            away: vec![],
        };
        for (member, identity, answer) in futures_util::future::join_all(looked).await {
            telemetry::shard_up(member.place, matches!(answer, Ok(Ok(_))));
            match (answer, identity) {
                (Ok(Ok(Some(row))), _) | (_, Some(row)) => view.known.push((member, row)),
                (Ok(Ok(None)), None) => view.empty.push(member),
                (Ok(Err::<_, StoreError>(error)), None) => {
                    member.wait_for(&reason(&error));
                    view.away.push(member);
                }
                (Err(_), None) => {
                    member.wait_for("no answer within 2 s");
                    view.away.push(member);
                }
            }
        }
        view
    }

    /// `None`: something was written, look again.
    async fn decide(&self, view: &View<'_>) -> Result<Option<Judgement>, StoreError> {
        let Some((_, cluster)) = view.known.first() else {
            return self.found_cluster(view).await;
        };
        let contradictions = contradictions(view);
        if !contradictions.is_empty() {
            return Ok(Some(Judgement::Refused(contradictions)));
        }
        let mut data: BTreeMap<String, DataRow> = BTreeMap::new();
        for (member, _) in view.known.iter().filter(|(member, _)| member.shard.is_up()) {
            for row in member.shard.data().await? {
                let newer = data
                    .get(&row.key)
                    .is_none_or(|known| known.version < row.version);
                if newer {
                    data.insert(row.key.clone(), row);
                }
            }
        }
        let Some(map) = data
            .get(SLOT_MAP_KEY)
            .and_then(|row| serde_json::from_str(&row.value).ok())
        else {
            if self.has_started() {
                return Ok(Some(Judgement::Started)); // nobody answers now; what is known stays
            }
            return Ok(Some(Judgement::Waiting(
                "no shard with the slot map answers".to_owned(),
            )));
        };
        if !data.contains_key(FOUNDED_KEY) {
            return self.finish_founding(view, cluster, &map, &data).await;
        }
        let names: HashSet<&str> = view
            .known
            .iter()
            .map(|(_, row)| row.shard_id.as_str())
            .collect();
        let missing: Vec<&str> = map
            .shards
            .iter()
            .map(|shard| shard.id.as_str())
            .filter(|id| !names.contains(id) && !map.slots_of(id).is_empty())
            .collect();
        if missing.len() > view.away.len() + view.empty.len() {
            return Ok(Some(Judgement::Refused(vec![lacks_owner(
                view, &map, &missing,
            )])));
        }
        let changed = self
            .place_empty(view, cluster, &map, &missing, &data)
            .await?;
        if changed {
            return Ok(None);
        }
        for (member, row) in &view.known {
            member.identity.store(Some(Arc::clone(row)));
            member.state.store(Arc::new(MemberState::Member));
        }
        self.adopt_map(map);
        self.refresh_data().await;
        Ok(Some(Judgement::Started))
    }

    /// Nobody has an identity: found a cluster if everybody is there.
    async fn found_cluster(&self, view: &View<'_>) -> Result<Option<Judgement>, StoreError> {
        if let Some(away) = view.away.first() {
            let state = away.state.load();
            let why = match &**state {
                MemberState::Waiting(why) | MemberState::Failed(why) => why.as_str(),
                MemberState::Member => "",
            };
            return Ok(Some(Judgement::Waiting(format!(
                "a new cluster needs every shard once, and {} does not answer: {why}",
                away.label()
            ))));
        }
        let Some(first) = self.members().first() else {
            return Ok(Some(Judgement::Refused(vec![
                "no shard is configured".to_owned(),
            ])));
        };
        let shard = |member: &Member| MapShard {
            id: Uuid::now_v7().simple().to_string(),
            weight: member.weight,
        };
        let map = SlotMap::rendezvous(self.members().iter().map(shard).collect());
        let id = map
            .shards
            .first()
            .map(|shard| shard.id.clone())
            .unwrap_or_default();
        let identity = ClusterRow {
            cluster_id: Uuid::now_v7().simple().to_string(),
            shard_id: id,
            ordinal: 0,
            generation: 1,
            secret: random_secret(&mut rand::rng()),
        };
        first
            .shard
            .found(
                &identity,
                &map.slots_of(&identity.shard_id),
                &[map_row(&map)],
            )
            .await?;
        Ok(None)
    }

    /// Shard 0 has the plan; give each other shard its part. Two processes may do so at once.
    async fn finish_founding(
        &self,
        view: &View<'_>,
        cluster: &ClusterRow,
        map: &SlotMap,
        data: &BTreeMap<String, DataRow>,
    ) -> Result<Option<Judgement>, StoreError> {
        if let Some(away) = view.away.first() {
            return Ok(Some(Judgement::Waiting(format!(
                "the cluster is half founded, and {} does not answer",
                away.label()
            ))));
        }
        let rows: Vec<DataRow> = data.values().cloned().collect();
        for member in &view.empty {
            let planned = map
                .shards
                .get(member.place)
                .filter(|planned| view.known.iter().all(|(_, row)| row.shard_id != planned.id));
            let Some(planned) = planned else { continue };
            let identity = ClusterRow {
                shard_id: planned.id.clone(),
                ordinal: i32::try_from(member.place).unwrap_or(i32::MAX),
                ..cluster.clone()
            };
            member
                .shard
                .found(&identity, &map.slots_of(&planned.id), &rows)
                .await?;
        }
        let founded = DataRow {
            key: FOUNDED_KEY.to_owned(),
            version: 1,
            value: "true".to_owned(),
        };
        for member in self.members() {
            member.shard.put_data(&founded).await?;
        }
        Ok(None)
    }

    /// Empty databases: a lost one that the map names, or a new one that it does not.
    async fn place_empty(
        &self,
        view: &View<'_>,
        cluster: &ClusterRow,
        map: &SlotMap,
        missing: &[&str],
        data: &BTreeMap<String, DataRow>,
    ) -> Result<bool, StoreError> {
        if missing.len() > view.away.len() {
            for member in &view.empty {
                member.fail(
                    "an empty database where the cluster has a shard: restore its backup there, \
                     or correct its URL",
                );
            }
            return Ok(false);
        }
        if !missing.is_empty() {
            for member in &view.empty {
                member.wait_for("an empty database cannot be judged while a shard is away");
            }
            return Ok(false);
        }
        let Some(member) = view.empty.first() else {
            return Ok(false);
        };
        let ordinal = view
            .known
            .iter()
            .map(|(_, row)| row.ordinal)
            .max()
            .unwrap_or(0)
            + 1;
        let id = Uuid::now_v7().simple().to_string();
        let mut grown = map.clone();
        grown.epoch += 1;
        grown.shards.push(MapShard {
            id: id.clone(),
            weight: member.weight,
        });
        let identity = ClusterRow {
            shard_id: id,
            ordinal,
            ..cluster.clone()
        };
        let rows: Vec<DataRow> = data
            .values()
            .filter(|row| row.key != SLOT_MAP_KEY)
            .cloned()
            .chain([map_row(&grown)])
            .collect();
        member.shard.found(&identity, &[], &rows).await?;
        for (known, _) in view.known.iter().filter(|(known, _)| known.shard.is_up()) {
            known.shard.put_data(&map_row(&grown)).await?;
        }
        tracing::info!(
            shard = member.place,
            "a new shard joined the cluster, without slots yet"
        );
        Ok(true)
    }

    fn adopt_map(&self, map: SlotMap) {
        let routing = self.routing.load();
        if routing
            .map
            .as_ref()
            .is_none_or(|known| known.epoch < map.epoch)
        {
            let owners = routing.owners.clone();
            self.routing.store(Arc::new(Routing {
                owners,
                map: Some(map),
            }));
        }
    }

    /// Reads who owns what from every shard that answers; the map names the others.
    pub async fn read_owners(&self) {
        let routing = self.routing.load_full();
        let Some(map) = routing.map.clone() else {
            return;
        };
        let mut active: BTreeMap<Slot, (i64, &Member)> = BTreeMap::new();
        let mut answered: HashSet<usize> = HashSet::new();
        for member in self.usable().filter(|member| member.shard.is_up()) {
            let Ok(rows) = member.shard.slot_owners().await else {
                continue;
            };
            answered.insert(member.place);
            for row in rows.into_iter().filter(|row| row.active) {
                let Some((epoch, other)) = active.get(&row.slot).copied() else {
                    active.insert(row.slot, (row.owner_epoch, member));
                    continue;
                };
                // A restored backup still believes in its slots: the higher epoch wins.
                let (winner, loser) = if row.owner_epoch > epoch {
                    (member, other)
                } else {
                    (other, member)
                };
                tracing::error!(
                    slot = row.slot.number(),
                    kept = winner.place,
                    demoted = loser.place,
                    "two shards own the slot; the one with the lower epoch is demoted"
                );
                active.insert(row.slot, (epoch.max(row.owner_epoch), winner));
                if let Err(error) = loser.shard.demote(row.slot).await {
                    tracing::error!(%error, "the demotion failed and will be tried again");
                }
            }
        }
        let by_map = |slot: Slot| {
            let id = map.owner(slot)?;
            let member = self.usable().find(|member| {
                member
                    .identity
                    .load()
                    .as_ref()
                    .is_some_and(|row| row.shard_id == id)
            })?;
            Some(member.place)
        };
        let known = |slot: Slot| {
            let before = routing.owners.get(slot.index()).copied().flatten();
            // A shard that is away keeps what it had.
            before
                .filter(|place| !answered.contains(place))
                .or_else(|| by_map(slot))
        };
        let owners = Slot::all()
            .map(|slot| {
                active
                    .get(&slot)
                    .map(|(_, member)| member.place)
                    .or_else(|| known(slot))
            })
            .collect();
        self.routing.store(Arc::new(Routing {
            owners,
            map: Some(map),
        }));
    }

    /// Measures the databases' clock at the first shard that answers.
    pub async fn measure_clock(&self) {
        for member in self.usable().filter(|member| member.shard.is_up()) {
            let asked = Instant::now();
            if let Ok(now) = member.shard.now().await {
                self.clock().measure(asked, now);
                return;
            }
        }
    }

    /// Marks what a later judgement refused: the process lives, the shards in question do not serve.
    pub fn mark_refused(&self, reasons: &[String]) {
        for member in self.members().iter().filter(|member| !member.takes_part()) {
            member.fail(&reasons.join("; "));
        }
    }
}

impl Member {
    fn wait_for(&self, why: &str) {
        self.state
            .store(Arc::new(MemberState::Waiting(why.to_owned())));
    }

    fn fail(&self, why: &str) {
        let failed = MemberState::Failed(why.to_owned());
        if **self.state.load() != failed {
            tracing::error!(shard = self.place, why, "the shard cannot take part");
            self.state.store(Arc::new(failed));
        }
    }
}

fn contradictions(view: &View<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut ids: BTreeMap<&str, &Member> = BTreeMap::new();
    let first = view
        .known
        .first()
        .map_or("", |(_, row)| row.cluster_id.as_str());
    for (member, row) in &view.known {
        if row.cluster_id != first {
            let clusters: Vec<String> = view
                .known
                .iter()
                .map(|(member, row)| {
                    format!("{} belongs to cluster {}", member.label(), row.cluster_id)
                })
                .collect();
            found.push(format!(
                "the shards belong to different clusters: {}",
                clusters.join(", ")
            ));
            return found;
        }
        if let Some(other) = ids.insert(&row.shard_id, member) {
            found.push(format!(
                "{} and {} both say that they are the shard {}: one is a copy of the other",
                other.label(),
                member.label(),
                row.shard_id
            ));
        }
    }
    found
}

fn lacks_owner(view: &View<'_>, map: &SlotMap, missing: &[&str]) -> String {
    let there: Vec<String> = view
        .known
        .iter()
        .map(|(member, row)| {
            let slots = map.slots_of(&row.shard_id).len();
            format!("{} is {} with {slots} slots", member.label(), row.shard_id)
        })
        .collect();
    let lost: Vec<String> = missing
        .iter()
        .map(|id| format!("{id} with {} slots", map.slots_of(id).len()))
        .collect();
    format!(
        "the configured shards lack an owner: {} is not among them; there are {}. Add its URL again",
        lost.join(", "),
        there.join(", ")
    )
}

fn map_row(map: &SlotMap) -> DataRow {
    let value = serde_json::to_string(map).unwrap_or_default();
    DataRow {
        key: SLOT_MAP_KEY.to_owned(),
        version: map.epoch,
        value,
    }
}

/// The innermost cause, for people.
fn reason(error: &StoreError) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    source.to_string()
}
