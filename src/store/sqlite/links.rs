//! Links in a file-backed shard: the same statements as on a server, one by one.

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::Row;
use rusqlite::named_params;
use rusqlite::params;

use crate::domain::code::ShortCode;
use crate::domain::label::Hold;
use crate::domain::label::Verdict;
use crate::domain::link::ClickTotals;
use crate::domain::link::Link;
use crate::domain::link::LinkFields;
use crate::domain::link::NewLink;
use crate::domain::query::QueryForward;
use crate::domain::route::LinkState;
use crate::domain::route::RedirectStatus;
use crate::domain::route::Route;
use crate::domain::route::Times;
use crate::domain::time::Timestamp;
use crate::slots::Slot;
use crate::store::error::StoreError;
use crate::store::labels::LabelColumns;
use crate::store::rows::Changed;
use crate::store::rows::Inserted;
use crate::store::rows::ListFilter;
use crate::store::rows::ListStatus;
use crate::store::rows::ShardPage;
use crate::store::shard::url_hash;
use crate::store::sqlite::SqliteShard;
use crate::store::sqlite::now;
use crate::store::sqlite::require_active;

/// The columns of a link, in the order of [`link_of`]; `l` is `links`, `t` is `clicks_total`.
const COLUMNS: &str = "l.code, l.version, l.state, l.long_url, l.redirect_status, l.valid_from, \
     l.expires_at, l.expired_url, l.query_forward, l.hide_referrer, l.indexable, l.title, l.notes, \
     l.tags, l.owner, l.created_at, l.updated_at, coalesce(t.human, 0), coalesce(t.bot, 0), \
     coalesce(t.preview, 0), coalesce(t.head, 0), l.verdict, l.risk_override, l.legal, l.category, \
     l.confidence, l.risk_score, l.risk_reasons, l.label_model, l.labelled_at";

impl SqliteShard {
    /// What the redirect needs of `code`; `None` where nobody made it.
    ///
    /// # Errors
    /// [`StoreError::NotOwner`] where the slot is not active here; an outage.
    pub async fn route(&self, code: &ShortCode) -> Result<Option<Route>, StoreError> {
        Ok(self.find(code).await?.map(|link| link.route))
    }

    /// The link behind `code`, tombstones included; `None` where nobody made it.
    ///
    /// # Errors
    /// [`StoreError::NotOwner`] where the slot is not active here; an outage.
    pub async fn find(&self, code: &ShortCode) -> Result<Option<Link>, StoreError> {
        let code = code.clone();
        self.read(move |connection| {
            require_active(connection, Slot::of(code.as_str()))?;
            select(connection, &code)
        })
        .await
    }

    /// Inserts one link.
    ///
    /// # Errors
    /// [`StoreError::NotOwner`], [`StoreError::Refused`] or an outage.
    pub async fn insert(&self, new: &NewLink, announce: bool) -> Result<Inserted, StoreError> {
        let new = new.clone();
        self.write(move |connection| insert(connection, &new, announce))
            .await
    }

    /// Inserts many links, all or none; results in order.
    ///
    /// # Errors
    /// [`StoreError::NotOwner`], [`StoreError::Refused`] or an outage.
    pub async fn insert_many(
        &self,
        new: &[NewLink],
        announce: bool,
    ) -> Result<Vec<Inserted>, StoreError> {
        let new = new.to_vec();
        self.write(move |connection| {
            new.iter()
                .map(|new| insert(connection, new, announce))
                .collect()
        })
        .await
    }

