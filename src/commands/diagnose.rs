//! `diagnose`: asks every dependency one question, and says what is broken and what to do about it.
//!
//! # Why
//!
//! It looks and never touches: no file, cluster, table or topic comes into being, and no migration
//! is applied. So it can be run at any time, also beside a running deployment, also before the
//! first start.

mod away;
mod bus;
mod classifier;
mod cluster;
mod dependencies;
mod finding;
mod offline;
mod probe;
mod process;
mod reach;
mod resp;
mod shards;
mod shell;
mod spool;
mod vitals;

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use serde_json::json;
use url::Url;

use crate::app;
use crate::commands::Failure;
use crate::commands::arguments;
use crate::commands::diagnose::finding::Finding;
use crate::commands::diagnose::finding::Remedy;
use crate::commands::diagnose::finding::Severity;
use crate::commands::diagnose::offline::offline;
use crate::commands::diagnose::probe::probe;
use crate::commands::diagnose::shards::Verdict;
use crate::commands::report;
use crate::config::ConfigError;
use crate::config::Loaded;
use crate::config::Source;
use crate::shutdown;

/// Something does not work as it should.
const DEGRADED: u8 = 1;
/// No shard is usable.
const BROKEN: u8 = 69;

/// Ask every dependency one question; say what is broken and what to do about it
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Exit status: 0 healthy, 1 degraded, 69 broken (no shard is usable, or `serve` would refuse them), 78 configuration.\n\n\
    A finding that is not well says why, what to do (->) and the next command to type ($).\n\n\
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
    #[arg(long, short)]
    quiet: bool,
    /// Also ask a running `serve`; may be given several times
    #[arg(long, value_name = "URL", value_parser = arguments::service)]
    url: Vec<Url>,
    /// Ask again and again until Ctrl-C; every SECONDS, 5 if none are named
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5",
        value_parser = clap::value_parser!(u64).range(1..=3_600))]
    watch: Option<u64>,
    /// Print the effective configuration and ask nobody
    #[arg(long, conflicts_with_all = ["probe", "quiet", "watch", "url"])]
    offline: bool,
    /// Ask only whether the process that runs here is ready
    #[arg(long, conflicts_with_all = ["watch", "url"])]
    probe: bool,
}

impl DiagnoseArgs {
    /// Says what is wrong with the configuration, where that was to be said to a program.
    pub fn complain(&self, error: &ConfigError) {
        if self.json {
            misconfigured(error);
        }
    }
}

/// Does what was asked: once, or again and again.
///
/// # Errors
/// [`Failure::Status`] 1 where something is degraded, 69 where no shard is usable or `serve` would refuse them.
pub async fn run(loaded: &Loaded, args: DiagnoseArgs) -> Result<(), Failure> {
    let config = &loaded.config;
    if args.offline {
        offline(loaded, args.json);
        return Ok(());
    }
    if args.probe {
        return probe(config, args.json, args.quiet).await;
    }
    let Some(seconds) = args.watch else {
        return Box::pin(once(loaded, &args)).await;
    };
    let signals = shutdown::listen();
    loop {
        if !args.json {
            report::fresh_screen();
        }
        let last = Box::pin(once(loaded, &args)).await;
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
async fn once(loaded: &Loaded, args: &DiagnoseArgs) -> Result<(), Failure> {
    let config = &loaded.config;
    let (shards, redis, topic, processes) = tokio::join!(
        shards::ask(loaded),
        dependencies::redis(loaded),
        dependencies::kafka(loaded),
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
    findings.push(spool::state(config));
    findings.push(classifier::state(config, &shards.health).await);
    findings.extend(classifier::block_lists(config));
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
        findings.retain(|finding| !args.quiet || finding.severity != Severity::Ok);
        let value = document(status, &findings);
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

/// The findings for programs.
fn document(status: &str, findings: &[Finding]) -> Value {
    json!({
        "schema_version": 1, "version": env!("CARGO_PKG_VERSION"),
        "status": status, "checks": findings,
    })
}

/// Says as JSON what is wrong with a configuration that nothing can run with.
fn misconfigured(error: &ConfigError) {
    let findings: Vec<Finding> = error
        .complaints()
        .iter()
        .map(|complaint| {
            let what = format!("{} {}", complaint.key, complaint.problem);
            let command = match &complaint.source {
                Source::File(name) => format!("${{EDITOR:-vi}} {}", shell::quoted(name)),
                Source::Variable(name) => format!("printenv {}", shell::quoted(name)),
                Source::CommandLine | Source::Default => "urlshort --help".to_owned(),
            };
            let cause = format!("set by {}", complaint.source);
            let remedy = Remedy::new(cause, &complaint.remedy, command);
            Finding::fail("configuration", what, remedy)
        })
        .collect();
    report::json(&document("misconfigured", &findings));
}

fn print(findings: &[Finding], status: &str, quiet: bool) {
    for finding in findings {
        if quiet && finding.severity == Severity::Ok {
            continue;
        }
        report::finding(finding.severity.word(), &finding.name, &finding.summary);
        if let Some(remedy) = &finding.remedy {
            report::line(&format!("      why: {}", remedy.cause));
            report::line(&format!("      ->   {}", remedy.next));
            report::line(&format!("      $    {}", remedy.command));
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
