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

use futures_util::future::join_all;

use crate::slots::SlotMap;
use crate::store::error::StoreError;
use crate::store::member::Member;
use crate::store::member::MemberState;
use crate::store::router::Store;
use crate::store::rows::ClusterRow;
use crate::store::rows::DataRow;
use crate::telemetry;

/// The key of the slot map in the cluster-wide data; its version is the map's epoch.
pub const SLOT_MAP_KEY: &str = "slot-map";
/// Written once every shard of the first start has its identity.
pub(super) const FOUNDED_KEY: &str = "founded";
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
pub(super) struct View<'store> {
    pub(super) known: Vec<(&'store Member, Arc<ClusterRow>)>,
    pub(super) empty: Vec<&'store Member>,
    pub(super) away: Vec<&'store Member>,
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
        for (member, identity, answer) in join_all(looked).await {
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
            member.shard.expect(row);
            member.state.store(Arc::new(MemberState::Member));
        }
        self.adopt_map(map);
        self.refresh_data().await;
        Ok(Some(Judgement::Started))
    }

    /// Measures the databases' clock at the first shard that answers, and has every one say
    /// whether it takes writes.
    pub async fn measure_clock(&self) {
        let shards = self.usable().filter(|member| member.shard.is_up());
        let times = join_all(shards.map(async |member| {
            let asked = Instant::now();
            let now = member.shard.now().await.ok()?;
            Some((asked, Instant::now(), now))
        }));
        if let Some((asked, answered, now)) = times.await.into_iter().flatten().next() {
            self.clock().measure(asked, answered, now);
        }
    }

    /// Marks what a later judgement refused: the process lives, the shards in question do not serve.
    pub fn mark_refused(&self, reasons: &[String]) {
        for member in self.members().iter().filter(|member| !member.takes_part()) {
            member.fail(&reasons.join("; "));
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

/// The innermost cause, for people.
fn reason(error: &StoreError) -> String {
    let mut source: &dyn std::error::Error = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    source.to_string()
}
