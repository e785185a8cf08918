//! Statistics intervals: which moments bound the hours, days, weeks and months of a time zone.

use jiff::ToSpan as _;
use jiff::Zoned;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use crate::domain::time::QUARTER_MICROS;
use crate::domain::time::Timestamp;

/// The most intervals of one answer.
pub const MAX_INTERVALS: usize = 5_000;

/// The length of one interval of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// A local hour.
    Hour,
    /// A local day, 23 to 25 hours long.
    #[default]
    Day,
    /// Monday to Sunday.
    Week,
    /// A calendar month.
    Month,
}

impl Interval {
    /// The interval of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "hour" => Some(Self::Hour),
            "day" => Some(Self::Day),
            "week" => Some(Self::Week),
            "month" => Some(Self::Month),
            _ => None,
        }
    }
}

/// What cannot be asked of the statistics.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CalendarError {
    /// The zone's name is not in the time zone database.
    #[error("is no time zone of the IANA database, such as Europe/Berlin or Asia/Kolkata")]
    UnknownZone,
    /// Neither RFC 3339 nor a date.
    #[error("is neither a time such as 2030-01-31T12:00:00Z nor a date such as 2030-01-31")]
    Time,
    /// `from` is not before `to`.
    #[error("must lie before 'to'")]
    Order,
    /// Over [`MAX_INTERVALS`].
    #[error("covers more than 5,000 intervals; choose a longer interval or a shorter range")]
    TooMany,
}

/// A time zone with its name.
#[derive(Clone, Debug)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Zone {
    /// The zone of that name, such as `UTC` or `Asia/Kolkata`.
    ///
    /// # Errors
    /// [`CalendarError::UnknownZone`].
    pub fn named(name: &str) -> Result<Self, CalendarError> {
        let zone = TimeZone::get(name).map_err(|_error| CalendarError::UnknownZone)?;
        let name = zone.iana_name().unwrap_or(name).to_owned();
        Ok(Self { name, zone })
    }

    /// Its IANA name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Parses RFC 3339 as it stands in a URL, or a date: the beginning of that day here.
    ///
    /// # Errors
    /// [`CalendarError::Time`].
    pub fn parse(&self, text: &str) -> Result<Timestamp, CalendarError> {
        if let Ok(time) = Timestamp::parse_parameter(text) {
            return Ok(time);
        }
        // A date alone: the parser would drop a time of day that stands behind it.
        if text.len() != "2030-01-31".len() {
            return Err(CalendarError::Time);
        }
        let date: jiff::civil::Date = text.parse().map_err(|_error| CalendarError::Time)?;
        let start = date
            .to_zoned(self.zone.clone())
            .map_err(|_error| CalendarError::Time)?;
        let micros = start.timestamp().as_microsecond();
        if micros < 0 {
            Err(CalendarError::Time)
        } else {
            Ok(Timestamp::from_micros(micros))
        }
    }

    /// The beginnings of all intervals that touch `from..to`, the first clipped to `from`.
    ///
    /// # Errors
    /// [`CalendarError::Order`] or [`CalendarError::TooMany`].
    pub fn intervals(
        &self,
        from: Timestamp,
        to: Timestamp,
        interval: Interval,
    ) -> Result<Vec<Timestamp>, CalendarError> {
        if to <= from {
            return Err(CalendarError::Order);
        }
        let mut starts = vec![from];
        let mut at = self.begin(from, interval).ok_or(CalendarError::Time)?;
        loop {
            at = self.next(&at, interval).ok_or(CalendarError::Time)?;
            let start = Timestamp::from_micros(at.timestamp().as_microsecond());
            if start >= to {
                return Ok(starts);
            }
            if start > from {
                starts.push(start);
            }
            if starts.len() > MAX_INTERVALS {
                return Err(CalendarError::TooMany);
            }
        }
    }

    /// The beginning of the local day that lies `days` before the one of `now`.
    #[must_use]
    pub fn day_before(&self, now: Timestamp, days: i64) -> Timestamp {
        self.begin(now, Interval::Day)
            .and_then(|day| day.checked_sub(days.days()).ok())
            .and_then(|day| day.start_of_day().ok())
            .map_or(now, |day| {
                Timestamp::from_micros(day.timestamp().as_microsecond())
            })
    }

    /// How a moment is written here: with the zone's offset, which of UTC itself is `Z`.
    #[must_use]
    pub fn display(&self, time: Timestamp) -> String {
        let name = self.name.strip_prefix("Etc/").unwrap_or(&self.name);
        if matches!(name, "UTC" | "UCT" | "Universal" | "Zulu") {
            return time.to_string();
        }
        self.zoned(time).map_or_else(
            || time.to_string(),
            |zoned| zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        )
    }

    fn zoned(&self, time: Timestamp) -> Option<Zoned> {
        let time = jiff::Timestamp::from_microsecond(time.micros()).ok()?;
        Some(time.to_zoned(self.zone.clone()))
    }

    fn begin(&self, time: Timestamp, interval: Interval) -> Option<Zoned> {
        let zoned = self.zoned(time)?;
        match interval {
            Interval::Hour => Some(zoned), // the hour's end is found from any moment in it
            Interval::Day => zoned.start_of_day().ok(),
            Interval::Week => {
                let back = zoned.weekday().since(Weekday::Monday);
                zoned
                    .checked_sub(i64::from(back).days())
                    .ok()?
                    .start_of_day()
                    .ok()
            }
            Interval::Month => zoned.first_of_month().ok()?.start_of_day().ok(),
        }
    }

    fn next(&self, at: &Zoned, interval: Interval) -> Option<Zoned> {
        match interval {
            Interval::Hour => self.next_hour(at),
            Interval::Day => at.checked_add(1.day()).ok()?.start_of_day().ok(),
            Interval::Week => at.checked_add(7.days()).ok()?.start_of_day().ok(),
            Interval::Month => at.checked_add(1.month()).ok()?.start_of_day().ok(),
        }
    }

    /// When the clock here shows the next whole hour, or is set to another part of one.
    fn next_hour(&self, at: &Zoned) -> Option<Zoned> {
        let next = hour_end(at)?;
        if is_whole_hour(&next) {
            return Some(next);
        }
        // Not a whole one after all: the clock was moved by a part of an hour, then or before.
        let moved = self.zone.following(at.timestamp()).next()?.timestamp();
        let moved = moved.to_zoned(self.zone.clone());
        if moved.timestamp() == next.timestamp() || is_whole_hour(&moved) {
            Some(moved)
        } else {
            hour_end(&moved)
        }
    }
}

