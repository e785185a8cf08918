//! `urlshort loadtest` beside wrk on the same server, and a steady rate as people ask for it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::Outcome;
use crate::load::Wrk;
use crate::median;
use crate::server::Folder;
use crate::server::Server;

/// `loadtest` with the links `b0` to `b<links - 1>`.
pub(crate) struct Loadtest {
    keys: PathBuf,
}

impl Loadtest {
    /// Writes the list of links.
    pub(crate) fn new(folder: &Folder, links: usize) -> Outcome<Self> {
        let keys = folder.path("keys.txt");
        let lines: Vec<String> = (0..links)
            .map(|n| format!("b{n} https://example.com/some/page/{n}?from=bench"))
            .collect();
        fs::write(&keys, lines.join("\n"))?;
        Ok(Self { keys })
    }

    /// Runs it on `server`, with further flags; its results.
    fn run(&self, server: &Server, seconds: u64, flags: &[&str]) -> Outcome<Value> {
        let output = Command::new(env!("CARGO_BIN_EXE_urlshort"))
            .arg("loadtest")
            .arg(format!("http://127.0.0.1:{}", server.port()))
            .args(["--duration", &format!("{seconds}s"), "--json", "-"])
            .arg("--keys")
            .arg(&self.keys)
            .args(flags)
            .env_clear()
            .current_dir(std::env::temp_dir())
            .output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("loadtest on {}: {said}", server.name()).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// The rate it reaches with 64 connections, beside wrk's on the same server, round by round.
    pub(crate) fn beside_wrk(
        &self,
        wrk: &Wrk,
        server: &Server,
        (rounds, seconds): (usize, u64),
    ) -> Outcome<()> {
        let (mut theirs, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        let mut cpu = Vec::new();
        for n in 1..=rounds {
            eprintln!("generator, round {n} of {rounds}");
            let by_wrk = wrk.run(server, Duration::from_secs(seconds))?.rate;
            let closed = ["--concurrency", "64", "--settle", "0"];
            let results = self.run(server, seconds, &closed)?;
            let errors = number(&results, "/totals/errors")?;
            if errors > 0.0 {
                return Err(format!("loadtest saw {errors} wrong answers").into());
            }
            let rate = number(&results, "/totals/rate")?;
            theirs.push(by_wrk);
            ours.push(rate);
            ratios.push(rate / by_wrk);
            cpu.push(number(&results, "/generator/cpu_us_per_request")?);
        }
        let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let high = ratios.iter().copied().fold(0.0, f64::max);
        println!("| generator | requests/s | to wrk | its CPU µs per request |\n|---|--:|--:|--:|");
        println!("| wrk | {:.0} | 1 | |", median(theirs));
        println!(
            "| urlshort loadtest, every answer checked | {:.0} | {:.3} ({low:.3}–{high:.3}) | {:.1} |",
            median(ours),
            median(ratios),
            median(cpu)
        );
        Ok(())
    }

    /// A line of what a steady rate comes to, every click compared with the counts.
    pub(crate) fn steady(&self, server: &Server, rate: &str, seconds: u64) -> Outcome<()> {
        let results = self.run(server, seconds, &["--rate", rate, "--warmup", "5s"])?;
        let of = |place: &str| number(&results, place);
        println!(
            "| {} | {:.0} | {:.2} ms | {:.2} ms | {} | {} of {} | {} |",
            server.name(),
            of("/totals/rate")?,
            of("/totals/latency/p50_ms")?,
            of("/totals/latency/p99_ms")?,
            of("/totals/errors")?,
            of("/clicks/counted")?,
            of("/clicks/acknowledged")?,
            of("/clicks/missing")?
        );
        Ok(())
    }
}

fn number(results: &Value, place: &str) -> Outcome<f64> {
    let value = results.pointer(place).and_then(Value::as_f64);
    value.ok_or_else(|| format!("the results have no number at {place}: {results}").into())
}
