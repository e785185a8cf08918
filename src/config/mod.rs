//! What the process runs with: five layers of settings in, one checked [`Config`] out.
//!
//! Each layer is stronger than the one before: the compiled-in `config.toml`; `./config.toml` or
//! the file that is named; the flat variables (`DB_SHARD_0_URL` …); `URLSHORT__SECTION__KEY`;
//! flags. The environment is a parameter: nothing here reads the process's own.
//!
//! # Why
//!
//! Settings lie in a flat map, each with its source, and are checked one by one instead of being
//! deserialised: serde stops at the first fault and knows no sources. What was written (`raw`)
//! and what it means (`typed`) are two types.

mod addresses;
mod check;
mod complaint;
mod environment;
mod file;
mod raw;
mod secret;
mod shard_url;
mod typed;
mod validate;

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::Path;

pub use addresses::PublicUrl;
pub use complaint::Complaint;
pub use complaint::ConfigError;
pub use raw::Source;
pub use secret::Secret;
pub use shard_url::ShardUrl;
pub use typed::Ack;
pub use typed::Admin;
pub use typed::Auth;
pub use typed::Cache;
pub use typed::Config;
pub use typed::Events;
pub use typed::Http;
pub use typed::Limits;
pub use typed::Links;
pub use typed::Log;
pub use typed::LogFormat;
pub use typed::ShardConfig;
pub use typed::Stop;

use complaint::Fault;
use raw::KEYS;
use raw::Raw;
use raw::Settings;
use raw::Sight;

/// The documented defaults.
pub const DEFAULTS: &str = include_str!("../../config.toml");

/// A checked configuration that still knows where each value came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What holds.
    pub config: Config,
    settings: Settings,
}

/// One value for `diagnose`, fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// `http.listen`, `shards[0].url`.
    pub key: String,
    /// Without secrets; empty if nobody set one and there is no default.
    pub value: String,
    /// Who set it.
    pub source: Source,
}

/// Reads every layer; without `file`, `./config.toml` is read if it is there.
///
/// `flags` are pairs of key and value, such as `("http.listen", "0.0.0.0:80")`.
///
/// # Errors
/// All faults of all layers at once.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: Vec<(String, String)>,
) -> Result<Loaded, ConfigError> {
    let path = file.unwrap_or(Path::new("config.toml"));
    let name = path.display().to_string();
    let mut complaints = Vec::new();
    let text = match fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            let source = if file.is_some() {
                Source::CommandLine
            } else {
                Source::File(name.clone())
            };
            let fault = Fault::new(
                format!("cannot be read: {error}"),
                "correct the path or its permissions",
            );
            complaints.push(Complaint::new(name.clone(), fault, source));
            None
        }
    };
    assemble(
        text.as_deref().map(|text| (name.as_str(), text)),
        environment,
        flags,
        complaints,
    )
}

/// Like [`load`], with the name and the text of a file instead of its path.
///
/// # Errors
/// All faults of all layers at once.
pub fn parse(
    file: Option<(&str, &str)>,
    environment: impl Iterator<Item = (String, String)>,
    flags: Vec<(String, String)>,
) -> Result<Loaded, ConfigError> {
    assemble(file, environment, flags, Vec::new())
}

fn assemble(
    file: Option<(&str, &str)>,
    environment: impl Iterator<Item = (String, String)>,
    flags: Vec<(String, String)>,
    mut complaints: Vec<Complaint>,
) -> Result<Loaded, ConfigError> {
    let mut settings = Settings::default();
    file::apply(&mut settings, DEFAULTS, &Source::Default, &mut complaints);
    if let Some((name, text)) = file {
        file::apply(
            &mut settings,
            text,
            &Source::File(name.to_owned()),
            &mut complaints,
        );
    }
    environment::apply(&mut settings, environment, &mut complaints);
    settings.apply_flags(flags, &mut complaints);
    let config = validate::validate(&settings, complaints)?;
    Ok(Loaded { config, settings })
}

impl Loaded {
    /// How to name the setting `key` to whoever must change it: the variable that set it, else the
    /// key and the file.
    #[must_use]
    pub fn named(&self, key: &str) -> String {
        let setting = self.effective().into_iter().find(|one| one.key == key);
        match setting.map(|setting| setting.source) {
            Some(Source::Variable(name)) => name,
            Some(Source::File(name)) => format!("{key} in {name}"),
            Some(Source::Default | Source::CommandLine) | None => key.to_owned(),
        }
    }

    /// Every value that holds, without secrets, with its source; for `diagnose --offline`.
    #[must_use]
    pub fn effective(&self) -> Vec<Setting> {
        let mut shown = Vec::new();
        for key in KEYS {
            let (value, source) = match self.settings.entry(key.name) {
                Some(entry) => (show(&entry.raw, key.sight), entry.source.clone()),
                None => (String::new(), Source::Default),
            };
            shown.push(Setting {
                key: key.name.to_owned(),
                value,
                source,
            });
        }
        for (at, shard) in self.config.shards.iter().enumerate() {
            // Without a written list, the one shard is the default.
            let source = self
                .settings
                .shards
                .get(at)
                .map_or(Source::Default, |raw| raw.source.clone());
            for (part, value) in [
                ("url", shard.url.to_string()),
                ("weight", shard.weight.to_string()),
            ] {
                let key = format!("shards[{at}].{part}");
                shown.push(Setting {
                    key,
                    value,
                    source: source.clone(),
                });
            }
        }
        shown
    }
}

fn show(raw: &Raw, sight: Sight) -> String {
    let plain = match raw {
        Raw::Flag(flag) => flag.to_string(),
        Raw::Whole(number) => number.to_string(),
        Raw::Fraction(number) => number.to_string(),
        Raw::Text(text) | Raw::Word(text) => text.clone(),
        Raw::List(items) => {
            let items: Vec<_> = items.iter().map(|item| show(item, Sight::Plain)).collect();
            items.join(", ")
        }
        Raw::Table => String::new(),
    };
    match sight {
        Sight::Plain => plain,
        Sight::Url | Sight::Hidden if plain.is_empty() => plain,
        Sight::Url => addresses::redact(&plain),
        Sight::Hidden => "***".to_owned(),
    }
}