    /// Writes `fields` over the link if its version still is `version` and it is not deleted.
    ///
    /// # Errors
    /// [`StoreError::NotOwner`], [`StoreError::Refused`] or an outage.
    pub async fn update(
        &self,
        code: &ShortCode,
        version: i64,
        fields: &LinkFields,
    ) -> Result<Changed, StoreError> {
        let (code, fields) = (code.clone(), fields.clone());
        self.write(move |connection| {
            let time = now().micros();
            let mut statement = connection.prepare_cached(
                "UPDATE links SET version = version + 1, state = :state, long_url = :long_url, \
                 url_hash = :url_hash, redirect_status = :status, valid_from = :valid_from, \
                 expires_at = :expires_at, expired_url = :expired_url, \
                 query_forward = :query_forward, hide_referrer = :hide_referrer, \
                 indexable = :indexable, title = :title, notes = :notes, tags = :tags, \
                 updated_at = :now, risk_override = :overruled, legal = :legal, \
                 label_rank = CASE WHEN long_url = :long_url AND title IS :title \
                 AND expired_url IS :expired_url THEN label_rank ELSE 0 END \
                 WHERE code = :code AND version = :version AND state IN (0, 1)",
            )?;
            let changed = statement.execute(named_params! {
                ":state": fields.state().number(), ":long_url": fields.target,
                ":url_hash": url_hash(&fields.target), ":status": fields.status.code(),
                ":valid_from": fields.valid_from.map(Timestamp::micros),
                ":expires_at": fields.expires_at.map(Timestamp::micros),
                ":expired_url": fields.expired_url, ":query_forward": fields.query_forward.number(),
                ":hide_referrer": fields.hide_referrer, ":indexable": fields.indexable,
                ":title": fields.title, ":notes": fields.notes, ":tags": tags_json(&fields.tags),
                ":now": time, ":code": code.as_str(), ":version": version,
                ":overruled": fields.risk_override.map(Verdict::number), ":legal": fields.legal,
            })?;
            finish(connection, &code, changed, time)
        })
        .await
    }

    /// Makes the link a tombstone if its version still is `version`; `purge` blanks it as well,
    /// also one that is deleted already, and its statistics with it.
    ///
    /// # Errors
    /// [`StoreError::NotOwner`] or an outage.
    pub async fn delete(
        &self,
        code: &ShortCode,
        version: i64,
        purge: bool,
    ) -> Result<Changed, StoreError> {
        let code = code.clone();
        self.write(move |connection| {
            let time = now().micros();
            let sql = if purge {
                "UPDATE links SET version = version + 1, state = 3, long_url = '', url_hash = 0, \
                 valid_from = NULL, expires_at = NULL, expired_url = NULL, title = NULL, \
                 notes = NULL, tags = '[]', owner = NULL, updated_at = ?3, category = NULL, \
                 risk_reasons = NULL, label_model = NULL \
                 WHERE code = ?1 AND version = ?2 AND state IN (0, 1, 2)"
            } else {
                "UPDATE links SET version = version + 1, state = 2, updated_at = ?3 \
                 WHERE code = ?1 AND version = ?2 AND state IN (0, 1)"
            };
            let changed =
                connection
                    .prepare_cached(sql)?
                    .execute(params![code.as_str(), version, time])?;
            if purge && changed == 1 {
                for table in [
                    "clicks_total",
                    "clicks_quarter",
                    "clicks_value",
                    "clicks_visitors",
                ] {
                    let sql = format!("DELETE FROM {table} WHERE code = ?1");
                    connection.prepare_cached(&sql)?.execute([code.as_str()])?;
                }
            }
            finish(connection, &code, changed, time)
        })
        .await
    }

