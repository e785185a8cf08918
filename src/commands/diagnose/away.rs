//! Why a shard does not answer, and what to do about it.

use std::error::Error;
use std::path::Path;

use rusqlite::ErrorCode;
use tokio_postgres::error::DbError;
use tokio_postgres::error::SqlState;

use crate::commands::diagnose::finding::Remedy;
use crate::commands::diagnose::finding::cause;
use crate::commands::diagnose::reach;
use crate::commands::diagnose::shell;
use crate::config::ShardUrl;
use crate::store::error::StoreError;

/// What is the matter with the file of a shard that is a folder, if it is.
pub(super) fn folder(shard: &ShardUrl, setting: &str) -> Option<Remedy> {
    let ShardUrl::Sqlite(path) = shard else {
        return None;
    };
    path.is_dir().then(|| {
        Remedy::new(
            format!("{} is a folder, and a shard is a file", path.display()),
            format!("name a file in {setting}"),
            format!("ls -ld {}", shell::file(path)),
        )
    })
}

/// What is the matter with a shard that said `error`, or nothing in time; `setting` names it.
pub(super) async fn explain(shard: &ShardUrl, error: Option<&StoreError>, setting: &str) -> Remedy {
    match shard {
        ShardUrl::Sqlite(path) => of_file(path, shard, error, setting),
        ShardUrl::Postgres(_) => of_server(shard, error, setting).await,
    }
}

fn of_file(path: &Path, shard: &ShardUrl, error: Option<&StoreError>, setting: &str) -> Remedy {
    let file = shell::file(path);
    let look = format!("ls -ld {file}");
    let Some(error) = error else {
        return Remedy::new(
            "the file does not answer for 2 s: its disk hangs, or another process holds its lock",
            "find out who has the file open, and whether its disk answers",
            format!("fuser -v {file}"),
        );
    };
    let told = cause(error);
    if matches!(error, StoreError::Corrupt { .. }) {
        return Remedy::new(
            format!("the file is damaged: {told}"),
            "stop `serve`, put the backup of this file in its place and run `urlshort migrate \
             --restored`; without a backup, sqlite3's `.recover` saves what can be read",
            shell::sql(shard, "PRAGMA integrity_check"),
        );
    }
    match chained::<rusqlite::Error>(error).and_then(rusqlite::Error::sqlite_error_code) {
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            Remedy::new(
                told,
                format!("give this user the right to read and write it, or correct {setting}"),
                look,
            )
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Remedy::new(
            told,
            "find out which process keeps it locked",
            format!("fuser -v {file}"),
        ),
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => Remedy::new(
            told,
            "free some disk, or replace the disk that fails",
            format!("df -h {file}"),
        ),
        Some(_) | None => Remedy::new(told, format!("correct {setting}"), look),
    }
}

async fn of_server(shard: &ShardUrl, error: Option<&StoreError>, setting: &str) -> Remedy {
    if let Some(refusal) = error.and_then(|error| chained::<DbError>(error)) {
        return refused(shard, refusal, setting);
    }
    let addresses = shard.addresses();
    let Some((host, port)) = addresses.first() else {
        return Remedy::new(
            error.map_or_else(|| "silent for 2 s".to_owned(), |error| cause(error)),
            format!("start the server, or correct {setting}"),
            shell::sql(shard, "SELECT 1"),
        );
    };
    let told = error.map(|error| cause(error));
    let away = reach::explain_all(&addresses, told.as_deref(), setting).await;
    let ready = format!("pg_isready -h {} -p {port}", shell::quoted(host));
    Remedy::new(away.cause, away.next, away.command.unwrap_or(ready))
}

/// The server is there, and says no.
fn refused(shard: &ShardUrl, refusal: &DbError, setting: &str) -> Remedy {
    let code = refusal.code();
    let told = format!("{} ({})", refusal.message(), code.code());
    let ask = shell::sql(shard, "SELECT 1");
    if [
        SqlState::INVALID_PASSWORD,
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
    ]
    .contains(code)
    {
        let next = format!("correct the user and the password in {setting}");
        Remedy::new(told, next, ask)
    } else if *code == SqlState::INVALID_CATALOG_NAME {
        let next = format!("make the database on that server, or correct its name in {setting}");
        Remedy::new(told, next, create_database(shard))
    } else if *code == SqlState::TOO_MANY_CONNECTIONS {
        let next = "raise max_connections, or run fewer processes per shard";
        let sql = "SELECT application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2";
        Remedy::new(told, next, shell::sql(shard, sql))
    } else if *code == SqlState::CANNOT_CONNECT_NOW {
        let next = "wait: it starts, stops or recovers; its log says how far it is";
        Remedy::new(told, next, ask)
    } else {
        let next = format!("look at its log, or correct {setting}");
        Remedy::new(told, next, ask)
    }
}

/// `createdb` for the database that the URL names.
fn create_database(shard: &ShardUrl) -> String {
    let login = shell::login(shard);
    let (server, name) = login.rsplit_once('/').unwrap_or((login.as_str(), ""));
    format!(
        "createdb --maintenance-db={} {}",
        shell::quoted(&format!("{server}/postgres")),
        shell::quoted(name)
    )
}

/// The first error of that kind in the chain below `error`.
fn chained<E: Error + 'static>(error: &StoreError) -> Option<&E> {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(inner) = source {
        if let Some(found) = inner.downcast_ref::<E>() {
            return Some(found);
        }
        source = inner.source();
    }
    None
}
