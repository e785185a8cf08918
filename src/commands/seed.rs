//! `seed`: many realistic links, the same ones for the same seed number, through the bulk path; and
//! a history of clicks for them, through the click pipeline.

mod clicks;
mod corpus;
mod dice;
pub(in crate::commands) mod made_up;
pub(in crate::commands) mod visitors;

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use futures_util::StreamExt as _;
use serde_json::json;
use tokio::task::JoinSet;

use self::clicks::Clicked;
use crate::app;
use crate::commands::Failure;
use crate::commands::arguments;
use crate::commands::report;
use crate::config::Config;
use crate::domain::code::ShortCode;
use crate::domain::target::TargetError;
use crate::domain::time::Timestamp;
use crate::events::links::LinkEvents;
use crate::service::link_input::NewLinkInput;
use crate::service::links::LinkError;
use crate::service::links::Links;
use crate::shutdown;
use crate::slots::Slot;
use crate::store::Store;

/// Links of one statement.
const CHUNK: usize = 1_000;
/// Statements under way, for each shard: one is prepared while the other runs.
const AT_ONCE: usize = 2;
/// Look-ups under way within a chunk whose codes were taken.
const LOOKUPS: usize = 8;
/// Reasons of failures that are told.
const TOLD: usize = 5;

/// Make realistic links: the same ones for the same seed number, none of them twice
#[derive(Args, Clone, Copy, Debug)]
#[command(
    after_help = "Examples:\n  urlshort seed\n  urlshort seed --count 100000 --seed 2\n  \
    urlshort seed --clicks 200000          with 30 days of clicks, for charts and dashboards\n  \
    urlshort seed --count 10 --json"
)]
pub struct SeedArgs {
    /// How many links
    #[arg(long, default_value_t = 5_000, value_name = "NUMBER",
        value_parser = |text: &str| arguments::number(text, 1, 100_000_000))]
    count: u64,
    /// Which ones: another number makes other links
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// Also this many clicks over the last 30 days; the same seed again only adds what is missing
    /// to them, whatever --count says
    #[arg(long, default_value_t = 0, value_name = "NUMBER",
        value_parser = |text: &str| arguments::number(text, 0, 1_000_000_000))]
    clicks: u64,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    /// Print nothing but errors, and the JSON where that is wanted
    #[arg(long, short)]
    quiet: bool,
}

/// What became of the links.
#[derive(Debug, Default)]
struct Tally {
    made: u64,
    there: u64,
    failed: u64,
    reasons: BTreeMap<String, u64>,
}

/// Makes the links that are not there yet.
///
/// # Errors
/// [`Failure`] where no shard is usable, or a link could not be made.
pub async fn run(config: Config, wanted: SeedArgs) -> Result<(), Failure> {
    let stop = shutdown::listen().token;
    let store = app::started_store(&config).await?;
    let redirector = app::redirector(&config, &store, &Arc::default())?;
    let links = Arc::new(app::links(
        &config,
        &store,
        &redirector,
        &app::classifier(&config),
        &Arc::new(LinkEvents::local()),
    ));
    let bar = report::progress(wanted.count, "links", wanted.quiet || wanted.json);
    let begun = Instant::now();
    let mut tally = Tally::default();
    let mut running = JoinSet::new();
    let most = AT_ONCE * store.members().len();
    let mut chunks = Chunks::new(wanted, &store, &links);
    while let Some(chunk) = chunks.next().filter(|_| !stop.is_cancelled()) {
        while running.len() >= most {
            tally.take(running.join_next().await, &bar)?;
        }
        running.spawn(make(Arc::clone(&links), chunk));
    }
    while !running.is_empty() {
        tally.take(running.join_next().await, &bar)?;
    }
    tally.refuse(chunks.refused);
    bar.finish_and_clear();
    redirector.far_cache().close().await;
    let seconds = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let clicked = clicks::send(&config, &wanted, &store, links.policy(), &stop).await;
    let clicks_in = begun.elapsed().as_secs_f64();
    let sent = clicked.as_ref().copied().unwrap_or_default();
    tell(wanted, &tally, seconds, (sent, clicks_in));
    store.close().await;
    clicked?;
    let handled = tally.made + tally.there + tally.failed;
    if stop.is_cancelled() && (handled < wanted.count || sent.total() < wanted.clicks) {
        report::note("urlshort: interrupted; the same command goes on where it stopped");
        return Err(Failure::Status(130));
    }
    if tally.failed == 0 {
        return Ok(());
    }
    let reasons: Vec<String> = tally
        .reasons
        .iter()
        .take(TOLD)
        .map(|(reason, n)| format!("{n} times: {reason}"))
        .collect();
    Err(Failure::Failed(format!(
        "{} links were not made; run it again for them. {}",
        tally.failed,
        reasons.join("; ")
    )))
}