    /// The caller's active links to exactly this URL.
    ///
    /// # Errors
    /// An outage.
    pub async fn reusable(&self, url: &str, owner: Option<&str>) -> Result<Vec<Link>, StoreError> {
        let (url, owner) = (url.to_owned(), owner.map(str::to_owned));
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM links l LEFT JOIN clicks_total t ON t.code = l.code \
                 JOIN slot_owner o ON o.slot = l.slot AND o.state = 'active' \
                 WHERE l.url_hash = ?1 AND l.owner IS ?2 AND l.state = 0 AND l.long_url = ?3 \
                 ORDER BY l.created_at, l.code LIMIT 100"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            statement
                .query_map(params![url_hash(&url), owner, url], link_of)?
                .collect()
        })
        .await
    }

    /// A page of the links in owned slots, newest first.
    ///
    /// # Errors
    /// An outage.
    pub async fn list(&self, filter: &ListFilter, limit: usize) -> Result<ShardPage, StoreError> {
        let filter = filter.clone();
        self.read(move |connection| {
            // One read transaction: the slots that are named are those that were read.
            let view = connection.unchecked_transaction()?;
            let slots = active_slots(&view)?;
            let (state, expired) = filter.status.map_or((None, None), |status| {
                let (state, expired) = status.parts();
                (Some(state), expired)
            });
            let held = filter.status.map_or("true", ListStatus::held);
            let (after, before, (last, last_code)) = filter.bounds();
            let sql = format!(
                "SELECT {COLUMNS} FROM links l LEFT JOIN clicks_total t ON t.code = l.code \
                 JOIN slot_owner o ON o.slot = l.slot AND o.state = 'active' \
                 WHERE l.state <> 3 AND (?1 IS NULL OR l.owner = ?1) \
                 AND (?2 IS NULL OR EXISTS (SELECT 1 FROM json_each(l.tags) WHERE value = ?2)) \
                 AND ((?3 IS NULL AND l.state <> 2) OR l.state = ?3) \
                 AND (?4 IS NULL OR coalesce(l.expires_at <= ?5, 0) = ?4) \
                 AND (?11 IS NULL OR l.category = ?11) AND {held} \
                 AND l.created_at >= ?6 AND l.created_at < ?7 \
                 AND (l.created_at, l.code) < (?8, ?9) \
                 ORDER BY l.created_at DESC, l.code DESC LIMIT ?10"
            );
            let mut statement = view.prepare_cached(&sql)?;
            let links = statement
                .query_map(
                    params![
                        filter.owner,
                        filter.tag,
                        state,
                        expired,
                        now().micros(),
                        after,
                        before,
                        last,
                        last_code,
                        i64::try_from(limit).unwrap_or(i64::MAX),
                        filter.category_number(),
                    ],
                    link_of,
                )?
                .collect::<rusqlite::Result<_>>()?;
            Ok(ShardPage { links, slots })
        })
        .await
    }
}

/// The slots that this file owns.
pub(super) fn active_slots(connection: &Connection) -> rusqlite::Result<Vec<Slot>> {
    connection
        .prepare_cached("SELECT slot FROM slot_owner WHERE state = 'active'")?
        .query_map([], |row| row.get::<_, u8>(0))?
        .filter_map(|slot| slot.map(Slot::new).transpose())
        .collect()
}

pub(super) fn select(connection: &Connection, code: &ShortCode) -> rusqlite::Result<Option<Link>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM links l LEFT JOIN clicks_total t ON t.code = l.code WHERE l.code = ?1"
    );
    connection
        .prepare_cached(&sql)?
        .query_row([code.as_str()], link_of)
        .optional()
}

