//! Migrations: numbered files, one list for each store, applied in order, each in a transaction.
//!
//! # Why
//!
//! A runner of our own, because both stores must move in step and no migration crate links the
//! same `SQLite` as the rest of the program. Steps only ever add: an older process may still run.

use rusqlite::Connection;
use rusqlite::TransactionBehavior;

use crate::domain::time::Timestamp;

/// One step.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// From 1, without gaps.
    pub version: i64,
    /// For people.
    pub name: &'static str,
    /// Its statements.
    pub sql: &'static str,
}

/// The steps of a file-backed shard.
pub const SQLITE: &[Migration] = &[
    Migration {
        version: 1,
        name: "init",
        sql: include_str!("../../migrations/sqlite/0001_init.sql"),
    },
    Migration {
        version: 2,
        name: "labels",
        sql: include_str!("../../migrations/sqlite/0002_labels.sql"),
    },
];

/// The steps of a server's shard.
pub const POSTGRES: &[Migration] = &[
    Migration {
        version: 1,
        name: "init",
        sql: include_str!("../../migrations/postgres/0001_init.sql"),
    },
    Migration {
        version: 2,
        name: "labels",
        sql: include_str!("../../migrations/postgres/0002_labels.sql"),
    },
];

/// Applies what is pending to a file. Any number of processes may do so at once.
///
/// # Errors
/// What `SQLite` says; nothing of a failed step remains.
pub fn sqlite(connection: &mut Connection, now: Timestamp) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_versions \
         (version integer PRIMARY KEY, name text NOT NULL, applied_at integer NOT NULL) STRICT",
    )?;
    for step in SQLITE {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let known = transaction
            .prepare("SELECT 1 FROM schema_versions WHERE version = ?1")?
            .exists([step.version])?;
        if !known {
            transaction.execute_batch(step.sql)?;
            transaction.execute(
                "INSERT INTO schema_versions (version, name, applied_at) VALUES (?1, ?2, ?3)",
                rusqlite::params![step.version, step.name, now.micros()],
            )?;
        }
        transaction.commit()?;
    }
    Ok(())
}
