//! Links: what their owners set and see.

use serde::Serialize;

use crate::domain::code::ShortCode;
use crate::domain::label::Hold;
use crate::domain::label::Labelled;
use crate::domain::label::Verdict;
use crate::domain::query::QueryForward;
use crate::domain::route::LinkState;
use crate::domain::route::RedirectStatus;
use crate::domain::route::Route;
use crate::domain::route::Times;
use crate::domain::time::Timestamp;

/// A link as its owner sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The short code.
    pub code: ShortCode,
    /// What the redirect needs.
    pub route: Route,
    /// A name for people.
    pub title: Option<String>,
    /// Words for the owner alone; never on a page.
    pub notes: Option<String>,
    /// Sorted, without duplicates.
    pub tags: Vec<String>,
    /// The owner of the key that made it; `None`: made without a key.
    pub owner: Option<String>,
    /// By the database's clock.
    pub created_at: Timestamp,
    /// By the database's clock.
    pub updated_at: Timestamp,
    /// Counted clicks so far.
    pub clicks: ClickTotals,
    /// What a labeller said of it; `None`: not labelled yet.
    pub labelled: Option<Labelled>,
    /// The verdict that an operator set over the labeller's.
    pub risk_override: Option<Verdict>,
}

/// Clicks by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClickTotals {
    /// People.
    pub human: i64,
    /// Crawlers and tools.
    pub bot: i64,
    /// Link previews of messengers.
    pub preview: i64,
    /// HEAD requests and prefetches.
    pub head: i64,
}

impl ClickTotals {
    /// Human, bot and preview; `head` is in no total.
    #[must_use]
    pub const fn total(self) -> i64 {
        self.human + self.bot + self.preview
    }
}

impl Link {
    /// The word for its state at `now`, as the API says it.
    #[must_use]
    pub fn status_word(&self, now: Timestamp) -> &'static str {
        match self.route.state {
            LinkState::Active
                if self
                    .route
                    .expires_at()
                    .is_some_and(|end| end <= now.micros()) =>
            {
                "expired"
            }
            LinkState::Active => match self.route.hold {
                Hold::None => "active",
                Hold::Quarantined => "quarantined",
                Hold::Malicious | Hold::Legal => "blocked",
            },
            LinkState::Disabled => "disabled",
            LinkState::Deleted | LinkState::Purged => "deleted",
        }
    }
}

/// What a caller may set on a link: everything but what the system keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFields {
    /// Passed the target policy.
    pub target: String,
    /// A name for people.
    pub title: Option<String>,
    /// Words for the owner.
    pub notes: Option<String>,
    /// Sorted, without duplicates.
    pub tags: Vec<String>,
    /// Active or disabled.
    pub disabled: bool,
    /// How it redirects.
    pub status: RedirectStatus,
    /// Not before.
    pub valid_from: Option<Timestamp>,
    /// Not from this time on.
    pub expires_at: Option<Timestamp>,
    /// Passed the target policy.
    pub expired_url: Option<String>,
    /// What happens to the visitor's query.
    pub query_forward: QueryForward,
    /// Whether the target may learn where the visitor came from.
    pub hide_referrer: bool,
    /// Whether search engines may list it.
    pub indexable: bool,
    /// An operator's verdict over the labeller's.
    pub risk_override: Option<Verdict>,
    /// Blocked for legal reasons.
    pub legal: bool,
}

impl LinkFields {
    /// A plain link to `target`.
    #[must_use]
    pub fn to(target: String) -> Self {
        Self {
            target,
            title: None,
            notes: None,
            tags: Vec::new(),
            disabled: false,
            status: RedirectStatus::Found,
            valid_from: None,
            expires_at: None,
            expired_url: None,
            query_forward: QueryForward::Keep,
            hide_referrer: false,
            indexable: false,
            risk_override: None,
            legal: false,
        }
    }

    /// The fields of an existing link, to be changed and written back.
    #[must_use]
    pub fn of(link: &Link) -> Self {
        Self {
            target: link.route.target.to_string(),
            title: link.title.clone(),
            notes: link.notes.clone(),
            tags: link.tags.clone(),
            disabled: link.route.state != LinkState::Active,
            status: link.route.status,
            valid_from: link.route.valid_from().map(Timestamp::from_micros),
            expires_at: link.route.expires_at().map(Timestamp::from_micros),
            expired_url: link.route.expired_url().map(str::to_owned),
            query_forward: link.route.query_forward,
            hide_referrer: link.route.hide_referrer,
            indexable: link.route.indexable,
            risk_override: link.risk_override,
            legal: link.route.hold == Hold::Legal,
        }
    }

    /// The state that these fields ask for.
    #[must_use]
    pub const fn state(&self) -> LinkState {
        if self.disabled {
            LinkState::Disabled
        } else {
            LinkState::Active
        }
    }
}

/// A row to be inserted: the fields, under a code, for an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLink {
    /// Drawn or wished for.
    pub code: ShortCode,
    /// Who may change it.
    pub owner: Option<String>,
    /// What it is.
    pub fields: LinkFields,
}

impl NewLink {
    /// The link that its row is, once it stands in the database since `at`.
    #[must_use]
    pub fn made(&self, at: Timestamp) -> Link {
        let fields = &self.fields;
        Link {
            code: self.code.clone(),
            route: Route {
                version: 1,
                state: fields.state(),
                target: fields.target.as_str().into(),
                status: fields.status,
                times: Times {
                    valid_from: fields.valid_from.map(Timestamp::micros),
                    expires_at: fields.expires_at.map(Timestamp::micros),
                    expired_url: fields.expired_url.as_deref().map(Into::into),
                }
                .boxed(),
                query_forward: fields.query_forward,
                hide_referrer: fields.hide_referrer,
                indexable: fields.indexable,
                hold: Hold::None,
            },
            labelled: None,
            risk_override: None,
            title: fields.title.clone(),
            notes: fields.notes.clone(),
            tags: fields.tags.clone(),
            owner: self.owner.clone(),
            created_at: at,
            updated_at: at,
            clicks: ClickTotals::default(),
        }
    }
}