/// The end of the local hour if nobody moves the clock.
fn hour_end(at: &Zoned) -> Option<Zoned> {
    let into = at.minute().minutes().seconds(at.second());
    let into = into.nanoseconds(at.subsec_nanosecond());
    at.checked_sub(into).ok()?.checked_add(1.hour()).ok()
}

fn is_whole_hour(at: &Zoned) -> bool {
    at.minute() == 0 && at.second() == 0 && at.subsec_nanosecond() == 0
}

/// `time` moved back to the quarter of an hour that holds it.
#[must_use]
pub const fn floor_quarter(time: Timestamp) -> Timestamp {
    Timestamp::from_micros(time.micros().div_euclid(QUARTER_MICROS) * QUARTER_MICROS)
}

/// `time` moved on to the next quarter of an hour, unless it is one.
#[must_use]
pub const fn ceil_quarter(time: Timestamp) -> Timestamp {
    let micros = time.micros();
    let floor = micros.div_euclid(QUARTER_MICROS) * QUARTER_MICROS;
    Timestamp::from_micros(if floor == micros {
        micros
    } else {
        floor + QUARTER_MICROS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(zone: &str, from: &str, to: &str, interval: Interval, expected: &[&str]) {
        let zone = Zone::named(zone).unwrap();
        let from = zone.parse(from).unwrap();
        let to = zone.parse(to).unwrap();
        let starts = zone.intervals(from, to, interval).unwrap();
        let starts: Vec<String> = starts
            .into_iter()
            .map(|start| zone.display(start))
            .collect();
        assert_eq!(starts, expected);
    }

    #[test]
    fn days_follow_the_zone_also_with_half_hours_and_changes_of_the_clock() {
        check(
            "Asia/Kolkata",
            "2026-03-01",
            "2026-03-03",
            Interval::Day,
            &["2026-03-01T00:00:00+05:30", "2026-03-02T00:00:00+05:30"],
        );
        check(
            "Europe/Berlin",
            "2026-03-28",
            "2026-03-31",
            Interval::Day,
            &[
                "2026-03-28T00:00:00+01:00",
                "2026-03-29T00:00:00+01:00",
                "2026-03-30T00:00:00+02:00",
            ],
        );
        check(
            "Europe/Berlin",
            "2026-10-25T00:00:00Z",
            "2026-10-25T02:00:00Z",
            Interval::Hour,
            &["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"],
        );
        check(
            "utc",
            "2026-01-31",
            "2026-03-02",
            Interval::Month,
            &[
                "2026-01-31T00:00:00Z",
                "2026-02-01T00:00:00Z",
                "2026-03-01T00:00:00Z",
            ],
        );
        check(
            "Etc/UTC",
            "2026-11-24",
            "2026-12-01",
            Interval::Week,
            &["2026-11-24T00:00:00Z", "2026-11-30T00:00:00Z"],
        );
    }

    #[test]
    fn a_clock_moved_by_half_an_hour_makes_one_odd_hour() {
        check(
            "Australia/Lord_Howe",
            "2026-10-03T13:30:00Z",
            "2026-10-03T18:00:00Z",
            Interval::Hour,
            &[
                "2026-10-04T00:00:00+10:30",
                "2026-10-04T01:00:00+10:30",
                "2026-10-04T02:30:00+11:00",
                "2026-10-04T03:00:00+11:00",
                "2026-10-04T04:00:00+11:00",
            ],
        );
        check(
            "Australia/Lord_Howe",
            "2026-04-04T13:00:00Z",
            "2026-04-04T17:30:00Z",
            Interval::Hour,
            &[
                "2026-04-05T00:00:00+11:00",
                "2026-04-05T01:00:00+11:00",
                "2026-04-05T01:30:00+10:30",
                "2026-04-05T02:00:00+10:30",
                "2026-04-05T03:00:00+10:30",
            ],
        );
        // From within the odd half hours, and from before them but not at a whole hour.
        check(
            "Australia/Lord_Howe",
            "2026-04-04T15:15:00Z",
            "2026-04-04T16:30:00Z",
            Interval::Hour,
            &["2026-04-05T01:45:00+10:30", "2026-04-05T02:00:00+10:30"],
        );
        check(
            "Australia/Lord_Howe",
            "2026-10-03T15:15:00Z",
            "2026-10-03T17:00:00Z",
            Interval::Hour,
            &[
                "2026-10-04T01:45:00+10:30",
                "2026-10-04T02:30:00+11:00",
                "2026-10-04T03:00:00+11:00",
            ],
        );
        check(
            "Asia/Kathmandu",
            "1985-12-31T17:30:00Z",
            "1985-12-31T20:15:00Z",
            Interval::Hour,
            &[
                "1985-12-31T23:00:00+05:30",
                "1986-01-01T00:15:00+05:45",
                "1986-01-01T01:00:00+05:45",
            ],
        );
        check(
            "Africa/Monrovia",
            "1972-01-06T23:30:00Z",
            "1972-01-07T02:30:00Z",
            Interval::Hour,
            &[
                "1972-01-06T22:45:30-00:44:30",
                "1972-01-06T23:00:00-00:44:30",
                "1972-01-07T00:44:30+00:00",
                "1972-01-07T01:00:00+00:00",
                "1972-01-07T02:00:00+00:00",
            ],
        );
    }

    #[test]
    fn hours_are_whole_ones_of_the_zone_wherever_its_clock_is_moved() {
        for (zone, from, to) in [
            ("UTC", "2026-01-01", "2026-03-01"),
            ("Asia/Kolkata", "2026-01-01", "2026-03-01"),
            ("Asia/Kathmandu", "2026-01-01", "2026-03-01"),
            ("Europe/Berlin", "2026-03-01", "2026-05-01"),
            ("Europe/Berlin", "2026-10-01", "2026-12-01"),
            ("America/St_Johns", "2006-04-01", "2006-04-04"), // moved at one minute past midnight
            ("America/St_Johns", "2006-10-28", "2006-11-01"),
            ("Pacific/Apia", "2011-12-28", "2012-01-02"), // no 30 December
        ] {
            let zone = Zone::named(zone).unwrap();
            let (from, to) = (zone.parse(from).unwrap(), zone.parse(to).unwrap());
            let starts = zone.intervals(from, to, Interval::Hour).unwrap();
            let hour = 3_600_000_000;
            for pair in starts.windows(2) {
                assert!(pair[1].micros() - pair[0].micros() == hour, "{pair:?}");
            }
            assert_eq!(starts.last().unwrap().micros() + hour, to.micros());
            for start in starts {
                let shown = zone.display(start);
                assert_eq!(shown.get(13..19), Some(":00:00"), "{shown}");
            }
        }
        check(
            "Pacific/Apia",
            "2011-12-28",
            "2012-01-02",
            Interval::Day,
            &[
                "2011-12-28T00:00:00-10:00",
                "2011-12-29T00:00:00-10:00",
                "2011-12-31T00:00:00+14:00",
                "2012-01-01T00:00:00+14:00",
            ],
        );
    }

    #[test]
    fn a_plus_that_became_a_space_is_understood() {
        let zone = Zone::named("Asia/Kolkata").unwrap();
        let time = zone.parse("2026-01-01T00:00:00+05:30");
        assert!(time.is_ok());
        for text in [
            "2026-01-01T00:00:00 05:30",
            "2026-01-01 00:00:00 05:30",
            "2026-01-01",
        ] {
            assert_eq!(zone.parse(text), time, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let utc = Zone::named("UTC").unwrap();
        assert_eq!(
            Zone::named("Mars/Base").unwrap_err(),
            CalendarError::UnknownZone
        );
        for bad in [
            "soon",
            "2026-11-24T05:00",
            "2026-11-24T04:00:00",
            "2026-11-24 04:00:00",
            "2026-11-24T04:00:00 ",
            "2026-11-24T04:00:00  05:30",
            "2026-11-24T04:00:00 x",
            "20261124",
        ] {
            assert_eq!(utc.parse(bad), Err(CalendarError::Time), "{bad}");
        }
        let (early, late) = (
            Timestamp::from_micros(0),
            Timestamp::from_micros(86_400_000_000_000),
        );
        assert_eq!(
            utc.intervals(late, early, Interval::Day),
            Err(CalendarError::Order)
        );
        assert_eq!(
            utc.intervals(early, late, Interval::Hour),
            Err(CalendarError::TooMany)
        );
    }
}
