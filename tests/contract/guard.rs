//! Who does not own a slot changes nothing in it, whoever asks.

use urlshort::domain::click::Click;
use urlshort::domain::code::ShortCode;
use urlshort::domain::link::LinkFields;
use urlshort::domain::link::NewLink;
use urlshort::slots::Slot;
use urlshort::store::rows::Job;
use urlshort::store::rows::OffsetMove;
use urlshort::store::rows::RollupBatch;
use uuid::Uuid;

use crate::support::Store;
use crate::support::check_not_owner;
use crate::support::click;
use crate::support::clicks;
use crate::support::code_in;
use crate::support::on_each;
use crate::support::on_half;
use crate::support::plain;
use crate::support::roll_up;
use crate::support::roll_up_batch;

#[tokio::test(flavor = "multi_thread")]
async fn what_another_shard_owns_is_refused() {
    on_half(async |store| {
        let shard = &store.shard;
        let (mine, other) = (code_in(3, 0), code_in(40, 0));
        let fields = LinkFields::to("https://example.com/".to_owned());
        check_not_owner("find", shard.find(&other).await);
        check_not_owner("route", shard.route(&other).await);
        check_not_owner("insert", shard.insert(&plain(&other), true).await);
        check_not_owner("update", shard.update(&other, 1, &fields).await);
        check_not_owner("delete", shard.delete(&other, 1, false).await);
        check_not_owner("purge", shard.delete(&other, 1, true).await);
        let both = [plain(&mine), plain(&other)];
        check_not_owner("insert_many", shard.insert_many(&both, true).await);
        assert_eq!(shard.find(&mine).await.unwrap(), None, "all or none");
        assert_eq!(store.rows("link_changes").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clicks_of_another_shard_are_not_counted_here() {
    on_half(async |store| {
        let mine = store.insert_in(3).await.code;
        let other = code_in(40, 0);
        let producer = Uuid::now_v7();
        let batch = [click(producer, &mine, 1), click(producer, &other, 1)];
        check_not_owner("both", roll_up(&store.shard, &batch).await);
        // Not even set aside: they are for the owner to judge.
        let middle = clicks(Uuid::now_v7(), &other, 7, 8);
        check_not_owner("unknown producer", roll_up(&store.shard, &middle).await);
        let empty = RollupBatch {
            offset: Some(OffsetMove {
                slot: Slot::new(40).unwrap(),
                from: 0,
                to: 5,
                lease_epoch: 0,
                last: None,
                lost: None,
            }),
            ..RollupBatch::default()
        };
        check_not_owner("offset", roll_up_batch(&store.shard, empty).await);
        assert_eq!(store.human(&mine).await, 0);
        assert_eq!(store.rows("dead_events").await, 0);
        assert_eq!(store.rows("producer_seq").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clicks_of_very_many_links_are_under_the_same_guard() {
    on_half(async |store| {
        let codes: Vec<ShortCode> = (0..100_000)
            .map(|n| format!("c{n}").parse().unwrap())
            .filter(|code: &ShortCode| Slot::of(code.as_str()).number() == 3)
            .take(1_200)
            .collect();
        let links: Vec<NewLink> = codes.iter().map(plain).collect();
        store.shard.insert_many(&links, true).await.unwrap();
        let producer = Uuid::now_v7();
        let mut batch: Vec<Click> = (1..)
            .zip(&codes)
            .map(|(seq, code)| click(producer, code, seq))
            .collect();
        let other = code_in(40, 0);
        batch.push(click(producer, &other, 1));
        check_not_owner("with a stranger", roll_up(&store.shard, &batch).await);
        let counted = "SELECT CAST(coalesce(sum(human), 0) AS bigint) FROM clicks_total";
        assert_eq!(store.number(counted).await, 0);
        batch.pop();
        assert_eq!(store.count(&batch).await.counted.human, 1_200);
        assert_eq!(store.number(counted).await, 1_200);
        // What rests while many are counted works again afterwards.
        check_not_owner("insert", store.shard.insert(&plain(&other), true).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demoted_slot_refuses_every_write() {
    on_each(async |store| {
        let shard = &store.shard;
        let link = store.insert_in(3).await;
        let producer = Uuid::now_v7();
        store.count(&clicks(producer, &link.code, 1, 2)).await;
        let slot = Slot::new(3).unwrap();
        shard
            .take_lease(Job::Count, slot, "w")
            .await
            .unwrap()
            .unwrap();
        shard.demote(slot).await.unwrap();
        let fields = LinkFields::of(&link);
        check_not_owner("insert", shard.insert(&plain(&link.code), true).await);
        check_not_owner("update", shard.update(&link.code, 1, &fields).await);
        check_not_owner("stale update", shard.update(&link.code, 9, &fields).await);
        check_not_owner("delete", shard.delete(&link.code, 1, false).await);
        check_not_owner("purge", shard.delete(&link.code, 1, true).await);
        for (from, to) in [(3, 4), (1, 2)] {
            let batch = clicks(producer, &link.code, from, to);
            check_not_owner("roll_up", roll_up(shard, &batch).await);
        }
        let middle = clicks(Uuid::now_v7(), &link.code, 7, 8);
        check_not_owner("unknown producer", roll_up(shard, &middle).await);
        assert_eq!(store.rows("dead_events").await, 0);
        assert_eq!(store.number("SELECT human FROM clicks_total").await, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_itself_guards_every_table_of_a_slot() {
    let rows = [
        (
            "links",
            "INSERT INTO links (code, slot, version, state, long_url, url_hash, redirect_status, \
             query_forward, hide_referrer, indexable, tags, created_at, updated_at) \
             VALUES ('x', SLOT, 1, 0, 'u', 0, 302, 0, FALSE, FALSE, '{}', 0, 0)",
        ),
        ("progress", "INSERT INTO progress (slot) VALUES (SLOT)"),
        (
            "producer_seq",
            "INSERT INTO producer_seq VALUES (SLOT, UUID, 1)",
        ),
        (
            "producer_gaps",
            "INSERT INTO producer_gaps VALUES (SLOT, UUID, 1, 1)",
        ),
        (
            "clicks_total",
            "INSERT INTO clicks_total VALUES (SLOT, 'x', 1, 1, 1, 1)",
        ),
        (
            "clicks_quarter",
            "INSERT INTO clicks_quarter VALUES (SLOT, 'x', 1, 1, 1, 1, 1)",
        ),
        (
            "clicks_value",
            "INSERT INTO clicks_value VALUES (SLOT, 'x', 1, 1, 'v', 1, 1, 1)",
        ),
        (
            "clicks_visitors",
            "INSERT INTO clicks_visitors VALUES (SLOT, 'x', 1, BYTES)",
        ),
    ];
    on_half(async |store| {
        for (table, insert) in rows {
            let (uuid, bytes) = if store.is_file() {
                ("x'00000000000000000000000000000001'", "x'00'")
            } else {
                ("'00000000-0000-0000-0000-000000000001'", "'\\x00'")
            };
            let insert = insert.replace("UUID", uuid).replace("BYTES", bytes);
            check_guarded(store, &insert.replace("SLOT", "40")).await;
            if table == "progress" {
                store
                    .ask("DELETE FROM progress WHERE slot = 5")
                    .await
                    .unwrap();
            }
            store.ask(&insert.replace("SLOT", "5")).await.unwrap();
            for state in ["importing", "frozen", "gone"] {
                let set = format!("UPDATE slot_owner SET state = '{state}' WHERE slot = 5");
                store.ask(&set).await.unwrap();
                check_guarded(
                    store,
                    &format!("UPDATE {table} SET slot = slot WHERE slot = 5"),
                )
                .await;
                check_guarded(store, &format!("DELETE FROM {table} WHERE slot = 5")).await;
            }
            store
                .ask("UPDATE slot_owner SET state = 'active' WHERE slot = 5")
                .await
                .unwrap();
        }
    })
    .await;
}

async fn check_guarded(store: &Store, sql: &str) {
    let said = store.ask(sql).await;
    assert!(
        matches!(&said, Err(message) if message.contains("US001")),
        "{sql}: {said:?}"
    );
}
