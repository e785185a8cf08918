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

/// A file with this many texts or bytes is closed and a new one begun.
const MAX_TEXTS: u32 = 65_536;
const MAX_FILE: u64 = 256 << 20;
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
    /// By lane: all texts it named since its last reset, for a new file.
    named: Vec<Vec<(u16, Box<str>)>>,
    next_text: u32,
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
            named: vec![Vec::new(); lanes],
            next_text: FIRST_TEXT,
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
        let drained: Vec<Drained> = spares
            .into_iter()
            .enumerate()
            .map(|(lane, spare)| self.queue.drain(lane, spare))
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
    }

    fn forget(&mut self, lane: usize) {
        if let Some(numbers) = self.numbers.get_mut(lane) {
            numbers.clear();
        }
        if let Some(named) = self.named.get_mut(lane) {
            named.clear();
        }
    }

    /// One transaction: new texts, and one row for each slot.
    fn write(&mut self, drained: &[Drained]) -> Result<(), SpoolError> {
        let file = self.file()?;
        let mut texts = Vec::new();
        for (lane, taken) in drained.iter().enumerate() {
            for (number, text) in &taken.fresh {
                let id = self.name(lane, *number);
                texts.push((id, text.clone()));
                if let Some(named) = self.named.get_mut(lane) {
                    named.push((*number, text.clone()));
                }
            }
        }
        if self.spool.is_full() {
            let clicks: usize = drained.iter().map(|lane| lane.clicks.len()).sum();
            telemetry::clicks_dropped(DropReason::SpoolFull, clicks as u64);
            file.append(&texts, &[])?;
            self.mark_failed();
            return Ok(());
        }
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

    /// The file to append to; a new one where there is none or the last one is worn out.
    fn file(&mut self) -> Result<Arc<SpoolFile>, SpoolError> {
        if let Some(file) = &self.file {
            if self.next_text < MAX_TEXTS && file.bytes() < MAX_FILE {
                return Ok(Arc::clone(file));
            }
            file.close();
        }
        let options = &self.spool.options;
        let file = Arc::new(SpoolFile::create(
            &options.folder,
            self.spool.producer,
            options.fsync,
        )?);
        self.next_text = FIRST_TEXT;
        let mut texts = vec![(OTHER.into(), "other".into()), (EMPTY.into(), "".into())];
        for lane in 0..self.named.len() {
            let named = self.named.get(lane).cloned().unwrap_or_default();
            for (number, text) in named {
                texts.push((self.name(lane, number), text));
            }
        }
        file.append(&texts, &[])?;
        if let Some(cluster) = self.spool.cluster() {
            file.set_cluster(&cluster)?;
        }
        let mut files = self
            .spool
            .files
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        files.push(Arc::clone(&file));
        self.file = Some(Arc::clone(&file));
        Ok(file)
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
        let bytes = self.spool.files().iter().map(|file| file.bytes()).sum();
        self.spool.bytes.store(bytes, Ordering::Relaxed);
        telemetry::spool_bytes(bytes);
        telemetry::spool_limit(self.spool.options.bytes);
        let full = bytes > self.spool.options.bytes;
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
