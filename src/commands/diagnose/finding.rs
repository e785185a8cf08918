//! What one question brought to light.

use std::error::Error;
use std::time::Duration;

use serde::Serialize;
use serde_json::Map;
use serde_json::Value;

/// How long a dependency may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// As it should be.
    Ok,
    /// It works, and somebody should know.
    Warn,
    /// It does not work: somebody must act.
    Fail,
}

/// One answer.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    /// Who was asked.
    pub(super) name: String,
    /// How bad it is.
    pub(super) severity: Severity,
    /// What was found.
    pub(super) summary: String,
    /// Why it is so, and what to do; always there where it is not well.
    #[serde(flatten)]
    pub(super) remedy: Option<Remedy>,
    /// The same for programs.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(super) facts: Map<String, Value>,
}

/// Why something is not well, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Remedy {
    /// What lies behind it.
    pub(super) cause: String,
    /// An imperative.
    pub(super) next: String,
    /// The next command to type.
    pub(super) command: String,
}

impl Remedy {
    /// Because of `cause`, do `next`, beginning with `command`.
    pub(super) fn new(
        cause: impl Into<String>,
        next: impl Into<String>,
        command: impl Into<String>,
    ) -> Self {
        Self {
            cause: cause.into(),
            next: next.into(),
            command: command.into(),
        }
    }
}

impl Severity {
    /// Its word for people.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

impl Finding {
    /// All is well.
    pub(super) fn ok(name: &str, summary: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            severity: Severity::Ok,
            summary: summary.into(),
            remedy: None,
            facts: Map::new(),
        }
    }

    /// It works, but.
    pub(super) fn warn(name: &str, summary: impl Into<String>, remedy: Remedy) -> Self {
        Self {
            severity: Severity::Warn,
            remedy: Some(remedy),
            ..Self::ok(name, summary)
        }
    }

    /// It does not work.
    pub(super) fn fail(name: &str, summary: impl Into<String>, remedy: Remedy) -> Self {
        Self {
            severity: Severity::Fail,
            ..Self::warn(name, summary, remedy)
        }
    }

    /// With these facts, an object.
    pub(super) fn with(mut self, facts: Value) -> Self {
        if let Value::Object(facts) = facts {
            self.facts.extend(facts);
        }
        self
    }
}

/// The innermost cause, which is the one that people can act upon.
pub(super) fn cause(error: &dyn Error) -> String {
    let mut source = error;
    while let Some(inner) = source.source() {
        source = inner;
    }
    source.to_string()
}

/// A duration as people read it.
pub(super) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

/// A size as people read it.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{} KiB", bytes / 1_024),
        1_048_576..10_737_418_240 => format!("{} MiB", bytes / 1_048_576),
        _ => format!("{} GiB", bytes / 1_073_741_824),
    }
}
