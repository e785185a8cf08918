//! The columns of a label, the same in both stores.

use crate::domain::label::Category;
use crate::domain::label::Label;
use crate::domain::label::Labelled;
use crate::domain::label::Risk;
use crate::domain::label::Verdict;
use crate::domain::time::Timestamp;

/// What stands in a row; all but the verdict is empty before the first label.
#[derive(Debug)]
pub(super) struct LabelColumns {
    pub(super) category: Option<i64>,
    pub(super) confidence: Option<f32>,
    pub(super) verdict: i16,
    pub(super) score: Option<f32>,
    pub(super) reasons: Option<String>,
    pub(super) model: Option<String>,
    pub(super) at: Option<i64>,
}

impl LabelColumns {
    /// The label that the columns hold, if somebody wrote one.
    pub(super) fn read(self) -> Option<Labelled> {
        let number = usize::try_from(self.category?).unwrap_or(usize::MAX);
        let reasons = self.reasons.unwrap_or_default();
        Some(Labelled {
            label: Label {
                // A category of a newer release is not known here.
                category: Category::from_number(number).unwrap_or(Category::Other),
                confidence: self.confidence.unwrap_or(0.0),
                risk: Risk {
                    score: self.score.unwrap_or(0.0),
                    verdict: Verdict::from_number(self.verdict),
                    reasons: serde_json::from_str(&reasons).unwrap_or_default(),
                },
            },
            model: self.model.unwrap_or_default(),
            at: Timestamp::from_micros(self.at.unwrap_or(0)),
        })
    }
}

/// The reasons as they are stored.
pub(super) fn reasons_json(reasons: &[String]) -> String {
    serde_json::to_string(reasons).unwrap_or_else(|_| "[]".to_owned())
}

/// A category as the databases write it.
pub(super) fn category_number(category: Category) -> i16 {
    i16::try_from(category.number()).unwrap_or(i16::MAX)
}
