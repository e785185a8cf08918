//! The flags of `loadtest`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::Subcommand;
use url::Url;

use super::compare::FailOn;
use super::keys::Source;
use super::options::Arrivals;
use super::options::Mix;
use super::options::Ramp;
use super::options::Rate;
use super::options::some_span;
use super::options::span;
use super::run::Discipline;
use super::run::Form;
use super::schedule::Pace;
use super::threshold::Threshold;
use crate::commands::Failure;
use crate::commands::arguments;
use crate::commands::ask::local;
use crate::config::Config;

/// The rate where none is named: what the deployment before this one reached.
pub(super) const USUAL_RATE: Rate = Rate(1_500.0);
/// How long a run takes, and a step of a search.
const USUAL_DURATION: Duration = Duration::from_secs(30);
const USUAL_STEP: Duration = Duration::from_secs(10);
/// The longest step of a search that nobody named a time for.
const LONGEST_STEP: Duration = Duration::from_secs(300);

/// Load a running service, check its answers, and report
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Requests start by a plan made beforehand, and latency counts from the planned \
    start, so a slow server cannot slow the test down (no coordinated omission). Redirects are \
    not followed but checked: status and Location.\n\n\
    Exit status: 0; 1 where not one answer was as expected; 99 where a threshold failed. Ctrl-C \
    reports what was measured so far; a second one stops at once.\n\n\
    Examples:\n  urlshort loadtest --rate 1500 --duration 60s\n  \
    urlshort loadtest http://127.0.0.1:8000 --concurrency 64 --duration 10s\n  \
    urlshort loadtest --mix redirect=95,create=4,stats=1 --json run.json --html run.html\n  \
    urlshort loadtest --ramp 1k:20k:2m --duration 2m\n  \
    urlshort loadtest --find-max --slo 'p99<5ms' --slo 'error_rate<0.1%'\n  \
    urlshort loadtest --threshold 'p99<5ms' --threshold 'errors<1'     for CI\n  \
    urlshort loadtest report run.json --html run.html\n  \
    urlshort loadtest compare before.json after.json"
)]
pub struct LoadtestArgs {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) run: Box<RunArgs>,
}

/// What can be done with saved results.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show saved results again, as a table or a page
    #[command(after_help = "Examples:\n  urlshort loadtest report run.json\n  \
        urlshort loadtest report run.json --html run.html")]
    Report(ReportArgs),
    /// Put two runs side by side, and say what is noise
    #[command(
        after_help = "Examples:\n  urlshort loadtest compare before.json after.json\n  \
        urlshort loadtest compare before.json after.json --fail-on 'p99>+10%'"
    )]
    Compare(CompareArgs),
}

/// Which results are shown, and how.
#[derive(Args, Debug)]
pub(super) struct ReportArgs {
    /// Files that `--json` wrote
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Write a page instead of the table (`-` is stdout)
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub(super) html: Option<PathBuf>,
    /// Print the runs as JSON, as `--json` saved them, with their file names
    #[arg(long)]
    pub(super) json: bool,
}

/// Which results are compared.
#[derive(Args, Debug)]
pub(super) struct CompareArgs {
    /// The first run
    #[arg(value_name = "A")]
    pub(super) before: PathBuf,
    /// The second run, which is judged by the first
    #[arg(value_name = "B")]
    pub(super) after: PathBuf,
    /// Exit with 99 where the second run is worse by this much and it is no noise, as p99>+10%;
    /// may be given several times
    #[arg(long, value_name = "CHANGE")]
    pub(super) fail_on: Vec<FailOn>,
    /// Write a page instead of the table (`-` is stdout)
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub(super) html: Option<PathBuf>,
    /// Print the comparison as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// A run.
#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// The service [default: the public port of this configuration on this machine]
    #[arg(value_name = "URL", value_parser = arguments::service)]
    target: Option<Url>,
    /// The same, as a flag
    #[arg(long, value_name = "URL", conflicts_with = "target", value_parser = arguments::service)]
    url: Option<Url>,

