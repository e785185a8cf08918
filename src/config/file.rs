//! Reads a TOML file into [`Settings`], and complains of every key that it does not know.

use config::File;
use config::FileFormat;
use config::Map;
use config::Source as _;
use config::Value;
use config::ValueKind;

use super::complaint::Complaint;
use super::complaint::Fault;
use super::raw::Key;
use super::raw::Raw;
use super::raw::RawShard;
use super::raw::Settings;
use super::raw::Source;
use super::raw::unknown_key;

/// Lays the TOML `text` over `settings`.
pub(super) fn apply(
    settings: &mut Settings,
    text: &str,
    source: &Source,
    complaints: &mut Vec<Complaint>,
) {
    let tables = match File::from_str(text, FileFormat::Toml).collect() {
        Ok(tables) => tables,
        Err(error) => {
            // Without the lines that quote the file: one of them may hold a password.
            let error = error.to_string();
            let said: Vec<&str> = error.lines().filter(|line| !line.contains('|')).collect();
            let problem = format!("is no TOML: {}", said.join(": "));
            let fault = Fault::new(problem, "correct it there");
            complaints.push(Complaint::new(source.to_string(), fault, source.clone()));
            return;
        }
    };
    for (name, value) in sorted(tables) {
        match (name.as_str(), value.kind) {
            ("shards", ValueKind::Array(shards)) => {
                settings.shards = shards
                    .into_iter()
                    .enumerate()
                    .filter_map(|(at, shard)| raw_shard(at, shard, source, complaints))
                    .collect();
            }
            ("shards", _) => {
                let fault = Fault::new("is no list of tables", "begin each shard with [[shards]]");
                complaints.push(Complaint::new(name, fault, source.clone()));
            }
            (_, ValueKind::Table(section)) if Key::named(&name).is_none() => {
                for (key, value) in sorted(section) {
                    set(
                        settings,
                        format!("{name}.{key}"),
                        value.kind,
                        source,
                        complaints,
                    );
                }
            }
            (_, kind) => set(settings, name, kind, source, complaints),
        }
    }
}

fn set(
    settings: &mut Settings,
    name: String,
    kind: ValueKind,
    source: &Source,
    complaints: &mut Vec<Complaint>,
) {
    match Key::named(&name) {
        Some(key) => settings.set(key, raw(kind), source.clone()),
        None => complaints.push(Complaint::new(name, unknown_key(), source.clone())),
    }
}

/// Maps have no order; complaints shall.
fn sorted(table: Map<String, Value>) -> Vec<(String, Value)> {
    let mut pairs: Vec<_> = table.into_iter().collect();
    pairs.sort_by(|left, right| left.0.cmp(&right.0));
    pairs
}

fn raw_shard(
    at: usize,
    shard: Value,
    source: &Source,
    complaints: &mut Vec<Complaint>,
) -> Option<RawShard> {
    let ValueKind::Table(table) = shard.kind else {
        let fault = Fault::new("is no table", "begin each shard with [[shards]]");
        complaints.push(Complaint::new(
            format!("shards[{at}]"),
            fault,
            source.clone(),
        ));
        return None;
    };
    let mut written = RawShard {
        url: None,
        weight: None,
        source: source.clone(),
    };
    for (name, value) in sorted(table) {
        match name.as_str() {
            "url" => written.url = Some(raw(value.kind)),
            "weight" => written.weight = Some(raw(value.kind)),
            _ => complaints.push(Complaint::new(
                format!("shards[{at}].{name}"),
                unknown_key(),
                source.clone(),
            )),
        }
    }
    Some(written)
}

fn raw(kind: ValueKind) -> Raw {
    match kind {
        ValueKind::Nil => Raw::Text(String::new()),
        ValueKind::Boolean(flag) => Raw::Flag(flag),
        ValueKind::I64(number) => Raw::Whole(number.into()),
        ValueKind::U64(number) => Raw::Whole(number.into()),
        ValueKind::I128(number) => Raw::Whole(number),
        ValueKind::U128(number) => Raw::Whole(number.try_into().unwrap_or(i128::MAX)),
        ValueKind::Float(number) => Raw::Fraction(number),
        ValueKind::String(text) => Raw::Text(text),
        ValueKind::Array(items) => {
            Raw::List(items.into_iter().map(|item| raw(item.kind)).collect())
        }
        ValueKind::Table(_) => Raw::Table,
    }
}
