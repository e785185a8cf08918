//! Links: made once, changed by version, deleted for ever.

use tokio::task::JoinSet;
use urlshort::domain::link::ClickTotals;
use urlshort::domain::link::Link;
use urlshort::domain::link::LinkFields;
use urlshort::domain::link::NewLink;
use urlshort::domain::query::QueryForward;
use urlshort::domain::route::LinkState;
use urlshort::domain::route::RedirectStatus;
use urlshort::domain::time::Timestamp;
use urlshort::slots::Slot;
use urlshort::store::error::StoreError;
use urlshort::store::rows::Changed;
use urlshort::store::rows::Inserted;
use uuid::Uuid;

use crate::support::clicks;
use crate::support::code;
use crate::support::code_in;
use crate::support::on_each;
use crate::support::on_half;
use crate::support::plain;

/// A link with nothing left at its default.
fn full() -> NewLink {
    NewLink {
        code: code("Full-1_x"),
        owner: Some("owner".to_owned()),
        fields: LinkFields {
            target: "https://example.com/ü?a=1#f".to_owned(),
            title: Some("Ein Titel „mit\" \\ ' $1".to_owned()),
            notes: Some(String::new()),
            tags: vec!["a\"b".to_owned(), "ä, {c}".to_owned()],
            disabled: true,
            status: RedirectStatus::Permanent,
            valid_from: Some(Timestamp::from_micros(1)),
            expires_at: Some(Timestamp::from_micros(4_000_000_000_000_001)),
            expired_url: Some("https://example.com/over".to_owned()),
            query_forward: QueryForward::Override,
            hide_referrer: true,
            indexable: true,
            risk_override: None,
            legal: false,
        },
    }
}

#[track_caller]
fn done(changed: Result<Changed, StoreError>) -> Link {
    match changed.unwrap() {
        Changed::Done(link) => *link,
        Changed::Mismatch => panic!("the version should have matched"),
    }
}

