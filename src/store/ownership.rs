//! Who owns which slot: read from the owners themselves, the map names those that are away.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;

use crate::slots::Slot;
use crate::slots::SlotMap;
use crate::store::member::Member;
use crate::store::router::Routing;
use crate::store::router::Store;

impl Store {
    pub(super) fn adopt_map(&self, map: SlotMap) {
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
                if row.owner_epoch == epoch {
                    // Neither is the older one. Whoever the map names serves it, and people decide.
                    tracing::error!(
                        slot = row.slot.number(),
                        shards = ?[other.place, member.place],
                        "two shards own the slot with the same epoch"
                    );
                    if map.owner(row.slot).is_some_and(|id| member.is(id)) {
                        active.insert(row.slot, (epoch, member));
                    }
                    continue;
                }
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
            Some(self.usable().find(|member| member.is(id))?.place)
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
}
