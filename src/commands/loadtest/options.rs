//! What can be typed: rates, times, the mix of operations, and how starts are spread.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use serde::Deserialize;
use serde::Serialize;

/// Requests a second: `1500`, `20k`, `0.5`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Rate(pub(super) f64);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, factor) = match text.strip_suffix(['k', 'K']) {
            Some(number) => (number, 1_000.0),
            None => (text, 1.0),
        };
        number
            .parse::<f64>()
            .ok()
            .map(|number| number * factor)
            .filter(|rate| (0.01..=10_000_000.0).contains(rate))
            .map(Self)
            .ok_or_else(|| {
                "is no rate: requests a second from 0.01 to 10000000, as 1500 or 20k".to_owned()
            })
    }
}

/// A span of time: `60s`, `2m`, `1h`, `500ms`, `1.5s`; a bare number is seconds.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let at = text
        .find(|letter: char| letter.is_ascii_alphabetic() || letter == 'µ')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let factor = match unit {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        _ => f64::NAN,
    };
    number
        .parse::<f64>()
        .ok()
        .map(|number| number * factor)
        .filter(|seconds| (0.0..=604_800.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "is no time: a number with ms, s, m or h, at most a week, as 60s".to_owned())
}

/// Like [`span`], but more than nothing.
pub(super) fn some_span(text: &str) -> Result<Duration, String> {
    let span = span(text)?;
    if span < Duration::from_millis(1) {
        return Err("must be at least 1ms".to_owned());
    }
    Ok(span)
}

/// How the starts of an open loop are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Arrivals {
    /// Evenly.
    Constant,
    /// At random, as independent people come.
    Poisson,
}

/// A rate that grows or falls evenly: `1k:20k:2m`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Ramp {
    /// At the start.
    pub(super) from: Rate,
    /// At its end, and from then on.
    pub(super) to: Rate,
    /// How long it takes, in seconds.
    pub(super) seconds: f64,
}

impl FromStr for Ramp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let [from, to, time] = parts[..] else {
            return Err("is no ramp: FROM:TO:TIME, as 1k:20k:2m".to_owned());
        };
        Ok(Self {
            from: from
                .parse()
                .map_err(|error| format!("its start {from:?} {error}"))?,
            to: to
                .parse()
                .map_err(|error| format!("its end {to:?} {error}"))?,
            seconds: some_span(time)
                .map_err(|error| format!("its time {time:?} {error}"))?
                .as_secs_f64(),
        })
    }
}

/// What one request does.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub(super) enum Operation {
    /// Follows a link.
    Redirect,
    /// Asks with HEAD where a link leads.
    Head,
    /// Makes a link.
    Create,
    /// Reads the statistics of a link.
    Stats,
    /// Looks at the preview page of a link.
    Preview,
}

impl Operation {
    /// All of them; the place of each is its number.
    pub(super) const ALL: [Self; 5] = [
        Self::Redirect,
        Self::Head,
        Self::Create,
        Self::Stats,
        Self::Preview,
    ];

    /// Its name, as it is typed and reported.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Redirect => "redirect",
            Self::Head => "head",
            Self::Create => "create",
            Self::Stats => "stats",
            Self::Preview => "preview",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Operations with their shares: `redirect=95,create=4,stats=1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Mix(pub(super) Vec<(Operation, f64)>);

impl Mix {
    /// The operation of a point between 0 and 1.
    pub(super) fn at(&self, point: f64) -> Operation {
        let total: f64 = self.0.iter().map(|(_, share)| share).sum();
        let mut rest = point * total;
        for (operation, share) in &self.0 {
            rest -= share;
            if rest < 0.0 {
                return *operation;
            }
        }
        self.0
            .last()
            .map_or(Operation::Redirect, |(operation, _)| *operation)
    }

    /// The part of all requests that do this, 0 to 1.
    pub(super) fn share(&self, operation: Operation) -> f64 {
        let total: f64 = self.0.iter().map(|(_, share)| share).sum();
        let of = self.0.iter().filter(|(known, _)| *known == operation);
        of.map(|(_, share)| share).sum::<f64>() / total
    }

    /// Whether any of `operations` occurs.
    pub(super) fn has(&self, operations: &[Operation]) -> bool {
        self.0
            .iter()
            .any(|(operation, share)| *share > 0.0 && operations.contains(operation))
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Operation::ALL.map(Operation::name).join(", ");
        let mut shares: Vec<(Operation, f64)> = Vec::new();
        for part in text.split(',') {
            let (name, share) = part.split_once('=').unwrap_or((part, "1"));
            let operation = Operation::ALL
                .into_iter()
                .find(|operation| operation.name() == name.trim())
                .ok_or_else(|| format!("has no operation {name:?}: there are {names}"))?;
            let share = share.trim().parse::<f64>().ok();
            let share = share
                .filter(|share| (0.0..=1e6).contains(share))
                .ok_or_else(|| format!("gives {name} no share: a number, as {name}=5"))?;
            if shares.iter().any(|(known, _)| *known == operation) {
                return Err(format!("names {name} twice"));
            }
            shares.push((operation, share));
        }
        if shares.iter().all(|(_, share)| *share <= 0.0) {
            return Err("has no share above 0".to_owned());
        }
        Ok(Self(shares))
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (operation, share)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(f, "{comma}{operation}={share}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_times_are_read_as_people_write_them() {
        assert_eq!("1500".parse::<Rate>().unwrap().0, 1_500.0);
        assert_eq!("2.5k".parse::<Rate>().unwrap().0, 2_500.0);
        for bad in ["", "0", "-1", "k", "nan", "inf", "1e99"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad:?}");
        }
        assert_eq!(span("90").unwrap(), Duration::from_secs(90));
        assert_eq!(span("1.5m").unwrap(), Duration::from_secs(90));
        assert_eq!(span("250ms").unwrap(), Duration::from_millis(250));
        for bad in ["", "s", "5x", "-1s", "nan", "9999h"] {
            assert!(span(bad).is_err(), "{bad:?}");
        }
        assert!(some_span("0s").is_err());
    }

    #[test]
    fn a_mix_is_drawn_by_its_shares() {
        let mix: Mix = "redirect=95,create=4,stats=1".parse().unwrap();
        assert_eq!(mix.at(0.0), Operation::Redirect);
        assert_eq!(mix.at(0.949), Operation::Redirect);
        assert_eq!(mix.at(0.951), Operation::Create);
        assert_eq!(mix.at(0.995), Operation::Stats);
        assert_eq!(mix.to_string(), "redirect=95,create=4,stats=1");
        for bad in ["", "redirect=x", "fly=1", "redirect=0", "head=1,head=2"] {
            assert!(bad.parse::<Mix>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_ramp_names_what_is_wrong_with_it() {
        let ramp: Ramp = "1k:20k:2m".parse().unwrap();
        assert_eq!((ramp.from.0, ramp.to.0, ramp.seconds), (1e3, 2e4, 120.0));
        let error = "1k:fast:2m".parse::<Ramp>().unwrap_err();
        assert!(error.contains("its end"), "{error}");
        assert!("1k:2k".parse::<Ramp>().is_err());
    }
}
