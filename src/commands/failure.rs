//! Why a command failed, and the exit status that says so.

use std::process::ExitCode;

use crate::app::BuildError;
use crate::config::ConfigError;

/// A failure, by what its reader can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// 1: it did not work out.
    #[error("{0}")]
    Failed(String),
    /// 2: what was typed cannot be done.
    #[error("{0}")]
    Usage(String),
    /// 69: a dependency cannot be reached.
    #[error("{0}")]
    Unavailable(String),
    /// 70: a bug of ours.
    #[error("{0}")]
    Bug(String),
    /// 78: the configuration.
    #[error("{0}")]
    Configuration(String),
    /// Another status that the command itself chose and explained.
    #[error("")]
    Status(u8),
}

impl Failure {
    /// The exit status.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Unavailable(_) => 69,
            Self::Bug(_) => 70,
            Self::Configuration(_) => 78,
            Self::Status(status) => *status,
        })
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Configuration(error.to_string())
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Configuration(why) => Self::Configuration(why),
            BuildError::Unreachable(why) => Self::Unavailable(why),
            BuildError::Bug(why) => Self::Bug(why),
        }
    }
}
