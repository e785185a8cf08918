//! What the classifier is asked, and what it answers.

use crate::classify::lexicon::Spoke;
use crate::classify::risk::Assessment;
use crate::classify::shares::Shares;
use crate::classify::words::Words;
use crate::domain::label::Label;

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The URL.
    pub url: String,
    /// The link's title, if it has one.
    pub title: Option<String>,
}

impl AsRef<Self> for Question {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// Who decided the category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// The rules; there is no model, or it thought otherwise.
    Rules,
    /// The model; the rules thought otherwise.
    Model,
    /// Both, of one mind.
    Both,
    /// The site is well known.
    KnownSite,
}

/// An answer, and how it came about.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The label.
    pub label: Label,
    /// The calibrated share of every category.
    pub shares: Shares,
    /// Who decided.
    pub decided: Decided,
    /// The words that were read.
    pub words: Words,
    /// The words of the lexicon that spoke.
    pub spoke: Vec<Spoke>,
    /// The risk rules that fired.
    pub assessment: Assessment,
}
