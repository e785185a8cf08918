//! Counts redirects: one stripe of counters for each worker, added up when somebody asks.
//!
//! # Why
//!
//! A counter that all workers share costs a bus transaction for each redirect, and a macro with
//! labels a hash and a lookup. A stripe has one writer, so an addition is a plain load and store
//! in a cache line of its own: a few nanoseconds, no allocation.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Where a redirect found its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// The near cache.
    Near,
    /// The far cache.
    Far,
    /// The shard that owns it.
    Owner,
    /// A cache, past its time, because the shard was away.
    Stale,
    /// Nowhere.
    None,
}

/// The counters of every worker.
#[derive(Debug)]
pub struct Stripes {
    /// Never empty.
    first: Stripe,
    others: Box<[Stripe]>,
}

/// The counters of one worker; two cache lines apart from the next, since they are fetched in
/// pairs.
#[derive(Debug)]
#[repr(align(128))]
pub struct Stripe {
    tiers: [Counts; TIERS.len()],
    /// Redirects of each slot; what was not found has a slot too.
    slots: [AtomicU64; SLOTS],
}

#[derive(Debug, Default)]
struct Counts {
    by_status: [AtomicU64; STATUSES.len()],
    /// One for each bound, the last for what is slower than all.
    by_time: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// As many as `crate::slots` has; the number is fixed for ever.
const SLOTS: usize = 64;

const TIERS: [&str; 5] = ["near", "far", "owner", "stale", "none"];

const STATUSES: [&str; 13] = [
    "200", "301", "302", "307", "308", "403", "404", "410", "429", "500", "503", "504", "other",
];

/// The upper bounds of the buckets: nanoseconds to compare, seconds as Prometheus reads them.
const BOUNDS: [(u64, &str); 15] = [
    (50_000, "0.00005"),
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
    (2_500_000_000, "2.5"),
];

impl Tier {
    const fn index(self) -> usize {
        match self {
            Self::Near => 0,
            Self::Far => 1,
            Self::Owner => 2,
            Self::Stale => 3,
            Self::None => 4,
        }
    }
}

const fn status_index(status: u16) -> usize {
    match status {
        200 => 0,
        301 => 1,
        302 => 2,
        307 => 3,
        308 => 4,
        403 => 5,
        404 => 6,
        410 => 7,
        429 => 8,
        500 => 9,
        503 => 10,
        504 => 11,
        _ => 12,
    }
}

impl Stripes {
    /// One stripe for each of `workers`, at least one.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let others = (1..workers).map(|_| Stripe::default()).collect();
        Self {
            first: Stripe::default(),
            others,
        }
    }

