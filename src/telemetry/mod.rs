//! What the process says of itself: logs on stderr and metrics in Prometheus text.
//!
//! # Why
//!
//! Everything that counts is a free function of [`metrics`], named for what happened, so that no
//! other part knows a metric's name and none can be misspelt. Label values are small enums or
//! static words: never a code, a URL or an address. Redirects alone have a path of their own,
//! [`Stripes`], since a macro with labels costs more than the whole rest of a near hit.

pub mod logs;
pub mod metrics;

mod describe;
mod labels;
mod process;
mod recorder;
mod stripes;

pub use self::metrics::*;
pub use labels::CacheResult;
pub use labels::CacheTier;
pub use labels::DropReason;
pub use logs::LogStyle;
pub use recorder::Metrics;
pub use recorder::install;
pub use stripes::Stripe;
pub use stripes::Stripes;
pub use stripes::Tier;
