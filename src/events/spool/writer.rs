//! The one thread that drains the queue into the spool.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::domain::time::Timestamp;
use crate::events::codec;
use crate::events::codec::Spooled;
use crate::events::queue::Drained;
use crate::events::queue::EMPTY;
use crate::events::queue::OTHER;
use crate::events::queue::Queue;
use crate::events::queue::Record;
use crate::events::spool::file::NewRow;
use crate::events::spool::file::SpoolError;
use crate::events::spool::file::SpoolFile;
use crate::events::spool::registry::Spool;
use crate::slots::SLOTS;
use crate::slots::Slot;
use crate::telemetry;
use crate::telemetry::DropReason;

/// A file with this many texts or bytes is closed and a new one begun: nothing else gives back to
/// the disk what texts and deleted rows took.
const MAX_TEXTS: u32 = 65_536;
const MAX_FILE: u64 = 256 << 20;
/// A file is closed at this part of what the spool may hold, if that is less.
const PARTS: u64 = 4;
/// The first number that a file gives to a text.
const FIRST_TEXT: u32 = EMPTY as u32 + 1;

/// State of the writing thread.
pub(super) struct Writer {
    spool: Arc<Spool>,
    queue: Arc<Queue>,
    file: Option<Arc<SpoolFile>>,
    next_seq: [u64; SLOTS as usize],
    /// By lane: the lane's number of a text → the file's.
    numbers: Vec<Vec<u32>>,
    next_text: u32,
    /// Whether the next drain is the last one into this file.
    worn: bool,
    /// Whether lanes name texts that no file holds.
    unnamed: bool,
    round: u64,
    spares: Vec<Vec<Record>>,
    payloads: Vec<Vec<u8>>,
    measured: Option<Instant>,
    failing: bool,
}

impl Writer {
    pub(super) fn new(spool: Arc<Spool>, queue: Arc<Queue>) -> Self {
        let lanes = queue.lanes();
        Self {
            spool,
            queue,
            file: None,
            next_seq: [1; SLOTS as usize],
            numbers: vec![Vec::new(); lanes],
            next_text: FIRST_TEXT,
            worn: false,
            unnamed: false,
            round: 0,
            spares: vec![Vec::new(); lanes],
            payloads: vec![Vec::new(); SLOTS as usize],
            measured: None,
            failing: false,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            // Read before the drain: what was pushed before the stop is in this last one.
            let last = self.spool.stop.load(Ordering::Acquire);
            let begun = Instant::now();
            self.drain();
            self.measure();
            if last {
                if let Some(file) = &self.file {
                    file.close();
                    file.checkpoint(true);
                }
                self.spool.set_writer(None);
                return;
            }
            thread::park_timeout(self.spool.options.drain.saturating_sub(begun.elapsed()));
        }
    }

    fn drain(&mut self) {
        self.round += 1;
        let spares = std::mem::take(&mut self.spares);
        // A new file knows none of the texts that the lanes have numbers for.
        let renew = self.worn || std::mem::take(&mut self.unnamed);
        let drained: Vec<Drained> = spares
            .into_iter()
            .enumerate()
            .map(|(lane, spare)| self.queue.drain(lane, spare, renew))
            .collect();
        let clicks: usize = drained.iter().map(|lane| lane.clicks.len()).sum();
        let outcome = if clicks == 0 && drained.iter().all(|lane| lane.fresh.is_empty()) {
            Ok(())
        } else {
            self.write(&drained)
        };
        match &outcome {
            Ok(()) if clicks == 0 => (),
            Ok(()) => {
                self.failing = false;
                telemetry::clicks_spooled(clicks as u64);
            }
            Err(error) => {
                if !self.failing {
                    tracing::error!(%error, clicks, "clicks are lost: the spool cannot be written");
                }
                self.failing = true;
                self.forget_fresh(&drained);
                telemetry::clicks_dropped(DropReason::SpoolError, clicks as u64);
            }
        }
        self.spool.failing.store(self.failing, Ordering::Relaxed);
        self.spares = drained
            .into_iter()
            .enumerate()
            .map(|(lane, mut taken)| {
                if taken.reset {
                    self.forget(lane);
                }
                taken.clicks.clear();
                taken.clicks
            })
            .collect();
        let (round, failed) = (self.round, outcome.is_err() && clicks > 0);
        let waited_for = clicks > 0 || self.spool.reports.receiver_count() > 0;
        if waited_for {
            self.spool.reports.send_modify(|report| {
                report.done = round;
                if failed {
                    report.failed.push(round);
                    let surplus = report.failed.len().saturating_sub(64);
                    report.failed.drain(..surplus);
                }
            });
        }
        if self.worn {
            self.replace_file();
        }
    }

