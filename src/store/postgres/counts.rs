//! Counts → rows of a server: a few statements for a batch, however many links it names.

use std::collections::HashMap;

use crate::domain::counts::Counts;
use crate::domain::link::ClickTotals;
use crate::domain::visitors;
use crate::store::error::StoreError;
use crate::store::postgres::lease::Lent;

/// Columns of counts, ready for `unnest`.
#[derive(Default)]
struct Sums {
    human: Vec<i64>,
    bot: Vec<i64>,
    preview: Vec<i64>,
    head: Vec<i64>,
}

impl Sums {
    fn push(&mut self, totals: &ClickTotals) {
        self.human.push(totals.human);
        self.bot.push(totals.bot);
        self.preview.push(totals.preview);
        self.head.push(totals.head);
    }
}

/// Adds to the totals and the quarters of an hour.
pub(super) async fn write_totals(lent: &Lent, counts: &Counts) -> Result<(), StoreError> {
    let (mut slots, mut codes, mut sums) = (vec![], vec![], Sums::default());
    let (mut q_slots, mut q_codes, mut quarters) = (vec![], vec![], vec![]);
    let mut q_sums = Sums::default();
    for ((slot, code), link) in &counts.links {
        slots.push(i16::from(*slot));
        codes.push(&**code);
        sums.push(&link.totals);
        for (quarter, totals) in &link.quarters {
            q_slots.push(i16::from(*slot));
            q_codes.push(&**code);
            quarters.push(*quarter);
            q_sums.push(totals);
        }
    }
    lent.query(
        "INSERT INTO clicks_total AS t (slot, code, human, bot, preview, head) \
         SELECT * FROM unnest($1::smallint[], $2::text[], $3::bigint[], $4::bigint[], \
         $5::bigint[], $6::bigint[]) ON CONFLICT (code) DO UPDATE SET \
         human = t.human + excluded.human, bot = t.bot + excluded.bot, \
         preview = t.preview + excluded.preview, head = t.head + excluded.head",
        &[
            &slots,
            &codes,
            &sums.human,
            &sums.bot,
            &sums.preview,
            &sums.head,
        ],
    )
    .await?;
    lent.query(
        "INSERT INTO clicks_quarter AS t (slot, code, quarter, human, bot, preview, head) \
         SELECT * FROM unnest($1::smallint[], $2::text[], $3::bigint[], $4::bigint[], \
         $5::bigint[], $6::bigint[], $7::bigint[]) ON CONFLICT (code, quarter) DO UPDATE SET \
         human = t.human + excluded.human, bot = t.bot + excluded.bot, \
         preview = t.preview + excluded.preview, head = t.head + excluded.head",
        &[
            &q_slots,
            &q_codes,
            &quarters,
            &q_sums.human,
            &q_sums.bot,
            &q_sums.preview,
            &q_sums.head,
        ],
    )
    .await
    .map(drop)
}

/// Adds to the values of the dimensions.
pub(super) async fn write_values(lent: &Lent, counts: &Counts) -> Result<(), StoreError> {
    let (mut slots, mut codes, mut days) = (vec![], vec![], vec![]);
    let (mut dimensions, mut words, mut sums) = (vec![], vec![], Sums::default());
    for ((slot, code), link) in &counts.links {
        for ((day, dimension, word), totals) in &link.values {
            slots.push(i16::from(*slot));
            codes.push(&**code);
            days.push(*day);
            dimensions.push(*dimension);
            words.push(&**word);
            sums.push(totals);
        }
    }
    lent.query(
        "INSERT INTO clicks_value AS t (slot, code, day, dimension, value, human, bot, preview) \
         SELECT * FROM unnest($1::smallint[], $2::text[], $3::integer[], $4::smallint[], \
         $5::text[], $6::bigint[], $7::bigint[], $8::bigint[]) \
         ON CONFLICT (code, day, dimension, value) DO UPDATE SET \
         human = t.human + excluded.human, bot = t.bot + excluded.bot, \
         preview = t.preview + excluded.preview",
        &[
            &slots,
            &codes,
            &days,
            &dimensions,
            &words,
            &sums.human,
            &sums.bot,
            &sums.preview,
        ],
    )
    .await
    .map(drop)
}

/// Merges the visitors into their days' sketches.
pub(super) async fn write_visitors(lent: &Lent, counts: &Counts) -> Result<(), StoreError> {
    let touched: Vec<(i16, &str, i32, &Vec<u64>)> = counts
        .links
        .iter()
        .flat_map(|((slot, code), link)| {
            let slot = i16::from(*slot);
            link.visitors
                .iter()
                .map(move |(day, hashes)| (slot, &**code, *day, hashes))
        })
        .collect();
    let codes: Vec<&str> = touched.iter().map(|(_, code, _, _)| *code).collect();
    let days: Vec<i32> = touched.iter().map(|(_, _, day, _)| *day).collect();
    let rows = lent
        .query(
            "SELECT v.code, v.day, v.sketch FROM clicks_visitors v \
             JOIN unnest($1::text[], $2::integer[]) AS n (code, day) \
             ON v.code = n.code AND v.day = n.day",
            &[&codes, &days],
        )
        .await?;
    let old: HashMap<(&str, i32), &[u8]> = rows
        .iter()
        .map(|row| ((row.get(0), row.get(1)), row.get(2)))
        .collect();
    let slots: Vec<i16> = touched.iter().map(|(slot, _, _, _)| *slot).collect();
    let sketches: Vec<Vec<u8>> = touched
        .iter()
        .map(|(_, code, day, hashes)| {
            visitors::merge(old.get(&(*code, *day)).copied(), hashes.iter().copied())
        })
        .collect();
    lent.query(
        "INSERT INTO clicks_visitors (slot, code, day, sketch) \
         SELECT * FROM unnest($1::smallint[], $2::text[], $3::integer[], $4::bytea[]) \
         ON CONFLICT (code, day) DO UPDATE SET sketch = excluded.sketch",
        &[&slots, &codes, &days, &sketches],
    )
    .await
    .map(drop)
}
