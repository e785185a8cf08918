//! `loadtest`: load on a running service, checked answers, and reports that people want to look at.

mod args;
mod charts;
mod clicks;
mod compare;
mod deadline;
mod demands;
mod environment;
mod figures;
mod files;
mod find_max;
mod gate;
mod hdr;
mod keys;
mod line;
mod live;
mod measure;
mod noise;
mod options;
mod page;
mod request;
mod results;
mod run;
#[cfg(test)]
mod sample;
mod schedule;
mod scrape;
mod summary;
mod table;
mod target;
mod threshold;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use url::Url;

use self::args::Command;
pub use self::args::LoadtestArgs;
use self::args::ReportArgs;
use self::args::RunArgs;
use self::clicks::Clicks;
use self::clicks::Span;
use self::files::is_same;
use self::files::is_stdout;
use self::files::save;
use self::files::writable;
use self::find_max::Search;
use self::live::Live;
use self::options::Operation;
use self::options::Rate;
use self::request::Workload;
use self::results::Known;
use self::results::Results;
use self::run::Discipline;
use self::run::Form;
use self::scrape::Scrape;
use self::scrape::ServiceSide;
use self::target::Target;
use crate::commands::Failure;
use crate::commands::report;
use crate::config::Config;
use crate::config::PublicUrl;
use crate::shutdown;

/// The status of a run whose thresholds failed.
const THRESHOLDS_FAILED: u8 = 99;

/// Runs a load test, or shows what earlier ones came to.
///
/// # Errors
/// [`Failure`] where there is nothing to load or to show; status 99 where a threshold failed.
pub async fn run(config: Config, args: LoadtestArgs) -> Result<(), Failure> {
    match args.command {
        None => load(&config, *args.run).await,
        Some(Command::Report(args)) => show(&args),
        Some(Command::Compare(args)) => compare::run(&args),
    }
}

async fn load(config: &Config, args: RunArgs) -> Result<(), Failure> {
    if let (Some(json), Some(html)) = (&args.json, &args.html)
        && is_same(json, html)
    {
        return Err(Failure::Usage(format!(
            "--json {0} and --html {0} would both be written there: name a file for one of them",
            json.display()
        )));
    }
    args.check_thresholds().map_err(Failure::Usage)?;
    for path in args.json.iter().chain(&args.html) {
        writable(path)?;
    }
    let signals = shutdown::listen();
    let stop = signals.token.clone();
    let bench = tokio::select! {
        bench = Bench::set_up(config, &args) => bench?,
        () = stop.cancelled() => return Err(Failure::Status(130)),
    };
    let results = bench.measure(&stop).await?;
    if results.interrupted && results.totals.started == 0 {
        report::note("urlshort: interrupted before the first request: there is nothing to report");
        return Err(Failure::Status(130));
    }
    if let Some(path) = &args.json {
        save(path, &results.to_json()?)?;
    }
    if let Some(path) = &args.html {
        save(path, &page::render(&results)?)?;
    }
    let on_stdout = args
        .json
        .iter()
        .chain(&args.html)
        .any(|path| is_stdout(path));
    if !args.quiet && !on_stdout {
        report::text(&table::render(&results));
    }
    let failed = results.thresholds.iter().filter(|outcome| !outcome.holds);
    let failed: Vec<String> = failed
        .map(|outcome| format!("{} (it is {})", outcome.threshold, outcome.value))
        .collect();
    let search = results.search.as_ref();
    if search.is_some_and(|search| search.best.is_none()) && !results.interrupted {
        report::note("urlshort: no rate that was tried holds what --slo demands");
        return Err(Failure::Status(THRESHOLDS_FAILED));
    }
    if !failed.is_empty() {
        report::note(&format!(
            "urlshort: thresholds failed: {}",
            failed.join(", ")
        ));
        return Err(Failure::Status(THRESHOLDS_FAILED));
    }
    if results.totals.finished == results.totals.errors {
        return Err(Failure::Failed(
            "not one answer was as expected; the report says what came instead".to_owned(),
        ));
    }
    Ok(())
}

