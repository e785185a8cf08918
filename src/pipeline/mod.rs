//! Loops beside the requests: they keep caches honest and clicks moving, and stop without losing.

pub mod block_lists;
pub mod consume;
pub mod feed;
pub mod heartbeat;
pub mod label;
pub mod label_consume;
pub mod label_sweep;
pub mod lease;
pub mod link_ship;
pub mod outlet;
pub mod pace;
pub mod rollup;
pub mod ship;
mod supervise;
pub mod upkeep;

pub use crate::pipeline::supervise::supervise;
