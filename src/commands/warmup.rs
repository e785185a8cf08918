//! `warmup`: loads links into the caches before anybody asks for them.
//!
//! # Why
//!
//! What is warm already is recognised and costs one question to the cache, so a run that was
//! interrupted is simply started again: it goes on where the other one stopped.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use clap::Args;
use futures_util::StreamExt as _;
use serde_json::json;
use url::Url;

use crate::app;
use crate::commands::Failure;
use crate::commands::arguments;
use crate::commands::ask;
use crate::commands::ask::local;
use crate::commands::report;
use crate::config::Config;
use crate::domain::code::ShortCode;
use crate::service::redirect::Patience;
use crate::service::redirect::Redirector;
use crate::service::redirect::Warmed;
use crate::shutdown;
use crate::store::Store;
use crate::store::rows::ListFilter;
use crate::store::rows::ListStatus;
use crate::store::shard::Shard;

/// Links that are loaded at once.
const AT_ONCE: usize = 32;
/// The most links between two looks at the clock, and of one question to a process.
const CHUNK: usize = 500;
/// Links of one page, where the newest are wanted.
const PAGE: usize = 1_000;
/// How long Redis may take to answer for the first time.
const PATIENCE_CONNECT: Duration = Duration::from_secs(3);
/// How long a process may take for one chunk.
const PATIENCE: Duration = Duration::from_secs(30);

/// Load the most followed links into Redis, and into the caches of running processes
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "What is warm already is skipped, so an interrupted run is simply started again.\n\
    Without Redis, only the running processes are warmed.\n\n\
    Examples:\n  urlshort warmup\n  urlshort warmup --top 100000 --rate 5000\n  \
    urlshort warmup --codes codes.txt\n  \
    urlshort warmup --admin http://app-1:8001 --admin http://app-2:8001"
)]
pub struct WarmupArgs {
    /// How many links: the most followed ones, or the newest where nothing was followed yet
    #[arg(long, default_value_t = 10_000, value_name = "NUMBER",
        value_parser = |text: &str| arguments::number(text, 1, 100_000_000))]
    top: u64,
    /// The codes of this file instead, one in each line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["top", "newest"])]
    codes: Option<PathBuf>,
    /// The newest links instead of the most followed ones
    #[arg(long)]
    newest: bool,
    /// At most so many links each second; what is warm already does not count
    /// [default: as fast as it goes]
    #[arg(long, value_name = "NUMBER", value_parser = |text: &str| arguments::number(text, 1, 10_000_000))]
    rate: Option<u64>,
    /// The admin address of a running `serve`; may be given several times
    /// [default: the one of this configuration, if it answers]
    #[arg(long, value_name = "URL", value_parser = arguments::service)]
    admin: Vec<Url>,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    /// Print nothing but errors, and the JSON where that is wanted
    #[arg(long, short)]
    quiet: bool,
}

/// What was warmed, where.
#[derive(Debug)]
struct Tally {
    /// Links that were looked at.
    done: usize,
    /// Links that were not warm everywhere: those that the rate is for.
    charged: u64,
    far: Option<Warmed>,
    patience: Patience,
    near: Vec<(Url, Warmed, Option<String>)>,
}

/// Warms what there is to warm.
///
/// # Errors
/// [`Failure`] where neither Redis nor a running process can be warmed, no shard is usable, or
/// something was not loaded.
pub async fn run(mut config: Config, args: WarmupArgs) -> Result<(), Failure> {
    let stop = shutdown::listen().token;
    // The near cache of this process helps nobody.
    config.cache.near_bytes = 0;
    refuse_missing_files(&config).await?;
    let store = app::started_store(&config).await?;
    let redirector = app::redirector(&config, &store, &Arc::default())?;
    let targets = targets(&config, &args).await?;
    let has_far = !redirector.far_cache().is_none();
    if targets.is_empty() && !has_far {
        return Err(Failure::Unavailable(
            "there is nothing to warm: no cache.redis_url, and no `serve` answers at admin.listen; \
             start it, or name its address with --admin"
                .to_owned(),
        ));
    }
    if has_far && !redirector.far_cache().wait_until_up(PATIENCE_CONNECT).await {
        return Err(Failure::Unavailable(
            "Redis does not answer (cache.redis_url, or REDIS_HOST); `urlshort diagnose` says why"
                .to_owned(),
        ));
    }
    let (codes, source) = codes(&store, &args).await?;
    let bar = report::progress(codes.len() as u64, "links", args.quiet || args.json);
    let begun = Instant::now();
    let mut tally = Tally {
        done: 0,
        charged: 0,
        far: has_far.then(Warmed::default),
        patience: Patience::default(),
        near: targets
            .into_iter()
            .map(|url| (url, Warmed::default(), None))
            .collect(),
    };
    for chunk in codes.chunks(chunk_for(args.rate)) {
        warm(&redirector, chunk, &mut tally).await;
        bar.inc(chunk.len() as u64);
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = keep_to(args.rate, tally.charged, begun) => (),
        }
    }
    bar.finish_and_clear();
    redirector.far_cache().close().await;
    store.close().await;
    let interrupted = stop.is_cancelled() && tally.done < codes.len();
    let told = tell(&args, &tally, (codes.len(), source), begun.elapsed());
    if interrupted {
        report::note("urlshort: interrupted; the same command goes on where it stopped");
        return Err(Failure::Status(130));
    }
    told
}

