//! Sends the log to stderr: readable on a terminal, one JSON object per line otherwise.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStyle {
    /// Readable if stderr is a terminal, JSON otherwise.
    Auto,
    /// Readable.
    Text,
    /// JSON.
    Json,
}

/// Starts the log; if one is started already, that one stays.
///
/// `level` is `trace`, `debug`, `info`, `warn`, `error` or `off`; anything else counts as `info`.
pub fn init(level: &str, style: LogStyle) {
    let filter = EnvFilter::try_new(directives(level)).unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Told on stderr too, an error of stderr itself would be a panic of whoever logs.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    let json = match style {
        LogStyle::Auto => !terminal,
        LogStyle::Text => false,
        LogStyle::Json => true,
    };
    let started = if json {
        builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .try_init()
    } else if terminal {
        builder.try_init() // colours, unless NO_COLOR
    } else {
        builder.with_ansi(false).try_init()
    };
    // A second call finds the first one's log in place, which is what was promised.
    started.ok();
}

/// Libraries that call errors what we expect and handle, or what a client did wrong (`actix_http`,
/// of a request line that it cannot read): their silence is our log's clarity.
const QUIET: &str = "rskafka=off,fred=off,actix_http::h1=off";

/// The libraries speak from `warn` on: their `info` is about themselves, and their `debug` would
/// bury ours.
fn directives(level: &str) -> String {
    match level {
        "off" | "error" | "warn" => format!("{level},{QUIET}"),
        "trace" | "debug" => format!("warn,urlshort={level},{QUIET}"),
        _ => format!("warn,urlshort=info,{QUIET}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(level: &str, expected: &str) {
        assert_eq!(directives(level), expected);
        assert!(EnvFilter::try_new(expected).is_ok());
    }

    #[test]
    fn libraries_are_heard_from_warnings_on() {
        check("off", "off,rskafka=off,fred=off,actix_http::h1=off");
        check("error", "error,rskafka=off,fred=off,actix_http::h1=off");
        check("warn", "warn,rskafka=off,fred=off,actix_http::h1=off");
        check(
            "info",
            "warn,urlshort=info,rskafka=off,fred=off,actix_http::h1=off",
        );
        check(
            "trace",
            "warn,urlshort=trace,rskafka=off,fred=off,actix_http::h1=off",
        );
        check(
            "nonsense",
            "warn,urlshort=info,rskafka=off,fred=off,actix_http::h1=off",
        );
    }

    #[test]
    fn a_second_start_changes_nothing() {
        init("off", LogStyle::Auto);
        init("off", LogStyle::Json);
    }
}
