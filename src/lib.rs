//! A URL shortener in one binary: embedded for one machine, distributed for many.
//!
//! # Map
//!
//! Rows are layers, lowest first; a module imports only from rows above its own, never from its
//! own row (`tests/tidy.rs`).
//!
//! 0. [`domain`]: codes, links, clicks. Knows nothing of disks, sockets or clocks.
//! 1. [`config`], [`telemetry`], [`slots`], [`shutdown`]: what the process runs with, what it says
//!    of itself, where a code belongs, when it ends.
//! 2. [`store`], [`cache`], [`events`], [`classify`]: one enum or type for each backend. None knows
//!    another.
//! 3. [`service`]: what the product does, without HTTP and without SQL.
//! 4. [`http`], [`pipeline`]: requests in; loops beside them.
//! 5. [`app`]: the composition root, the only place that builds a backend from its URL.
//! 6. [`commands`]: one file for each subcommand.
//! 7. [`cli`]: what can be typed.
//!
//! # Two straight lines
//!
//! A *redirect*: `http/front` (near hits, in front of the router) or `http/redirect` →
//! `service/redirect` → `cache/near` → `cache/far` → `store` → 302.
//!
//! A *label*: `store` commits → `events/links` (never waits) → with Kafka `pipeline/link_ship` →
//! `pipeline/label_consume`, without it `pipeline/label` → `classify` → `store` (only if the version
//! is still the one that was read; a changed verdict is told by the feed).
//!
//! A *click*: `events/queue` (never waits) → `events/spool` → with Kafka `pipeline/ship` →
//! `events/kafka` → `pipeline/consume`, without it `pipeline/rollup` → `store` (offset, watermarks
//! and counts in one transaction) → `service/stats`.
#![recursion_limit = "256"]
#![cfg_attr(
    test,
    expect(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test may stop at the first surprise"
    )
)]

pub mod app;
pub mod cache;
pub mod classify;
pub mod cli;
pub mod commands;
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
