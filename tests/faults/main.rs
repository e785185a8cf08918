//! Real processes and real servers, really broken: killed, frozen, flushed, away at the start.
//!
//! Each test keeps a ledger of what was acknowledged and compares it with what is there in the end.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise, and says what it skips"
)]

mod clicks;
mod coherence;
mod distrust;
mod freshness;
mod fullness;
mod http;
mod impostors;
mod ledger;
mod outages;
mod process;
mod servers;
mod start;
mod stopped;
