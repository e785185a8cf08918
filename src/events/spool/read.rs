//! Reading the spool: rows in order, and the clicks in them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use rusqlite::params;

use crate::domain::agent::AgentTable;
use crate::domain::click::ClickKind;
use crate::domain::click::Hit;
use crate::domain::click_batch::ClickBatch;
use crate::domain::click_batch::Origin;
use crate::domain::time::Timestamp;
use crate::events::codec;
use crate::events::codec::Texts;
use crate::events::spool::file::SpoolError;
use crate::events::spool::file::SpoolFile;
use crate::slots::Slot;

/// Payload bytes that one read brings at most.
const MAX_READ: usize = 64 << 20;
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
    /// The next rows after `id`, in order: at most `limit`, and about 64 MiB.
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

    /// By slot, the last number and the time of the first click that it holds.
    ///
    /// # Errors
    /// The disk, or damage.
    pub(super) fn numbers(&self) -> Result<Vec<(Slot, u64, Timestamp)>, SpoolError> {
        let mut numbers = BTreeMap::new();
        self.note_numbers(&mut numbers)?;
        let of_slot = |(slot, (last, oldest))| (slot, last, oldest);
        Ok(numbers.into_iter().map(of_slot).collect())
    }

    fn note_numbers(
        &self,
        numbers: &mut BTreeMap<Slot, (u64, Timestamp)>,
    ) -> Result<(), SpoolError> {
        let reader = self.reader();
        let mut statement =
            reader.prepare("SELECT slot, first_seq + count - 1, at FROM spool ORDER BY id")?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let Some(slot) = Slot::new(row.get(0)?) else {
                continue;
            };
            let (last, at) = (row.get(1)?, Timestamp::from_micros(row.get(2)?));
            let (highest, oldest) = numbers.entry(slot).or_insert((last, at));
            *highest = last.max(*highest);
            *oldest = at.min(*oldest);
        }
        Ok(())
    }

    /// Reads rows of this file into a batch.
    #[must_use]
    pub fn unpacking(&self) -> Unpacking<'_> {
        let known = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        Unpacking {
            file: self,
            rows: codec::Unpacking::new(FileTexts { file: self, known }),
        }
    }
}

/// Reads rows of one file into one batch; the file's texts are locked meanwhile.
#[derive(Debug)]
pub struct Unpacking<'file> {
    file: &'file SpoolFile,
    rows: codec::Unpacking<FileTexts<'file>>,
}

impl Unpacking<'_> {
    /// Appends a row's clicks to the batch, which must be the same for every row. A row that is
    /// damaged is told, and gives what stands in front of the damage.
    pub fn row(&mut self, row: &Row, agents: &mut AgentTable, batch: &mut ClickBatch) {
        let origin = Origin {
            producer: self.file.producer,
            slot: row.slot.number(),
            first_seq: row.first_seq,
        };
        if let Err(error) = self.rows.row(&row.payload, origin, agents, batch) {
            let path = self.file.path.display();
            tracing::error!(%path, row = row.id, %error, "the rest of a row is lost");
        }
    }
}

/// The texts of a file, read once each.
#[derive(Debug)]
struct FileTexts<'file> {
    file: &'file SpoolFile,
    known: MutexGuard<'file, Vec<Option<KnownText>>>,
}

/// A text, and the kind of click that it means as a user agent, once that was asked for.
#[derive(Clone, Debug)]
pub(super) struct KnownText {
    text: Arc<str>,
    kind: Option<ClickKind>,
}

impl FileTexts<'_> {
    fn place(&mut self, number: u32) -> Option<&mut KnownText> {
        let index = number as usize;
        if !matches!(self.known.get(index), Some(Some(_))) {
            let sql = "SELECT text FROM texts WHERE id = ?1";
            let found = self
                .file
                .reader()
                .prepare_cached(sql)
                .and_then(|mut statement| {
                    statement.query_row([number], |row| row.get::<_, String>(0))
                });
            // A text that is not there is not remembered: it may come with a later row.
            let text = found.ok()?.into();
            if index >= MAX_TEXTS {
                return None;
            }
            if self.known.len() <= index {
                self.known.resize(index + 1, None);
            }
            *self.known.get_mut(index)? = Some(KnownText { text, kind: None });
        }
        self.known.get_mut(index)?.as_mut()
    }
}

impl Texts for FileTexts<'_> {
    fn text(&mut self, number: u32) -> Arc<str> {
        self.place(number)
            .map_or_else(|| "".into(), |known| Arc::clone(&known.text))
    }

    fn agent(&mut self, number: u32, agents: &mut AgentTable) -> (Arc<str>, ClickKind) {
        let Some(known) = self.place(number) else {
            return ("".into(), ClickKind::Bot);
        };
        let kind = *known
            .kind
            .get_or_insert_with(|| agents.kind(Hit::Get, &known.text));
        (Arc::clone(&known.text), kind)
    }
}
