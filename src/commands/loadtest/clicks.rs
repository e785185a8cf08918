//! Whether every click was counted: redirects that were acknowledged, beside what the statistics
//! gained, link by link.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::keys::Key;
use super::line::Line;
use super::request::Workload;
use super::target::Target;
use crate::commands::Failure;
use crate::domain::time::Timestamp;

/// Connections that read statistics at once.
const READERS: usize = 16;
/// Between two looks at counts that are not complete.
const PAUSE: Duration = Duration::from_millis(500);
/// How long it is waited for earlier clicks without a word.
const PATIENCE: Duration = Duration::from_secs(5);

/// The comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Clicks {
    /// Redirects that were answered as they should, the warm-up too.
    pub(super) acknowledged: u64,
    /// Requests that got no answer: their click may be counted or not.
    pub(super) unanswered: u64,
    /// What the statistics of the same links gained.
    pub(super) counted: u64,
    /// Acknowledged but not counted, link by link.
    pub(super) missing: u64,
    /// Counted beyond what this test asked: a second count, or other visitors.
    pub(super) surplus: u64,
    /// Whether the service says that no more clicks are on their way.
    pub(super) complete: bool,
    /// How long that took after the last request, in seconds.
    pub(super) settled_in: f64,
}

/// The counts of every key at one moment.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    by_key: Vec<u64>,
    complete: bool,
    /// Every click before this time is in them, by the service's clock.
    as_of: Timestamp,
    /// What that clock says.
    now: Timestamp,
}

/// The days whose clicks are compared, as parameters of a request: the same ones before and after.
#[derive(Clone, Debug)]
pub(super) struct Span(String);

impl Span {
    /// Yesterday to the day after tomorrow: every clock that is not badly wrong agrees.
    pub(super) fn around_now() -> Self {
        let day = jiff::SignedDuration::from_hours(24);
        let now = jiff::Timestamp::now();
        let (from, to) = (now - day, now + day * 2);
        let date = |time: jiff::Timestamp| time.strftime("%Y-%m-%d").to_string();
        Self(format!("interval=day&from={}&to={}", date(from), date(to)))
    }
}

#[derive(Deserialize)]
struct Report {
    totals: Totals,
    complete: bool,
    as_of: Timestamp,
    lag_seconds: f64,
}

#[derive(Deserialize)]
struct Totals {
    human: u64,
    bot: u64,
    preview: u64,
    head: u64,
}

impl Report {
    /// The service's clock.
    fn now(&self) -> Timestamp {
        let lag = Duration::try_from_secs_f64(self.lag_seconds);
        self.as_of.plus(lag.unwrap_or_default())
    }
}

impl Totals {
    const fn all(&self) -> u64 {
        self.human + self.bot + self.preview + self.head
    }
}

/// The counts before a test: once every click that was made before is in them, or after
/// `patience`; `tell` is called once where that takes a while.
///
/// # Errors
/// Why they cannot be read.
pub(super) async fn before(
    target: &Target,
    load: &Arc<Workload>,
    span: &Span,
    patience: Duration,
    (tell, stop): (impl FnOnce(), &CancellationToken),
) -> Result<Counts, String> {
    let begun = Instant::now();
    let since = counts(target, load, span).await?.now;
    let mut tell = Some(tell);
    loop {
        pause(stop).await;
        let counts = counts(target, load, span).await?;
        if counts.as_of >= since || begun.elapsed() >= patience || stop.is_cancelled() {
            return Ok(counts);
        }
        if begun.elapsed() >= PATIENCE
            && let Some(tell) = tell.take()
        {
            tell();
        }
    }
}

async fn pause(stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => (),
        () = tokio::time::sleep(PAUSE) => (),
    }
}

/// Reads the statistics of all keys.
///
/// # Errors
/// Why they cannot be read.
async fn counts(target: &Target, load: &Arc<Workload>, span: &Span) -> Result<Counts, String> {
    let readers: Vec<_> = (0..READERS)
        .map(|reader| {
            let (target, load, span) = (target.clone(), Arc::clone(load), span.clone());
            tokio::spawn(async move { read_some(&target, &load.keys, &span, reader).await })
        })
        .collect();
    let mut counts = Counts {
        by_key: vec![0; load.keys.len()],
        complete: true,
        as_of: Timestamp::from_micros(i64::MAX),
        now: Timestamp::from_micros(i64::MIN),
    };
    for reader in readers {
        let read = reader.await.map_err(|error| error.to_string())?;
        for (at, report) in read.map_err(|failure| failure.to_string())? {
            if let Some(place) = counts.by_key.get_mut(at) {
                *place = report.totals.all();
            }
            counts.complete &= report.complete;
            counts.as_of = counts.as_of.min(report.as_of);
            counts.now = counts.now.max(report.now());
        }
    }
    Ok(counts)
}

/// Every [`READERS`]th key from `first` on.
async fn read_some(
    target: &Target,
    keys: &[Key],
    span: &Span,
    first: usize,
) -> Result<Vec<(usize, Report)>, Failure> {
    let mut line = target.line().await?;
    let mut read = Vec::new();
    for (at, key) in keys.iter().enumerate().skip(first).step_by(READERS) {
        read.push((at, read_one(target, &mut line, key, span).await?));
    }
    Ok(read)
}

async fn read_one(
    target: &Target,
    line: &mut Line,
    key: &Key,
    span: &Span,
) -> Result<Report, Failure> {
    let path = format!("/api/v1/links/{}/stats?{}", key.code.as_str(), span.0);
    let (status, body) = target.get(line, &path).await?;
    if !status.is_success() {
        return Err(Failure::Failed(format!(
            "the statistics of {} were answered {status}",
            key.code.as_str()
        )));
    }
    serde_json::from_slice(&body)
        .map_err(|error| Failure::Failed(format!("statistics that are none: {error}")))
}

/// Waits until every acknowledged redirect is counted, at most `patience` and until `stop`;
/// then compares.
///
/// # Errors
/// Why the statistics cannot be read.
pub(super) async fn compare(
    target: &Target,
    load: &Arc<Workload>,
    (before, span): (&Counts, &Span),
    patience: Duration,
    stop: &CancellationToken,
) -> Result<Clicks, String> {
    let begun = Instant::now();
    loop {
        let after = counts(target, load, span).await?;
        let clicks = difference(&load.keys, before, &after, begun.elapsed());
        let is_settled = clicks.missing == 0 && clicks.complete;
        if is_settled || begun.elapsed() >= patience || stop.is_cancelled() {
            return Ok(clicks);
        }
        pause(stop).await;
    }
}

fn difference(keys: &[Key], before: &Counts, after: &Counts, took: Duration) -> Clicks {
    let mut clicks = Clicks {
        acknowledged: 0,
        unanswered: 0,
        counted: 0,
        missing: 0,
        surplus: 0,
        complete: after.complete,
        settled_in: took.as_secs_f64(),
    };
    for ((key, before), after) in keys.iter().zip(&before.by_key).zip(&after.by_key) {
        let (acknowledged, unanswered) = key.tally();
        let counted = after.saturating_sub(*before);
        clicks.acknowledged += acknowledged;
        clicks.unanswered += unanswered;
        clicks.counted += counted;
        clicks.missing += acknowledged.saturating_sub(counted);
        clicks.surplus += counted.saturating_sub(acknowledged + unanswered);
    }
    clicks
}
