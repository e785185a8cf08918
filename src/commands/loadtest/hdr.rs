//! A histogram that can be saved, and what is read off it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer as HdrReader;
use hdrhistogram::serialization::Serializer as _;
use hdrhistogram::serialization::V2Serializer;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::ser::SerializeStruct as _;

/// A percentile needs so many slower samples, or it is chance.
const SUPPORT: f64 = 10.0;

/// The percentiles that reports show, with their names.
pub(super) const SHOWN: [(&str, f64); 7] = [
    ("p50", 0.50),
    ("p75", 0.75),
    ("p90", 0.90),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
];

/// Times in microseconds. Saved as what people read, in milliseconds, beside the whole histogram
/// (HDR V2, base64).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hdr(pub(super) Histogram<u64>);

/// How many samples it takes to tell that quantile.
pub(super) fn samples_for(quantile: f64) -> f64 {
    if quantile >= 1.0 {
        return 1.0;
    }
    SUPPORT / (1.0 - quantile)
}

impl Hdr {
    /// The time within which a share `quantile` of all ended, in milliseconds.
    pub(super) fn at(&self, quantile: f64) -> f64 {
        if self.0.is_empty() {
            return 0.0;
        }
        millis(self.0.value_at_quantile(quantile))
    }

    /// The same; nothing where fewer than ten samples are slower. The slowest one is known.
    pub(super) fn supported(&self, quantile: f64) -> Option<f64> {
        if quantile >= 1.0 && !self.0.is_empty() {
            return Some(self.at(quantile));
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of samples")]
        let above = self.0.len() as f64 * (1.0 - quantile);
        (above + 1e-6 >= SUPPORT).then(|| self.at(quantile))
    }

    /// The slowest, in milliseconds.
    pub(super) fn max(&self) -> f64 {
        millis(self.0.max())
    }

    /// The fastest, in milliseconds.
    pub(super) fn min(&self) -> f64 {
        if self.0.is_empty() {
            return 0.0;
        }
        millis(self.0.min())
    }

    /// The average, in milliseconds.
    pub(super) fn mean(&self) -> f64 {
        self.0.mean() / 1_000.0
    }

    /// The spread, in milliseconds.
    pub(super) fn deviation(&self) -> f64 {
        self.0.stdev() / 1_000.0
    }

    /// How many samples.
    pub(super) fn len(&self) -> u64 {
        self.0.len()
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a minute")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

impl Serialize for Hdr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2Serializer::new()
            .serialize(&self.0, &mut bytes)
            .map_err(S::Error::custom)?;
        let mut fields = serializer.serialize_struct("Hdr", 6 + SHOWN.len())?;
        fields.serialize_field("count", &self.len())?;
        fields.serialize_field("mean_ms", &self.mean())?;
        fields.serialize_field("stddev_ms", &self.deviation())?;
        fields.serialize_field("min_ms", &self.min())?;
        for (name, quantile) in SHOWN {
            let name = match name {
                "p50" => "p50_ms",
                "p75" => "p75_ms",
                "p90" => "p90_ms",
                "p95" => "p95_ms",
                "p99" => "p99_ms",
                "p99.9" => "p99_9_ms",
                _ => "p99_99_ms",
            };
            fields.serialize_field(name, &self.supported(quantile))?;
        }
        fields.serialize_field("max_ms", &self.max())?;
        fields.serialize_field("hdr_v2_base64", &STANDARD.encode(bytes))?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Hdr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Saved {
            hdr_v2_base64: String,
        }
        let saved = Saved::deserialize(deserializer)?;
        let bytes = STANDARD
            .decode(saved.hdr_v2_base64)
            .map_err(D::Error::custom)?;
        HdrReader::new()
            .deserialize(&mut bytes.as_slice())
            .map(Self)
            .map_err(|error| D::Error::custom(format!("a histogram cannot be read: {error:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::loadtest::measure;

    fn hundreds(n: u64) -> Hdr {
        let mut histogram = measure::histogram();
        for micros in 1..=n {
            histogram.record(micros * 100).unwrap();
        }
        Hdr(histogram)
    }

    #[test]
    fn a_histogram_survives_its_own_text() {
        let hdr = hundreds(2_000);
        let text = serde_json::to_string(&hdr).unwrap();
        assert_eq!(serde_json::from_str::<Hdr>(&text).unwrap(), hdr);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["count"], 2_000);
        assert!((99.9..100.2).contains(&value["p50_ms"].as_f64().unwrap()));
    }

    #[test]
    fn a_percentile_without_ten_slower_samples_is_not_told() {
        let hdr = hundreds(999);
        assert!(hdr.supported(0.95).is_some());
        assert!(hdr.supported(0.99).is_none());
        assert!(hundreds(1_000).supported(0.99).is_some());
        assert_eq!(Hdr(measure::histogram()).at(0.99), 0.0);
    }

    #[test]
    fn a_damaged_histogram_is_an_error() {
        let text = r#"{"hdr_v2_base64": "AAAA"}"#;
        assert!(serde_json::from_str::<Hdr>(text).is_err());
        assert!(serde_json::from_str::<Hdr>(r#"{"hdr_v2_base64": "%"}"#).is_err());
    }
}
