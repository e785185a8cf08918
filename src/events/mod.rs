//! Clicks on their way: the queue in memory, the spool on disk, the bus between machines.

pub mod codec;
pub mod kafka;
pub mod links;
pub mod queue;
pub mod spool;
