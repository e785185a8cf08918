//! What was written, before anybody asks what it means: values by key, each with its source.

use std::collections::BTreeMap;
use std::fmt;

use super::complaint::Complaint;
use super::complaint::Fault;

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The `config.toml` that is compiled in.
    Default,
    /// A file, by the name it was given.
    File(String),
    /// A variable of the environment.
    Variable(String),
    /// A flag.
    CommandLine,
}

/// One value, as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Raw {
    /// `true` or `false` in a file.
    Flag(bool),
    /// A whole number in a file.
    Whole(i128),
    /// A number with a point in a file.
    Fraction(f64),
    /// A text in quotes in a file.
    Text(String),
    /// From a variable or a flag, which know no kinds.
    Word(String),
    /// A list in a file.
    List(Vec<Self>),
    /// A table in a file, where none belongs.
    Table,
}

/// A value and where it was set.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// What was written.
    pub(super) raw: Raw,
    /// Where.
    pub(super) source: Source,
}

/// One shard, as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RawShard {
    /// Absent only in a file that forgot it.
    pub(super) url: Option<Raw>,
    /// 1 if nobody says otherwise.
    pub(super) weight: Option<Raw>,
    /// Who wrote this shard.
    pub(super) source: Source,
}

/// How much of a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// All of it.
    Plain,
    /// A URL without its password.
    Url,
    /// Nothing.
    Hidden,
}

/// One key that exists.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// `section.key`, or `key` alone at the top.
    pub(super) name: &'static str,
    /// How much of its value `diagnose` shows.
    pub(super) sight: Sight,
}

/// All that was written, the strongest layer on top. Shards are a list of their own.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    /// By key; only names of [`KEYS`].
    entries: BTreeMap<&'static str, Entry>,
    /// In the order of their ordinals; a stronger layer replaces the whole list.
    pub(super) shards: Vec<RawShard>,
}

/// Every key but the shards.
pub(super) const KEYS: [Key; 33] = [
    plain("data_dir"),
    plain("http.listen"),
    plain("http.public_url"),
    plain("http.workers"),
    plain("http.trusted_proxies"),
    plain("http.expose_metrics"),
    plain("admin.listen"),
    Key {
        name: "cache.redis_url",
        sight: Sight::Url,
    },
    plain("cache.near_bytes"),
    plain("cache.stale_seconds"),
    plain("cache.warm_on_start"),
    plain("events.kafka_brokers"),
    plain("events.topic"),
    plain("events.ack"),
    plain("events.drain_ms"),
    plain("events.fsync"),
    plain("events.spool_bytes"),
    Key {
        name: "auth.admin_key",
        sight: Sight::Hidden,
    },
    plain("auth.anonymous_create"),
    plain("auth.public_stats"),
    plain("limits.anonymous_creates_per_minute"),
    plain("limits.misses_per_minute"),
    plain("classify.model_dir"),
    plain("classify.blocklists"),
    plain("classify.sweep_seconds"),
    plain("classify.fetch"),
    plain("classify.topic"),
    plain("links.allow_private_targets"),
    plain("links.permanent_max_age_seconds"),
    plain("log.level"),
    plain("log.format"),
    plain("stop.delay_seconds"),
    plain("stop.ship_seconds"),
];

const fn plain(name: &'static str) -> Key {
    Key {
        name,
        sight: Sight::Plain,
    }
}

impl Key {
    /// The key of that name, if there is one.
    pub(super) fn named(name: &str) -> Option<Self> {
        KEYS.into_iter().find(|key| key.name == name)
    }

    /// Its variable: `http.listen` is `URLSHORT__HTTP__LISTEN`.
    pub(super) fn variable(self) -> String {
        format!(
            "URLSHORT__{}",
            self.name.replace('.', "__").to_ascii_uppercase()
        )
    }
}

impl Raw {
    /// What kind of value this is, to complain of it without showing it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Flag(_) => "true or false",
            Self::Whole(_) | Self::Fraction(_) => "a number",
            Self::Text(_) | Self::Word(_) => "a text",
            Self::List(_) => "a list",
            Self::Table => "a table",
        }
    }
}

impl Settings {
    /// What holds for the key `name`.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// Lays a value over what weaker layers said.
    pub(super) fn set(&mut self, key: Key, raw: Raw, source: Source) {
        self.entries.insert(key.name, Entry { raw, source });
    }

    /// Lays the flags on top, as `(key, value)`.
    pub(super) fn apply_flags(
        &mut self,
        flags: Vec<(String, String)>,
        complaints: &mut Vec<Complaint>,
    ) {
        for (name, value) in flags {
            match Key::named(&name) {
                Some(key) => self.set(key, Raw::Word(value), Source::CommandLine),
                None => complaints.push(Complaint::new(name, unknown_key(), Source::CommandLine)),
            }
        }
    }
}

/// The fault of a key that does not exist.
pub(super) fn unknown_key() -> Fault {
    Fault::new("is no key of urlshort", "remove it or correct its spelling")
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File(name) | Self::Variable(name) => formatter.write_str(name),
            Self::CommandLine => formatter.write_str("command line"),
        }
    }
}
