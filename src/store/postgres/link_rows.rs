//! Rows of a server → links.

use tokio_postgres::Row;

use crate::domain::label::Hold;
use crate::domain::label::Verdict;
use crate::domain::link::ClickTotals;
use crate::domain::link::Link;
use crate::domain::query::QueryForward;
use crate::domain::route::LinkState;
use crate::domain::route::RedirectStatus;
use crate::domain::route::Route;
use crate::domain::route::Times;
use crate::domain::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::labels::LabelColumns;
use crate::store::postgres::PostgresShard;

/// The columns of a route, in the order of [`PostgresShard::route_of`].
pub(super) const ROUTE: &str = "l.code, l.version, l.state, l.long_url, l.redirect_status, l.valid_from, \
     l.expires_at, l.expired_url, l.query_forward, l.hide_referrer, l.indexable, l.verdict, \
     l.risk_override, l.legal";

/// The columns after it, in the order of [`PostgresShard::link_of`].
pub(super) const REST: &str = "l.title, l.notes, l.tags, l.owner, l.created_at, l.updated_at, \
     coalesce(t.human, 0), coalesce(t.bot, 0), coalesce(t.preview, 0), coalesce(t.head, 0), \
     l.category, l.confidence, l.risk_score, l.risk_reasons, l.label_model, l.labelled_at";

impl PostgresShard {
    /// The route whose columns begin at `at`.
    pub(super) fn route_of(&self, row: &Row, at: usize) -> Result<Route, StoreError> {
        let status: i16 = row.get(at + 4);
        let status = u16::try_from(status).unwrap_or_default();
        Ok(Route {
            version: row.get(at + 1),
            state: LinkState::from_number(row.get(at + 2)),
            target: row.get::<_, &str>(at + 3).into(),
            status: RedirectStatus::try_from(status).map_err(|what| self.corrupt(what))?,
            times: Times {
                valid_from: row.get(at + 5),
                expires_at: row.get(at + 6),
                expired_url: row.get::<_, Option<&str>>(at + 7).map(Into::into),
            }
            .boxed(),
            query_forward: QueryForward::from_number(row.get(at + 8)),
            hide_referrer: row.get(at + 9),
            indexable: row.get(at + 10),
            hold: Hold::of(
                Verdict::from_number(row.get(at + 11)),
                row.get::<_, Option<i16>>(at + 12).map(Verdict::from_number),
                row.get(at + 13),
            ),
        })
    }

    /// The link whose columns begin at `at`.
    pub(super) fn link_of(&self, row: &Row, at: usize) -> Result<Link, StoreError> {
        let code: &str = row.get(at);
        Ok(Link {
            code: code
                .parse()
                .map_err(|_error| self.corrupt(format!("the code {code:?}")))?,
            route: self.route_of(row, at)?,
            title: row.get(at + 14),
            notes: row.get(at + 15),
            tags: row.get(at + 16),
            owner: row.get(at + 17),
            created_at: Timestamp::from_micros(row.get(at + 18)),
            updated_at: Timestamp::from_micros(row.get(at + 19)),
            clicks: ClickTotals {
                human: row.get(at + 20),
                bot: row.get(at + 21),
                preview: row.get(at + 22),
                head: row.get(at + 23),
            },
            labelled: LabelColumns {
                category: row.get::<_, Option<i16>>(at + 24).map(i64::from),
                confidence: row.get(at + 25),
                verdict: row.get(at + 11),
                score: row.get(at + 26),
                reasons: row.get(at + 27),
                model: row.get(at + 28),
                at: row.get(at + 29),
            }
            .read(),
            risk_override: row.get::<_, Option<i16>>(at + 12).map(Verdict::from_number),
        })
    }

    fn corrupt(&self, what: String) -> StoreError {
        StoreError::Corrupt {
            shard: self.inner.shard,
            what,
        }
    }
}
