//! Routes: what a redirect needs of a link, and whether it may be followed now.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::label::Hold;
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
    /// When; behind a pointer, since few links have a time and the caches keep millions.
    pub times: Option<Box<Times>>,
    /// What happens to the visitor's query.
    pub query_forward: QueryForward,
    /// Whether the target may learn where the visitor came from.
    pub hide_referrer: bool,
    /// Whether search engines may list the short URL.
    pub indexable: bool,
    /// What keeps visitors from the target: a verdict, or the law.
    pub hold: Hold,
}

/// When a link may be followed, in microseconds by the databases' clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Not before this time.
    pub valid_from: Option<i64>,
    /// Not from this time on.
    pub expires_at: Option<i64>,
    /// Where to after that, instead of 410.
    pub expired_url: Option<Box<str>>,
}

impl Times {
    /// These times, or nothing where none is set.
    #[must_use]
    pub fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
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
    /// Judged suspicious: a person may confirm.
    Confirm,
    /// Judged malicious.
    Malicious,
    /// Blocked for legal reasons.
    Legal,
}

#[cfg(test)]
impl Route {
    /// An active route with nothing but a target.
    pub(crate) fn plain(target: &str) -> Self {
        Self {
            version: 1,
            state: LinkState::Active,
            target: target.into(),
            status: RedirectStatus::Found,
            times: None,
            query_forward: QueryForward::Keep,
            hide_referrer: false,
            indexable: false,
            hold: Hold::None,
        }
    }
}

impl Route {
    /// Not before this time, in microseconds.
    #[must_use]
    pub fn valid_from(&self) -> Option<i64> {
        self.times.as_ref()?.valid_from
    }

    /// Not from this time on, in microseconds.
    #[must_use]
    pub fn expires_at(&self) -> Option<i64> {
        self.times.as_ref()?.expires_at
    }

    /// Where to after that, instead of 410.
    #[must_use]
    pub fn expired_url(&self) -> Option<&str> {
        self.times.as_ref()?.expired_url.as_deref()
    }

    /// What a visit at `now` gets; asked on every hit of every cache.
    #[must_use]
    pub fn decide(&self, now: Timestamp) -> Decision<'_> {
        match self.state {
            LinkState::Deleted | LinkState::Purged => return Decision::Gone,
            LinkState::Disabled => return Decision::NotFound,
            LinkState::Active => (),
        }
        let Some(times) = &self.times else {
            return self.held();
        };
        if times.valid_from.is_some_and(|from| now.micros() < from) {
            return Decision::NotFound;
        }
        if times.expires_at.is_some_and(|end| end <= now.micros()) {
            let instead = times.expired_url.as_deref();
            // Where an expired link sends its visitors was never judged: nobody is sent there from
            // a link that is held.
            return match (instead, self.hold) {
                (Some(url), Hold::None) => Decision::Instead(url),
                (Some(_) | None, _) => Decision::Gone,
            };
        }
        self.held()
    }

    const fn held(&self) -> Decision<'_> {
        match self.hold {
            Hold::None => Decision::Follow,
            Hold::Quarantined => Decision::Confirm,
            Hold::Malicious => Decision::Malicious,
            Hold::Legal => Decision::Legal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(state: LinkState, from: Option<i64>, end: Option<i64>, other: Option<&str>) -> Route {
        Route {
            state,
            times: Times {
                valid_from: from,
                expires_at: end,
                expired_url: other.map(Into::into),
            }
            .boxed(),
            ..Route::plain("https://example.com/")
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

    #[test]
    fn what_is_held_is_followed_by_nobody() {
        for (hold, expected) in [
            (Hold::Quarantined, Decision::Confirm),
            (Hold::Malicious, Decision::Malicious),
            (Hold::Legal, Decision::Legal),
        ] {
            let held = Route {
                hold,
                ..route(LinkState::Active, Some(10), Some(20), Some("https://e.x/"))
            };
            check(&held, 9, Decision::NotFound);
            check(&held, 10, expected);
            check(&held, 20, Decision::Gone);
            let disabled = Route {
                state: LinkState::Disabled,
                ..held
            };
            check(&disabled, 10, Decision::NotFound);
        }
    }
}
