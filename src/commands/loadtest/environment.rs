//! Where a run took place: figures without it say little.

use serde::Deserialize;
use serde::Serialize;

/// A machine and a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Environment {
    /// This program.
    pub(super) urlshort: String,
    /// The service, as its metrics say.
    pub(super) service: Option<String>,
    /// The operating system and its kernel.
    pub(super) system: String,
    /// The processor.
    pub(super) processor: String,
    /// Processors that this process may use.
    pub(super) cores: usize,
}

impl Environment {
    /// This machine; what cannot be read is "unknown".
    pub(super) fn here() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let processor = processors
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .map(|line| line.trim_start_matches([' ', '\t', ':']).to_owned());
        let kernel = read("/proc/sys/kernel/osrelease");
        Self {
            urlshort: env!("CARGO_PKG_VERSION").to_owned(),
            service: None,
            system: format!("{} {}", std::env::consts::OS, kernel.trim()),
            processor: processor.unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }
}