/// Renders saved results.
fn show(args: &ReportArgs) -> Result<(), Failure> {
    if args.html.is_some() && args.files.len() > 1 {
        return Err(Failure::Failed(
            "--html takes one run; `loadtest compare` shows two side by side".to_owned(),
        ));
    }
    if args.json {
        return show_json(&args.files);
    }
    for path in &args.files {
        let results = Results::read(path)?;
        match &args.html {
            Some(html) => save(html, &page::render(&results)?)?,
            None => report::text(&table::render(&results)),
        }
    }
    Ok(())
}

/// Prints saved results for programs.
fn show_json(files: &[PathBuf]) -> Result<(), Failure> {
    let mut runs = Vec::new();
    for path in files {
        runs.push(json!({"file": path, "results": Results::read(path)?}));
    }
    report::json(&json!({"schema_version": 1, "runs": runs}));
    Ok(())
}

/// Everything that a run needs, found and checked before the first request.
struct Bench<'args> {
    args: &'args RunArgs,
    load: Arc<Workload>,
    keys_from: String,
    metrics: Vec<Url>,
    live: Live,
}

impl<'args> Bench<'args> {
    async fn set_up(config: &Config, args: &'args RunArgs) -> Result<Self, Failure> {
        let url = args.url(config)?;
        let key = args.api_key(config);
        // Once it has a public name, the service refuses every other one.
        let public = config.http.public_url.as_ref();
        let host = args.host.as_deref();
        let target = Target::find(
            url,
            host.or(public.map(PublicUrl::host_header)),
            key.as_deref(),
            (args.i_own_this_host, args.timeout),
        )
        .await?;
        target.line().await?;
        let needs_keys = args.mix.has(&[
            Operation::Redirect,
            Operation::Head,
            Operation::Stats,
            Operation::Preview,
        ]);
        let keys = if needs_keys {
            keys::load(args.source(), args.key_count, &target).await?
        } else {
            Vec::new()
        };
        let metrics = if args.metrics.is_empty() {
            vec![at_metrics(&target.url)]
        } else {
            args.metrics.clone()
        };
        let run = format!("{:x}", jiff::Timestamp::now().as_microsecond());
        let load = Workload::new(target, keys, args, run);
        let live = Live::start(args)?;
        Ok(Self {
            args,
            load: Arc::new(load),
            keys_from: args.source().to_string(),
            metrics,
            live,
        })
    }

    /// One run or, with `--find-max`, the best of a search; with what the service says of it.
    async fn measure(&self, stop: &CancellationToken) -> Result<Results, Failure> {
        let span = Span::around_now();
        let target = &self.load.target;
        let follows = self.args.mix.has(&[Operation::Redirect, Operation::Head]);
        let before = if follows && !self.args.settle.is_zero() {
            let patience = self.args.settle;
            let tell = || {
                report::note(&format!(
                    "earlier clicks are still being counted: waiting for them, at most {patience:?}"
                ));
            };
            clicks::before(target, &self.load, &span, patience, (tell, stop)).await
        } else {
            Err("it was not asked for".to_owned())
        };
        let mut results = if self.args.find_max {
            self.search(stop).await?
        } else {
            self.once(self.args.form(), stop).await?
        };
        results.clicks = self.compare_clicks(before, &span, stop).await;
        let thresholds = self.args.threshold.iter();
        results.thresholds = thresholds.map(|one| one.judge(&results)).collect();
        Ok(results)
    }

    async fn compare_clicks(
        &self,
        before: Result<clicks::Counts, String>,
        span: &Span,
        stop: &CancellationToken,
    ) -> Known<Clicks> {
        let before = match before {
            Ok(before) => before,
            Err(why) => return Known::not(why),
        };
        if stop.is_cancelled() {
            return Known::not(
                "the run was interrupted, and nobody waited for the counts".to_owned(),
            );
        }
        let target = &self.load.target;
        let compared = clicks::compare(target, &self.load, (&before, span), self.args.settle, stop);
        match compared.await {
            Ok(clicks) => Known::Yes(clicks),
            Err(why) => Known::not(why),
        }
    }

