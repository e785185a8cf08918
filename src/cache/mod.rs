//! What is remembered: in the process ([`near`]) and between processes ([`far`]).

pub mod far;
mod inline;
pub mod near;
pub mod worker;
