//! The feed of changes, producers' signs of life, and what is thrown away.

use urlshort::domain::code::ShortCode;
use urlshort::domain::link::LinkFields;
use urlshort::domain::time::Timestamp;
use urlshort::slots::Slot;
use urlshort::store::rows::Beat;
use urlshort::store::rows::CountedTo;
use urlshort::store::rows::Gap;
use uuid::Uuid;

use crate::support::Store;
use crate::support::click;
use crate::support::clicks;
use crate::support::code;
use crate::support::on_each;
use crate::support::plain;

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

async fn changes(store: &Store, micros: i64) -> Vec<(ShortCode, i64)> {
    let changes = store.shard.changes(micros).await.unwrap();
    let mut changes: Vec<_> = changes
        .into_iter()
        .map(|change| (change.code, change.version))
        .collect();
    changes.sort();
    changes
}

/// A sign of life that was thought of in the future, as a process' clock may think.
fn beat(producer: Uuid, held_since: Option<Timestamp>, closed: bool) -> Beat {
    Beat {
        producer,
        host: "host".to_owned(),
        at: Timestamp::from_micros(i64::MAX),
        held_since,
        closed,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_told_and_a_creation_if_it_was_announced() {
    on_each(async |store| {
        let shard = &store.shard;
        let (silent, told) = (code("silent"), code("told"));
        shard.insert(&plain(&silent), false).await.unwrap();
        assert_eq!(changes(store, MINUTE).await, []);
        shard.insert(&plain(&told), true).await.unwrap();
        shard.insert(&plain(&told), true).await.unwrap();
        assert_eq!(changes(store, MINUTE).await, [(told.clone(), 1)]);
        let fields = LinkFields::to("https://example.com/".to_owned());
        shard.update(&silent, 1, &fields).await.unwrap();
        shard.update(&silent, 1, &fields).await.unwrap();
        shard.delete(&silent, 2, false).await.unwrap();
        shard.delete(&silent, 3, true).await.unwrap();
        let many = [plain(&code("m1")), plain(&told), plain(&code("m2"))];
        shard.insert_many(&many, true).await.unwrap();
        let expected = [
            (code("m1"), 1),
            (code("m2"), 1),
            (silent.clone(), 2),
            (silent.clone(), 3),
            (silent, 4),
            (told, 1),
        ];
        assert_eq!(changes(store, MINUTE).await, expected);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_is_read_by_time_and_kept_fifteen_minutes() {
    on_each(async |store| {
        let age = [("now", 0), ("recent", 10), ("old", 14), ("gone", 16)];
        for (text, minutes) in age {
            store.shard.insert(&plain(&code(text)), true).await.unwrap();
            let past = minutes * MINUTE;
            let sql = format!("UPDATE link_changes SET at = at - {past} WHERE code = '{text}'");
            store.ask(&sql).await.unwrap();
        }
        assert_eq!(changes(store, 5 * MINUTE).await, [(code("now"), 1)]);
        assert_eq!(changes(store, 11 * MINUTE).await.len(), 2);
        assert_eq!(changes(store, DAY).await.len(), 4);
        store.shard.prune().await.unwrap();
        assert_eq!(changes(store, DAY).await.len(), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_a_files_feed_moves_with_every_row() {
    on_each(async |store| {
        let shard = &store.shard;
        let mut heads = vec![shard.feed_head().await.unwrap()];
        if !store.is_file() {
            assert_eq!(heads, [None]);
            return;
        }
        for text in ["a", "b", "c"] {
            shard.insert(&plain(&code(text)), true).await.unwrap();
            heads.push(shard.feed_head().await.unwrap());
        }
        assert_eq!(shard.feed_head().await.unwrap(), heads[3]);
        // Numbers are given again once the rows are gone; the head still differs.
        store.ask("DELETE FROM link_changes").await.unwrap();
        shard.insert(&plain(&code("d")), true).await.unwrap();
        heads.push(shard.feed_head().await.unwrap());
        heads.sort();
        heads.dedup();
        assert_eq!(heads.len(), 5);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_producers_say_how_fresh_the_counts_are() {
    on_each(async |store| {
        let shard = &store.shard;
        let slot = Slot::new(3).unwrap();
        let fresh = shard.freshness(slot).await.unwrap();
        assert_eq!((fresh.producers.len(), fresh.caught_up_at), (0, None));
        let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
        let held = Timestamp::from_micros(77);
        let before = shard.now().await.unwrap();
        shard.beat(&beat(one, Some(held), false)).await.unwrap();
        shard.beat(&beat(two, None, false)).await.unwrap();
        let fresh = shard.freshness(slot).await.unwrap();
        let mut oldest: Vec<_> = fresh
            .producers
            .iter()
            .map(|producer| producer.held_since)
            .collect();
        oldest.sort();
        assert_eq!(oldest, [None, Some(held)]);
        for producer in &fresh.producers {
            assert!((before..=fresh.now).contains(&producer.seen_at));
        }
        shard.beat(&beat(two, None, true)).await.unwrap();
        shard.beat(&beat(one, None, false)).await.unwrap();
        let fresh = shard.freshness(slot).await.unwrap();
        assert_eq!(fresh.producers.len(), 1, "a closed one holds nothing");
        assert_eq!(fresh.producers[0].held_since, None);
        let early = Beat {
            at: Timestamp::from_micros(5),
            ..beat(one, None, false)
        };
        shard.beat(&early).await.unwrap();
        let fresh = shard.freshness(slot).await.unwrap();
        assert_eq!(fresh.producers[0].seen_at, early.at, "when it looked");
        shard.caught_up(&[(slot, before)]).await.unwrap();
        let fresh = shard.freshness(slot).await.unwrap();
        assert_eq!(fresh.caught_up_at, Some(before));
        let future = Timestamp::from_micros(i64::MAX);
        shard.caught_up(&[(slot, future)]).await.unwrap();
        let fresh = shard.freshness(slot).await.unwrap();
        assert!(fresh.caught_up_at.is_some_and(|at| at <= fresh.now));
        let other = shard.freshness(Slot::new(4).unwrap()).await.unwrap();
        assert_eq!(other.caught_up_at, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_closed_with_clicks_on_the_bus_holds_them_until_the_reader_was_at_the_end() {
    on_each(async |store| {
        let shard = &store.shard;
        let slot = Slot::new(3).unwrap();
        let [empty, full] = [(); 2].map(|()| Uuid::now_v7());
        let held = Timestamp::from_micros(77);
        shard.beat(&beat(empty, None, true)).await.unwrap();
        shard.beat(&beat(full, Some(held), true)).await.unwrap();
        let holding = async || {
            let fresh = shard.freshness(slot).await.unwrap();
            let closed = fresh.producers.iter().filter(|producer| producer.closed);
            closed.map(|producer| producer.id).collect::<Vec<_>>()
        };
        assert_eq!(holding().await, [full]);
        // The reader was at the end before it closed: that says nothing of its last clicks.
        shard.caught_up(&[(slot, held)]).await.unwrap();
        assert_eq!(holding().await, [full]);
        store
            .ask("UPDATE producers SET closed_at = closed_at - 1000000")
            .await
            .unwrap();
        let now = shard.now().await.unwrap();
        shard.caught_up(&[(slot, now)]).await.unwrap();
        assert!(holding().await.is_empty());
        let other = shard.freshness(Slot::new(4).unwrap()).await.unwrap();
        assert_eq!(other.producers.len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_is_told_what_was_counted_of_each_slot() {
    on_each(async |store| {
        let shard = &store.shard;
        let (one, two) = (store.insert_in(1).await.code, store.insert_in(2).await.code);
        let (mine, other) = (Uuid::now_v7(), Uuid::now_v7());
        store.count(&clicks(mine, &one, 1, 3)).await;
        store
            .count(&[1, 5, 9].map(|seq| click(mine, &two, seq)))
            .await;
        store.count(&clicks(other, &two, 1, 2)).await;
        let mark = |producer, code: &ShortCode, seq, gap| CountedTo {
            producer,
            slot: Slot::of(code.as_str()),
            seq,
            gap,
        };
        let mut marks = shard.watermarks(&[mine]).await.unwrap();
        marks.sort_by_key(|mark| mark.slot);
        assert_eq!(
            marks,
            [mark(mine, &one, 3, None), mark(mine, &two, 9, Some(2))]
        );
        assert_eq!(shard.watermarks(&[mine, other]).await.unwrap().len(), 3);
        assert_eq!(shard.watermarks(&[]).await.unwrap(), []);
        shard.demote(Slot::new(2).unwrap()).await.unwrap();
        assert_eq!(
            shard.watermarks(&[mine, other]).await.unwrap(),
            [mark(mine, &one, 3, None)],
            "only the owner knows"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_gaps_are_named_to_their_producer() {
    on_each(async |store| {
        let shard = &store.shard;
        let link = store.insert(&plain(&code("gap"))).await.code;
        let (mine, other) = (Uuid::now_v7(), Uuid::now_v7());
        let jump = [1, 5, 9].map(|seq| click(mine, &link, seq));
        store.count(&jump).await;
        store
            .count(&[1, 3].map(|seq| click(other, &link, seq)))
            .await;
        let slot = Slot::of(link.as_str());
        let gap = |producer, from, to| Gap {
            slot,
            producer,
            from,
            to,
        };
        let mut gaps = shard.gaps(&[mine]).await.unwrap();
        gaps.sort_by_key(|gap| gap.from);
        assert_eq!(gaps, [gap(mine, 2, 4), gap(mine, 6, 8)]);
        assert_eq!(shard.gaps(&[mine, other]).await.unwrap().len(), 3);
        assert_eq!(shard.gaps(&[other]).await.unwrap(), [gap(other, 2, 2)]);
        assert_eq!(shard.gaps(&[]).await.unwrap(), []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watermarks_go_thirty_days_after_their_producer_closed() {
    on_each(async |store| {
        let shard = &store.shard;
        let link = store.insert(&plain(&code("mark"))).await.code;
        let [open, closed, forgotten] = [(); 3].map(|()| Uuid::now_v7());
        for (producer, is_closed) in [(open, false), (closed, true), (forgotten, true)] {
            shard.beat(&beat(producer, None, is_closed)).await.unwrap();
            // Each with an open gap.
            store
                .count(&[1, 3].map(|seq| click(producer, &link, seq)))
                .await;
        }
        let id = if store.is_file() {
            format!("x'{}'", forgotten.simple())
        } else {
            format!("'{forgotten}'")
        };
        let past = 31 * DAY;
        let sql = format!("UPDATE producers SET closed_at = closed_at - {past} WHERE id = {id}");
        store.ask(&sql).await.unwrap();
        shard.prune().await.unwrap();
        for table in ["producer_seq", "producer_gaps", "producers"] {
            let left = store.rows(table).await;
            assert_eq!(left, 2, "{table}");
        }
        assert_eq!(shard.gaps(&[forgotten]).await.unwrap(), []);
        let late = store.count(&clicks(forgotten, &link, 2, 4)).await;
        assert_eq!((late.counted.human, late.dead), (0, 3));
        assert_eq!(store.human(&link).await, 6);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_gone_does_not_keep_the_rest_from_being_pruned() {
    on_each(async |store| {
        let shard = &store.shard;
        let producer = Uuid::now_v7();
        for slot in [1, 2] {
            let link = store.insert_in(slot).await.code;
            store
                .count(&[1, 3].map(|seq| click(producer, &link, seq)))
                .await;
        }
        shard.beat(&beat(producer, None, true)).await.unwrap();
        shard.demote(Slot::new(2).unwrap()).await.unwrap();
        store
            .ask("UPDATE producers SET closed_at = 1")
            .await
            .unwrap();
        shard.prune().await.unwrap();
        assert_eq!(store.rows("producer_seq").await, 1);
        assert_eq!(store.rows("producer_gaps").await, 1);
        shard.prune().await.unwrap();
    })
    .await;
}
