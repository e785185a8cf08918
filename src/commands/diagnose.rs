//! `diagnose`: asks every dependency one question, and says what is broken and what to do about it.
//!
//! # Why
//!
//! It looks and never touches: no file, cluster, table or topic comes into being, and no migration
//! is applied. So it can be run at any time, also beside a running deployment, also before the
//! first start.

mod cluster;
mod dependencies;
mod finding;
mod offline;
mod probe;
mod shards;

use serde_json::json;

use crate::commands::Failure;
use crate::commands::diagnose::finding::Finding;
use crate::commands::diagnose::finding::Severity;
use crate::commands::diagnose::shards::Verdict;
use crate::commands::report;
use crate::config::Config;

pub use crate::commands::diagnose::offline::offline;
pub use crate::commands::diagnose::probe::probe;

/// Something does not work as it should.
const DEGRADED: u8 = 1;
/// No shard is usable.
const BROKEN: u8 = 69;

/// How the findings are shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown {
    /// As JSON.
    pub json: bool,
    /// For people, but only what is not well.
    pub quiet: bool,
}

/// Asks everybody at once, and prints what they said.
///
/// # Errors
/// [`Failure::Status`] 1 where something is degraded, 69 where no shard is usable.
pub async fn run(config: Config, shown: Shown) -> Result<(), Failure> {
    let (shards, redis, kafka) = tokio::join!(
        shards::ask(&config),
        dependencies::redis(&config),
        dependencies::kafka(&config)
    );
    let shards = shards?;
    let mut findings = shards.findings;
    findings.extend([redis, kafka, dependencies::spool(&config)]);
    let worst = findings.iter().map(|finding| finding.severity).max();
    let (status, outcome) = match (shards.verdict, worst) {
        (Verdict::Broken, _) => ("broken", Err(Failure::Status(BROKEN))),
        (Verdict::Usable | Verdict::NotStarted, Some(Severity::Warn | Severity::Fail)) => {
            ("degraded", Err(Failure::Status(DEGRADED)))
        }
        (Verdict::Usable | Verdict::NotStarted, Some(Severity::Ok) | None) => ("healthy", Ok(())),
    };
    if shown.json {
        report::json(&json!({
            "schema_version": 1, "version": env!("CARGO_PKG_VERSION"),
            "status": status, "checks": findings,
        }));
    } else {
        print(&findings, status, shown.quiet);
    }
    outcome
}

fn print(findings: &[Finding], status: &str, quiet: bool) {
    for finding in findings {
        if quiet && finding.severity == Severity::Ok {
            continue;
        }
        let word = finding.severity.word();
        report::line(&format!("{word:<5} {}: {}", finding.name, finding.summary));
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
