//! Reading the spool: rows in order, and the clicks in them.

use std::sync::Arc;
use std::sync::PoisonError;

use rusqlite::params;

use crate::domain::agent::AgentTable;
use crate::domain::click::Click;
use crate::domain::time::Timestamp;
use crate::events::codec;
use crate::events::codec::RowOrigin;
use crate::events::spool::file::SpoolError;
use crate::events::spool::file::SpoolFile;
use crate::slots::Slot;

/// Payload bytes that one read brings at most.
const MAX_READ: usize = 24 << 20;
/// Texts that are remembered at most: more than a file ever has.
const MAX_TEXTS: usize = 100_000;

/// One row: the clicks of one slot and drain.
#[derive(Clone, Debug)]
pub struct Row {
    /// Grows in the order of writing.
    pub id: i64,
    /// The slot of all its clicks.
    pub slot: Slot,
    /// The number of its first click.
    pub first_seq: u64,
    /// How many clicks.
    pub count: u64,
    /// The time of its first click.
    pub at: Timestamp,
    payload: Vec<u8>,
}

impl Row {
    /// The bytes of its clicks.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.payload.len() as u64
    }
}

impl SpoolFile {
    /// The next rows after `id`, in order: at most `limit`, and about 24 MiB.
    ///
    /// # Errors
    /// The disk, or damage.
    pub fn rows_after(&self, id: i64, limit: usize) -> Result<Vec<Row>, SpoolError> {
        self.rows("SELECT id, slot, first_seq, count, at, payload FROM spool WHERE id > ?1 ORDER BY id LIMIT ?2",
            params![id, i64::try_from(limit).unwrap_or(i64::MAX)])
    }

    /// The rows of `producer`'s clicks `from..=to` in `slot` that are still there.
    ///
    /// # Errors
    /// The disk, or damage.
    pub fn rows_with(&self, slot: Slot, from: u64, to: u64) -> Result<Vec<Row>, SpoolError> {
        self.rows(
            "SELECT id, slot, first_seq, count, at, payload FROM spool \
             WHERE slot = ?1 AND first_seq <= ?3 AND first_seq + count > ?2 ORDER BY id LIMIT 1000",
            params![slot.number(), from, to],
        )
    }

    fn rows(&self, sql: &str, parameters: &[&dyn rusqlite::ToSql]) -> Result<Vec<Row>, SpoolError> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached(sql)?;
        let mut found = statement.query(parameters)?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while let Some(row) = found.next()? {
            let Some(slot) = Slot::new(row.get(1)?) else {
                continue;
            };
            let payload: Vec<u8> = row.get(5)?;
            bytes += payload.len();
            rows.push(Row {
                id: row.get(0)?,
                slot,
                first_seq: row.get(2)?,
                count: row.get(3)?,
                at: Timestamp::from_micros(row.get(4)?),
                payload,
            });
            if bytes > MAX_READ {
                break;
            }
        }
        Ok(rows)
    }

    /// The rows of one slot from `id` on, in order.
    ///
    /// # Errors
    /// The disk, or damage.
    pub fn rows_of(&self, slot: Slot, id: i64, limit: usize) -> Result<Vec<Row>, SpoolError> {
        self.rows(
            "SELECT id, slot, first_seq, count, at, payload FROM spool \
             WHERE slot = ?1 AND id >= ?2 ORDER BY id LIMIT ?3",
            params![slot.number(), id, i64::try_from(limit).unwrap_or(i64::MAX)],
        )
    }

    /// The clicks of a row, numbered. A damaged row is told and gives none.
    pub fn clicks(&self, row: &Row, agents: &mut AgentTable, clicks: &mut Vec<Click>) {
        let origin = RowOrigin {
            producer: self.producer,
            slot: row.slot,
            first_seq: row.first_seq,
        };
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = |number: u32| self.text(&mut texts, number);
        if let Err(error) = codec::decode(&row.payload, origin, &mut text, agents, clicks) {
            let path = self.path.display();
            tracing::error!(%path, row = row.id, %error, "the rest of a row is lost");
        }
    }

    fn text(&self, texts: &mut Vec<Option<Arc<str>>>, number: u32) -> Arc<str> {
        let index = number as usize;
        if let Some(Some(text)) = texts.get(index) {
            return Arc::clone(text);
        }
        let sql = "SELECT text FROM texts WHERE id = ?1";
        let found = self
            .reader()
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row([number], |row| row.get::<_, String>(0)));
        // A text that is not there is not remembered: it may come with a later row.
        let Ok(found) = found else { return "".into() };
        let text: Arc<str> = found.into();
        if index < MAX_TEXTS {
            if texts.len() <= index {
                texts.resize(index + 1, None);
            }
            if let Some(place) = texts.get_mut(index) {
                *place = Some(Arc::clone(&text));
            }
        }
        text
    }
}
