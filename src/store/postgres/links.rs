//! Links on a server: each operation is one statement, so that one round trip does it.

use std::collections::HashMap;

use tokio_postgres::Row;

use crate::domain::code::ShortCode;
use crate::domain::label::Verdict;
use crate::domain::link::Link;
use crate::domain::link::LinkFields;
use crate::domain::link::NewLink;
use crate::domain::route::Route;
use crate::domain::time::Timestamp;
use crate::slots::Slot;
use crate::store::error::StoreError;
use crate::store::postgres::Class;
use crate::store::postgres::PostgresShard;
use crate::store::postgres::lease::Lent;
use crate::store::postgres::link_rows::REST;
use crate::store::postgres::link_rows::ROUTE;
use crate::store::rows::Changed;
use crate::store::rows::Inserted;
use crate::store::shard::url_hash;

const INSERT: &str = "INSERT INTO links (code, slot, version, state, long_url, url_hash, \
     redirect_status, valid_from, expires_at, expired_url, query_forward, hide_referrer, \
     indexable, title, notes, tags, owner, created_at, updated_at) ";

impl PostgresShard {
    /// See [`Shard::route`](crate::store::shard::Shard::route).
    ///
    /// # Errors
    /// [`StoreError::NotOwner`] where the slot is not active here; an outage.
    pub async fn route(&self, code: &ShortCode) -> Result<Option<Route>, StoreError> {
        let sql = format!(
            "SELECT o.state = 'active', {ROUTE} FROM (SELECT $2::smallint AS slot) wanted \
             LEFT JOIN slot_owner o ON o.slot = wanted.slot LEFT JOIN links l ON l.code = $1"
        );
        let row = self.look_up(&sql, code, Class::Redirect).await?;
        row.map(|row| self.route_of(&row, 1)).transpose()
    }

    /// See [`Shard::find`](crate::store::shard::Shard::find).
    ///
    /// # Errors
    /// [`StoreError::NotOwner`] where the slot is not active here; an outage.
    pub async fn find(&self, code: &ShortCode) -> Result<Option<Link>, StoreError> {
        let sql = format!(
            "SELECT o.state = 'active', {ROUTE}, {REST} FROM (SELECT $2::smallint AS slot) wanted \
             LEFT JOIN slot_owner o ON o.slot = wanted.slot LEFT JOIN links l ON l.code = $1 \
             LEFT JOIN clicks_total t ON t.code = l.code"
        );
        let row = self.look_up(&sql, code, Class::Api).await?;
        row.map(|row| self.link_of(&row, 1)).transpose()
    }

    /// The row of a code; a connection that broke while idle is worth a second one.
    async fn look_up(
        &self,
        sql: &str,
        code: &ShortCode,
        class: Class,
    ) -> Result<Option<Row>, StoreError> {
        let slot = i16::from(Slot::of(code.as_str()).number());
        let lent = self.lend(class).await?;
        let mut row = lent.one(sql, &[&code.as_str(), &slot]).await;
        if matches!(&row, Err(error) if lent.is_closed() && error.is_outage()) {
            // Given back first: with every connection broken, all would wait for each other's.
            drop(lent);
            row = self
                .lend(class)
                .await?
                .one(sql, &[&code.as_str(), &slot])
                .await;
        }
        let row = row?;
        if row.get::<_, Option<bool>>(0) != Some(true) {
            return Err(StoreError::NotOwner);
        }
        Ok(row.get::<_, Option<&str>>(1).is_some().then_some(row))
    }

    /// See [`Shard::insert`](crate::store::shard::Shard::insert).
    ///
    /// # Errors
    /// [`StoreError::NotOwner`], [`StoreError::Refused`] or an outage.
    pub async fn insert(&self, new: &NewLink, announce: bool) -> Result<Inserted, StoreError> {
        let inserted = self
            .insert_many(std::slice::from_ref(new), announce)
            .await?;
        Ok(inserted.into_iter().next().unwrap_or(Inserted::Taken))
    }

