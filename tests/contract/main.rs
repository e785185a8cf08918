//! The contract of a shard, run over both stores: what a file does, a server does too.
//!
//! Each test gets a file and a database of its own. Without `URLSHORT_TEST_POSTGRES_0` the server's
//! half is skipped; `URLSHORT_TEST_REQUIRED=1` makes that a failure.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod cluster;
mod feed;
mod guard;
mod labels;
mod leases;
mod links;
mod lists;
mod rollup;
mod settling;
mod support;
