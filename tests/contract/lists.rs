//! Lists: newest first, by cursor, filtered, and honest about what they cover.

use urlshort::domain::code::ShortCode;
use urlshort::domain::time::Timestamp;
use urlshort::slots::Slot;
use urlshort::store::rows::ListFilter;
use urlshort::store::rows::ListStatus;

use crate::support::Store;
use crate::support::code;
use crate::support::code_in;
use crate::support::on_each;
use crate::support::on_half;
use crate::support::plain;

/// Makes a link and sets when it was made, which only the database may.
async fn make(store: &Store, text: &str, created_at: i64) -> ShortCode {
    let made = store.insert(&plain(&code(text))).await;
    let sql = format!("UPDATE links SET created_at = {created_at} WHERE code = '{text}'");
    store.ask(&sql).await.unwrap();
    made.code
}

async fn codes(store: &Store, filter: &ListFilter, limit: usize) -> Vec<String> {
    let page = store.shard.list(filter, limit).await.unwrap();
    let codes = page.links.iter().map(|link| link.code.as_str().to_owned());
    codes.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_link_comes_first_and_equals_by_code_downwards() {
    on_each(async |store| {
        for (text, at) in [
            ("a", 5),
            ("b", 7),
            ("B", 5),
            ("a-", 5),
            ("a_", 5),
            ("aB", 5),
        ] {
            make(store, text, at).await;
        }
        let all = codes(store, &ListFilter::default(), 100).await;
        assert_eq!(all, ["b", "a_", "aB", "a-", "a", "B"]);
        assert_eq!(codes(store, &ListFilter::default(), 2).await, ["b", "a_"]);
        assert!(codes(store, &ListFilter::default(), 0).await.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_by_cursor_sees_each_link_once() {
    on_each(async |store| {
        let new: Vec<_> = (0..57).map(|n| plain(&code(&format!("w{n}")))).collect();
        store.shard.insert_many(&new, false).await.unwrap();
        // Many were made in the same microsecond.
        store
            .ask("UPDATE links SET created_at = 100 + created_at % 3")
            .await
            .unwrap();
        let mut seen = Vec::new();
        let mut filter = ListFilter::default();
        loop {
            let page = store.shard.list(&filter, 10).await.unwrap();
            assert_eq!(page.slots.len(), 64);
            let Some(last) = page.links.last() else {
                break;
            };
            filter.before = Some((last.created_at.micros(), last.code.as_str().to_owned()));
            seen.extend(page.links.into_iter().map(|link| link.code));
        }
        assert_eq!(seen.len(), 57);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 57);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_shows_what_was_asked_for() {
    on_each(async |store| {
        for (text, created_at) in [("old", 10), ("mid", 20), ("new", 30)] {
            make(store, text, created_at).await;
        }
        let sql = if store.is_file() {
            "UPDATE links SET tags = '[\"x\",\"X y\"]', owner = 'me' WHERE code = 'old'"
        } else {
            "UPDATE links SET tags = '{x,X y}', owner = 'me' WHERE code = 'old'"
        };
        store.ask(sql).await.unwrap();
        store
            .ask("UPDATE links SET expires_at = 5 WHERE code = 'mid'")
            .await
            .unwrap();
        let list = async |filter: ListFilter| codes(store, &filter, 100).await;
        let tag = |tag: &str| ListFilter {
            tag: Some(tag.to_owned()),
            ..ListFilter::default()
        };
        let status = |status| ListFilter {
            status: Some(status),
            ..ListFilter::default()
        };
        assert_eq!(list(tag("X y")).await, ["old"]);
        assert!(list(tag("X")).await.is_empty());
        assert!(list(tag("y")).await.is_empty());
        let owner = ListFilter {
            owner: Some("me".to_owned()),
            ..ListFilter::default()
        };
        assert_eq!(list(owner).await, ["old"]);
        let times = ListFilter {
            created_after: Some(Timestamp::from_micros(10)),
            created_before: Some(Timestamp::from_micros(30)),
            ..ListFilter::default()
        };
        assert_eq!(list(times).await, ["mid", "old"], "from is in, to is out");
        assert_eq!(list(status(ListStatus::Expired)).await, ["mid"]);
        assert_eq!(list(status(ListStatus::Active)).await, ["new", "old"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tombstones_are_listed_only_when_asked_for() {
    on_each(async |store| {
        for (text, created_at) in [("on", 1), ("off", 2), ("del", 3), ("purged", 4)] {
            make(store, text, created_at).await;
        }
        let shard = &store.shard;
        let mut fields = plain(&code("off")).fields;
        fields.disabled = true;
        fields.expires_at = Some(Timestamp::from_micros(5));
        shard.update(&code("off"), 1, &fields).await.unwrap();
        shard.delete(&code("del"), 1, false).await.unwrap();
        shard.delete(&code("purged"), 1, true).await.unwrap();
        let list = async |status| {
            let filter = ListFilter {
                status,
                ..ListFilter::default()
            };
            codes(store, &filter, 100).await
        };
        assert_eq!(list(None).await, ["off", "on"]);
        assert_eq!(list(Some(ListStatus::Active)).await, ["on"]);
        assert_eq!(list(Some(ListStatus::Disabled)).await, ["off"]);
        assert!(list(Some(ListStatus::Expired)).await.is_empty());
        assert_eq!(list(Some(ListStatus::Deleted)).await, ["del"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_names_the_slots_it_covers() {
    on_half(async |store| {
        let owned: Vec<Slot> = Slot::all().take(32).collect();
        let covered = async || {
            let page = store.shard.list(&ListFilter::default(), 10).await.unwrap();
            let mut slots = page.slots;
            slots.sort_unstable();
            (slots, page.links.len())
        };
        assert_eq!(covered().await, (owned.clone(), 0));
        store.insert(&plain(&code_in(5, 0))).await;
        assert_eq!(covered().await, (owned, 1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_knows_how_many_links_each_slot_has() {
    on_each(async |store| {
        let new: Vec<_> = (0..300).map(|n| plain(&code(&format!("s{n}")))).collect();
        store.shard.insert_many(&new, false).await.unwrap();
        // A server estimates from what this gathers.
        store.ask("ANALYZE links").await.unwrap();
        let mut expected = std::collections::BTreeMap::new();
        for link in &new {
            *expected.entry(Slot::of(link.code.as_str())).or_insert(0) += 1;
        }
        let known = store.shard.slot_links().await.unwrap();
        let total: i64 = known.iter().map(|(_, links)| links).sum();
        assert!((270..=330).contains(&total), "{total}: {known:?}");
        for (slot, links) in known {
            let off = links - expected.get(&slot).copied().unwrap_or(0);
            assert!(off.abs() <= 4, "slot {}: {links}", slot.number());
        }
    })
    .await;
}
