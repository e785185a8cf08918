//! One file for each subcommand: what it does, in the order it does it.

pub mod analytics;
pub mod diagnose;
pub mod failure;
pub mod keys;
pub mod migrate;
pub mod report;
pub mod seed;
pub mod serve;

pub use crate::commands::failure::Failure;
