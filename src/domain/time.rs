//! Points in time: microseconds since 1970 UTC, as the databases store them.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;

/// Microseconds since 1970-01-01 UTC, by a database's clock wherever it decides something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text is no RFC 3339 time, or lies outside the years 1970 to 9998.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("is not an RFC 3339 time such as 2030-01-31T12:00:00Z (years 1970 to 9998)")]
pub struct TimeError;

/// The last microsecond of the year 9998, so that every time zone can still write it.
const MAX_MICROS: i64 = 253_370_764_799_999_999;

impl Timestamp {
    /// From microseconds since 1970.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Parses RFC 3339 with any offset; fractions below a microsecond are cut.
    ///
    /// # Errors
    /// [`TimeError`] where the text is none, or its year is not in 1970 to 9998.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let time: jiff::Timestamp = text.parse().map_err(|_error| TimeError)?;
        let micros = time.as_microsecond();
        if (0..=MAX_MICROS).contains(&micros) {
            Ok(Self(micros))
        } else {
            Err(TimeError)
        }
    }

    /// Parses RFC 3339 as it stands in a URL, where a `+` that was not escaped is a space.
    ///
    /// # Errors
    /// [`TimeError`].
    pub fn parse_parameter(text: &str) -> Result<Self, TimeError> {
        match text.rsplit_once(' ') {
            // Another space may stand for the T.
            Some((time, offset)) if time.contains(':') => Self::parse(&format!("{time}+{offset}")),
            _ => Self::parse(text),
        }
    }

    /// This time moved by `duration` into the future.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// This time moved by `duration` into the past.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
        )
    }

    /// How long ago `earlier` was; zero where it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The days since 1970 in UTC.
    #[must_use]
    pub fn day(self) -> i32 {
        i32::try_from(self.0.div_euclid(86_400_000_000)).unwrap_or(i32::MAX)
    }

    /// The beginning of a quarter of an hour since 1970.
    #[must_use]
    pub const fn from_quarter(quarter: i64) -> Self {
        Self(quarter.saturating_mul(QUARTER_MICROS))
    }

    /// The quarters of an hour since 1970.
    #[must_use]
    pub const fn quarter(self) -> i64 {
        self.0.div_euclid(QUARTER_MICROS)
    }
}

/// The length of one statistics bucket, 15 minutes, in microseconds: time zones with half and
/// quarter hours exist.
pub const QUARTER_MICROS: i64 = 900_000_000;

/// A whole second without a fraction, anything else with six digits: texts of moments then sort
/// as the moments do.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) if self.0 % 1_000_000 == 0 => time.fmt(f),
            Ok(time) => write!(f, "{time:.6}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_sort_as_moments_do() {
        let shown = |micros| Timestamp::from_micros(micros).to_string();
        assert_eq!(shown(1_764_000_006_066_040), "2025-11-24T16:00:06.066040Z");
        assert!(shown(1_764_000_006_066_039) < shown(1_764_000_006_066_040));
        assert_eq!(shown(1_764_000_006_000_000), "2025-11-24T16:00:06Z");
    }

    #[test]
    fn a_time_survives_its_own_text() {
        for micros in [0, 1, 1_764_000_000_123_456, MAX_MICROS] {
            let time = Timestamp::from_micros(micros);
            assert_eq!(Timestamp::parse(&time.to_string()), Ok(time));
        }
    }

    #[test]
    fn offsets_are_understood_and_nonsense_is_refused() {
        let utc = Timestamp::parse("2030-01-01T00:00:00Z");
        assert_eq!(Timestamp::parse("2030-01-01T05:30:00+05:30"), utc);
        for bad in [
            "",
            "tomorrow",
            "2030-13-01T00:00:00Z",
            "2030-01-01",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(Timestamp::parse(bad), Err(TimeError), "{bad}");
        }
    }
}