fn insert(connection: &Connection, new: &NewLink, announce: bool) -> rusqlite::Result<Inserted> {
    let time = now().micros();
    let fields = &new.fields;
    let mut statement = connection.prepare_cached(
        "INSERT INTO links (code, slot, version, state, long_url, url_hash, redirect_status, \
         valid_from, expires_at, expired_url, query_forward, hide_referrer, indexable, title, \
         notes, tags, owner, created_at, updated_at) \
         VALUES (:code, :slot, 1, :state, :long_url, :url_hash, :status, :valid_from, :expires_at, \
         :expired_url, :query_forward, :hide_referrer, :indexable, :title, :notes, :tags, :owner, \
         :now, :now) ON CONFLICT (code) DO NOTHING",
    )?;
    let inserted = statement.execute(named_params! {
        ":code": new.code.as_str(), ":slot": Slot::of(new.code.as_str()).number(),
        ":state": fields.state().number(), ":long_url": fields.target,
        ":url_hash": url_hash(&fields.target), ":status": fields.status.code(),
        ":valid_from": fields.valid_from.map(Timestamp::micros),
        ":expires_at": fields.expires_at.map(Timestamp::micros),
        ":expired_url": fields.expired_url, ":query_forward": fields.query_forward.number(),
        ":hide_referrer": fields.hide_referrer, ":indexable": fields.indexable,
        ":title": fields.title, ":notes": fields.notes, ":tags": tags_json(&fields.tags),
        ":owner": new.owner, ":now": time,
    })?;
    if inserted == 0 {
        return Ok(Inserted::Taken);
    }
    if announce {
        note_change(connection, &new.code, time)?;
    }
    let link = new.made(Timestamp::from_micros(time));
    Ok(Inserted::New(Box::new(link)))
}

fn finish(
    connection: &Connection,
    code: &ShortCode,
    changed: usize,
    time: i64,
) -> rusqlite::Result<Changed> {
    if changed == 0 {
        // The triggers speak only where there is a row: elsewhere "no such version" would be a lie.
        require_active(connection, Slot::of(code.as_str()))?;
        return Ok(Changed::Mismatch);
    }
    note_change(connection, code, time)?;
    match select(connection, code)? {
        Some(link) => Ok(Changed::Done(Box::new(link))),
        None => Err(rusqlite::Error::QueryReturnedNoRows),
    }
}

fn note_change(connection: &Connection, code: &ShortCode, time: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO link_changes (slot, code, version, at) \
             SELECT slot, code, version, ?2 FROM links WHERE code = ?1",
        )?
        .execute(params![code.as_str(), time])
        .map(drop)
}

fn tags_json(tags: &[String]) -> String {
    serde_json::to_string(tags).unwrap_or_else(|_| "[]".to_owned())
}

fn link_of(row: &Row<'_>) -> rusqlite::Result<Link> {
    let code: String = row.get(0)?;
    let tags: String = row.get(13)?;
    let overruled = row.get::<_, Option<i16>>(22)?.map(Verdict::from_number);
    let broken = |error: Box<dyn std::error::Error + Send + Sync>| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error)
    };
    Ok(Link {
        code: code.parse().map_err(|error| broken(Box::new(error)))?,
        route: Route {
            version: row.get(1)?,
            state: LinkState::from_number(row.get(2)?),
            target: row.get::<_, String>(3)?.into(),
            status: RedirectStatus::try_from(row.get::<_, u16>(4)?).unwrap_or_default(),
            times: Times {
                valid_from: row.get(5)?,
                expires_at: row.get(6)?,
                expired_url: row.get::<_, Option<String>>(7)?.map(Into::into),
            }
            .boxed(),
            query_forward: QueryForward::from_number(row.get(8)?),
            hide_referrer: row.get(9)?,
            indexable: row.get(10)?,
            hold: Hold::of(Verdict::from_number(row.get(21)?), overruled, row.get(23)?),
        },
        title: row.get(11)?,
        notes: row.get(12)?,
        tags: serde_json::from_str(&tags).map_err(|error| broken(Box::new(error)))?,
        owner: row.get(14)?,
        created_at: Timestamp::from_micros(row.get(15)?),
        updated_at: Timestamp::from_micros(row.get(16)?),
        clicks: ClickTotals {
            human: row.get(17)?,
            bot: row.get(18)?,
            preview: row.get(19)?,
            head: row.get(20)?,
        },
        labelled: LabelColumns {
            category: row.get(24)?,
            confidence: row.get(25)?,
            verdict: row.get(21)?,
            score: row.get(26)?,
            reasons: row.get(27)?,
            model: row.get(28)?,
            at: row.get(29)?,
        }
        .read(),
        risk_override: overruled,
    })
}
