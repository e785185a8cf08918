//! Gaps that the rollup left are shipped again from what was kept.

use crate::events::spool::Row;
use crate::pipeline::ship::Shipper;
use crate::pipeline::ship::read;
use crate::pipeline::ship::send;

/// Ships again what the rollup misses of our producers.
pub(super) async fn fill(shipper: &Shipper) {
    let ledger = shipper.spool.ledger();
    let producers = ledger.producers();
    for member in shipper.store.usable().filter(|member| member.shard.is_up()) {
        let Ok(gaps) = member.shard.gaps(&producers).await else {
            continue;
        };
        for gap in gaps {
            let files = shipper.spool.files();
            let mut found = 0;
            for file in files.iter().filter(|file| file.producer() == gap.producer) {
                let rows = read(file, move |file| file.rows_with(gap.slot, gap.from, gap.to)).await;
                found += rows.len();
                // Only what was shipped before: the rest is on its way in order.
                let acknowledged = file.acknowledged();
                let rows: Vec<Row> = rows
                    .into_iter()
                    .filter(|row| row.id <= acknowledged)
                    .collect();
                if !rows.is_empty() {
                    let (_, _, outcome) = send(shipper, file, gap.slot, rows).await;
                    if outcome.is_err() {
                        return;
                    }
                }
            }
            if found == 0 {
                ledger.lose(gap.producer, gap.slot, gap.to);
            }
        }
    }
}