    /// Requests a second, by plan (open loop), as 1500 or 20k [default: 1500]
    #[arg(long, value_name = "RATE", help_heading = "Load")]
    pub(super) rate: Option<Rate>,
    /// So many connections that ask again once they are answered (closed loop)
    #[arg(long, value_name = "NUMBER", help_heading = "Load", conflicts_with_all = ["rate", "ramp", "find_max"],
        value_parser = |text: &str| arguments::number(text, 1, 100_000))]
    pub(super) concurrency: Option<u64>,
    /// A rate that climbs evenly and then holds: FROM:TO:TIME, as 1k:20k:2m
    #[arg(long, value_name = "RAMP", help_heading = "Load", conflicts_with_all = ["rate", "find_max"])]
    pub(super) ramp: Option<Ramp>,
    /// How the starts of an open loop are spread
    #[arg(long, value_enum, default_value_t = Arrivals::Constant, help_heading = "Load")]
    arrivals: Arrivals,
    /// For how long it counts [default: 30s; the time of a ramp; 10s for each step of --find-max,
    /// or as long as its percentiles need]
    #[arg(long, value_name = "TIME", value_parser = some_span, help_heading = "Load")]
    duration: Option<Duration>,
    /// Load before anything counts
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "0s", help_heading = "Load")]
    warmup: Duration,
    /// Connections of an open loop
    #[arg(long, value_name = "NUMBER", default_value_t = 64, help_heading = "Load",
        value_parser = |text: &str| arguments::number(text, 1, 100_000))]
    connections: u64,
    /// Threads [default: one for each processor]
    #[arg(long, value_name = "NUMBER", help_heading = "Load",
        value_parser = |text: &str| arguments::number(text, 1, 1_024))]
    workers: Option<u64>,
    /// How long an answer may take; what cannot even start within it is dropped
    #[arg(long, value_name = "TIME", value_parser = some_span, default_value = "5s", help_heading = "Load")]
    pub(super) timeout: Duration,
    /// A new connection for each request
    #[arg(long, help_heading = "Load")]
    no_keep_alive: bool,
    /// Search the highest rate that holds every --slo, beginning with --rate [default: 1000]
    #[arg(long, help_heading = "Load", requires = "slo")]
    pub(super) find_max: bool,
    /// What a rate must hold for --find-max, as p99<5ms; may be given several times
    #[arg(
        long,
        value_name = "THRESHOLD",
        help_heading = "Load",
        requires = "find_max"
    )]
    pub(super) slo: Vec<Threshold>,

    /// What requests do: redirect, head, create, stats and preview, with their shares
    #[arg(
        long,
        value_name = "MIX",
        default_value = "redirect=100",
        help_heading = "Workload"
    )]
    pub(super) mix: Mix,
    /// How uneven links are followed: 0 is even, 1 is like the web
    #[arg(long, value_name = "EXPONENT", default_value_t = 1.0, value_parser = exponent, help_heading = "Workload")]
    pub(super) zipf: f64,
    /// The share of redirects that ask for codes nobody made, 0 to 1. The service answers 429
    /// beyond its `limits.misses_per_minute`
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, help_heading = "Workload")]
    pub(super) miss_ratio: f64,
    /// Follow the links of this file: a code in each line, and where it leads if it is to be checked
    #[arg(long, value_name = "FILE", help_heading = "Workload")]
    keys: Option<PathBuf>,
    /// Follow the links that `urlshort seed --count COUNT` made; COUNT:SEED for another seed
    #[arg(long, value_name = "COUNT", conflicts_with = "keys", value_parser = seed_run, help_heading = "Workload")]
    seed_run: Option<(u64, u64)>,
    /// How many links are followed at most
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, help_heading = "Workload",
        value_parser = |text: &str| arguments::number(text, 1, 10_000_000))]
    pub(super) key_count: u64,
    /// Another number draws other links and visitors
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 1,
        help_heading = "Workload"
    )]
    seed: u64,

    /// The API key for lists and creations [default: `auth.admin_key`, or the file admin-key in `data_dir`]
    #[arg(
        long,
        value_name = "KEY",
        env = "URLSHORT_LOADTEST_KEY",
        hide_env_values = true,
        help_heading = "Service"
    )]
    key: Option<String>,
    /// What requests say in Host [default: the host of `http.public_url`, or the address]
    #[arg(long, value_name = "NAME", help_heading = "Service")]
    pub(super) host: Option<String>,
    /// Load a service that is not on this machine
    #[arg(long, help_heading = "Service")]
    pub(super) i_own_this_host: bool,
    /// Where the service's processes show their metrics; may be given several times, and a name that
    /// several processes share is all of them [default: /metrics of the service]
    #[arg(long, value_name = "URL", value_parser = arguments::service, help_heading = "Service")]
    pub(super) metrics: Vec<Url>,
    /// How long to wait, before and after, until every click is counted; 0 does not compare
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "30s", help_heading = "Service")]
    pub(super) settle: Duration,

    /// What must hold, as `p99<5ms`, `error_rate<0.1%`, `rps>=20k`, `create.p99<50ms`, `clicks_missing<1`;
    /// may be given several times
    #[arg(long, value_name = "THRESHOLD", help_heading = "Report")]
    pub(super) threshold: Vec<Threshold>,
    /// Write everything that was measured (`-` is stdout)
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(super) json: Option<PathBuf>,
    /// Write a page that stands alone (`-` is stdout)
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(super) html: Option<PathBuf>,
    /// Show the figures of the running test to Prometheus here, as 127.0.0.1:8002
    #[arg(long, value_name = "ADDRESS", help_heading = "Report")]
    pub(super) metrics_listen: Option<std::net::SocketAddr>,
    /// Print nothing but errors, and what --json and --html send to stdout
    #[arg(long, short, help_heading = "Report")]
    pub(super) quiet: bool,
}

