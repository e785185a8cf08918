//! Leases of partitions, on the database's clock, and the workers that want them.

use tokio::task::JoinSet;
use urlshort::slots::Slot;
use urlshort::store::rows::Job;
use urlshort::store::rows::Lease;

use crate::support::Store;
use crate::support::on_each;
use crate::support::on_half;

fn slot(number: u8) -> Slot {
    Slot::new(number).unwrap()
}

async fn lease(store: &Store, number: u8) -> Lease {
    let leases = store.shard.leases(Job::Count).await.unwrap();
    let found = leases.into_iter().find(|lease| lease.slot == slot(number));
    found.unwrap()
}

/// Lets every lease of the store run out.
async fn run_out(store: &Store) {
    let sql = "UPDATE progress SET expires = 1";
    store.ask(sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_free_partition_is_taken_and_a_held_one_is_not() {
    on_half(async |store| {
        let shard = &store.shard;
        assert_eq!(shard.leases(Job::Count).await.unwrap().len(), 32);
        let free = lease(store, 3).await;
        assert_eq!((free.holder, free.epoch, free.next_offset), (None, 0, 0));
        let taken = shard
            .take_lease(Job::Count, slot(3), "one")
            .await
            .unwrap()
            .unwrap();
        assert_eq!((taken.holder.as_deref(), taken.epoch), (Some("one"), 1));
        assert_eq!(
            shard.take_lease(Job::Count, slot(3), "two").await.unwrap(),
            None
        );
        assert_eq!(lease(store, 3).await, taken);
        assert_eq!(
            shard.take_lease(Job::Count, slot(40), "one").await.unwrap(),
            None
        );
        // Its holder may take it again, as after a restart; what it read before is fenced off.
        let again = shard
            .take_lease(Job::Count, slot(3), "one")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(again.epoch, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_workers_one_takes_the_partition() {
    on_each(async |store| {
        let mut racing = JoinSet::new();
        for n in 0..6 {
            let shard = store.shard.clone();
            let worker = format!("w{n}");
            racing.spawn(async move {
                shard
                    .take_lease(Job::Count, slot(3), &worker)
                    .await
                    .unwrap()
            });
        }
        let taken: Vec<Lease> = racing.join_all().await.into_iter().flatten().collect();
        assert_eq!(taken.len(), 1);
        assert_eq!(lease(store, 3).await, taken[0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_keeps_the_epoch_and_a_taking_raises_it() {
    on_each(async |store| {
        let shard = &store.shard;
        let held = shard
            .take_lease(Job::Count, slot(3), "one")
            .await
            .unwrap()
            .unwrap();
        let mine = [(slot(3), held.epoch), (slot(4), 0)];
        run_out(store).await;
        assert_eq!(lease(store, 3).await.holder, None, "it has run out");
        // Nobody else wanted it: still held.
        assert_eq!(
            shard.renew_leases(Job::Count, "one", &mine).await.unwrap(),
            [slot(3)]
        );
        assert_eq!(lease(store, 3).await, held);
        run_out(store).await;
        let taken = shard
            .take_lease(Job::Count, slot(3), "two")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(taken.epoch, held.epoch + 1);
        assert_eq!(
            shard.renew_leases(Job::Count, "one", &mine).await.unwrap(),
            []
        );
        shard
            .release_leases(Job::Count, "one", &mine)
            .await
            .unwrap();
        assert_eq!(
            lease(store, 3).await,
            taken,
            "only its holder gives it back"
        );
        shard
            .release_leases(Job::Count, "two", &[(slot(3), taken.epoch)])
            .await
            .unwrap();
        assert_eq!(lease(store, 3).await.holder, None);
        let third = shard
            .take_lease(Job::Count, slot(3), "three")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(third.epoch, taken.epoch + 1);
        assert_eq!(
            shard.renew_leases(Job::Count, "three", &[]).await.unwrap(),
            []
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_gone_does_not_cost_the_other_leases() {
    on_each(async |store| {
        let shard = &store.shard;
        let mut mine = Vec::new();
        for number in [3, 4] {
            let taken = shard
                .take_lease(Job::Count, slot(number), "one")
                .await
                .unwrap()
                .unwrap();
            mine.push((slot(number), taken.epoch));
        }
        shard.demote(slot(4)).await.unwrap();
        assert_eq!(
            shard.renew_leases(Job::Count, "one", &mine).await.unwrap(),
            [slot(3)]
        );
        let now = shard.now().await.unwrap();
        shard
            .caught_up(&[(slot(3), now), (slot(4), now)])
            .await
            .unwrap();
        let fresh = shard.freshness(slot(3)).await.unwrap();
        assert!(fresh.caught_up_at.is_some());
        shard
            .release_leases(Job::Count, "one", &mine)
            .await
            .unwrap();
        assert_eq!(lease(store, 3).await.holder, None);
        assert_eq!(shard.leases(Job::Count).await.unwrap().len(), 63);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_partition_says_why_until_it_is_cleared() {
    on_each(async |store| {
        let shard = &store.shard;
        shard
            .stop_partition(slot(3), Some("recreated"))
            .await
            .unwrap();
        assert_eq!(lease(store, 3).await.stopped.as_deref(), Some("recreated"));
        assert_eq!(lease(store, 4).await.stopped, None);
        let taken = shard
            .take_lease(Job::Count, slot(3), "one")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(taken.stopped.as_deref(), Some("recreated"));
        shard.stop_partition(slot(3), None).await.unwrap();
        assert_eq!(lease(store, 3).await.stopped, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_fall_silent_are_forgotten() {
    on_each(async |store| {
        let shard = &store.shard;
        assert_eq!(shard.beat_worker("b").await.unwrap(), ["b"]);
        assert_eq!(shard.beat_worker("a").await.unwrap(), ["a", "b"]);
        assert_eq!(shard.beat_worker("a").await.unwrap(), ["a", "b"]);
        store
            .ask("UPDATE workers SET seen_at = 1 WHERE id = 'b'")
            .await
            .unwrap();
        assert_eq!(shard.beat_worker("a").await.unwrap(), ["a"]);
        assert_eq!(shard.beat_worker("c").await.unwrap(), ["a", "c"]);
        shard.forget_worker("a").await.unwrap();
        assert_eq!(shard.beat_worker("c").await.unwrap(), ["c"]);
    })
    .await;
}