#[track_caller]
fn check_mismatch(changed: Result<Changed, StoreError>) {
    assert_eq!(changed.unwrap(), Changed::Mismatch);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_found_as_it_was_written() {
    on_each(async |store| {
        let before = store.shard.now().await.unwrap();
        let new = full();
        let made = store.insert(&new).await;
        let after = store.shard.now().await.unwrap();
        assert_eq!(LinkFields::of(&made), new.fields);
        assert_eq!(made.owner, new.owner);
        assert_eq!(made.code, new.code);
        assert_eq!(made.route.version, 1);
        assert_eq!(made.clicks, ClickTotals::default());
        assert_eq!(made.created_at, made.updated_at);
        assert!((before..=after).contains(&made.created_at));
        let found = store.shard.find(&new.code).await.unwrap().unwrap();
        assert_eq!(found, made);
        let route = store.shard.route(&new.code).await.unwrap();
        assert_eq!(route, Some(made.route));
        assert_eq!(store.shard.find(&code("nobody")).await.unwrap(), None);
        assert_eq!(store.shard.route(&code("nobody")).await.unwrap(), None);
        assert_eq!(store.shard.count_links().await.unwrap(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_given_once_for_ever() {
    on_each(async |store| {
        let shard = &store.shard;
        let new = plain(&code("once"));
        let again = async || shard.insert(&new, true).await.unwrap();
        assert_ne!(again().await, Inserted::Taken);
        assert_eq!(again().await, Inserted::Taken);
        done(shard.delete(&new.code, 1, false).await);
        assert_eq!(again().await, Inserted::Taken);
        done(shard.delete(&new.code, 2, true).await);
        assert_eq!(again().await, Inserted::Taken);
        assert_eq!(shard.count_links().await.unwrap(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_want_a_code_one_gets_it() {
    on_each(async |store| {
        let mut racing = JoinSet::new();
        for _ in 0..8 {
            let shard = store.shard.clone();
            racing.spawn(async move { shard.insert(&plain(&code("race")), true).await.unwrap() });
        }
        let told = racing.join_all().await;
        let made = told
            .iter()
            .filter(|told| matches!(told, Inserted::New(_)))
            .count();
        assert_eq!(made, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_differ_by_case() {
    on_each(async |store| {
        for text in ["abc", "ABC", "aBc", "a-c", "a_c"] {
            store.insert(&plain(&code(text))).await;
        }
        let found = store.shard.find(&code("aBc")).await.unwrap().unwrap();
        assert_eq!(&*found.route.target, "https://example.com/aBc");
        assert_eq!(store.shard.find(&code("AbC")).await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_needs_the_version_that_was_seen() {
    on_each(async |store| {
        let shard = &store.shard;
        let made = store.insert(&plain(&code("change"))).await;
        let fields = full().fields;
        check_mismatch(shard.update(&made.code, 2, &fields).await);
        check_mismatch(shard.update(&code("nobody"), 1, &fields).await);
        let changed = done(shard.update(&made.code, 1, &fields).await);
        assert_eq!(changed.route.version, 2);
        assert_eq!(LinkFields::of(&changed), fields);
        assert_eq!(changed.created_at, made.created_at);
        assert!(changed.updated_at >= made.updated_at);
        check_mismatch(shard.update(&made.code, 1, &fields).await);
        assert_eq!(shard.find(&made.code).await.unwrap(), Some(changed));
        let plain = LinkFields::to("https://example.com/".to_owned());
        let cleared = done(shard.update(&made.code, 2, &plain).await);
        assert_eq!(LinkFields::of(&cleared), plain);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_changes_of_one_version_one_happens() {
    on_each(async |store| {
        let made = store.insert(&plain(&code("change"))).await;
        let mut racing = JoinSet::new();
        for _ in 0..6 {
            let (shard, made) = (store.shard.clone(), made.clone());
            racing.spawn(async move {
                let fields = LinkFields::of(&made);
                shard.update(&made.code, 1, &fields).await.unwrap()
            });
        }
        let told = racing.join_all().await;
        let n_done = told
            .iter()
            .filter(|told| **told != Changed::Mismatch)
            .count();
        assert_eq!(n_done, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_grows_and_never_restarts() {
    on_each(async |store| {
        let shard = &store.shard;
        let link = store.insert(&plain(&code("grow"))).await;
        let fields = LinkFields::of(&link);
        assert_eq!(
            done(shard.update(&link.code, 1, &fields).await)
                .route
                .version,
            2
        );
        assert_eq!(
            done(shard.delete(&link.code, 2, false).await).route.version,
            3
        );
        check_mismatch(shard.update(&link.code, 3, &fields).await);
        check_mismatch(shard.delete(&link.code, 3, false).await);
        assert_eq!(
            done(shard.delete(&link.code, 3, true).await).route.version,
            4
        );
        check_mismatch(shard.delete(&link.code, 4, true).await);
        check_mismatch(shard.update(&link.code, 4, &fields).await);
        shard.insert(&plain(&link.code), true).await.unwrap();
        let route = shard.route(&link.code).await.unwrap().unwrap();
        assert_eq!((route.version, route.state), (4, LinkState::Purged));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_leaves_nothing_but_the_code() {
    on_each(async |store| {
        let shard = &store.shard;
        let new = full();
        store.insert(&new).await;
        let producer = Uuid::now_v7();
        store.count(&clicks(producer, &new.code, 1, 3)).await;
        check_mismatch(shard.delete(&new.code, 9, true).await);
        assert_eq!(store.human(&new.code).await, 3);
        let deleted = done(shard.delete(&new.code, 1, false).await);
        assert_eq!(deleted.route.state, LinkState::Deleted);
        assert_eq!(&*deleted.route.target, &*new.fields.target);
        assert_eq!(deleted.clicks.human, 3);
        let purged = done(shard.delete(&new.code, 2, true).await);
        let blank = (None, None, None, Vec::new(), None);
        let route = &purged.route;
        let left = (
            purged.title.clone(),
            purged.notes.clone(),
            purged.owner.clone(),
            purged.tags.clone(),
            route.times.clone(),
        );
        assert_eq!(left, blank);
        assert_eq!((&*route.target, purged.clicks.human), ("", 0));
        assert_eq!(shard.find(&new.code).await.unwrap(), Some(purged));
        for table in ["total", "quarter", "value", "visitors"] {
            let left = store.rows(&format!("clicks_{table}")).await;
            assert_eq!(left, 0, "{table}");
        }
        // Late clicks do not bring the counts back.
        let figures = store.count(&clicks(producer, &new.code, 4, 5)).await;
        assert_eq!((figures.ignored, figures.counted.human), (2, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_links_are_made_in_the_order_of_the_request() {
    on_each(async |store| {
        let shard = &store.shard;
        store.insert(&plain(&code("taken"))).await;
        let mut new: Vec<NewLink> = ["z9", "Z9", "taken", "a1", "A1"]
            .map(|text| plain(&code(text)))
            .into();
        new.extend((0..500).rev().map(|n| plain(&code(&format!("bulk{n}")))));
        new[0].fields = full().fields;
        let made = shard.insert_many(&new, false).await.unwrap();
        assert_eq!(made.len(), new.len());
        for (new, made) in new.iter().zip(&made) {
            match made {
                Inserted::New(link) => {
                    assert_eq!(link.code, new.code);
                    assert_eq!(LinkFields::of(link), new.fields);
                }
                Inserted::Taken => assert_eq!(new.code.as_str(), "taken"),
            }
        }
        assert_eq!(shard.count_links().await.unwrap(), 505);
        assert_eq!(shard.insert_many(&[], true).await.unwrap(), []);
        let twice = [plain(&code("twice")), plain(&code("twice"))];
        let made = shard.insert_many(&twice, false).await.unwrap();
        assert!(matches!(made[..], [Inserted::New(_), Inserted::Taken]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_server_refuses_makes_no_link_of_its_group() {
    on_each(async |store| {
        if store.is_file() {
            return; // a file takes every text
        }
        let (good, mut bad) = (plain(&code("good")), plain(&code("bad")));
        bad.fields.title = Some("a\0b".to_owned());
        let refused = store.shard.insert_many(&[good.clone(), bad], true).await;
        assert!(
            matches!(refused, Err(StoreError::Refused { .. })),
            "{refused:?}"
        );
        assert!(store.shard.is_up(), "a refusal is no outage");
        assert_eq!(store.shard.count_links().await.unwrap(), 0);
        let mut bad = good.clone();
        bad.fields.tags = vec!["a\0b".to_owned()];
        let refused = store.shard.insert(&bad, true).await;
        assert!(
            matches!(refused, Err(StoreError::Refused { .. })),
            "{refused:?}"
        );
        store.insert(&good).await;
        let refused = store.shard.update(&good.code, 1, &bad.fields).await;
        assert!(
            matches!(refused, Err(StoreError::Refused { .. })),
            "{refused:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_equal_active_links_of_the_same_owner_are_reusable() {
    on_each(async |store| {
        let shard = &store.shard;
        let url = "https://example.com/same";
        let make = async |n: usize, owner: Option<&str>, url: &str, disabled: bool| {
            let mut new = plain(&code_in(9, n));
            new.owner = owner.map(str::to_owned);
            new.fields.target = url.to_owned();
            new.fields.disabled = disabled;
            store.insert(&new).await.code
        };
        let first = make(0, Some("me"), url, false).await;
        let nobodys = make(1, None, url, false).await;
        make(2, Some("you"), url, false).await;
        make(3, Some("me"), url, true).await;
        make(4, Some("me"), "https://example.com/Same", false).await;
        let second = make(5, Some("me"), url, false).await;
        let gone = make(6, Some("me"), url, false).await;
        done(shard.delete(&gone, 1, false).await);
        let codes = async |owner: Option<&str>| {
            let links = shard.reusable(url, owner).await.unwrap();
            let codes = links.into_iter().map(|link| link.code);
            codes.collect::<Vec<_>>()
        };
        assert_eq!(codes(Some("me")).await, [first, second]);
        assert_eq!(codes(None).await, [nobodys]);
        assert_eq!(codes(Some("Me")).await, []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_routes_come_at_once_and_strangers_are_left_out() {
    on_half(async |store| {
        let (link, gone) = (store.insert_in(3).await, store.insert_in(5).await);
        done(store.shard.delete(&gone.code, 1, false).await);
        let moved = store.insert_in(7).await.code;
        store.shard.demote(Slot::new(7).unwrap()).await.unwrap();
        let unknown = code_in(3, 7);
        let codes = [
            link.code.clone(),
            unknown,
            moved,
            gone.code.clone(),
            link.code.clone(),
        ];
        let mut found = store.shard.routes(&codes).await.unwrap();
        found.sort_by(|(left, _), (right, _)| left.cmp(right));
        found.dedup();
        let mut expected = Vec::new();
        for code in [&link.code, &gone.code] {
            let route = store.shard.route(code).await.unwrap().unwrap();
            expected.push((code.clone(), route));
        }
        expected.sort_by(|(left, _), (right, _)| left.cmp(right));
        assert_eq!(found, expected);
        assert!(store.shard.routes(&[]).await.unwrap().is_empty());
    })
    .await;
}
