//! Clicks: one followed link each, and their public JSON form.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;
use uuid::Uuid;

use crate::domain::time::Timestamp;

/// The version of the JSON form; a reader refuses a higher one.
pub const SCHEMA_VERSION: u8 = 1;

/// How the link was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Hit {
    /// An ordinary GET.
    Get,
    /// HEAD, or a GET with `Sec-Purpose: prefetch`: no human click.
    Head,
}

/// Who clicked, as the counts tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClickKind {
    /// A person's browser.
    Human,
    /// A crawler or a tool.
    Bot,
    /// A messenger or network that draws a preview.
    Preview,
    /// HEAD or prefetch, in no total.
    Head,
}

impl ClickKind {
    /// Every kind, in the order of the counts' columns.
    pub const ALL: [Self; 4] = [Self::Human, Self::Bot, Self::Preview, Self::Head];

    /// Its word in JSON and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Bot => "bot",
            Self::Preview => "preview",
            Self::Head => "head",
        }
    }
}

/// What led to the click.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The short URL itself.
    Link,
    /// A QR code (`?qr=1`).
    Qr,
}

impl Trigger {
    /// Its word in JSON and statistics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Qr => "qr",
        }
    }
}

/// One click with its identity: the record of the Kafka topic, one JSON object each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Click {
    /// [`SCHEMA_VERSION`].
    pub v: u8,
    /// The process incarnation that answered (`UUIDv7`).
    pub producer_id: Uuid,
    /// xxh3 of the code mod 64; equals the partition.
    pub slot: u8,
    /// From 1, without gaps, per producer and slot.
    pub seq: u64,
    /// The followed code.
    pub code: Arc<str>,
    /// When it was followed.
    pub at: Timestamp,
    /// Human, bot, preview or head.
    pub kind: ClickKind,
    /// Link or QR code.
    pub trigger: Trigger,
    /// ISO 3166 alpha-2 in capitals, where a trusted proxy told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Arc<str>>,
    /// The referring host in lower case; absent for a direct visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrer: Option<Arc<str>>,
    /// The user agent, clamped to 512 bytes.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub agent: Arc<str>,
    /// The first language's primary tag in lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Arc<str>>,
    /// Keyed hash of address and agent, 16 hex digits; the key lives for one UTC day.
    #[serde(with = "hex")]
    pub visitor: u64,
}

/// 64 bits as 16 hex digits: JSON numbers lose bits beyond 53.
mod hex {
    use serde::Deserialize;
    use serde::Deserializer;
    use serde::Serializer;

    pub(super) fn serialize<S: Serializer>(bits: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{bits:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        u64::from_str_radix(&text, 16).map_err(serde::de::Error::custom)
    }
}

/// What statistics are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// Where the visitor is, by a trusted proxy's word.
    Country,
    /// The referring host.
    Referrer,
    /// The browser's name.
    Browser,
    /// The operating system's name.
    Os,
    /// desktop, mobile, tablet…
    Device,
    /// The first accepted language.
    Language,
    /// Link or QR code.
    Trigger,
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Self; 7] = [
        Self::Country,
        Self::Referrer,
        Self::Browser,
        Self::Os,
        Self::Device,
        Self::Language,
        Self::Trigger,
    ];

    /// Its word in URLs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Country => "country",
            Self::Referrer => "referrer",
            Self::Browser => "browser",
            Self::Os => "os",
            Self::Device => "device",
            Self::Language => "language",
            Self::Trigger => "trigger",
        }
    }

    /// Its number in the databases.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Country => 0,
            Self::Referrer => 1,
            Self::Browser => 2,
            Self::Os => 3,
            Self::Device => 4,
            Self::Language => 5,
            Self::Trigger => 6,
        }
    }

    /// The dimension of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|dimension| dimension.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_click_survives_its_json() {
        let click = Click {
            v: SCHEMA_VERSION,
            producer_id: Uuid::from_u128(7),
            slot: 63,
            seq: u64::MAX,
            code: "abc".into(),
            at: Timestamp::from_micros(1_764_000_000_000_001),
            kind: ClickKind::Preview,
            trigger: Trigger::Qr,
            country: Some("DE".into()),
            referrer: None,
            agent: "a \"quoted\" agent".into(),
            language: None,
            visitor: 0x00ff_ffff_ffff_fff1,
        };
        let json = serde_json::to_string(&click).unwrap();
        assert_eq!(serde_json::from_str::<Click>(&json).unwrap(), click);
        assert!(json.contains("\"visitor\":\"00fffffffffffff1\""), "{json}");
    }
}
