//! What pages say of a link's label.

use crate::domain::label::Category;
use crate::domain::link::Link;

/// What a link is about, for people; nothing where that is not known.
pub(super) fn category(link: &Link) -> Option<String> {
    let category = link.labelled.as_ref()?.label.category;
    (category != Category::Other).then(|| category.word().to_owned())
}

/// What is known of a link's risk, for people; only links that may be followed have a page.
pub(super) const fn safety(link: &Link) -> &'static str {
    match (&link.risk_override, &link.labelled) {
        (Some(_), _) => "checked by the operator",
        (None, Some(_)) => "checked, nothing suspicious found",
        (None, None) => "not checked yet",
    }
}
