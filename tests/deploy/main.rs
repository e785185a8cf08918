//! The production stack, as far as it can be proven without a container engine: its files by their
//! own tools and against the program, and its processes natively, with the environment of
//! `deploy/compose.yaml`, behind the balancer, watched by a real Prometheus.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may stop at the first surprise, and says what it skips"
)]

mod children;
mod compose;
mod compose_checks;
mod compose_tools;
mod dashboards;
mod documents;
mod expressions;
mod files;
mod helm;
mod helm_values;
mod image;
mod metrics;
mod native;
mod prometheus;
mod remedies;
mod restore;
mod rolling;
mod rules;
mod scripts;
mod standby;
mod traffic;
mod watched;

#[path = "../faults/http.rs"]
mod http;
#[path = "../faults/ledger.rs"]
#[expect(dead_code, reason = "the fault tests need more of it")]
mod ledger;
#[path = "../faults/process.rs"]
#[expect(dead_code, reason = "the fault tests need more of it")]
mod process;
#[path = "../faults/servers.rs"]
#[expect(dead_code, reason = "the fault tests need more of it")]
mod servers;
