//! What the product does, without HTTP and without SQL.

pub mod coherence;
pub mod freshness;
pub mod keys;
pub mod limits;
pub mod link_input;
pub mod links;
pub mod redirect;
pub mod stats;
pub mod visitors;
