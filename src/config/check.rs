//! Reads single values out of [`Settings`] and collects what is wrong with them.
//!
//! Every method answers even when it complains (with a value nobody will see), so that one run
//! finds all faults.

use std::ops::RangeInclusive;

use super::complaint::Complaint;
use super::complaint::Fault;
use super::raw::Entry;
use super::raw::Raw;
use super::raw::Settings;
use super::raw::Source;

/// Settings under examination.
#[derive(Debug)]
pub(super) struct Checker<'a> {
    settings: &'a Settings,
    complaints: Vec<Complaint>,
}

impl<'a> Checker<'a> {
    /// Goes on from the complaints that reading brought.
    pub(super) fn new(settings: &'a Settings, complaints: Vec<Complaint>) -> Self {
        Self {
            settings,
            complaints,
        }
    }

    /// All that was found wrong.
    pub(super) fn into_complaints(self) -> Vec<Complaint> {
        self.complaints
    }

    /// Complains of `key`, blaming whoever set it.
    pub(super) fn complain(&mut self, key: &str, fault: Fault) {
        let source = self
            .settings
            .entry(key)
            .map_or(Source::Default, |entry| entry.source.clone());
        self.complaints.push(Complaint::new(key, fault, source));
    }

    /// Complains of what has no key of its own.
    pub(super) fn complain_of(&mut self, complaint: Complaint) {
        self.complaints.push(complaint);
    }

    /// True or false.
    pub(super) fn flag(&mut self, key: &str) -> bool {
        self.read(key, flag).unwrap_or_default()
    }

    /// A whole number of `range`.
    pub(super) fn whole(&mut self, key: &str, range: RangeInclusive<u64>) -> u64 {
        self.read(key, |raw| whole(raw, &range)).unwrap_or_default()
    }

    /// A whole number of `range` that fits 32 bits.
    pub(super) fn small(&mut self, key: &str, range: RangeInclusive<u32>) -> u32 {
        let (low, high) = range.into_inner();
        u32::try_from(self.whole(key, low.into()..=high.into())).unwrap_or(high)
    }

    /// A whole number of `range`, or `None` if nobody set one.
    pub(super) fn optional_whole(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        self.entry(key).filter(|entry| !is_empty(&entry.raw))?;
        self.read(key, |raw| whole(raw, &range))
    }

    /// A text that `parse` understands; there must be one.
    pub(super) fn text<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        self.read(key, |raw| match text(raw)? {
            "" => Err(Fault::new("is empty", "write a value or leave the key out")),
            text => parse(text),
        })
    }

    /// A text that `parse` understands, or `None` if nobody set one.
    pub(super) fn optional_text<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        self.entry(key).filter(|entry| !is_empty(&entry.raw))?;
        self.read(key, |raw| parse(text(raw)?))
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        self.text(key, |text| {
            let found = choices
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(text));
            found.map(|(_, choice)| *choice).ok_or_else(|| {
                let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
                Fault::new(
                    format!("is {text:?}"),
                    format!("write one of {}", names.join(", ")),
                )
            })
        })
    }

    /// A list, or a text with commas; each fault of its items is a complaint of its own.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Vec<T> {
        let mut items = Vec::new();
        for item in self.read(key, list).unwrap_or_default() {
            match parse(&item) {
                Ok(item) => items.push(item),
                Err(fault) => self.complain(key, fault),
            }
        }
        items
    }

    fn entry(&self, key: &str) -> Option<&'a Entry> {
        self.settings.entry(key)
    }

    fn read<T>(&mut self, key: &str, read: impl FnOnce(&Raw) -> Result<T, Fault>) -> Option<T> {
        let Some(entry) = self.entry(key) else {
            self.complain(key, Fault::new("is missing", "set it"));
            return None;
        };
        match read(&entry.raw) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.complain(key, fault);
                None
            }
        }
    }
}

fn is_empty(raw: &Raw) -> bool {
    matches!(raw, Raw::Text(text) | Raw::Word(text) if text.is_empty())
}

