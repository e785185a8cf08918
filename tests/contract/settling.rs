//! Which clicks count: copies, gaps, strangers, purged links, and offsets that move once.

use std::sync::Arc;
use std::sync::Mutex;

use tokio::task::JoinSet;
use urlshort::domain::agent::AgentTable;
use urlshort::domain::click::Click;
use urlshort::domain::click_batch::ClickBatch;
use urlshort::domain::time::Timestamp;
use urlshort::slots::Slot;
use urlshort::store::rows::Beat;
use urlshort::store::rows::DeadEvent;
use urlshort::store::rows::Job;
use urlshort::store::rows::OffsetMove;
use urlshort::store::rows::RolledUp;
use urlshort::store::rows::RollupBatch;
use urlshort::store::rows::RollupOutcome;
use uuid::Uuid;

use crate::support::click;
use crate::support::clicks;
use crate::support::code_in;
use crate::support::on_each;
use crate::support::roll_up;
use crate::support::roll_up_batch;

/// Checks what became of a batch: counted, copies, ignored, set aside.
#[track_caller]
fn check(figures: &RolledUp, expected: (i64, u64, u64, u64)) {
    let RolledUp {
        counted,
        duplicates,
        ignored,
        dead,
        ..
    } = figures;
    assert_eq!((counted.human, *duplicates, *ignored, *dead), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resent_batch_counts_once() {
    on_each(async |store| {
        let link = store.insert_in(3).await.code;
        let producer = Uuid::now_v7();
        let batch = clicks(producer, &link, 1, 100);
        check(&store.count(&batch).await, (100, 0, 0, 0));
        check(&store.count(&batch).await, (0, 100, 0, 0));
        let overlapping = clicks(producer, &link, 90, 110);
        check(&store.count(&overlapping).await, (10, 11, 0, 0));
        let twice = [click(producer, &link, 111), click(producer, &link, 111)];
        check(&store.count(&twice).await, (1, 1, 0, 0));
        assert_eq!(store.human(&link).await, 111);
        check(&store.count(&[]).await, (0, 0, 0, 0));
        assert_eq!(store.number("SELECT last_seq FROM producer_seq").await, 111);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_many_count_at_once_counts_once() {
    on_each(async |store| {
        let (one, two) = (store.insert_in(3).await, store.insert_in(9).await);
        let producer = Uuid::now_v7();
        let mut batch = clicks(producer, &one.code, 1, 50);
        batch.extend(clicks(producer, &two.code, 1, 50));
        let mut racing = JoinSet::new();
        for n in 0..4 {
            // Half of them from another process.
            let shard = if n % 2 == 0 {
                store.shard.clone()
            } else {
                store.again()
            };
            let batch = batch.clone();
            racing.spawn(async move {
                shard.connect().await.unwrap();
                roll_up(&shard, &batch).await.unwrap()
            });
        }
        let mut counted = 0;
        for outcome in racing.join_all().await {
            let RollupOutcome::Done(figures) = outcome else {
                panic!("a batch without an offset cannot be fenced");
            };
            counted += figures.counted.human;
        }
        assert_eq!(counted, 100);
        assert_eq!(store.human(&one.code).await, 50);
        assert_eq!(store.human(&two.code).await, 50);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn producers_and_slots_have_numbers_of_their_own() {
    on_each(async |store| {
        let (one, two) = (store.insert_in(3).await, store.insert_in(9).await);
        for producer in [Uuid::now_v7(), Uuid::now_v7()] {
            let mut batch = clicks(producer, &one.code, 1, 3);
            batch.extend(clicks(producer, &two.code, 1, 2));
            check(&store.count(&batch).await, (5, 0, 0, 0));
        }
        assert_eq!(store.human(&one.code).await, 6);
        assert_eq!(store.human(&two.code).await, 4);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_leaves_a_gap_that_late_clicks_close_once() {
    on_each(async |store| {
        let link = store.insert_in(3).await.code;
        let producer = Uuid::now_v7();
        let gaps = async || {
            let gaps = store.shard.gaps(&[producer]).await.unwrap();
            let mut gaps: Vec<_> = gaps.iter().map(|gap| (gap.from, gap.to)).collect();
            gaps.sort_unstable();
            gaps
        };
        let batch = [1, 2, 10].map(|seq| click(producer, &link, seq));
        check(&store.count(&batch).await, (3, 0, 0, 0));
        assert_eq!(gaps().await, [(3, 9)]);
        check(
            &store.count(&[click(producer, &link, 5)]).await,
            (1, 0, 0, 0),
        );
        assert_eq!(gaps().await, [(3, 4), (6, 9)]);
        check(
            &store.count(&[click(producer, &link, 5)]).await,
            (0, 1, 0, 0),
        );
        let late = clicks(producer, &link, 3, 9);
        check(&store.count(&late).await, (6, 1, 0, 0));
        assert_eq!(gaps().await, []);
        check(&store.count(&late).await, (0, 7, 0, 0));
        assert_eq!(store.human(&link).await, 10);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_nobody_knows_must_begin_at_one() {
    on_each(async |store| {
        let link = store.insert_in(3).await.code;
        let (stranger, known) = (Uuid::now_v7(), Uuid::now_v7());
        let middle = clicks(stranger, &link, 5, 7);
        check(&store.count(&middle).await, (0, 0, 0, 3));
        let dead = "SELECT count(*) FROM dead_events WHERE slot = 3 AND reason LIKE '%middle%'";
        assert_eq!(store.number(dead).await, 3);
        assert_eq!(store.rows("producer_seq").await, 0);
        // One whose sign of life is known may begin anywhere: what is missing is a gap.
        let beat = Beat {
            producer: known,
            host: "host".to_owned(),
            at: Timestamp::from_micros(i64::MAX),
            held_since: None,
            closed: false,
        };
        store.shard.beat(&beat).await.unwrap();
        check(
            &store.count(&clicks(known, &link, 5, 7)).await,
            (3, 0, 0, 0),
        );
        check(
            &store.count(&clicks(known, &link, 1, 4)).await,
            (4, 0, 0, 0),
        );
        assert_eq!(store.human(&link).await, 7);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clicks_of_links_that_nobody_has_are_ignored_and_do_not_come_again() {
    on_each(async |store| {
        let shard = &store.shard;
        let (kept, deleted) = (code_in(3, 0), code_in(3, 1));
        let (purged, unknown) = (code_in(3, 2), code_in(3, 3));
        for code in [&kept, &deleted, &purged] {
            store.insert(&crate::support::plain(code)).await;
        }
        shard.delete(&deleted, 1, false).await.unwrap();
        shard.delete(&purged, 1, true).await.unwrap();
        let producer = Uuid::now_v7();
        let batch: Vec<Click> = [&kept, &purged, &deleted, &unknown]
            .into_iter()
            .zip(1..)
            .map(|(code, seq)| click(producer, code, seq))
            .collect();
        check(&store.count(&batch).await, (2, 0, 2, 0));
        check(&store.count(&batch).await, (0, 4, 0, 0));
        assert_eq!(
            store.human(&deleted).await,
            1,
            "statistics outlive the link"
        );
        assert_eq!(store.rows("clicks_total").await, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_that_cannot_be_right_does_not_stop_the_others() {
    on_each(async |store| {
        let link = store.insert_in(3).await.code;
        let producer = Uuid::now_v7();
        let mut batch = clicks(producer, &link, 1, 5);
        batch[1].seq = u64::MAX;
        batch[2].code = "a\0b".into();
        batch[3].slot = 4;
        batch[3].seq = 1;
        check(&store.count(&batch).await, (2, 0, 0, 3));
        assert_eq!(store.human(&link).await, 2);
        assert_eq!(store.rows("clicks_total").await, 1);
        assert_eq!(store.rows("dead_events").await, 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_kept_for_people() {
    on_each(async |store| {
        let batch = RollupBatch {
            dead: vec![DeadEvent {
                slot: Slot::new(3).unwrap(),
                reason: "no JSON".to_owned(),
                payload: vec![0, 255, b'{'],
            }],
            ..RollupBatch::default()
        };
        let outcome = roll_up_batch(&store.shard, batch).await.unwrap();
        let RollupOutcome::Done(figures) = outcome else {
            panic!("a batch without an offset cannot be fenced");
        };
        check(&figures, (0, 0, 0, 1));
        let kept = store.number("SELECT length(payload) FROM dead_events WHERE reason = 'no JSON'");
        assert_eq!(kept.await, 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_moves_once_and_with_the_clicks_it_stands_for() {
    on_each(async |store| {
        let shard = &store.shard;
        let link = store.insert_in(3).await.code;
        let slot = Slot::new(3).unwrap();
        let lease = shard
            .take_lease(Job::Count, slot, "one")
            .await
            .unwrap()
            .unwrap();
        let producer = Uuid::now_v7();
        let batch = |from: i64, to: i64, epoch: i64| {
            let seqs = (from.cast_unsigned() + 1)..=to.cast_unsigned();
            RollupBatch {
                clicks: seqs.map(|seq| click(producer, &link, seq)).collect(),
                dead: vec![DeadEvent {
                    slot,
                    reason: "with it".to_owned(),
                    payload: Vec::new(),
                }],
                offset: Some(OffsetMove {
                    slot,
                    from,
                    to,
                    lease_epoch: epoch,
                    last: Some((producer, to.cast_unsigned())),
                    lost: Some((100 + from, 100 + to)),
                }),
            }
        };
        let roll = async |batch| roll_up_batch(shard, batch).await.unwrap();
        let done = roll(batch(0, 10, lease.epoch)).await;
        assert!(matches!(done, RollupOutcome::Done(_)));
        // Again, from a place where it does not stand, and under another lease.
        for (from, to, epoch) in [
            (0, 10, lease.epoch),
            (9, 20, lease.epoch),
            (11, 20, lease.epoch),
            (10, 20, lease.epoch + 1),
            (10, 20, lease.epoch - 1),
        ] {
            let outcome = roll(batch(from, to, epoch)).await;
            assert_eq!(outcome, RollupOutcome::Fenced, "{from} {to} {epoch}");
        }
        assert_eq!(store.human(&link).await, 10);
        for table in ["dead_events", "lost_ranges"] {
            let rows = store.rows(table).await;
            assert_eq!(rows, 1, "{table}");
        }
        assert_eq!(store.number("SELECT last_seq FROM producer_seq").await, 10);
        let leases = shard.leases(Job::Count).await.unwrap();
        let stands = leases.into_iter().find(|lease| lease.slot == slot).unwrap();
        assert_eq!((stands.next_offset, stands.epoch), (10, lease.epoch));
        assert_eq!(stands.last, Some((producer, 10)));
        // A move past records that count nothing keeps the last identity.
        let mut skip = batch(10, 12, lease.epoch);
        skip.clicks = ClickBatch::default();
        if let Some(offset) = &mut skip.offset {
            offset.last = None;
        }
        assert!(matches!(roll(skip).await, RollupOutcome::Done(_)));
        let leases = shard.leases(Job::Count).await.unwrap();
        let stands = leases.into_iter().find(|lease| lease.slot == slot).unwrap();
        assert_eq!(stands.next_offset, 12);
        assert_eq!(stands.last, Some((producer, 10)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_readers_of_a_partition_one_counts() {
    on_each(async |store| {
        let link = store.insert_in(3).await.code;
        let slot = Slot::new(3).unwrap();
        let lease = store
            .shard
            .take_lease(Job::Count, slot, "one")
            .await
            .unwrap()
            .unwrap();
        let producer = Uuid::now_v7();
        let batch = Arc::new(RollupBatch {
            clicks: clicks(producer, &link, 1, 20).into_iter().collect(),
            dead: Vec::new(),
            offset: Some(OffsetMove {
                slot,
                from: 0,
                to: 20,
                lease_epoch: lease.epoch,
                last: None,
                lost: None,
            }),
        });
        let mut racing = JoinSet::new();
        for _ in 0..4 {
            let (shard, batch) = (store.again(), Arc::clone(&batch));
            racing.spawn(async move {
                shard.connect().await.unwrap();
                let agents = Arc::new(Mutex::new(AgentTable::new()));
                shard.roll_up(&batch, &agents).await.unwrap()
            });
        }
        let outcomes = racing.join_all().await;
        let fenced = outcomes
            .iter()
            .filter(|outcome| **outcome == RollupOutcome::Fenced)
            .count();
        assert_eq!(fenced, 3);
        assert_eq!(store.human(&link).await, 20);
    })
    .await;
}