    /// See [`Shard::insert_many`](crate::store::shard::Shard::insert_many).
    ///
    /// # Errors
    /// [`StoreError::NotOwner`], [`StoreError::Refused`] or an outage.
    pub async fn insert_many(
        &self,
        new: &[NewLink],
        announce: bool,
    ) -> Result<Vec<Inserted>, StoreError> {
        let sql = format!(
            "WITH l AS ({INSERT} SELECT n.code, n.slot, 1, n.state, n.long_url, n.url_hash, \
             n.status, n.valid_from, n.expires_at, n.expired_url, n.query_forward, \
             n.hide_referrer, n.indexable, n.title, n.notes, \
             ARRAY(SELECT jsonb_array_elements_text(n.tags::jsonb)), n.owner, c.us, c.us \
             FROM unnest($1::text[], $2::smallint[], $3::smallint[], $4::text[], $5::bigint[], \
             $6::smallint[], $7::bigint[], $8::bigint[], $9::text[], $10::smallint[], \
             $11::boolean[], $12::boolean[], $13::text[], $14::text[], $15::text[], $16::text[]) \
             AS n (code, slot, state, long_url, url_hash, status, valid_from, expires_at, \
             expired_url, query_forward, hide_referrer, indexable, title, notes, tags, owner), \
             (SELECT now_us() AS us) c ORDER BY n.code \
             ON CONFLICT (code) DO NOTHING RETURNING slot, code, version, created_at), \
             noted AS (INSERT INTO link_changes (slot, code, version, at) \
             SELECT l.slot, l.code, l.version, l.created_at FROM l WHERE $17) \
             SELECT l.code, l.created_at FROM l"
        );
        let fields = |each: fn(&LinkFields) -> i16| -> Vec<i16> {
            new.iter().map(|link| each(&link.fields)).collect()
        };
        let texts = |each: fn(&LinkFields) -> Option<&str>| -> Vec<Option<&str>> {
            new.iter().map(|link| each(&link.fields)).collect()
        };
        let times = |each: fn(&LinkFields) -> Option<Timestamp>| -> Vec<Option<i64>> {
            new.iter()
                .map(|link| each(&link.fields).map(Timestamp::micros))
                .collect()
        };
        let codes: Vec<&str> = new.iter().map(|link| link.code.as_str()).collect();
        let slots: Vec<i16> = codes
            .iter()
            .map(|code| i16::from(Slot::of(code).number()))
            .collect();
        let urls: Vec<&str> = new.iter().map(|link| link.fields.target.as_str()).collect();
        let hashes: Vec<i64> = urls.iter().map(|url| url_hash(url)).collect();
        let hidden: Vec<bool> = new.iter().map(|link| link.fields.hide_referrer).collect();
        let indexable: Vec<bool> = new.iter().map(|link| link.fields.indexable).collect();
        let tags: Vec<String> = new
            .iter()
            .map(|link| {
                serde_json::to_string(&link.fields.tags).unwrap_or_else(|_| "[]".to_owned())
            })
            .collect();
        let owners: Vec<Option<&str>> = new.iter().map(|link| link.owner.as_deref()).collect();
        let lent = self.lend(Class::Api).await?;
        let rows = lent
            .query(
                &sql,
                &[
                    &codes,
                    &slots,
                    &fields(|fields| fields.state().number()),
                    &urls,
                    &hashes,
                    &fields(|fields| i16::try_from(fields.status.code()).unwrap_or(302)),
                    &times(|fields| fields.valid_from),
                    &times(|fields| fields.expires_at),
                    &texts(|fields| fields.expired_url.as_deref()),
                    &fields(|fields| fields.query_forward.number()),
                    &hidden,
                    &indexable,
                    &texts(|fields| fields.title.as_deref()),
                    &texts(|fields| fields.notes.as_deref()),
                    &tags,
                    &owners,
                    &announce,
                ],
            )
            .await?;
        let made = rows.iter().map(|row| (row.get(0), row.get(1)));
        let mut made: HashMap<&str, i64> = made.collect();
        // Of a code that stands twice in one batch, the first has it.
        let outcomes = new.iter().map(|new| match made.remove(new.code.as_str()) {
            Some(at) => Inserted::New(Box::new(new.made(Timestamp::from_micros(at)))),
            None => Inserted::Taken,
        });
        Ok(outcomes.collect())
    }

    /// See [`Shard::update`](crate::store::shard::Shard::update).
    ///
    /// # Errors
    /// [`StoreError::NotOwner`], [`StoreError::Refused`] or an outage.
    pub async fn update(
        &self,
        code: &ShortCode,
        version: i64,
        fields: &LinkFields,
    ) -> Result<Changed, StoreError> {
        let sql = format!(
            "WITH l AS (UPDATE links SET version = version + 1, state = $3, long_url = $4, \
             url_hash = $5, redirect_status = $6, valid_from = $7, expires_at = $8, \
             expired_url = $9, query_forward = $10, hide_referrer = $11, indexable = $12, \
             title = $13, notes = $14, tags = $15, updated_at = now_us(), \
             risk_override = $16, legal = $17, label_rank = CASE WHEN long_url = $4 \
             AND title IS NOT DISTINCT FROM $13 AND expired_url IS NOT DISTINCT FROM $9 \
             THEN label_rank ELSE 0 END \
             WHERE code = $1 AND version = $2 AND state IN (0, 1) RETURNING *), \
             noted AS (INSERT INTO link_changes (slot, code, version, at) \
             SELECT l.slot, l.code, l.version, now_us() FROM l) \
             SELECT {ROUTE}, {REST} FROM l LEFT JOIN clicks_total t ON t.code = l.code"
        );
        let lent = self.lend(Class::Api).await?;
        let rows = lent
            .query(
                &sql,
                &[
                    &code.as_str(),
                    &version,
                    &fields.state().number(),
                    &fields.target,
                    &url_hash(&fields.target),
                    &i16::try_from(fields.status.code()).unwrap_or(302),
                    &fields.valid_from.map(Timestamp::micros),
                    &fields.expires_at.map(Timestamp::micros),
                    &fields.expired_url,
                    &fields.query_forward.number(),
                    &fields.hide_referrer,
                    &fields.indexable,
                    &fields.title,
                    &fields.notes,
                    &fields.tags,
                    &fields.risk_override.map(Verdict::number),
                    &fields.legal,
                ],
            )
            .await?;
        self.changed(&lent, code, &rows).await
    }

