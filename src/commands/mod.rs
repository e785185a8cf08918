//! One file for each subcommand: what it does, in the order it does it.

pub mod analytics;
mod arguments;
mod ask;
pub mod classify;
pub mod completions;
pub mod diagnose;
pub mod failure;
pub mod keys;
pub mod loadtest;
pub mod man;
pub mod migrate;
pub mod producers;
pub mod report;
pub mod seed;
pub mod serve;
pub mod warmup;
mod worker;

pub use crate::commands::failure::Failure;
