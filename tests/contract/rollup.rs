//! What the counts say: totals, quarters of an hour, values, visitors.

use std::time::Duration;

use urlshort::domain::click::Click;
use urlshort::domain::click::ClickKind;
use urlshort::domain::click::Dimension;
use urlshort::domain::click::Trigger;
use urlshort::domain::code::ShortCode;
use urlshort::domain::link::ClickTotals;
use urlshort::store::rows::LinkStats;
use uuid::Uuid;

use crate::support::Store;
use crate::support::THEN;
use crate::support::click;
use crate::support::clicks;
use crate::support::on_each;

const DAY: Duration = Duration::from_hours(24);
const QUARTER: Duration = Duration::from_mins(15);

fn totals(human: i64, bot: i64, preview: i64, head: i64) -> ClickTotals {
    ClickTotals {
        human,
        bot,
        preview,
        head,
    }
}

/// Everything that is known of a link.
async fn stats(store: &Store, code: &ShortCode) -> LinkStats {
    let all = store.shard.stats(code, 0..i64::MAX, 0..i32::MAX);
    all.await.unwrap()
}

/// The clicks by value over all days, sorted.
async fn values(
    store: &Store,
    code: &ShortCode,
    dimension: Dimension,
) -> Vec<(String, ClickTotals)> {
    let values = store.shard.values(code, dimension, 0..i32::MAX);
    let mut values = values.await.unwrap();
    values.sort_by(|left, right| left.0.cmp(&right.0));
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn every_click_is_in_the_total_its_quarter_and_its_values() {
    on_each(async |store| {
        let link = store.insert_in(3).await.code;
        let producer = Uuid::now_v7();
        let kinds = [
            (ClickKind::Human, 5),
            (ClickKind::Bot, 3),
            (ClickKind::Preview, 2),
            (ClickKind::Head, 4),
        ];
        let mut batch = Vec::new();
        for (kind, count) in kinds {
            for n in 0..count {
                let mut click = click(producer, &link, batch.len() as u64 + 1);
                click.kind = kind;
                click.at = if n == 0 { THEN.plus(QUARTER) } else { THEN };
                click.trigger = if n == 0 { Trigger::Qr } else { Trigger::Link };
                click.country = (n == 0).then(|| "DE".into());
                batch.push(click);
            }
        }
        // In two batches, so that rows are made and added to.
        let (first, second) = batch.split_at(6);
        let figures = store.count(first).await;
        assert_eq!(figures.counted, totals(5, 1, 0, 0));
        assert!(figures.rows > 0);
        store.count(second).await;
        let found = store.shard.find(&link).await.unwrap().unwrap();
        assert_eq!(found.clicks, totals(5, 3, 2, 4));
        assert_eq!(found.route.version, 1, "clicks do not touch the version");
        let quarter = THEN.quarter();
        let stats = stats(store, &link).await;
        let expected = [
            (quarter, totals(4, 2, 1, 3)),
            (quarter + 1, totals(1, 1, 1, 1)),
        ];
        assert_eq!(stats.quarters, expected);
        assert_eq!(stats.uniques, 5);
        let of = async |dimension| values(store, &link, dimension).await;
        let expected = [
            ("link".to_owned(), totals(4, 2, 1, 0)),
            ("qr".to_owned(), totals(1, 1, 1, 0)),
        ];
        assert_eq!(of(Dimension::Trigger).await, expected);
        let expected = [
            ("DE".to_owned(), totals(1, 1, 1, 0)),
            ("unknown".to_owned(), totals(4, 2, 1, 0)),
        ];
        assert_eq!(of(Dimension::Country).await, expected);
        for dimension in Dimension::ALL {
            let sum: i64 = of(dimension)
                .await
                .iter()
                .map(|(_, totals)| totals.total())
                .sum();
            assert_eq!(sum, 10, "{}", dimension.word());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_cut_at_their_range() {
    on_each(async |store| {
        let (link, other) = (store.insert_in(3).await.code, store.insert_in(4).await.code);
        let producer = Uuid::now_v7();
        let mut batch = clicks(producer, &link, 1, 4);
        for (click, days) in batch.iter_mut().zip(0..) {
            click.at = THEN.plus(DAY * days);
        }
        store.count(&batch).await;
        store.count(&clicks(producer, &other, 1, 9)).await;
        let (day, quarter) = (THEN.day(), THEN.quarter());
        let cut = store
            .shard
            .stats(&link, quarter + 1..quarter + 3 * 96, day + 1..day + 3)
            .await
            .unwrap();
        let quarters: Vec<i64> = cut.quarters.iter().map(|(quarter, _)| *quarter).collect();
        assert_eq!(quarters, [quarter + 96, quarter + 2 * 96], "to is out");
        assert_eq!(cut.uniques, 2);
        let values = store
            .shard
            .values(&link, Dimension::Referrer, day..day + 3)
            .await
            .unwrap();
        assert_eq!(values, [("direct".to_owned(), totals(3, 0, 0, 0))]);
        let nothing = store.shard.stats(&link, 5..5, 0..0).await.unwrap();
        assert_eq!(nothing, LinkStats::default());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_a_link_has_a_thousand_values_and_other() {
    on_each(async |store| {
        let link = store.insert_in(3).await.code;
        let producer = Uuid::now_v7();
        let from = |from: u64, to: u64, shift: u64| -> Vec<Click> {
            let mut batch = clicks(producer, &link, from, to);
            for click in &mut batch {
                click.referrer = Some(format!("h{}", click.seq - shift).into());
            }
            batch
        };
        store.count(&from(1, 600, 0)).await;
        // 100 that are known, 500 that are new: 400 of them fit.
        store.count(&from(601, 1_200, 100)).await;
        let found = values(store, &link, Dimension::Referrer).await;
        assert_eq!(found.len(), 1_001);
        let find = |value: &str| found.iter().find(|(found, _)| found == value);
        assert_eq!(find("other").unwrap().1.human, 100);
        assert_eq!(find("h550").unwrap().1.human, 2);
        // A full day still counts the values that it knows, and folds the rest.
        let mut more = clicks(producer, &link, 1_201, 1_204);
        let referrers = ["h1", "h1", "new", "other"];
        for (click, referrer) in more.iter_mut().zip(referrers) {
            click.referrer = Some(referrer.into());
        }
        store.count(&more).await;
        let found = values(store, &link, Dimension::Referrer).await;
        let find = |value: &str| found.iter().find(|(found, _)| found == value);
        assert_eq!(found.len(), 1_001);
        assert_eq!(find("other").unwrap().1.human, 102);
        assert_eq!(find("h1").unwrap().1.human, 3);
        // The next day begins empty.
        let mut next = click(producer, &link, 1_205);
        next.at = THEN.plus(DAY);
        next.referrer = Some("new".into());
        store.count(&[next]).await;
        let found = values(store, &link, Dimension::Referrer).await;
        let sum: i64 = found.iter().map(|(_, totals)| totals.human).sum();
        assert_eq!((found.len(), sum), (1_002, 1_205));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_are_told_apart_across_batches_but_not_across_days() {
    on_each(async |store| {
        let link = store.insert_in(3).await.code;
        let producer = Uuid::now_v7();
        let mut seq = 0;
        let mut visits = |visitors: std::ops::Range<u64>, days: u32, kind: ClickKind| {
            let visit = visitors.map(|visitor| {
                seq += 1;
                let mut click = click(producer, &link, seq);
                click.visitor = (visitor + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                click.at = THEN.plus(DAY * days);
                click.kind = kind;
                click
            });
            visit.collect::<Vec<Click>>()
        };
        store.count(&visits(0..50, 0, ClickKind::Human)).await;
        store.count(&visits(25..75, 0, ClickKind::Human)).await;
        store.count(&visits(100..150, 0, ClickKind::Bot)).await;
        let found = stats(store, &link).await.uniques;
        assert!((71..=79).contains(&found), "{found} for 75");
        store.count(&visits(0..75, 1, ClickKind::Human)).await;
        let found = stats(store, &link).await.uniques;
        assert!(
            (142..=158).contains(&found),
            "{found} for the sum of 75 and 75"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_from_the_future_happened_now() {
    on_each(async |store| {
        let link = store.insert_in(3).await.code;
        let before = store.shard.now().await.unwrap();
        let mut early = click(Uuid::now_v7(), &link, 1);
        early.at = before.plus(DAY * 400);
        store.count(&[early]).await;
        let after = store.shard.now().await.unwrap();
        let stats = stats(store, &link).await;
        let [(quarter, counted)] = stats.quarters[..] else {
            panic!("one quarter, not {:?}", stats.quarters);
        };
        assert!((before.quarter()..=after.quarter()).contains(&quarter));
        assert_eq!(counted.human, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_values_are_counted_as_other_or_as_they_are() {
    on_each(async |store| {
        let link = store.insert_in(3).await.code;
        let producer = Uuid::now_v7();
        let long = "x".repeat(254);
        let odd = ["a\0b", long.as_str(), "ü'\"\\", "$1", "", "%"];
        let mut batch = clicks(producer, &link, 1, 6);
        for (click, referrer) in batch.iter_mut().zip(odd) {
            click.referrer = Some(referrer.into());
            click.agent = referrer.into();
        }
        store.count(&batch).await;
        let found = values(store, &link, Dimension::Referrer).await;
        let sum: i64 = found.iter().map(|(_, totals)| totals.human).sum();
        assert_eq!((found.len(), sum), (5, 6), "{found:?}");
        let other = found.iter().find(|(value, _)| value == "other");
        assert_eq!(other.unwrap().1.human, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_batch_over_all_slots_is_counted_exactly() {
    on_each(async |store| {
        let producers = [Uuid::now_v7(), Uuid::now_v7()];
        let mut batch = Vec::new();
        let mut codes = Vec::new();
        for slot in 0..64 {
            codes.push(store.insert_in(slot).await.code);
        }
        for code in &codes {
            for producer in producers {
                batch.extend(clicks(producer, code, 1, 20));
            }
        }
        let figures = store.count(&batch).await;
        assert_eq!(figures.counted.human, 64 * 40);
        assert_eq!(store.count(&batch).await.duplicates, 64 * 40);
        let sum = store.number("SELECT CAST(sum(human) AS bigint) FROM clicks_quarter");
        assert_eq!(sum.await, 64 * 40);
    })
    .await;
}
