//! The only module that prints: results to stdout, everything else to stderr.

use std::fmt;
use std::io::ErrorKind;
use std::io::IsTerminal as _;
use std::io::Write as _;
use std::path::Path;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use serde_json::Value;

use crate::commands::Failure;

/// A line of a result.
pub fn line(text: &str) {
    write(format_args!("{text}\n"));
}

/// A result that ends its own lines.
pub fn text(text: &str) {
    write(format_args!("{text}"));
}

/// Writes to stdout. Whoever reads it may have seen enough (`| head`): that ends the program, and
/// is no failure.
fn write(text: fmt::Arguments<'_>) {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_fmt(text).and_then(|()| stdout.flush()) {
        Ok(()) => (),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            failed(&Failure::Failed(format!(
                "the result cannot be written: {error}"
            )));
            std::process::exit(1);
        }
    }
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
        write(format_args!("{severity:<5} {name}: {summary}\n"));
    } else {
        write(format_args!(
            "\x1b[{colour}m{severity:<5}\x1b[0m {name}: {summary}\n"
        ));
    }
}

/// An empty screen on a terminal, an empty line elsewhere.
pub fn fresh_screen() {
    if std::io::stdout().is_terminal() {
        write(format_args!("\x1b[2J\x1b[H"));
    } else {
        write(format_args!("\n"));
    }
}

/// A result as JSON.
pub fn json(value: &Value) {
    write(format_args!("{value:#}\n"));
}

/// A line for people, beside the result.
pub fn note(text: &str) {
    complain(format_args!("{text}"));
}

/// Writes to stderr; where nobody can be told, the exit status still says it.
fn complain(text: fmt::Arguments<'_>) {
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// What went wrong, unless it was explained already.
pub fn failed(failure: &Failure) {
    let text = failure.to_string();
    if !text.is_empty() {
        complain(format_args!("urlshort: {text}"));
    }
}

/// What `serve` says once it listens.
pub fn serving(address: &str, admin: &str, data: &Path, shape: &str) {
    greet(format_args!("urlshort listens on {address}"));
    greet(format_args!("  data        {}", data.display()));
    greet(format_args!("  shape       {shape}"));
    greet(format_args!("  metrics     {admin}"));
}

/// Where the first admin key lies.
pub fn admin_key(path: &Path) {
    greet(format_args!(
        "  admin key   {} (made now; keep it safe)",
        path.display()
    ));
}

/// A line of a greeting: whoever does not read it stops no server.
fn greet(text: fmt::Arguments<'_>) {
    let mut stdout = std::io::stdout().lock();
    drop(writeln!(stdout, "{text}").and_then(|()| stdout.flush()));
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
