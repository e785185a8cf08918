//! Founding a cluster, and taking new databases into one.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::domain::key::random_secret;
use crate::slots::MapShard;
use crate::slots::SlotMap;
use crate::store::cluster::FOUNDED_KEY;
use crate::store::cluster::Judgement;
use crate::store::cluster::SLOT_MAP_KEY;
use crate::store::cluster::View;
use crate::store::error::StoreError;
use crate::store::member::Member;
use crate::store::member::MemberState;
use crate::store::router::Store;
use crate::store::rows::ClusterRow;
use crate::store::rows::DataRow;

impl Store {
    /// Nobody has an identity: found a cluster if everybody is there.
    pub(super) async fn found_cluster(
        &self,
        view: &View<'_>,
    ) -> Result<Option<Judgement>, StoreError> {
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
        let doubled = self.doubled().await?;
        if !doubled.is_empty() {
            return Ok(Some(Judgement::Refused(doubled)));
        }
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

    /// Shards of the configuration that are one database, told before anything is founded there: each
    /// leaves a mark, and whoever reads more than one has been named twice.
    async fn doubled(&self) -> Result<Vec<String>, StoreError> {
        if self.members().len() < 2 {
            return Ok(Vec::new());
        }
        let prefix = format!("named/{}/", Uuid::now_v7().simple());
        let mark = |member: &Member| format!("{prefix}{:04}", member.place);
        for member in self.members() {
            let row = DataRow {
                key: mark(member),
                version: 1,
                value: String::new(),
            };
            member.shard.put_data(&row).await?;
        }
        let mut doubled = Vec::new();
        for member in self.members() {
            let rows = member.shard.data().await?;
            let first = rows
                .iter()
                .map(|row| &row.key)
                .filter(|key| key.starts_with(&prefix));
            if let Some(first) = first.min().filter(|key| **key != mark(member)) {
                let first = first.trim_start_matches(&prefix).parse::<usize>().ok();
                if let Some(other) = first.and_then(|place| self.members().get(place)) {
                    doubled.push(format!(
                        "{} and {} are the same database: name each shard once",
                        other.label(),
                        member.label()
                    ));
                }
            }
        }
        for member in self.members() {
            member.shard.drop_data(&[mark(member)]).await?;
        }
        Ok(doubled)
    }

    /// Shard 0 has the plan; give each other shard its part. Two processes may do so at once.
    pub(super) async fn finish_founding(
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
    pub(super) async fn place_empty(
        &self,
        view: &View<'_>,
        cluster: &ClusterRow,
        map: &SlotMap,
        missing: &[&str],
        data: &BTreeMap<String, DataRow>,
    ) -> Result<bool, StoreError> {
        if missing.len() > view.away.len() {
            // Another process may be founding the cluster: what was empty a moment ago is not now.
            for member in &view.empty {
                if member.shard.cluster_row().await?.is_some() {
                    return Ok(true);
                }
            }
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
}

fn map_row(map: &SlotMap) -> DataRow {
    let value = serde_json::to_string(map).unwrap_or_default();
    DataRow {
        key: SLOT_MAP_KEY.to_owned(),
        version: map.epoch,
        value,
    }
}