impl RunArgs {
    /// The service that is loaded.
    pub(super) fn url(&self, config: &Config) -> Result<Url, Failure> {
        if let Some(url) = self.target.as_ref().or(self.url.as_ref()) {
            return Ok(url.clone());
        }
        let url = format!("http://{}", local(config.http.listen));
        url.parse()
            .map_err(|error| Failure::Bug(format!("{url}: {error}")))
    }

    /// The key that lists and creates, if there is one.
    pub(super) fn api_key(&self, config: &Config) -> Option<String> {
        let file = || std::fs::read_to_string(config.data_dir.join("admin-key")).ok();
        let configured = || {
            config
                .auth
                .admin_key
                .as_ref()
                .map(|key| key.expose().to_owned())
        };
        let key = self.key.clone().or_else(configured).or_else(file)?;
        Some(key.trim().to_owned()).filter(|key| !key.is_empty())
    }

    /// Where the links come from.
    pub(super) fn source(&self) -> Source<'_> {
        match (&self.keys, self.seed_run) {
            (Some(path), _) => Source::File(path),
            (None, Some((count, seed))) => Source::Seed(count, seed),
            (None, None) => Source::List,
        }
    }

    /// The form of the run.
    pub(super) fn form(&self) -> Form {
        let discipline = match (self.concurrency, self.ramp) {
            (Some(_), _) => Discipline::Closed,
            (None, Some(ramp)) => Discipline::Open(Pace::ramp(ramp, self.warmup), self.arrivals),
            (None, None) => {
                let rate = self.rate.unwrap_or(USUAL_RATE);
                Discipline::Open(Pace::steady(rate), self.arrivals)
            }
        };
        let climb = self.ramp.map(|ramp| Duration::from_secs_f64(ramp.seconds));
        let duration = self.duration.or(climb).unwrap_or(USUAL_DURATION);
        self.form_of(discipline, duration)
    }

    /// The form of a step of a search.
    ///
    /// Unless a time was named, it lasts until there are enough requests for every percentile that
    /// is judged.
    pub(super) fn form_at(&self, rate: Rate) -> Form {
        let discipline = Discipline::Open(Pace::steady(rate), self.arrivals);
        let needed = self.slo.iter().map(Threshold::requests_needed);
        let long_enough = needed.fold(0.0, f64::max) * 1.1 / rate.0;
        let step = Duration::from_secs_f64(long_enough.min(LONGEST_STEP.as_secs_f64()));
        self.form_of(discipline, self.duration.unwrap_or(USUAL_STEP.max(step)))
    }

    fn form_of(&self, discipline: Discipline, duration: Duration) -> Form {
        let small = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let connections = small(self.concurrency.unwrap_or(self.connections));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Form {
            discipline,
            warmup: self.warmup,
            duration,
            connections,
            workers: self.workers.map_or(cores, small).min(connections),
            patience: self.timeout,
            keep_alive: !self.no_keep_alive,
            seed: self.seed,
        }
    }
}

fn exponent(text: &str) -> Result<f64, String> {
    number_within(text, 10.0)
}

fn share(text: &str) -> Result<f64, String> {
    number_within(text, 1.0)
}

fn number_within(text: &str, most: f64) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    number
        .filter(|number| (0.0..=most).contains(number))
        .ok_or_else(|| format!("is no number from 0 to {most}"))
}

fn seed_run(text: &str) -> Result<(u64, u64), String> {
    let (count, seed) = text.split_once(':').unwrap_or((text, "1"));
    let count = arguments::number(count, 1, 100_000_000).ok();
    count
        .zip(seed.parse::<u64>().ok())
        .ok_or_else(|| "is no run of seed: COUNT or COUNT:SEED, as 5000:1".to_owned())
}
