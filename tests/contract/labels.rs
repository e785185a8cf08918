//! Labels: written only over the version that was read, and told only where a verdict changed.

use urlshort::domain::code::ShortCode;
use urlshort::domain::label::Category;
use urlshort::domain::label::Hold;
use urlshort::domain::label::Label;
use urlshort::domain::label::Risk;
use urlshort::domain::label::Verdict;
use urlshort::domain::link::LinkFields;
use urlshort::store::rows::Changed;
use urlshort::store::rows::Job;
use urlshort::store::rows::Labeller;
use urlshort::store::rows::ListFilter;
use urlshort::store::rows::ListStatus;
use urlshort::store::rows::NewLabel;

use crate::support::Store;
use crate::support::code;
use crate::support::on_each;
use crate::support::plain;

const RULES: Labeller<'static> = Labeller {
    model: "rules-1",
    rank: 2,
    force: false,
};

fn new(code: &ShortCode, version: i64, category: Category, verdict: Verdict) -> NewLabel {
    NewLabel {
        code: code.clone(),
        version,
        label: Label {
            category,
            confidence: 0.75,
            risk: Risk {
                score: 0.25,
                verdict,
                reasons: vec!["why".to_owned()],
            },
        },
    }
}

async fn write(store: &Store, label: NewLabel, by: Labeller<'_>) -> (usize, usize) {
    let done = store.shard.label(&[label], by).await.unwrap();
    (done.written, done.changed.len())
}

