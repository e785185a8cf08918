//! Which numbered clicks are new: watermarks and open gaps, the heart of "exactly once".
//!
//! # Why
//!
//! A producer numbers its clicks of a slot from 1 without gaps. What arrives in order counts and
//! moves the watermark. A jump leaves an open gap behind: what arrives later and lies inside it
//! counts once and closes its place. Everything else is a copy. This holds for any order of
//! resends, late copies and restarts (`tests/properties.rs`).

/// How far one producer's clicks of one slot are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watermark {
    /// The highest number that counted; 0 where none did.
    pub last_seq: u64,
    /// Ranges below it that did not arrive yet, both ends included, sorted.
    pub gaps: Vec<(u64, u64)>,
}

/// What is to be done with one click.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Counts.
    New,
    /// A copy of one that counted.
    Duplicate,
}

impl Watermark {
    /// Takes the click `seq` (from 1), or says that it is a copy.
    pub fn take(&mut self, seq: u64) -> Verdict {
        if seq > self.last_seq {
            if seq > self.last_seq + 1 {
                self.gaps.push((self.last_seq + 1, seq - 1));
            }
            self.last_seq = seq;
            return Verdict::New;
        }
        let Some(at) = self
            .gaps
            .iter()
            .position(|(from, to)| (*from..=*to).contains(&seq))
        else {
            return Verdict::Duplicate;
        };
        let (from, to) = self.gaps.remove(at);
        // Right part first: both go to the same place.
        if seq < to {
            self.gaps.insert(at, (seq + 1, to));
        }
        if from < seq {
            self.gaps.insert(at, (from, seq - 1));
        }
        Verdict::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_opens_a_gap_that_late_clicks_close_once() {
        let mut mark = Watermark::default();
        assert_eq!(mark.take(1), Verdict::New);
        assert_eq!(mark.take(5), Verdict::New);
        assert_eq!(mark.gaps, [(2, 4)]);
        assert_eq!(mark.take(3), Verdict::New);
        assert_eq!(mark.gaps, [(2, 2), (4, 4)]);
        assert_eq!(mark.take(3), Verdict::Duplicate);
        assert_eq!(mark.take(4), Verdict::New);
        assert_eq!(mark.take(2), Verdict::New);
        assert_eq!(mark.take(2), Verdict::Duplicate);
        assert_eq!(
            mark,
            Watermark {
                last_seq: 5,
                gaps: vec![]
            }
        );
    }
}
