//! Connecting, founding, ownership, and the cluster-wide small data.

use tokio::task::JoinSet;
use urlshort::slots::Slot;
use urlshort::store::rows::DataRow;

use crate::support::check_not_owner;
use crate::support::code_in;
use crate::support::identity;
use crate::support::on_each;
use crate::support::on_empty;
use crate::support::on_half;

fn data(key: &str, version: i64, value: &str) -> DataRow {
    DataRow {
        key: key.to_owned(),
        version,
        value: value.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_twice_migrates_once() {
    on_empty(async |store| {
        assert!(!store.shard.is_up());
        store.shard.connect().await.unwrap();
        store.shard.connect().await.unwrap();
        store.again().connect().await.unwrap();
        assert!(store.shard.is_up());
        assert_eq!(
            store.rows("schema_versions").await,
            store.shard.newest_schema()
        );
        assert_eq!(store.shard.cluster_row().await.unwrap(), None);
        let (now, later) = (store.shard.now().await, store.shard.now().await);
        assert!(now.unwrap() <= later.unwrap());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_may_migrate_at_once() {
    on_empty(async |store| {
        let mut connecting = JoinSet::new();
        for _ in 0..4 {
            let shard = store.again();
            connecting.spawn(async move { shard.connect().await });
        }
        for connected in connecting.join_all().await {
            connected.unwrap();
        }
        assert_eq!(
            store.rows("schema_versions").await,
            store.shard.newest_schema()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_founders_one_wins() {
    on_empty(async |store| {
        store.shard.connect().await.unwrap();
        let mut founding = JoinSet::new();
        for shard_id in ["a", "b", "c", "d"] {
            let shard = store.again();
            founding.spawn(async move {
                shard.connect().await.unwrap();
                let slots: Vec<Slot> = Slot::all().collect();
                shard.found(&identity(shard_id), &slots, &[]).await.unwrap()
            });
        }
        let winner = store_winner(founding.join_all().await);
        assert_eq!(store.shard.cluster_row().await.unwrap(), Some(winner));
        assert_eq!(store.shard.slot_owners().await.unwrap().len(), 64);
    })
    .await;
}

/// The identity that all of them were told.
#[track_caller]
fn store_winner<T: PartialEq + std::fmt::Debug>(mut told: Vec<T>) -> T {
    let winner = told.pop().unwrap();
    for other in told {
        assert_eq!(other, winner);
    }
    winner
}

#[tokio::test(flavor = "multi_thread")]
async fn founding_again_changes_nothing() {
    on_empty(async |store| {
        store.shard.connect().await.unwrap();
        let slots: Vec<Slot> = Slot::all().take(3).collect();
        let first = identity("a");
        let told = store
            .shard
            .found(&first, &slots, &[data("k", 1, "one")])
            .await;
        assert_eq!(told.unwrap(), first);
        let (late, all): (_, Vec<Slot>) = (identity("b"), Slot::all().collect());
        let told = store.shard.found(&late, &all, &[data("k", 2, "two")]).await;
        assert_eq!(told.unwrap(), first);
        let owners = store.shard.slot_owners().await.unwrap();
        assert_eq!(owners.len(), 3);
        assert!(
            owners
                .iter()
                .all(|owner| owner.active && owner.owner_epoch == 1)
        );
        assert_eq!(
            store.shard.data().await.unwrap(),
            [data("k", 1, "one")],
            "data of the founder that lost"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_highest_version_of_cluster_data_wins() {
    on_each(async |store| {
        let shard = &store.shard;
        for row in [
            data("k", 2, "two"),
            data("k", 1, "late"),
            data("k", 2, "same"),
        ] {
            shard.put_data(&row).await.unwrap();
        }
        assert_eq!(shard.data().await.unwrap(), [data("k", 2, "two")]);
        shard.put_data(&data("k", 3, "three")).await.unwrap();
        shard.put_data(&data("other", 1, "kept")).await.unwrap();
        shard
            .drop_data(&["k".to_owned(), "unknown".to_owned()])
            .await
            .unwrap();
        assert_eq!(shard.data().await.unwrap(), [data("other", 1, "kept")]);
        shard.drop_data(&[]).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_generation_only_rises() {
    on_each(async |store| {
        let generation = async || store.shard.cluster_row().await.unwrap().unwrap().generation;
        store.shard.set_generation(5).await.unwrap();
        store.shard.set_generation(3).await.unwrap();
        assert_eq!(generation().await, 5);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demoted_slot_is_served_no_more() {
    on_half(async |store| {
        let slot = Slot::new(7).unwrap();
        let link = store.insert_in(7).await;
        store.shard.demote(slot).await.unwrap();
        let owners = store.shard.slot_owners().await.unwrap();
        let demoted: Vec<Slot> = owners
            .iter()
            .filter_map(|owner| (!owner.active).then_some(owner.slot))
            .collect();
        assert_eq!(demoted, [slot]);
        check_not_owner("find", store.shard.find(&link.code).await);
        check_not_owner("route", store.shard.route(&link.code).await);
        assert_eq!(store.shard.find(&code_in(8, 0)).await.unwrap(), None);
        let page = store.shard.list(&Default::default(), 10).await.unwrap();
        assert_eq!((page.links.len(), page.slots.len()), (0, 31));
    })
    .await;
}
