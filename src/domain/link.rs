//! Links: what a code leads to, and whether it may be followed now.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::code::ShortCode;
use crate::domain::query::QueryForward;
use crate::domain::time::Timestamp;

/// Whether a link's row lets it be followed. Expiry is not a state: it is decided on every visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// May be followed within its times.
    Active,
    /// Switched off by its owner.
    Disabled,
    /// A tombstone: the code is never given again.
    Deleted,
    /// A tombstone without content.
    Purged,
}

impl LinkState {
    /// Its number in the databases.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Active => 0,
            Self::Disabled => 1,
            Self::Deleted => 2,
            Self::Purged => 3,
        }
    }

    /// The state behind a number of the databases; an unknown one is never followed.
    #[must_use]
    pub const fn from_number(number: i16) -> Self {
        match number {
            0 => Self::Active,
            2 => Self::Deleted,
            3 => Self::Purged,
            _ => Self::Disabled,
        }
    }
}

/// The redirect statuses a link can have. 302 unless set: a browser that remembers a 301 hides
/// every later visit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u16", try_from = "u16")]
pub enum RedirectStatus {
    /// 301
    MovedPermanently,
    /// 302
    #[default]
    Found,
    /// 307
    Temporary,
    /// 308
    Permanent,
}

impl RedirectStatus {
    /// 301 and 308, which browsers may remember for a while.
    #[must_use]
    pub const fn is_permanent(self) -> bool {
        matches!(self, Self::MovedPermanently | Self::Permanent)
    }

    /// The HTTP status.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::MovedPermanently => 301,
            Self::Found => 302,
            Self::Temporary => 307,
            Self::Permanent => 308,
        }
    }
}

impl From<RedirectStatus> for u16 {
    fn from(status: RedirectStatus) -> Self {
        status.code()
    }
}

impl TryFrom<u16> for RedirectStatus {
    type Error = String;

    fn try_from(code: u16) -> Result<Self, String> {
        match code {
            301 => Ok(Self::MovedPermanently),
            302 => Ok(Self::Found),
            307 => Ok(Self::Temporary),
            308 => Ok(Self::Permanent),
            _ => Err("must be 301, 302, 307 or 308".to_owned()),
        }
    }
}

/// What a redirect needs of a link: the part that the caches keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Grows by one with every change; 0 stands for a code that nobody made.
    pub version: i64,
    /// Active, disabled or a tombstone.
    pub state: LinkState,
    /// Where to, as stored.
    pub target: Box<str>,
    /// How.
    pub status: RedirectStatus,
    /// Not before this time.
    pub valid_from: Option<i64>,
    /// Not from this time on.
    pub expires_at: Option<i64>,
    /// Where to after that, instead of 410.
    pub expired_url: Option<Box<str>>,
    /// What happens to the visitor's query.
    pub query_forward: QueryForward,
    /// Whether the target may learn where the visitor came from.
    pub hide_referrer: bool,
    /// Whether search engines may list the short URL.
    pub indexable: bool,
}

/// What a visit at a certain time gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision<'route> {
    /// The target.
    Follow,
    /// Unknown, disabled or not yet valid: one answer for all three.
    NotFound,
    /// Deleted, or expired without another address.
    Gone,
    /// Expired, with another address.
    Instead(&'route str),
}

impl Route {
    /// What a visit at `now` gets; asked on every hit of every cache.
    #[must_use]
    pub fn decide(&self, now: Timestamp) -> Decision<'_> {
        match self.state {
            LinkState::Deleted | LinkState::Purged => return Decision::Gone,
            LinkState::Disabled => return Decision::NotFound,
            LinkState::Active => (),
        }
        if self.valid_from.is_some_and(|from| now.micros() < from) {
            return Decision::NotFound;
        }
        if self.expires_at.is_some_and(|end| end <= now.micros()) {
            return self
                .expired_url
                .as_deref()
                .map_or(Decision::Gone, Decision::Instead);
        }
        Decision::Follow
    }
}

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
            LinkState::Active if self.route.expires_at.is_some_and(|end| end <= now.micros()) => {
                "expired"
            }
            LinkState::Active => "active",
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
            valid_from: link.route.valid_from.map(Timestamp::from_micros),
            expires_at: link.route.expires_at.map(Timestamp::from_micros),
            expired_url: link.route.expired_url.as_deref().map(str::to_owned),
            query_forward: link.route.query_forward,
            hide_referrer: link.route.hide_referrer,
            indexable: link.route.indexable,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn route(state: LinkState, from: Option<i64>, end: Option<i64>, other: Option<&str>) -> Route {
        Route {
            version: 1,
            state,
            target: "https://example.com/".into(),
            status: RedirectStatus::Found,
            valid_from: from,
            expires_at: end,
            expired_url: other.map(Into::into),
            query_forward: QueryForward::Keep,
            hide_referrer: false,
            indexable: false,
        }
    }

    #[track_caller]
    fn check(route: &Route, at: i64, expected: Decision<'_>) {
        assert_eq!(route.decide(Timestamp::from_micros(at)), expected);
    }

    #[test]
    fn a_visit_is_decided_by_state_and_time() {
        let plain = route(LinkState::Active, Some(10), Some(20), None);
        check(&plain, 9, Decision::NotFound);
        check(&plain, 10, Decision::Follow);
        check(&plain, 19, Decision::Follow);
        check(&plain, 20, Decision::Gone);
        let other = route(LinkState::Active, None, Some(20), Some("https://e.x/"));
        check(&other, 20, Decision::Instead("https://e.x/"));
        check(
            &route(LinkState::Disabled, None, Some(20), Some("x")),
            30,
            Decision::NotFound,
        );
        check(
            &route(LinkState::Deleted, Some(50), None, None),
            1,
            Decision::Gone,
        );
        check(
            &route(LinkState::Purged, None, None, None),
            1,
            Decision::Gone,
        );
    }
}
