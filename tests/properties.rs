//! Properties: what holds for every input, not only for those that somebody thought of.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use urlshort::domain::calendar::Interval;
use urlshort::domain::calendar::Zone;
use urlshort::domain::code::ShortCode;
use urlshort::domain::code::is_code;
use urlshort::domain::dedupe::Verdict;
use urlshort::domain::dedupe::Watermark;
use urlshort::domain::query;
use urlshort::domain::query::QueryForward;
use urlshort::domain::target::MAX_BYTES;
use urlshort::domain::target::TargetPolicy;
use urlshort::domain::time::Timestamp;
use urlshort::domain::visitors;
use urlshort::slots::MapShard;
use urlshort::slots::Slot;
use urlshort::slots::SlotMap;

/// URLs that look like URLs, and some that only nearly do.
fn urls() -> impl Strategy<Value = String> {
    prop_oneof![
        "https?://[a-z]{1,8}\\.(com|example|org)(:[0-9]{1,5})?(/[ -~äöü]{0,40})?(\\?[ -~]{0,40})?(#[ -~]{0,20})?",
        "[ -~]{0,60}",
        "\\PC{0,40}",
    ]
}

proptest! {
    #[test]
    fn a_code_survives_its_own_text(text in "[0-9A-Za-z][0-9A-Za-z_-]{0,63}") {
        let code: ShortCode = text.parse().unwrap();
        prop_assert_eq!(code.as_str().parse::<ShortCode>().unwrap(), code);
        prop_assert!(is_code(text.as_bytes()));
    }

    #[test]
    fn what_is_no_code_is_refused(text in "\\PC{0,70}") {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let valid = plain && first && text.len() <= 64;
        prop_assert_eq!(text.parse::<ShortCode>().is_ok(), valid);
        prop_assert_eq!(is_code(text.as_bytes()), valid);
    }

    #[test]
    fn a_target_is_stable_short_and_fit_for_a_header(text in urls()) {
        let policy = TargetPolicy::new(["own.example".to_owned()], false);
        if let Ok(target) = policy.check(&text, None) {
            prop_assert_eq!(policy.check(target.as_str(), None).unwrap(), target.clone());
            prop_assert!(target.as_str().len() <= MAX_BYTES);
            prop_assert!(target.as_str().bytes().all(|byte| (0x21..0x7f).contains(&byte)));
            prop_assert!(target.as_str().starts_with("http"));
        }
    }

    #[test]
    fn a_forwarded_query_keeps_the_target_and_never_its_own_mark(
        target in "https://e\\.example/[a-z]{0,5}(\\?[a-c]=[0-9](&[a-c]=[0-9]){0,2})?(#[a-z]{1,4})?",
        query in "[!-\"$-~]{0,80}",
    ) {
        for mode in [QueryForward::Keep, QueryForward::Override, QueryForward::Off] {
            let Some(url) = query::forward(&target, &query, mode) else { continue };
            prop_assert!(mode != QueryForward::Off);
            let path = target.split(['?', '#']).next().unwrap();
            prop_assert!(url.starts_with(path));
            let fragment = target.split_once('#').map(|(_, fragment)| fragment);
            if !query.contains('#') {
                prop_assert_eq!(url.split_once('#').map(|(_, fragment)| fragment), fragment);
                let sent = url.split_once('?').unwrap().1;
                let sent = sent.split('#').next().unwrap();
                prop_assert!(!query::from_qr(sent));
            }
        }
    }

    #[test]
    fn any_order_of_resends_and_late_copies_counts_each_click_once(
        arrivals in prop::collection::vec(1_u64..60, 1..300),
    ) {
        let mut mark = Watermark::default();
        let mut counted = BTreeSet::new();
        for seq in &arrivals {
            if mark.take(*seq) == Verdict::New {
                prop_assert!(counted.insert(*seq), "{} counted twice", seq);
            }
        }
        prop_assert_eq!(&counted, &arrivals.iter().copied().collect::<BTreeSet<_>>());
        // What is below the watermark and did not arrive stands in the gaps, and nothing else.
        let missing: BTreeSet<u64> =
            (1..=mark.last_seq).filter(|seq| !counted.contains(seq)).collect();
        let gaps: BTreeSet<u64> = mark.gaps.iter().flat_map(|(from, to)| *from..=*to).collect();
        prop_assert_eq!(missing, gaps);
        prop_assert!(mark.gaps.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn every_slot_has_one_owner_and_a_new_shard_takes_only_from_others(
        weights in prop::collection::vec(0.1_f64..10.0, 1..8), extra in 0.1_f64..10.0,
    ) {
        let shards = |weights: &[f64]| -> Vec<MapShard> {
            let named = |(n, weight): (usize, &f64)| MapShard { id: format!("s{n}"), weight: *weight };
            weights.iter().enumerate().map(named).collect()
        };
        let before = SlotMap::rendezvous(shards(&weights));
        let mut more = weights.clone();
        more.push(extra);
        let after = SlotMap::rendezvous(shards(&more));
        let newcomer = format!("s{}", weights.len());
        for slot in Slot::all() {
            let (was, is) = (before.owner(slot).unwrap(), after.owner(slot).unwrap());
            prop_assert!(is == was || is == newcomer);
        }
        let owned: usize = before.shards.iter().map(|shard| before.slots_of(&shard.id).len()).sum();
        prop_assert_eq!(owned, 64);
    }

    #[test]
    fn intervals_cover_the_range_without_a_hole(
        from in 0_i64..4_000_000_000, span in 1_i64..40_000_000,
        zone in prop::sample::select(vec!["UTC", "Asia/Kolkata", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham"]),
        interval in prop::sample::select(vec![Interval::Hour, Interval::Day, Interval::Week, Interval::Month]),
    ) {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let zone = Zone::named(zone).unwrap();
        if let Ok(starts) = zone.intervals(at(from), at(from + span), interval) {
            prop_assert_eq!(starts.first().copied(), Some(at(from)));
            prop_assert!(starts.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(starts.last().unwrap() < &at(from + span));
        }
    }

    #[test]
    fn a_visitor_sketch_does_not_depend_on_how_it_was_merged(
        hashes in prop::collection::vec(any::<u64>(), 0..400), cut in 0_usize..400,
    ) {
        let cut = cut.min(hashes.len());
        let whole = visitors::merge(None, hashes.iter().copied());
        let first = visitors::merge(None, hashes[..cut].iter().copied());
        let parts = visitors::merge(Some(&first), hashes[cut..].iter().copied());
        prop_assert_eq!(visitors::estimate(&whole), visitors::estimate(&parts));
    }
}
