//! What is wrong with a configuration: every fault of one run, each with its remedy.

use std::fmt;

use super::raw::Source;

/// One fault, with all that is needed to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The key, the variable or the flag at fault.
    pub key: String,
    /// What is wrong; never the value of a secret.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
    /// Where it was set.
    pub source: Source,
}

/// Every fault of a configuration; `Display` prints one per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Never empty.
    complaints: Vec<Complaint>,
}

/// A fault of one value, before it is known whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Continues a sentence that begins with the key.
    pub(super) problem: String,
    /// An imperative.
    pub(super) remedy: String,
}

impl Complaint {
    /// `fault` of `key`, which `source` set.
    pub(super) fn new(key: impl Into<String>, fault: Fault, source: Source) -> Self {
        Self {
            key: key.into(),
            problem: fault.problem,
            remedy: fault.remedy,
            source,
        }
    }
}

impl ConfigError {
    /// The faults, in the order in which they were found.
    #[must_use]
    pub fn complaints(&self) -> &[Complaint] {
        &self.complaints
    }

    /// `value` if there is nothing to complain of.
    pub(super) fn unless_none<T>(complaints: Vec<Complaint>, value: T) -> Result<T, Self> {
        if complaints.is_empty() {
            Ok(value)
        } else {
            Err(Self { complaints })
        }
    }
}

impl Fault {
    /// A problem and its remedy.
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            problem,
            remedy,
            source,
        } = self;
        write!(formatter, "{key} {problem}; {remedy} (set by {source})")
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, complaint) in self.complaints.iter().enumerate() {
            if at > 0 {
                writeln!(formatter)?;
            }
            write!(formatter, "{complaint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