    /// See [`Shard::delete`](crate::store::shard::Shard::delete).
    ///
    /// # Errors
    /// [`StoreError::NotOwner`] or an outage.
    pub async fn delete(
        &self,
        code: &ShortCode,
        version: i64,
        purge: bool,
    ) -> Result<Changed, StoreError> {
        let change = if purge {
            "state = 3, long_url = '', url_hash = 0, valid_from = NULL, expires_at = NULL, \
             expired_url = NULL, title = NULL, notes = NULL, tags = '{}', owner = NULL, \
             category = NULL, risk_reasons = NULL, label_model = NULL, \
             updated_at = now_us() WHERE code = $1 AND version = $2 AND state IN (0, 1, 2)"
        } else {
            "state = 2, updated_at = now_us() WHERE code = $1 AND version = $2 AND state IN (0, 1)"
        };
        let sql = format!(
            "WITH l AS (UPDATE links SET version = version + 1, {change} RETURNING *), \
             noted AS (INSERT INTO link_changes (slot, code, version, at) \
             SELECT l.slot, l.code, l.version, now_us() FROM l) \
             SELECT {ROUTE}, {REST} FROM l LEFT JOIN clicks_total t ON t.code = l.code AND NOT $3"
        );
        let mut lent = self.lend(Class::Api).await?;
        if !purge {
            let rows = lent
                .query(&sql, &[&code.as_str(), &version, &purge])
                .await?;
            return self.changed(&lent, code, &rows).await;
        }
        lent.begin().await?;
        // A rollup that is counting clicks of this link comes before or after, not in between.
        let slot = i16::from(Slot::of(code.as_str()).number());
        lent.query(
            "SELECT 1 FROM progress WHERE slot = $1 FOR UPDATE",
            &[&slot],
        )
        .await?;
        let rows = lent
            .query(&sql, &[&code.as_str(), &version, &purge])
            .await?;
        if !rows.is_empty() {
            for table in [
                "clicks_total",
                "clicks_quarter",
                "clicks_value",
                "clicks_visitors",
            ] {
                let sql = format!("DELETE FROM {table} WHERE code = $1");
                lent.query(&sql, &[&code.as_str()]).await?;
            }
        }
        let changed = self.changed(&lent, code, &rows).await;
        lent.commit().await?;
        changed
    }

    /// See [`Shard::reusable`](crate::store::shard::Shard::reusable).
    ///
    /// # Errors
    /// An outage.
    pub async fn reusable(&self, url: &str, owner: Option<&str>) -> Result<Vec<Link>, StoreError> {
        let sql = format!(
            "SELECT {ROUTE}, {REST} FROM links l LEFT JOIN clicks_total t ON t.code = l.code \
             JOIN slot_owner o ON o.slot = l.slot AND o.state = 'active' \
             WHERE l.url_hash = $1 AND l.owner IS NOT DISTINCT FROM $2 AND l.state = 0 \
             AND l.long_url = $3 ORDER BY l.created_at, l.code LIMIT 100"
        );
        let rows = self
            .lend(Class::Api)
            .await?
            .query(&sql, &[&url_hash(url), &owner, &url])
            .await?;
        rows.iter().map(|row| self.link_of(row, 0)).collect()
    }

    async fn changed(
        &self,
        lent: &Lent,
        code: &ShortCode,
        rows: &[Row],
    ) -> Result<Changed, StoreError> {
        if let Some(row) = rows.first() {
            return Ok(Changed::Done(Box::new(self.link_of(row, 0)?)));
        }
        // The triggers speak only where there is a row: elsewhere "no such version" would be a lie.
        let sql = "SELECT 1 FROM slot_owner WHERE slot = $1 AND state = 'active'";
        let slot = i16::from(Slot::of(code.as_str()).number());
        if lent.query(sql, &[&slot]).await?.is_empty() {
            return Err(StoreError::NotOwner);
        }
        Ok(Changed::Mismatch)
    }
}
