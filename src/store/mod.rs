//! Where links and counts live: shards, and the router over them.

pub mod error;
pub mod migrate;
pub mod postgres;
pub mod rows;
mod settle;
pub mod shard;
pub mod sqlite;
