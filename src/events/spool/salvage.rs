//! A damaged file: what can still be read goes into a new one, the rest is left to people.

use rusqlite::Connection;

use crate::events::spool::file::NewRow;
use crate::events::spool::file::SpoolError;
use crate::events::spool::file::SpoolFile;
use crate::slots::Slot;

/// A row as it was written.
struct Saved {
    id: i64,
    slot: u8,
    first_seq: u64,
    count: u64,
    at: i64,
    payload: Vec<u8>,
}

/// Copies the readable rows of `file` into a new file beside it, under the same producer; answers
/// the new file, or nothing where no row can be read, and how many rows were saved.
///
/// # Errors
/// The disk, for the new file.
pub(super) fn salvage(file: &SpoolFile) -> Result<(Option<SpoolFile>, usize), SpoolError> {
    let (rows, texts) = {
        let reader = file.reader();
        (rows(&reader), texts(&reader))
    };
    let Some(folder) = file.path.parent().filter(|_| !rows.is_empty()) else {
        return Ok((None, 0));
    };
    let new = SpoolFile::create(folder, file.producer, false)?;
    new.append(&texts, &[])?;
    let saved: Vec<NewRow<'_>> = rows
        .iter()
        .filter_map(|row| {
            Some(NewRow {
                slot: Slot::new(row.slot)?,
                first_seq: row.first_seq,
                count: row.count,
                at: row.at,
                payload: &row.payload,
            })
        })
        .collect();
    for some in saved.chunks(64) {
        new.append(&[], some)?;
    }
    new.close();
    Ok((Some(new), saved.len()))
}

/// The rows before the first damaged page, and those behind the last one.
fn rows(reader: &Connection) -> Vec<Saved> {
    let (mut rows, whole) = rows_in(reader, "ASC", i64::MIN);
    if !whole {
        let last = rows.last().map_or(i64::MIN, |row| row.id);
        let (mut behind, _) = rows_in(reader, "DESC", last);
        behind.reverse();
        rows.append(&mut behind);
    }
    rows
}

/// Rows with ids above `after`, in this order, up to the first that cannot be read; and whether
/// none was.
fn rows_in(reader: &Connection, order: &str, after: i64) -> (Vec<Saved>, bool) {
    let sql = format!(
        "SELECT id, slot, first_seq, count, at, payload FROM spool WHERE id > ?1 ORDER BY id {order}"
    );
    let mut rows = Vec::new();
    let outcome = reader.prepare(&sql).and_then(|mut statement| {
        let mut found = statement.query([after])?;
        while let Some(row) = found.next()? {
            rows.push(Saved {
                id: row.get(0)?,
                slot: row.get(1)?,
                first_seq: row.get(2)?,
                count: row.get(3)?,
                at: row.get(4)?,
                payload: row.get(5)?,
            });
        }
        Ok(())
    });
    (rows, outcome.is_ok())
}

/// The texts that can be read; a click that names another one has `other`.
fn texts(reader: &Connection) -> Vec<(u32, Box<str>)> {
    let mut texts = Vec::new();
    for order in ["ASC", "DESC"] {
        let sql = format!("SELECT id, text FROM texts ORDER BY id {order}");
        let outcome = reader.prepare(&sql).and_then(|mut statement| {
            let mut found = statement.query([])?;
            while let Some(row) = found.next()? {
                texts.push((row.get(0)?, row.get::<_, String>(1)?.into_boxed_str()));
            }
            Ok(())
        });
        if outcome.is_ok() {
            break;
        }
    }
    texts
}