async fn told(store: &Store) -> usize {
    store.shard.changes(60_000_000).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_does_not_touch_the_version_and_a_changed_verdict_does() {
    on_each(async |store| {
        let link = store.insert(&plain(&code("a"))).await;
        let clean = new(&link.code, 1, Category::Food, Verdict::Clean);
        assert_eq!(write(store, clean.clone(), RULES).await, (1, 0));
        let labelled = store.shard.find(&link.code).await.unwrap().unwrap();
        assert_eq!(labelled.route.version, 1);
        assert_eq!(labelled.updated_at, link.updated_at);
        let said = labelled.labelled.unwrap();
        assert_eq!(said.label, clean.label);
        assert_eq!(said.model, "rules-1");
        assert_eq!(told(store).await, 0);
        let bad = new(&link.code, 1, Category::Food, Verdict::Malicious);
        assert_eq!(write(store, bad, RULES).await, (1, 1));
        let route = store.shard.route(&link.code).await.unwrap().unwrap();
        assert_eq!((route.version, route.hold), (2, Hold::Malicious));
        assert_eq!(told(store).await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_of_a_version_that_is_over_is_not_written() {
    on_each(async |store| {
        let link = store.insert(&plain(&code("a"))).await;
        let mut fields = LinkFields::of(&link);
        fields.target = "https://example.com/other".to_owned();
        let changed = store.shard.update(&link.code, 1, &fields).await.unwrap();
        assert!(matches!(changed, Changed::Done(_)));
        let late = new(&link.code, 1, Category::Food, Verdict::Malicious);
        assert_eq!(write(store, late, RULES).await, (0, 0));
        let now = store.shard.find(&link.code).await.unwrap().unwrap();
        assert_eq!((now.labelled, now.route.hold), (None, Hold::None));
        store.shard.delete(&link.code, 2, false).await.unwrap();
        let dead = new(&link.code, 3, Category::Food, Verdict::Malicious);
        assert_eq!(write(store, dead, RULES).await, (0, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_label_of_this_rank_is_found_until_it_has_one() {
    on_each(async |store| {
        for text in ["a", "b", "c", "d"] {
            store.insert(&plain(&code(text))).await;
        }
        store.shard.delete(&code("d"), 1, false).await.unwrap();
        let found = store.shard.unlabelled(2, 10).await.unwrap();
        let codes: Vec<&str> = found.iter().map(|link| link.code.as_str()).collect();
        assert_eq!(codes, ["a", "b", "c"]);
        assert_eq!(store.shard.label_backlog(2, 10).await.unwrap(), 3);
        assert_eq!(store.shard.label_backlog(2, 2).await.unwrap(), 2);
        let clean = new(&code("a"), 1, Category::Food, Verdict::Clean);
        write(store, clean.clone(), RULES).await;
        assert_eq!(store.shard.unlabelled(2, 10).await.unwrap().len(), 2);
        // A better labeller finds it again, and is not overwritten by a lesser one.
        let better = Labeller {
            model: "model-1",
            rank: 3,
            force: false,
        };
        assert_eq!(store.shard.unlabelled(3, 10).await.unwrap().len(), 3);
        assert_eq!(write(store, clean.clone(), better).await, (1, 0));
        assert_eq!(write(store, clean.clone(), RULES).await, (0, 0));
        let force = Labeller {
            force: true,
            ..RULES
        };
        assert_eq!(write(store, clean, force).await, (1, 0));
        // Another title is read anew; another note is not.
        for (title, n_found) in [(None, 2), (Some("t".to_owned()), 3)] {
            let link = store.shard.find(&code("a")).await.unwrap().unwrap();
            let mut fields = LinkFields::of(&link);
            fields.notes = Some(format!("{title:?}"));
            fields.title = title;
            let version = link.route.version;
            let done = store.shard.update(&code("a"), version, &fields).await;
            assert!(matches!(done.unwrap(), Changed::Done(_)));
            assert_eq!(store.shard.unlabelled(2, 10).await.unwrap().len(), n_found);
        }
        let asked = [code("b"), code("d"), code("nobody")];
        assert_eq!(store.shard.to_label(&asked).await.unwrap().len(), 1);
        let walked = store.shard.to_label_after("a", 1).await.unwrap();
        assert_eq!(walked[0].code, code("b"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overrule_survives_the_next_label() {
    on_each(async |store| {
        let link = store.insert(&plain(&code("a"))).await;
        let bad = new(&link.code, 1, Category::Other, Verdict::Malicious);
        write(store, bad, RULES).await;
        let link = store.shard.find(&link.code).await.unwrap().unwrap();
        let mut fields = LinkFields::of(&link);
        fields.risk_override = Some(Verdict::Clean);
        let Changed::Done(link) = store.shard.update(&link.code, 2, &fields).await.unwrap() else {
            panic!("the version was 2");
        };
        assert_eq!((link.route.version, link.route.hold), (3, Hold::None));
        // Under the overrule the labeller's word changes nothing that anybody sees.
        let worse = new(&link.code, 3, Category::Other, Verdict::Suspicious);
        assert_eq!(write(store, worse, RULES).await, (1, 0));
        let now = store.shard.find(&link.code).await.unwrap().unwrap();
        assert_eq!((now.route.version, now.route.hold), (3, Hold::None));
        assert_eq!(now.risk_override, Some(Verdict::Clean));
        fields.risk_override = None;
        fields.legal = true;
        store.shard.update(&link.code, 3, &fields).await.unwrap();
        let route = store.shard.route(&link.code).await.unwrap().unwrap();
        assert_eq!(route.hold, Hold::Legal);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_know_categories_and_verdicts() {
    on_each(async |store| {
        for (text, category, verdict) in [
            ("a", Category::Food, Verdict::Clean),
            ("b", Category::Food, Verdict::Suspicious),
            ("c", Category::Travel, Verdict::Malicious),
        ] {
            store.insert(&plain(&code(text))).await;
            write(store, new(&code(text), 1, category, verdict), RULES).await;
        }
        let list = async |category, status| {
            let filter = ListFilter {
                category,
                status,
                ..ListFilter::default()
            };
            let page = store.shard.list(&filter, 10).await.unwrap();
            let codes = page.links.iter().map(|link| link.code.to_string());
            let mut codes: Vec<String> = codes.collect();
            codes.sort();
            codes
        };
        assert_eq!(list(Some(Category::Food), None).await, ["a", "b"]);
        assert_eq!(list(None, Some(ListStatus::Active)).await, ["a"]);
        assert_eq!(list(None, Some(ListStatus::Quarantined)).await, ["b"]);
        assert_eq!(list(None, Some(ListStatus::Blocked)).await, ["c"]);
        let none = list(Some(Category::Travel), Some(ListStatus::Active)).await;
        assert!(none.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_place_of_a_label_worker_moves_only_under_its_lease() {
    on_each(async |store| {
        let link = store.insert(&plain(&code("a"))).await;
        let slot = urlshort::slots::Slot::of(link.code.as_str());
        let count = store.shard.take_lease(Job::Count, slot, "counter").await;
        let lease = store.shard.take_lease(Job::Label, slot, "label-1").await;
        assert!(count.unwrap().is_some(), "the kinds do not share leases");
        let lease = lease.unwrap().unwrap();
        let move_to = async |epoch, to| store.shard.label_offset(slot, epoch, to).await.unwrap();
        assert!(move_to(lease.epoch, 17).await);
        assert!(!move_to(lease.epoch - 1, 99).await);
        let leases = store.shard.leases(Job::Label).await.unwrap();
        let seen = leases.iter().find(|seen| seen.slot == slot).unwrap();
        assert_eq!(seen.next_offset, 17);
    })
    .await;
}