    async fn search(&self, stop: &CancellationToken) -> Result<Results, Failure> {
        let mut search = Search::new(&self.args.slo);
        let first = self.args.rate.unwrap_or(Rate(1_000.0));
        let (mut best, mut last) = (None, None);
        while let Some(rate) = search.next(first).filter(|_| !stop.is_cancelled()) {
            if let Err(why) = self.args.is_long_enough(rate) {
                if search.steps.is_empty() {
                    return Err(Failure::Usage(why));
                }
                report::note(&format!("urlshort: the search ends here: {why}"));
                break;
            }
            let results = self.once(self.args.form_at(rate), stop).await?;
            if results.interrupted {
                last = Some(results);
                break;
            }
            let is_best = search.note(rate, &results, &self.args.slo);
            if let (false, Some(step)) = (self.args.quiet, search.steps.last()) {
                report::note(&table::step(step));
            }
            *(if is_best { &mut best } else { &mut last }) = Some(results);
        }
        let Some(mut results) = best.or(last) else {
            return Err(Failure::Status(130));
        };
        results.search = Some(search);
        Ok(results)
    }

    async fn once(&self, form: Form, stop: &CancellationToken) -> Result<Results, Failure> {
        let before = scrape::scrape(&self.metrics).await;
        let started_at = jiff::Timestamp::now();
        let bar = report::ticker((form.warmup + form.duration).as_secs(), self.args.quiet);
        let measured = run::run(&self.load, &form, stop, |second| {
            bar.set_position(table::whole_seconds(second.at));
            bar.set_message(table::live(second));
            self.live.note(second);
        })
        .await;
        bar.finish_and_clear();
        let measured = measured?;
        let sent: u64 = measured
            .seconds
            .iter()
            .map(|second| second.window.counts.started)
            .sum();
        let (service, version) = match self.scrape_after(before).await {
            Ok((before, after)) => (
                Known::Yes(ServiceSide::between(&before, &after, &self.metrics, sent)),
                after.version(),
            ),
            Err(why) => (Known::not(why), None),
        };
        let mut results = summary::results(self.plan(&form), &measured, started_at);
        results.environment.service = version;
        results.service = service;
        Ok(results)
    }

    /// The scrapes before and after a run; what did not answer before is not asked again.
    async fn scrape_after(
        &self,
        before: Result<Scrape, String>,
    ) -> Result<(Scrape, Scrape), String> {
        let before = before?;
        Ok((before, scrape::scrape(&self.metrics).await?))
    }

    fn plan(&self, form: &Form) -> results::Plan {
        let args = self.args;
        let (rate, ramp, arrivals) = match form.discipline {
            Discipline::Open(pace, arrivals) => (pace.steady_rate(), args.ramp, Some(arrivals)),
            Discipline::Closed => (None, None, None),
        };
        results::Plan {
            url: self.load.target.url.to_string(),
            local: self.load.target.is_local(),
            rate,
            ramp,
            arrivals,
            connections: form.connections,
            workers: form.workers,
            warmup_seconds: form.warmup.as_secs_f64(),
            duration_seconds: form.duration.as_secs_f64(),
            timeout_seconds: form.patience.as_secs_f64(),
            mix: args.mix.clone(),
            zipf: args.zipf,
            miss_ratio: args.miss_ratio,
            keys: self.load.keys.len(),
            keys_from: self.keys_from.clone(),
            seed: form.seed,
            keep_alive: form.keep_alive,
        }
    }
}

/// Where a process shows its metrics, if its public port does.
fn at_metrics(service: &Url) -> Url {
    let mut url = service.clone();
    url.set_path("/metrics");
    url
}
