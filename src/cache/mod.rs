//! What is remembered: in the process ([`near`]) and between processes ([`far`]).

pub mod far;
pub mod near;
pub mod worker;
