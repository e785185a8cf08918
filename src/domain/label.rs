//! Labels: what a link is about, and how dangerous it looks.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use crate::domain::time::Timestamp;

/// What a link is about. The numbers stand in the databases: new ones go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Category {
    Technology,
    News,
    Finance,
    Business,
    Education,
    Science,
    Health,
    Entertainment,
    Gaming,
    Sports,
    Shopping,
    Social,
    Travel,
    Food,
    Government,
    Lifestyle,
    /// Nothing reached the threshold, or it is about none of the above.
    Other,
}

impl Category {
    /// Every category, in the order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::Technology,
        Self::News,
        Self::Finance,
        Self::Business,
        Self::Education,
        Self::Science,
        Self::Health,
        Self::Entertainment,
        Self::Gaming,
        Self::Sports,
        Self::Shopping,
        Self::Social,
        Self::Travel,
        Self::Food,
        Self::Government,
        Self::Lifestyle,
        Self::Other,
    ];

    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Its number, in the databases and in the weights.
    #[must_use]
    pub const fn number(self) -> usize {
        self as usize
    }

    /// The category of a number.
    #[must_use]
    pub fn from_number(number: usize) -> Option<Self> {
        Self::ALL.get(number).copied()
    }

    /// Its word in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Technology => "technology",
            Self::News => "news",
            Self::Finance => "finance",
            Self::Business => "business",
            Self::Education => "education",
            Self::Science => "science",
            Self::Health => "health",
            Self::Entertainment => "entertainment",
            Self::Gaming => "gaming",
            Self::Sports => "sports",
            Self::Shopping => "shopping",
            Self::Social => "social",
            Self::Travel => "travel",
            Self::Food => "food",
            Self::Government => "government",
            Self::Lifestyle => "lifestyle",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Category {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|each| each.word() == text);
        found.ok_or(UnknownWord)
    }
}

/// No word of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no word of the contract")]
pub struct UnknownWord;

/// How dangerous a target looks.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing speaks against it.
    #[default]
    Clean,
    /// A person is asked before going on.
    Suspicious,
    /// Nobody is sent there.
    Malicious,
}

impl Verdict {
    /// Its number in the databases.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Clean => 0,
            Self::Suspicious => 1,
            Self::Malicious => 2,
        }
    }

    /// The verdict of a number; an unknown one is treated with care.
    #[must_use]
    pub const fn from_number(number: i16) -> Self {
        match number {
            0 => Self::Clean,
            2 => Self::Malicious,
            _ => Self::Suspicious,
        }
    }

    /// Its word in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Suspicious => "suspicious",
            Self::Malicious => "malicious",
        }
    }
}

/// What keeps a link from being followed at once, besides its state and times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hold {
    /// Nothing.
    #[default]
    None,
    /// Judged suspicious: a person may confirm.
    Quarantined,
    /// Judged malicious: nothing to confirm.
    Malicious,
    /// Blocked for legal reasons.
    Legal,
}

impl Hold {
    /// What follows from the verdict, an operator's overrule and a legal block.
    #[must_use]
    pub fn of(verdict: Verdict, overruled: Option<Verdict>, legal: bool) -> Self {
        if legal {
            return Self::Legal;
        }
        match overruled.unwrap_or(verdict) {
            Verdict::Clean => Self::None,
            Verdict::Suspicious => Self::Quarantined,
            Verdict::Malicious => Self::Malicious,
        }
    }

    /// The word of `block_reason`, if the link is blocked.
    #[must_use]
    pub const fn block_reason(self) -> Option<&'static str> {
        match self {
            Self::None | Self::Quarantined => None,
            Self::Malicious => Some("malicious"),
            Self::Legal => Some("legal"),
        }
    }
}

/// How dangerous a target looks, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Risk {
    /// 0 to 1.
    pub score: f32,
    /// What follows from it.
    pub verdict: Verdict,
    /// Rules that fired, the weightiest first, for people.
    pub reasons: Vec<String>,
}

/// What a labeller says of one link.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// What it is about.
    pub category: Category,
    /// How sure that is, 0 to 1.
    pub confidence: f32,
    /// How dangerous it looks.
    pub risk: Risk,
}

/// A label as it stands in a link's row.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// What was said.
    pub label: Label,
    /// Who said it: the name of the rules or the model.
    pub model: String,
    /// When, by the database's clock.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_lead_back() {
        for (number, category) in Category::ALL.into_iter().enumerate() {
            assert_eq!(category.number(), number);
            assert_eq!(Category::from_number(number), Some(category));
            assert_eq!(category.word().parse(), Ok(category));
        }
        for verdict in [Verdict::Clean, Verdict::Suspicious, Verdict::Malicious] {
            assert_eq!(Verdict::from_number(verdict.number()), verdict);
        }
    }

    #[test]
    fn an_overrule_counts_and_the_law_counts_more() {
        let bad = Verdict::Malicious;
        assert_eq!(Hold::of(bad, None, false), Hold::Malicious);
        assert_eq!(Hold::of(bad, Some(Verdict::Clean), false), Hold::None);
        assert_eq!(Hold::of(Verdict::Clean, Some(bad), false), Hold::Malicious);
        assert_eq!(Hold::of(bad, Some(Verdict::Clean), true), Hold::Legal);
    }
}
