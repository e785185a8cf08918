//! The spool: clicks on the local disk until they are counted, or the bus has them.
//!
//! # Why
//!
//! `SQLite` in WAL mode has torn writes, recovery and space reuse solved and tested. One row for each
//! slot and drain, appended in id order without an index on the slot: an index would make every
//! drain touch 64 pages. Readers read in autocommit and never delete; what is done is deleted by
//! the file's one writing connection, after the counts are committed.

mod adopt;
mod file;
mod ledger;
mod read;
mod registry;
mod salvage;
mod writer;

pub use crate::events::spool::adopt::adopt;
pub use crate::events::spool::file::SpoolError;
pub use crate::events::spool::file::SpoolFile;
pub use crate::events::spool::ledger::Ledger;
pub use crate::events::spool::read::Row;
pub use crate::events::spool::registry::Report;
pub use crate::events::spool::registry::Spool;
pub use crate::events::spool::registry::SpoolOptions;