/// Links between two looks at the clock: a tenth of a second of the rate, so that none comes in a
/// burst.
fn chunk_for(rate: Option<u64>) -> usize {
    let tenth = rate.map_or(CHUNK, |rate| usize::try_from(rate / 10).unwrap_or(CHUNK));
    tenth.clamp(1, CHUNK)
}

/// The admin addresses of the processes that are to be warmed.
async fn targets(config: &Config, args: &WarmupArgs) -> Result<Vec<Url>, Failure> {
    if !args.admin.is_empty() {
        return Ok(args.admin.clone());
    }
    let url = format!("http://{}", local(config.admin.listen));
    let url: Url = url
        .parse()
        .map_err(|error| Failure::Bug(format!("{url}: {error}")))?;
    // An `analytics` may live there, which has no cache.
    let nothing = Some(r#"{"codes":[]}"#.to_owned());
    let found = ask::ask(&at(&url), nothing, Duration::from_secs(2)).await;
    let is_serve = found.is_ok_and(|answer| answer.status.is_success());
    Ok(if is_serve { vec![url] } else { Vec::new() })
}

fn at(admin: &Url) -> Url {
    let mut url = admin.clone();
    url.set_path("/warm");
    url
}

/// Which links, and in what order they were chosen.
async fn codes(
    store: &Store,
    args: &WarmupArgs,
) -> Result<(Vec<ShortCode>, &'static str), Failure> {
    if let Some(path) = &args.codes {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::Failed(format!("--codes: {shown} cannot be read: {error}"))
        })?;
        let lines = text.lines().enumerate();
        let codes = lines.filter(|(_, line)| !line.trim().is_empty());
        let codes = codes.map(|(at, line)| {
            let word = line.split_whitespace().next().unwrap_or("");
            word.parse().map_err(|error| {
                let line = at + 1;
                Failure::Failed(format!("--codes: {shown}:{line}: {word:?}: {error}"))
            })
        });
        return Ok((codes.collect::<Result<_, _>>()?, "file"));
    }
    let limit = usize::try_from(args.top).unwrap_or(usize::MAX);
    if !args.newest {
        let (codes, silent) = store.most_followed(limit).await;
        if silent > 0 {
            report::note(&format!(
                "{silent} shards did not answer: their links are not warmed"
            ));
        }
        if !codes.is_empty() {
            return Ok((codes, "most followed"));
        }
    }
    let mut codes = Vec::new();
    let mut filter = ListFilter {
        status: Some(ListStatus::Active),
        ..ListFilter::default()
    };
    while codes.len() < limit {
        let (page, _missing) = store.list(&filter, PAGE.min(limit - codes.len())).await;
        let Some(last) = page.last() else { break };
        filter.before = Some((last.created_at.micros(), last.code.as_str().to_owned()));
        codes.extend(page.into_iter().map(|link| link.code));
    }
    Ok((codes, "newest"))
}

/// A warm-up founds no cluster: where no file is, the folder is probably the wrong one.
async fn refuse_missing_files(config: &Config) -> Result<(), Failure> {
    let store = app::store(config)?;
    for member in store.members() {
        if matches!(member.shard, Shard::Sqlite(_)) && matches!(member.shard.peek().await, Ok(None))
        {
            return Err(Failure::Unavailable(format!(
                "{} is not there, so there are no links to warm: is this the folder that `serve` \
                 runs in, and data_dir right? `urlshort serve` makes it",
                member.name
            )));
        }
    }
    Ok(())
}

