//! The words of the product: codes, links, clicks. Knows nothing of disks, sockets or clocks.

pub mod agent;
pub mod calendar;
pub mod click;
pub mod click_batch;
pub mod code;
pub mod counts;
pub mod dedupe;
pub mod inline;
pub mod key;
pub mod label;
pub mod link;
pub mod query;
pub mod route;
pub mod target;
pub mod time;
pub mod visitors;
