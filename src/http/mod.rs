//! HTTP: requests in, answers out; what is decided is decided below.

mod body;
mod caller;
mod classify;
mod client;
mod confirm;
mod error;
mod figures;
mod follow;
mod front;
mod labels;
mod links;
mod pages;
mod preview;
mod probes;
mod qr;
mod redirect;
pub mod render;
mod server;
mod state;
mod stats;
mod unique_keys;
mod visit;
pub(crate) mod warm;
mod wrap;

pub use crate::http::figures::figures;
pub use crate::http::server::Listening;
pub use crate::http::server::Role;
pub use crate::http::server::admin;
pub use crate::http::server::public;
pub use crate::http::state::AppState;
pub use crate::http::state::Health;
pub use crate::http::state::Settings;