async fn warm(redirector: &Arc<Redirector>, codes: &[ShortCode], tally: &mut Tally) {
    let warm_before: Vec<u64> = tally.warm().collect();
    if let Some(far) = &mut tally.far {
        let patience = &tally.patience;
        let asked = codes.iter().map(|code| redirector.warm_far(code, patience));
        let mut asked = futures_util::stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some(warmth) = asked.next().await {
            far.count(warmth);
        }
    }
    let words: Vec<&str> = codes.iter().map(ShortCode::as_str).collect();
    let body = json!({"codes": words}).to_string();
    let told = tally.near.iter_mut().map(|(url, warmed, why)| {
        let body = Some(body.clone());
        async move {
            let answer = ask::ask(&at(url), body, PATIENCE).await;
            let counted = answer.and_then(|answer| {
                serde_json::from_str::<Warmed>(&answer.body).map_err(|_error| {
                    format!("{url}: no `serve` answers there ({})", answer.status)
                })
            });
            match counted {
                Ok(counted) => warmed.add(counted),
                Err(error) => {
                    warmed.failed += codes.len() as u64;
                    *why = Some(error);
                }
            }
        }
    });
    futures_util::future::join_all(told).await;
    tally.done += codes.len();
    let newly_warm = tally.warm().zip(warm_before).map(|(now, then)| now - then);
    let everywhere = newly_warm.min().unwrap_or(0);
    tally.charged += (codes.len() as u64).saturating_sub(everywhere);
}

impl Tally {
    /// Links that were warm already, in each place.
    fn warm(&self) -> impl Iterator<Item = u64> {
        let near = self.near.iter().map(|(_, warmed, _)| warmed.already_warm);
        near.chain(self.far.map(|far| far.already_warm))
    }
}

/// Waits until so much is allowed.
async fn keep_to(rate: Option<u64>, charged: u64, begun: Instant) {
    let Some(rate) = rate else { return };
    #[expect(clippy::cast_precision_loss, reason = "a time to wait")]
    let due = Duration::from_secs_f64(charged as f64 / rate as f64);
    tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
}

fn tell(
    args: &WarmupArgs,
    tally: &Tally,
    (count, source): (usize, &str),
    took: Duration,
) -> Result<(), Failure> {
    let seconds = (took.as_secs_f64() * 1_000.0).round() / 1_000.0;
    if args.json {
        let near = tally.near.iter().map(
            |(url, warmed, why)| json!({"admin": url.as_str(), "warmed": warmed, "error": why}),
        );
        report::json(&json!({
            "schema_version": 1, "links": count, "done": tally.done, "source": source,
            "seconds": seconds,
            "far": tally.far, "near": near.collect::<Vec<_>>(),
        }));
    } else if !args.quiet {
        let done = if tally.done < count {
            format!("{} of {count}", tally.done)
        } else {
            count.to_string()
        };
        report::line(&format!("{done} links ({source}) in {seconds:.2} s"));
        let line = |place: &str, warmed: &Warmed| {
            report::line(&format!(
                "  {place}: {} loaded, {} already warm, {} missing, {} failed",
                warmed.loaded, warmed.already_warm, warmed.missing, warmed.failed
            ));
        };
        if let Some(far) = &tally.far {
            line("redis", far);
        }
        for (url, warmed, _) in &tally.near {
            line(url.as_str().trim_end_matches('/'), warmed);
        }
    }
    let reasons: Vec<&str> = tally
        .near
        .iter()
        .filter_map(|(_, _, why)| why.as_deref())
        .collect();
    let near = tally.near.iter().map(|(_, warmed, _)| warmed.failed);
    let failed = near.sum::<u64>() + tally.far.map_or(0, |far| far.failed);
    if failed == 0 {
        return Ok(());
    }
    let why = if reasons.is_empty() {
        "`urlshort diagnose` says why".to_owned()
    } else {
        reasons.join("; ")
    };
    let what = format!("{failed} links were not loaded: {why}; run it again for them");
    let near = tally.near.iter().map(|(_, warmed, _)| *warmed);
    let mut places = near.chain(tally.far);
    if places.all(|warmed| warmed.loaded + warmed.already_warm + warmed.missing == 0) {
        return Err(Failure::Unavailable(what));
    }
    Err(Failure::Failed(what))
}