    fn forget(&mut self, lane: usize) {
        if let Some(numbers) = self.numbers.get_mut(lane) {
            numbers.clear();
        }
    }

    /// These texts were not written: who names one of them before the lane begins anew means none.
    fn forget_fresh(&mut self, drained: &[Drained]) {
        for (numbers, taken) in self.numbers.iter_mut().zip(drained) {
            for (number, _) in &taken.fresh {
                if let Some(place) = numbers.get_mut(usize::from(*number)) {
                    *place = OTHER.into();
                }
                self.unnamed = true;
            }
        }
    }

    /// One transaction: new texts, and one row for each slot.
    fn write(&mut self, drained: &[Drained]) -> Result<(), SpoolError> {
        if self.spool.is_full() {
            let clicks: usize = drained.iter().map(|lane| lane.clicks.len()).sum();
            telemetry::clicks_dropped(DropReason::SpoolFull, clicks as u64);
            self.forget_fresh(drained);
            self.mark_failed();
            return Ok(());
        }
        let file = self.file()?;
        let mut texts = Vec::new();
        for (lane, taken) in drained.iter().enumerate() {
            for (number, text) in &taken.fresh {
                let id = self.name(lane, *number);
                texts.push((id, text.clone()));
            }
        }
        self.worn |= self.next_text >= MAX_TEXTS;
        let mut rows = [(0_u64, 0_i64); SLOTS as usize]; // clicks and time of the first, by slot
        for (lane, taken) in drained.iter().enumerate() {
            for click in &taken.clicks {
                self.encode(lane, click, &mut rows);
            }
        }
        let half_full = self.spool.bytes() > self.spool.options.bytes / 2;
        let share = self.spool.options.bytes / 2 / u64::from(SLOTS);
        let mut new = Vec::new();
        for slot in Slot::all() {
            let (Some((count, at)), Some(payload)) = (
                rows.get(slot.index()).copied(),
                self.payloads.get(slot.index()),
            ) else {
                continue;
            };
            if count == 0 {
                continue;
            }
            let held = self.spool.by_slot.get(slot.index());
            if half_full && held.is_some_and(|held| held.load(Ordering::Relaxed) > share) {
                telemetry::clicks_dropped(DropReason::SpoolFull, count);
                self.mark_failed();
                continue;
            }
            let first_seq = self.next_seq.get(slot.index()).copied().unwrap_or(1);
            new.push(NewRow {
                slot,
                first_seq,
                count,
                at,
                payload,
            });
        }
        file.append(&texts, &new)?;
        // Only now: numbers of a failed transaction are given again.
        let numbers = new.iter().map(|row| {
            let last = row.first_seq + row.count - 1;
            (row.slot, last, Timestamp::from_micros(row.at))
        });
        self.spool.ledger.issue(self.spool.producer, numbers);
        for row in new {
            if let Some(next) = self.next_seq.get_mut(row.slot.index()) {
                *next += row.count;
            }
            if let Some(held) = self.spool.by_slot.get(row.slot.index()) {
                held.fetch_add(row.payload.len() as u64, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn mark_failed(&self) {
        let round = self.round;
        self.spool
            .reports
            .send_modify(|report| report.failed.push(round));
    }

    fn encode(&mut self, lane: usize, click: &Record, rows: &mut [(u64, i64); SLOTS as usize]) {
        let numbers = self.numbers.get(lane).map_or(&[][..], Vec::as_slice);
        let text = |number: u16| match number {
            OTHER | EMPTY => number.into(),
            _ => numbers
                .get(usize::from(number))
                .copied()
                .unwrap_or(OTHER.into()),
        };
        let spooled = Spooled {
            code: click.code.as_str(),
            at: click.at,
            visitor: click.visitor,
            agent: text(click.agent),
            referrer: text(click.referrer),
            language: text(click.language),
            country: click.country,
            hit: click.hit,
            trigger: click.trigger,
        };
        let slot = click.slot.index();
        let (Some((count, at)), Some(payload)) = (rows.get_mut(slot), self.payloads.get_mut(slot))
        else {
            return;
        };
        if *count == 0 {
            *at = click.at;
            codec::begin(payload);
        }
        *count += 1;
        codec::append(payload, &spooled);
    }

    /// Gives a lane's text a number in the file.
    fn name(&mut self, lane: usize, number: u16) -> u32 {
        let id = self.next_text;
        self.next_text += 1;
        if let Some(numbers) = self.numbers.get_mut(lane) {
            let at = usize::from(number);
            if numbers.len() <= at {
                numbers.resize(at + 1, OTHER.into());
            }
            if let Some(place) = numbers.get_mut(at) {
                *place = id;
            }
        }
        id
    }

    /// The file to append to; the first click makes it.
    fn file(&mut self) -> Result<Arc<SpoolFile>, SpoolError> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        self.new_file()
    }

    fn new_file(&mut self) -> Result<Arc<SpoolFile>, SpoolError> {
        let options = &self.spool.options;
        let file = Arc::new(SpoolFile::create(
            &options.folder,
            self.spool.producer,
            options.fsync,
        )?);
        let texts = [(OTHER.into(), "other".into()), (EMPTY.into(), "".into())];
        let named = file
            .append(&texts, &[])
            .and_then(|()| match self.spool.cluster() {
                Some(cluster) => file.set_cluster(&cluster),
                None => Ok(()),
            });
        named.inspect_err(|_| file.remove())?;
        let mut files = self
            .spool
            .files
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        files.push(Arc::clone(&file));
        self.next_text = FIRST_TEXT;
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Closes the file and begins a new one, which must be there first: without any file the
    /// producer would be over.
    fn replace_file(&mut self) {
        self.worn = false;
        let old = self.file.clone();
        match (self.new_file(), old) {
            (Ok(_), Some(old)) => {
                old.close();
                if old.is_empty().unwrap_or(false) {
                    self.spool.discard(&old);
                }
            }
            (Ok(_), None) => (),
            // It serves on; measuring finds it worn again.
            (Err(error), _) => tracing::warn!(%error, "no new spool file can be made"),
        }
    }

    /// Once a second: how much the files hold, and whether that is too much.
    fn measure(&mut self) {
        if self
            .measured
            .is_some_and(|at| at.elapsed() < Duration::from_secs(1))
        {
            return;
        }
        self.measured = Some(Instant::now());
        let limit = self.spool.options.bytes;
        let most = MAX_FILE.min(limit / PARTS);
        self.worn |= self
            .file
            .as_ref()
            .is_some_and(|file| file.data_bytes() > most);
        let held = || self.spool.files().iter().map(|file| file.bytes()).sum();
        let mut bytes: u64 = held();
        if bytes > limit / 2 {
            // Is it clicks, or a WAL that is longer than it need be?
            for file in self.spool.files() {
                file.checkpoint(true);
            }
            bytes = held();
        }
        self.spool.bytes.store(bytes, Ordering::Relaxed);
        telemetry::spool_bytes(bytes);
        telemetry::spool_limit(limit);
        let full = bytes > limit;
        if full != self.spool.is_full() {
            self.spool.reports.send_modify(|report| report.full = full);
            if full {
                tracing::error!(
                    bytes,
                    "the spool is full: clicks are lost until it is shipped"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::click::Hit;
    use crate::domain::click::Trigger;
    use crate::events::queue::Visit;
    use crate::events::spool::registry::SpoolOptions;

    const LIMIT: u64 = 1 << 20;

    fn writer() -> Writer {
        let options = SpoolOptions {
            folder: std::env::temp_dir().join(format!("urlshort-{}", uuid::Uuid::now_v7())),
            drain: Duration::from_millis(5),
            fsync: false,
            bytes: LIMIT,
        };
        let writer = Writer::new(Spool::new(options), Arc::new(Queue::new(1)));
        writer.spool.set_cluster("cluster");
        writer
    }

    /// Clicks whose agents, 500 bytes each, nobody had before.
    fn visit(writer: &Writer, agents: std::ops::Range<u32>) {
        for agent in agents {
            let agent = format!("{agent:0500}");
            let visit = Visit {
                // Few texts are new in any second.
                at: i64::from(agent.as_bytes()[497]) * 1_000_000,
                visitor: 1,
                agent: agent.as_bytes(),
                referrer: b"",
                language: b"",
                country: [0; 2],
                hit: Hit::Get,
                trigger: Trigger::Link,
            };
            writer.queue.push(0, Slot::of("a"), "a", &visit).unwrap();
        }
    }

    fn turn(writer: &mut Writer) {
        writer.drain();
        for file in writer.spool.files() {
            file.checkpoint(false);
        }
        writer.measured = None;
        writer.measure();
    }

    fn agents(file: &SpoolFile) -> Vec<String> {
        let mut table = crate::domain::agent::AgentTable::default();
        let mut batch = crate::domain::click_batch::ClickBatch::default();
        for row in file.rows_after(0, 1_000).unwrap() {
            file.unpacking().row(&row, &mut table, &mut batch);
        }
        batch
            .clicks()
            .map(|click| click.agent.to_string())
            .collect()
    }

    #[test]
    fn a_worn_file_is_replaced_and_no_text_is_mistaken() {
        let mut writer = writer();
        visit(&writer, 0..600);
        turn(&mut writer);
        visit(&writer, 590..610);
        writer.drain();
        visit(&writer, 600..620);
        writer.drain();
        let files = writer.spool.files();
        assert_eq!(files.len(), 2);
        assert!(files[0].is_closed() && !files[1].is_closed());
        assert!(files[1].data_bytes() < LIMIT / PARTS);
        let expected = |range: std::ops::Range<u32>| range.map(|n| format!("{n:0500}"));
        let old: Vec<String> = expected(0..600).chain(expected(590..610)).collect();
        assert_eq!(agents(&files[0]), old);
        assert_eq!(agents(&files[1]), expected(600..620).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_spool_takes_clicks_again_once_all_are_counted() {
        let mut writer = writer();
        visit(&writer, 0..2_500);
        turn(&mut writer);
        assert!(writer.spool.is_full());
        visit(&writer, 3_000..3_001);
        turn(&mut writer);
        let files = writer.spool.files();
        assert_eq!(files.len(), 2);
        assert_eq!(agents(&files[0]).len(), 2_500);
        assert!(writer.spool.is_full(), "nothing was counted");
        let ids: Vec<i64> = files[0]
            .rows_after(0, 100)
            .unwrap()
            .iter()
            .map(|row| row.id)
            .collect();
        files[0].delete(&ids).unwrap();
        writer.spool.discard(&files[0]);
        turn(&mut writer);
        assert!(!writer.spool.is_full());
        // Its text was named while nothing was written down.
        visit(&writer, 3_000..3_001);
        writer.drain();
        assert_eq!(agents(&files[1]), [format!("{:0500}", 3_000)]);
    }

    #[test]
    fn an_empty_worn_file_goes_at_once() {
        let mut writer = writer();
        visit(&writer, 0..2_500);
        writer.drain();
        let files = writer.spool.files();
        let ids: Vec<i64> = files[0]
            .rows_after(0, 100)
            .unwrap()
            .iter()
            .map(|row| row.id)
            .collect();
        files[0].delete(&ids).unwrap();
        turn(&mut writer);
        turn(&mut writer);
        assert!(!files[0].path().exists());
        assert!(!writer.spool.is_full());
    }
}