    /// The stripe of the worker with that number; numbers beyond the last begin again.
    ///
    /// Only one thread at a time may record in a stripe: two lose counts to each other.
    #[must_use]
    pub fn of(&self, worker: usize) -> &Stripe {
        let wrapped = worker % (self.others.len() + 1);
        match wrapped.checked_sub(1) {
            Some(at) => self.others.get(at).unwrap_or(&self.first),
            None => &self.first,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Stripe> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl Default for Stripe {
    fn default() -> Self {
        Self {
            tiers: Default::default(),
            slots: [const { AtomicU64::new(0) }; SLOTS],
        }
    }
}

impl Stripe {
    /// Counts one answer to a visitor of a code in the slot of that number.
    #[inline]
    pub fn record(&self, tier: Tier, slot: u8, status: u16, elapsed: Duration) {
        add(self.slots.get(usize::from(slot)), 1);
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS
            .iter()
            .position(|(bound, _)| nanos <= *bound)
            .unwrap_or(BOUNDS.len());
        if let Some(counts) = self.tiers.get(tier.index()) {
            add(counts.by_status.get(status_index(status)), 1);
            add(counts.by_time.get(bucket), 1);
            add(Some(&counts.nanos), nanos);
        }
    }
}

/// Adds without a locked instruction: there is one writer, and readers may be a moment behind.
#[inline]
fn add(counter: Option<&AtomicU64>, much: u64) {
    if let Some(counter) = counter {
        counter.store(
            counter.load(Ordering::Relaxed).wrapping_add(much),
            Ordering::Relaxed,
        );
    }
}

/// The sum of all stripes as Prometheus text; every combination of labels, also what is still 0.
pub(super) fn render(all: &[Arc<Stripes>]) -> String {
    let mut text = String::with_capacity(16 * 1024);
    write_all(&mut text, all).expect("a String takes every write");
    text
}

fn write_all(text: &mut String, all: &[Arc<Stripes>]) -> std::fmt::Result {
    let total = |counter: &dyn Fn(&Counts) -> Option<&AtomicU64>, tier: usize| -> u64 {
        let stripes = all.iter().flat_map(|stripes| stripes.all());
        let counts = stripes.filter_map(|stripe| stripe.tiers.get(tier));
        counts
            .filter_map(counter)
            .map(|counter| counter.load(Ordering::Relaxed))
            .sum()
    };
    let name = "urlshort_redirects_total";
    writeln!(
        text,
        "# HELP {name} Answers to visitors, by where the link was found."
    )?;
    writeln!(text, "# TYPE {name} counter")?;
    for (tier, tier_name) in TIERS.iter().enumerate() {
        for (status, status_name) in STATUSES.iter().enumerate() {
            let count = total(&|counts| counts.by_status.get(status), tier);
            writeln!(
                text,
                r#"{name}{{tier="{tier_name}",status="{status_name}"}} {count}"#
            )?;
        }
    }
    let name = "urlshort_redirect_duration_seconds";
    writeln!(
        text,
        "# HELP {name} Time to answer a visitor, without the network."
    )?;
    writeln!(text, "# TYPE {name} histogram")?;
    for (tier, tier_name) in TIERS.iter().enumerate() {
        let mut count = 0;
        let bounds = BOUNDS.iter().map(|(_, bound)| *bound).chain(["+Inf"]);
        for (bucket, bound) in bounds.enumerate() {
            count += total(&|counts| counts.by_time.get(bucket), tier);
            writeln!(
                text,
                r#"{name}_bucket{{tier="{tier_name}",le="{bound}"}} {count}"#
            )?;
        }
        let nanos = total(&|counts| Some(&counts.nanos), tier);
        let seconds = Duration::from_nanos(nanos).as_secs_f64();
        writeln!(text, r#"{name}_sum{{tier="{tier_name}"}} {seconds}"#)?;
        writeln!(text, r#"{name}_count{{tier="{tier_name}"}} {count}"#)?;
    }
    write_slots(text, all)
}

fn write_slots(text: &mut String, all: &[Arc<Stripes>]) -> std::fmt::Result {
    let name = "urlshort_slot_requests_total";
    writeln!(
        text,
        "# HELP {name} Answers to visitors, by the slot of the code."
    )?;
    writeln!(text, "# TYPE {name} counter")?;
    for slot in 0..SLOTS {
        let stripes = all.iter().flat_map(|stripes| stripes.all());
        let counters = stripes.filter_map(|stripe| stripe.slots.get(slot));
        let count: u64 = counters
            .map(|counter| counter.load(Ordering::Relaxed))
            .sum();
        writeln!(text, r#"{name}{{slot="{slot}"}} {count}"#)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, line: &str) {
        assert!(
            text.lines().any(|found| found == line),
            "no {line} in\n{text}"
        );
    }

    #[test]
    fn stripes_add_up() {
        let stripes = Arc::new(Stripes::new(2));
        stripes
            .of(0)
            .record(Tier::Near, 3, 302, Duration::from_micros(50));
        stripes
            .of(1)
            .record(Tier::Near, 3, 302, Duration::from_micros(51));
        stripes
            .of(2)
            .record(Tier::Near, 63, 418, Duration::from_secs(3));
        let other = Arc::new(Stripes::new(0));
        other
            .of(7)
            .record(Tier::None, 3, 404, Duration::from_millis(10));
        let text = render(&[stripes, other]);
        check(
            &text,
            r#"urlshort_redirects_total{tier="near",status="302"} 2"#,
        );
        check(
            &text,
            r#"urlshort_redirects_total{tier="near",status="other"} 1"#,
        );
        check(
            &text,
            r#"urlshort_redirects_total{tier="none",status="404"} 1"#,
        );
        check(
            &text,
            r#"urlshort_redirects_total{tier="far",status="503"} 0"#,
        );
        check(&text, r#"urlshort_slot_requests_total{slot="3"} 3"#);
        check(&text, r#"urlshort_slot_requests_total{slot="63"} 1"#);
        check(&text, r#"urlshort_slot_requests_total{slot="0"} 0"#);
        let histogram = "urlshort_redirect_duration_seconds";
        check(
            &text,
            &format!(r#"{histogram}_bucket{{tier="near",le="0.00005"}} 1"#),
        );
        check(
            &text,
            &format!(r#"{histogram}_bucket{{tier="near",le="0.0001"}} 2"#),
        );
        check(
            &text,
            &format!(r#"{histogram}_bucket{{tier="near",le="2.5"}} 2"#),
        );
        check(
            &text,
            &format!(r#"{histogram}_bucket{{tier="near",le="+Inf"}} 3"#),
        );
        check(&text, &format!(r#"{histogram}_count{{tier="near"}} 3"#));
        check(
            &text,
            &format!(r#"{histogram}_sum{{tier="near"}} 3.000101"#),
        );
        check(
            &text,
            &format!(r#"{histogram}_bucket{{tier="none",le="0.005"}} 0"#),
        );
        check(
            &text,
            &format!(r#"{histogram}_bucket{{tier="none",le="0.01"}} 1"#),
        );
    }

    #[test]
    fn each_worker_has_a_stripe_of_its_own() {
        let stripes = Stripes::new(3);
        assert!(!std::ptr::eq(stripes.of(0), stripes.of(1)));
        assert!(!std::ptr::eq(stripes.of(1), stripes.of(2)));
        assert!(std::ptr::eq(stripes.of(0), stripes.of(3)));
        assert_eq!(size_of::<Stripe>() % 128, 0);
    }
}
