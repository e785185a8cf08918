//! Where links and counts live: shards, and the router over them.

pub mod clock;
mod cluster;
mod data;
pub mod error;
mod founding;
mod labels;
mod member;
pub mod migrate;
mod namespace;
mod ownership;
pub mod postgres;
pub mod router;
pub mod rows;
mod settle;
pub mod shard;
pub mod sqlite;
pub mod vitals;

pub use crate::store::cluster::Judgement;
pub use crate::store::cluster::SLOT_MAP_KEY;
pub use crate::store::error::StoreError;
pub use crate::store::member::Member;
pub use crate::store::member::MemberState;
pub use crate::store::router::Store;
