//! A URL shortener in one binary: embedded for one machine, distributed for many.
#![cfg_attr(
    test,
    expect(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test may stop at the first surprise"
    )
)]

pub mod cache;
pub mod config;
pub mod domain;
pub mod events;
pub mod http;
pub mod pipeline;
pub mod service;
pub mod shutdown;
pub mod slots;
pub mod store;
pub mod telemetry;
