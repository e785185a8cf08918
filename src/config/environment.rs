//! Reads the environment: first the flat names of the deployment this replaces, then
//! `URLSHORT__SECTION__KEY`.
//!
//! An empty variable is unset. A name with `_FILE` behind it gives the path of a file whose
//! trimmed content is the value, as container secrets come.

use std::collections::BTreeMap;
use std::fs;

use super::complaint::Complaint;
use super::complaint::Fault;
use super::raw::KEYS;
use super::raw::Key;
use super::raw::Raw;
use super::raw::RawShard;
use super::raw::Settings;
use super::raw::Sight;
use super::raw::Source;
use super::raw::unknown_key;

/// Lays `environment` over `settings`.
pub(super) fn apply(
    settings: &mut Settings,
    environment: impl Iterator<Item = (String, String)>,
    complaints: &mut Vec<Complaint>,
) {
    let all = environment
        .map(|(name, value)| (name, value.trim().to_owned()))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let mut variables = Variables { all, complaints };
    flat_shards(settings, &mut variables);
    flat_redis(settings, &mut variables);
    if let Some((brokers, source)) = variables.take("KAFKA_BOOTSTRAP_SERVERS") {
        set(settings, "events.kafka_brokers", brokers, source);
    }
    keyed(settings, &mut variables);
}

/// The variables that are set and not yet read.
struct Variables<'a> {
    all: BTreeMap<String, String>,
    complaints: &'a mut Vec<Complaint>,
}

impl Variables<'_> {
    /// The value of `name` or of the file that `name_FILE` points at.
    fn take(&mut self, name: &str) -> Option<(String, Source)> {
        let plain = self.all.remove(name);
        let file = format!("{name}_FILE");
        let Some(path) = self.all.remove(&file) else {
            return plain.map(|value| (value, Source::Variable(name.to_owned())));
        };
        if plain.is_some() {
            self.complain(
                &file,
                format!("and {name} are both set"),
                "unset one of them",
            );
            return None;
        }
        match fs::read_to_string(&path) {
            Ok(content) if content.trim().is_empty() => None,
            Ok(content) => Some((content.trim().to_owned(), Source::Variable(file))),
            Err(error) => {
                let problem = format!("points at {path:?}, which cannot be read: {error}");
                self.complain(&file, problem, "correct the path or its permissions");
                None
            }
        }
    }

    fn complain(&mut self, name: &str, problem: impl Into<String>, remedy: &str) {
        let source = Source::Variable(name.to_owned());
        self.complaints
            .push(Complaint::new(name, Fault::new(problem, remedy), source));
    }
}

fn set(settings: &mut Settings, name: &str, value: String, source: Source) {
    if let Some(key) = Key::named(name) {
        settings.set(key, Raw::Word(value), source);
    }
}

/// `DB_SHARD_0_URL` … `DB_SHARD_N_URL`: all of them or a complaint, since a shard that is silently
/// left out is a shard of links that are silently gone.
fn flat_shards(settings: &mut Settings, variables: &mut Variables<'_>) {
    let mut found = BTreeMap::new();
    let names: Vec<String> = variables.all.keys().cloned().collect();
    for name in names {
        let Some(ordinal) = name
            .strip_suffix("_FILE")
            .unwrap_or(&name)
            .strip_prefix("DB_SHARD_")
            .and_then(|rest| rest.strip_suffix("_URL"))
        else {
            continue;
        };
        match ordinal.parse::<usize>() {
            Ok(number) if number.to_string() == ordinal => {
                found
                    .entry(number)
                    .or_insert_with(|| format!("DB_SHARD_{ordinal}_URL"));
            }
            Ok(_) | Err(_) => variables.complain(
                &name,
                "does not hold a plain number",
                "name the shards DB_SHARD_0_URL, DB_SHARD_1_URL and so on",
            ),
        }
    }
    if found.is_empty() {
        return;
    }
    let mut shards = Vec::with_capacity(found.len());
    let mut expected = 0;
    for (number, name) in found {
        if number > expected {
            let missing = format!("DB_SHARD_{expected}_URL");
            let problem = format!("is unset or empty, but {name} is set");
            variables.complain(&missing, problem, "number the shards from 0 without a gap");
        }
        expected = number + 1;
        let complaints = variables.complaints.len();
        match variables.take(&name) {
            Some((url, source)) => {
                shards.push(RawShard {
                    url: Some(Raw::Word(url)),
                    weight: None,
                    source,
                });
            }
            None if variables.complaints.len() == complaints => {
                variables.complain(&name, "comes from an empty file", "write the URL into it");
            }
            None => (),
        }
    }
    settings.shards = shards;
}

fn flat_redis(settings: &mut Settings, variables: &mut Variables<'_>) {
    let host = variables.take("REDIS_HOST");
    let port = variables.take("REDIS_PORT");
    let number = match &port {
        None => 6379,
        Some((text, source)) => match text.parse::<u16>() {
            Ok(number) if number > 0 => number,
            Ok(_) | Err(_) => {
                let remedy = if text.starts_with("tcp://") {
                    "Kubernetes made this variable: set enableServiceLinks to false"
                } else {
                    "write a number from 1 to 65535"
                };
                variables.complain(&source.to_string(), format!("{text:?} is no port"), remedy);
                return;
            }
        },
    };
    match (host, port) {
        (Some((host, source)), _) => {
            if host.contains(['/', '@', '?', '#', ',']) || host.contains(char::is_whitespace) {
                variables.complain(
                    &source.to_string(),
                    "is no host name",
                    "write the host alone, or give a whole URL in URLSHORT__CACHE__REDIS_URL",
                );
                return;
            }
            let bare = host.contains(':') && !host.starts_with('[');
            let host = if bare { format!("[{host}]") } else { host };
            set(
                settings,
                "cache.redis_url",
                format!("redis://{host}:{number}"),
                source,
            );
        }
        (None, Some((_, source))) => variables.complain(
            &source.to_string(),
            "is set without REDIS_HOST",
            "set REDIS_HOST too, or unset it",
        ),
        (None, None) => (),
    }
}

fn keyed(settings: &mut Settings, variables: &mut Variables<'_>) {
    for key in KEYS {
        let name = key.variable();
        let value = match key.sight {
            Sight::Plain => variables
                .all
                .remove(&name)
                .map(|value| (value, Source::Variable(name))),
            Sight::Url | Sight::Hidden => variables.take(&name),
        };
        if let Some((value, source)) = value {
            settings.set(key, Raw::Word(value), source);
        }
    }
    let unknown: Vec<String> = variables
        .all
        .keys()
        .filter(|name| name.starts_with("URLSHORT__"))
        .cloned()
        .collect();
    for name in unknown {
        if name.starts_with("URLSHORT__SHARDS") {
            variables.complain(
                &name,
                "is no key of urlshort",
                "set DB_SHARD_0_URL and so on",
            );
        } else {
            let Fault { problem, remedy } = unknown_key();
            variables.complain(&name, problem, &remedy);
        }
    }
}
