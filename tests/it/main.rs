//! The HTTP contract, asked of the real binary: embedded, with three files, and distributed.
//!
//! Without `URLSHORT_TEST_*` the distributed half is skipped; `URLSHORT_TEST_REQUIRED=1` makes that
//! a failure.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod access;
mod app;
mod bulk;
mod changes;
mod client;
mod creation;
mod following;
mod forwarding;
mod limits;
mod lists;
mod pages;
mod probes;
mod qr;
mod refusals;
mod servers;
mod statistics;
mod targets;
mod verdicts;
mod wire;
