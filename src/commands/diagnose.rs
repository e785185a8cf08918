//! `diagnose`: asks every dependency one question, and says what is broken and what to do about it.
//!
//! # Why
//!
//! It looks and never touches: no file, cluster, table or topic comes into being, and no migration
//! is applied. So it can be run at any time, also beside a running deployment, also before the
//! first start.

mod bus;
mod classifier;
mod cluster;
mod dependencies;
mod finding;
mod offline;
mod probe;
mod process;
mod shards;
mod vitals;

use std::time::Duration;

use clap::Args;
use serde_json::json;
use url::Url;

use crate::app;
use crate::commands::Failure;
use crate::commands::diagnose::finding::Finding;
use crate::commands::diagnose::finding::Severity;
use crate::commands::diagnose::offline::offline;
use crate::commands::diagnose::probe::probe;
use crate::commands::diagnose::shards::Verdict;
use crate::commands::report;
use crate::config::Config;
use crate::config::Loaded;
use crate::shutdown;

/// Something does not work as it should.
const DEGRADED: u8 = 1;
/// No shard is usable.
const BROKEN: u8 = 69;

/// Ask every dependency one question; say what is broken and what to do about it
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Exit status: 0 healthy, 1 degraded, 69 broken (no shard is usable), 78 configuration.\n\n\
    Examples:\n  urlshort diagnose\n  urlshort diagnose --json\n  \
    urlshort diagnose --url http://127.0.0.1:8000   also ask a running `serve`\n  \
    urlshort diagnose --watch            again every 5 s, until Ctrl-C\n  \
    urlshort diagnose --offline          every setting, and who set it\n  \
    urlshort diagnose --probe            the health check of a container"
)]
pub struct DiagnoseArgs {
    /// Print JSON; with --watch one line each time
    #[arg(long)]
    json: bool,
    /// Print only what is not well
    #[arg(long, short, conflicts_with = "json")]
    quiet: bool,
    /// Also ask a running `serve`; may be given several times
    #[arg(long, value_name = "URL")]
    url: Vec<Url>,
    /// Ask again and again until Ctrl-C; every SECONDS, 5 if none are named
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5",
        value_parser = clap::value_parser!(u64).range(1..=3_600))]
    watch: Option<u64>,
    /// Print the effective configuration and ask nobody
    #[arg(long, conflicts_with_all = ["probe", "quiet", "watch", "url"])]
    offline: bool,
    /// Ask only whether the process that runs here is ready
    #[arg(long, conflicts_with_all = ["json", "quiet", "watch", "url"])]
    probe: bool,
}

/// Does what was asked: once, or again and again.
///
/// # Errors
/// [`Failure::Status`] 1 where something is degraded, 69 where no shard is usable.
pub async fn run(loaded: &Loaded, args: DiagnoseArgs) -> Result<(), Failure> {
    let config = &loaded.config;
    if args.offline {
        offline(loaded, args.json);
        return Ok(());
    }
    if args.probe {
        return probe(config).await;
    }
    let Some(seconds) = args.watch else {
        return Box::pin(once(config, &args)).await;
    };
    let signals = shutdown::listen();
    loop {
        if !args.json {
            report::fresh_screen();
        }
        let last = Box::pin(once(config, &args)).await;
        if let Err(failure) = &last
            && !matches!(failure, Failure::Status(_))
        {
            return last;
        }
        tokio::select! {
            biased;
            () = signals.token.cancelled() => return last,
            () = tokio::time::sleep(Duration::from_secs(seconds)) => (),
        }
    }
}

/// Asks everybody at once, and prints what they said.
async fn once(config: &Config, args: &DiagnoseArgs) -> Result<(), Failure> {
    let (shards, redis, topic, processes) = tokio::join!(
        shards::ask(config),
        dependencies::redis(config),
        dependencies::kafka(config),
        process::ask(&args.url)
    );
    let shards = shards?;
    let lag = match topic.severity {
        Severity::Ok => bus::lag(config, &shards.health).await,
        Severity::Warn | Severity::Fail => Vec::new(),
    };
    let mut findings = vec![Finding::ok("configuration", app::shape(config))];
    findings.extend(shards.findings);
    findings.extend([redis, topic]);
    findings.extend(lag);
    findings.extend(vitals::producers(&shards.health));
    findings.push(dependencies::spool(config));
    findings.push(classifier::state(config, &shards.health));
    findings.extend(processes);
    let worst = findings.iter().map(|finding| finding.severity).max();
    let (status, outcome) = match (shards.verdict, worst) {
        (Verdict::Broken, _) => ("broken", Err(Failure::Status(BROKEN))),
        (Verdict::Usable | Verdict::NotStarted, Some(Severity::Warn | Severity::Fail)) => {
            ("degraded", Err(Failure::Status(DEGRADED)))
        }
        (Verdict::Usable | Verdict::NotStarted, Some(Severity::Ok) | None) => ("healthy", Ok(())),
    };
    if args.json {
        let value = json!({
            "schema_version": 1, "version": env!("CARGO_PKG_VERSION"),
            "status": status, "checks": findings,
        });
        if args.watch.is_some() {
            report::line(&value.to_string());
        } else {
            report::json(&value);
        }
    } else {
        print(&findings, status, args.quiet);
    }
    outcome
}

fn print(findings: &[Finding], status: &str, quiet: bool) {
    for finding in findings {
        if quiet && finding.severity == Severity::Ok {
            continue;
        }
        report::finding(finding.severity.word(), &finding.name, &finding.summary);
        if let Some(next) = &finding.next {
            report::line(&format!("      -> {next}"));
        }
    }
    let count = |severity| {
        let same = findings.iter().filter(|found| found.severity == severity);
        same.count()
    };
    if !quiet {
        report::line(&format!(
            "{status} (ok {}, warnings {}, failures {})",
            count(Severity::Ok),
            count(Severity::Warn),
            count(Severity::Fail)
        ));
    }
}
