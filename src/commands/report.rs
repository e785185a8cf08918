//! The only module that prints: results to stdout, everything else to stderr.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this module exists to print"
)]

use std::io::IsTerminal as _;
use std::path::Path;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use serde_json::Value;

use crate::commands::Failure;

/// A line of a result.
pub fn line(text: &str) {
    println!("{text}");
}

/// A result that ends its own lines.
pub fn text(text: &str) {
    print!("{text}");
}

/// A line of a diagnosis; what is not well is coloured on a terminal, unless `NO_COLOR` is set.
pub fn finding(severity: &str, name: &str, summary: &str) {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = match severity {
        "WARN" => "33",
        "FAIL" => "31;1",
        _ => "32",
    };
    if plain || !std::io::stdout().is_terminal() {
        println!("{severity:<5} {name}: {summary}");
    } else {
        println!("\x1b[{colour}m{severity:<5}\x1b[0m {name}: {summary}");
    }
}

/// An empty screen on a terminal, an empty line elsewhere.
pub fn fresh_screen() {
    if std::io::stdout().is_terminal() {
        print!("\x1b[2J\x1b[H");
    } else {
        println!();
    }
}

/// A result as JSON.
pub fn json(value: &Value) {
    println!("{value:#}");
}

/// A line for people, beside the result.
pub fn note(text: &str) {
    eprintln!("{text}");
}

/// What went wrong, unless it was explained already.
pub fn failed(failure: &Failure) {
    let text = failure.to_string();
    if !text.is_empty() {
        eprintln!("urlshort: {text}");
    }
}

/// What `serve` says once it listens.
pub fn serving(address: &str, admin: &str, data: &Path, shape: &str) {
    println!("urlshort listens on {address}");
    println!("  data        {}", data.display());
    println!("  shape       {shape}");
    println!("  metrics     {admin}");
}

/// Where the first admin key lies.
pub fn admin_key(path: &Path) {
    println!("  admin key   {} (made now; keep it safe)", path.display());
}

/// A progress bar on stderr; hidden where that is no terminal, or `quiet`.
#[must_use]
pub fn progress(total: u64, what: &str, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total);
    let look = format!("{{bar:40}} {{human_pos}}/{{human_len}} {what} {{per_sec}} {{eta}}");
    if let Ok(style) = ProgressStyle::with_template(&look) {
        bar.set_style(style);
    }
    bar
}

/// The line of a command that runs for so many seconds; hidden like [`progress`].
#[must_use]
pub fn ticker(seconds: u64, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(seconds);
    if let Ok(style) = ProgressStyle::with_template("{bar:20} {pos}/{len} s  {wide_msg}") {
        bar.set_style(style);
    }
    bar
}