fn wrong_kind(raw: &Raw, remedy: &str) -> Fault {
    Fault::new(format!("is {}", raw.kind()), remedy)
}

fn flag(raw: &Raw) -> Result<bool, Fault> {
    match raw {
        Raw::Flag(flag) => Ok(*flag),
        Raw::Word(word) => match word.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(Fault::new(format!("is {word:?}"), "write true or false")),
        },
        Raw::Whole(_) | Raw::Fraction(_) | Raw::Text(_) | Raw::List(_) | Raw::Table => {
            Err(wrong_kind(raw, "write true or false, without quotes"))
        }
    }
}

fn whole(raw: &Raw, range: &RangeInclusive<u64>) -> Result<u64, Fault> {
    let remedy = format!(
        "write a whole number from {} to {}",
        range.start(),
        range.end()
    );
    let number = match raw {
        Raw::Whole(number) => *number,
        Raw::Word(word) => {
            let Ok(number) = word.replace('_', "").parse() else {
                return Err(Fault::new(format!("is {word:?}"), remedy));
            };
            number
        }
        Raw::Fraction(number) => return Err(Fault::new(format!("is {number}"), remedy)),
        Raw::Flag(_) | Raw::Text(_) | Raw::List(_) | Raw::Table => {
            return Err(wrong_kind(raw, &format!("{remedy}, without quotes")));
        }
    };
    match u64::try_from(number) {
        Ok(fits) if range.contains(&fits) => Ok(fits),
        Ok(_) | Err(_) => Err(Fault::new(format!("is {number}"), remedy)),
    }
}

/// The text of `raw`.
pub(super) fn text(raw: &Raw) -> Result<&str, Fault> {
    match raw {
        Raw::Text(text) | Raw::Word(text) => Ok(text.trim()),
        Raw::Flag(_) | Raw::Whole(_) | Raw::Fraction(_) | Raw::List(_) | Raw::Table => {
            Err(wrong_kind(raw, "write a text in quotes"))
        }
    }
}

/// The items of a list, or of a text with commas.
pub(super) fn list(raw: &Raw) -> Result<Vec<String>, Fault> {
    match raw {
        Raw::List(items) => items
            .iter()
            .map(|item| text(item).map(ToOwned::to_owned))
            .collect(),
        Raw::Text(text) | Raw::Word(text) => {
            // Taken by its commas this would name files and hosts that begin with a bracket.
            if text.starts_with("[\"") || text.starts_with("['") {
                let remedy = "outside of the file write one,two without brackets and quotes";
                return Err(Fault::new("is written as in the file", remedy));
            }
            let items: Vec<String> = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(ToOwned::to_owned)
                .collect();
            // Taken for an empty list this would switch off what somebody meant to name.
            if items.is_empty() && !text.trim().is_empty() {
                return Err(Fault::new(
                    "holds commas and no name",
                    "write one,two, or leave it out",
                ));
            }
            Ok(items)
        }
        Raw::Flag(_) | Raw::Whole(_) | Raw::Fraction(_) | Raw::Table => {
            Err(wrong_kind(raw, "write a list, as [\"one\", \"two\"]"))
        }
    }
}

/// A weight: above 0, at most 1000.
pub(super) fn weight(raw: &Raw) -> Result<f64, Fault> {
    let remedy = "write a number above 0, at most 1000";
    let weight = match raw {
        Raw::Fraction(number) => *number,
        // Beyond 1000 nothing counts, so nothing is lost on the way.
        Raw::Whole(number) => f64::from(i16::try_from(*number).unwrap_or(-1)),
        Raw::Flag(_) | Raw::Text(_) | Raw::Word(_) | Raw::List(_) | Raw::Table => {
            return Err(wrong_kind(raw, remedy));
        }
    };
    if weight > 0.0 && weight <= 1000.0 {
        Ok(weight)
    } else {
        Err(Fault::new("is out of bounds", remedy))
    }
}