fn tell(wanted: SeedArgs, tally: &Tally, seconds: f64, (clicks, clicks_in): (Clicked, f64)) {
    let Tally {
        made,
        there,
        failed,
        ..
    } = tally;
    let per_second = rate(made + there + failed, seconds);
    let clicks_per_second = rate(clicks.total(), clicks_in);
    let millis = |seconds: f64| (seconds * 1_000.0).round() / 1_000.0;
    let (seconds, clicks_in) = (millis(seconds), millis(clicks_in));
    if wanted.json {
        report::json(&json!({
            "schema_version": 1, "seed": wanted.seed, "count": wanted.count, "made": made,
            "already_there": there, "failed": failed, "seconds": seconds,
            "links_per_second": per_second, "clicks": clicks.total(), "clicks_new": clicks.new,
            "clicks_already_there": clicks.there, "clicks_seconds": clicks_in,
            "clicks_per_second": clicks_per_second,
        }));
    } else if !wanted.quiet {
        report::line(&format!(
            "seed {}: {made} made, {there} already there, {failed} failed, \
             in {seconds:.2} s ({per_second} links/s)",
            wanted.seed
        ));
        if wanted.clicks > 0 {
            report::line(&format!(
                "seed {}: {} clicks new, {} already there, in {clicks_in:.2} s \
                 ({clicks_per_second} clicks/s)",
                wanted.seed, clicks.new, clicks.there
            ));
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people"
)]
fn rate(n: u64, seconds: f64) -> u64 {
    (n as f64 / seconds.max(1e-6)).round() as u64
}

/// Links in chunks that one shard owns each.
struct Chunks<'store> {
    wanted: SeedArgs,
    store: &'store Store,
    links: &'store Links,
    now: Timestamp,
    next: u64,
    codes: HashSet<ShortCode>,
    gathering: BTreeMap<Option<usize>, Vec<NewLinkInput>>,
    refused: Vec<TargetError>,
}

impl<'store> Chunks<'store> {
    fn new(wanted: SeedArgs, store: &'store Store, links: &'store Links) -> Self {
        Self {
            wanted,
            store,
            links,
            now: store.clock().now(),
            next: 0,
            codes: HashSet::new(),
            gathering: BTreeMap::new(),
            refused: Vec::new(),
        }
    }

    fn next(&mut self) -> Option<Vec<NewLinkInput>> {
        while self.next < self.wanted.count {
            let index = self.next;
            self.next += 1;
            let seed = self.wanted.seed;
            let fields = match made_up::fields(seed, index, self.now, self.links.policy()) {
                Ok(fields) => fields,
                Err(error) => {
                    self.refused.push(error);
                    continue;
                }
            };
            let code = self.code(index);
            let owner = self.store.owner(Slot::of(code.as_str()));
            let place = owner.map(|member| member.place);
            let chunk = self.gathering.entry(place).or_default();
            chunk.push(NewLinkInput {
                code: Some(code),
                // A million notes to every process would cost more than the links.
                announce: false,
                code_length: None,
                reuse_existing: false,
                fields,
            });
            if chunk.len() == CHUNK {
                return self.gathering.remove(&place);
            }
        }
        self.gathering.pop_first().map(|(_, chunk)| chunk)
    }

    /// The link's own code; two links of one run never share it.
    fn code(&mut self, index: u64) -> ShortCode {
        let mut codes = (0..).filter_map(|attempt| made_up::code(self.wanted.seed, index, attempt));
        let code = codes.find(|code| self.codes.insert(code.clone()));
        code.expect("there are more codes than a run can use up")
    }
}

/// Makes a chunk; a code that is taken by the same link is no failure.
async fn make(links: Arc<Links>, chunk: Vec<NewLinkInput>) -> Tally {
    let wanted: Vec<(Option<ShortCode>, String)> = chunk
        .iter()
        .map(|input| (input.code.clone(), input.fields.target.clone()))
        .collect();
    let made = links
        .make_many(chunk.into_iter().map(Ok).collect(), None)
        .await;
    let mut tally = Tally::default();
    let mut taken = Vec::new();
    for (made, (code, target)) in made.into_iter().zip(wanted) {
        match (made, code) {
            (Ok(_), _) => tally.made += 1,
            (Err(LinkError::Taken), Some(code)) => taken.push((code, target)),
            (Err(error), _) => tally.fail(&error),
        }
    }
    let asked = taken.into_iter().map(|(code, target)| {
        let links = &links;
        async move { (links.find_public(&code).await, target) }
    });
    let mut asked = futures_util::stream::iter(asked).buffer_unordered(LOOKUPS);
    while let Some((found, target)) = asked.next().await {
        match found {
            Ok(link) if *link.route.target == *target => tally.there += 1,
            Ok(_) => tally.fail(&LinkError::Taken),
            Err(error) => tally.fail(&error),
        }
    }
    tally
}

impl Tally {
    fn fail(&mut self, error: &dyn std::error::Error) {
        self.failed += 1;
        *self.reasons.entry(error.to_string()).or_default() += 1;
    }

    fn refuse(&mut self, refused: Vec<TargetError>) {
        for error in refused {
            self.fail(&error);
        }
    }

    /// Adds what a chunk came to.
    fn take(
        &mut self,
        ended: Option<Result<Self, tokio::task::JoinError>>,
        bar: &indicatif::ProgressBar,
    ) -> Result<(), Failure> {
        let part = match ended {
            Some(Ok(part)) => part,
            Some(Err(error)) => return Err(Failure::Bug(format!("a chunk was lost: {error}"))),
            None => return Ok(()),
        };
        bar.inc(part.made + part.there + part.failed);
        self.made += part.made;
        self.there += part.there;
        self.failed += part.failed;
        for (reason, n) in part.reasons {
            *self.reasons.entry(reason).or_default() += n;
        }
        Ok(())
    }
}
