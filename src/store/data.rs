//! The cluster-wide small data: on every shard, merged highest version first, kept in memory.

use std::collections::HashMap;
use std::sync::Arc;

use crate::slots::Slot;
use crate::store::error::StoreError;
use crate::store::router::Store;
use crate::store::rows::DataRow;

impl Store {
    /// A value of the cluster-wide small data.
    #[must_use]
    pub fn datum(&self, key: &str) -> Option<DataRow> {
        self.data.load().get(key).cloned()
    }

    /// All its values whose key begins with `prefix`.
    #[must_use]
    pub fn data_under(&self, prefix: &str) -> Vec<DataRow> {
        let data = self.data.load();
        data.values()
            .filter(|row| row.key.starts_with(prefix))
            .cloned()
            .collect()
    }

    /// Writes a value to every shard that answers; one is enough, the others learn it later.
    ///
    /// # Errors
    /// Where no shard took it.
    pub async fn put_data(&self, row: &DataRow) -> Result<(), StoreError> {
        let mut outcome = Err(StoreError::NoOwner(Slot::of("")));
        for member in self.usable() {
            match member.shard.put_data(row).await {
                Ok(()) => outcome = Ok(()),
                Err(error) => {
                    tracing::warn!(shard = member.place, %error, "cluster data not written there");
                    if outcome.is_err() {
                        outcome = Err(error);
                    }
                }
            }
        }
        self.refresh_data().await;
        outcome
    }

    /// Reads the cluster-wide small data of every shard, merges it highest version first, and
    /// writes to each shard what it lacks.
    pub async fn refresh_data(&self) {
        let mut merged: HashMap<String, DataRow> = (**self.data.load()).clone();
        let mut seen = Vec::new();
        for member in self.usable().filter(|member| member.shard.is_up()) {
            if let Ok(rows) = member.shard.data().await {
                for row in &rows {
                    let known = merged.get(&row.key).map(|known| known.version);
                    if known.is_none_or(|version| version < row.version) {
                        merged.insert(row.key.clone(), row.clone());
                    }
                }
                seen.push((member, rows));
            }
        }
        // A key that every shard has dropped is gone; a shard that is away may still hold it.
        if seen.len() == self.members().len() {
            merged.retain(|key, _| {
                seen.iter()
                    .any(|(_, rows)| rows.iter().any(|row| row.key == *key))
            });
        }
        for (member, rows) in seen {
            let has: HashMap<&str, i64> = rows
                .iter()
                .map(|row| (row.key.as_str(), row.version))
                .collect();
            for row in merged.values() {
                let behind = has
                    .get(row.key.as_str())
                    .is_none_or(|version| *version < row.version);
                if behind && let Err(error) = member.shard.put_data(row).await {
                    tracing::warn!(shard = member.place, %error, "cluster data not repaired there");
                }
            }
        }
        self.data.store(Arc::new(merged));
    }

    /// Deletes keys on every shard that answers.
    pub async fn drop_data(&self, keys: &[String]) {
        for member in self.usable() {
            if let Err(error) = member.shard.drop_data(keys).await {
                tracing::debug!(shard = member.place, %error, "old cluster data stays there for now");
            }
        }
        let mut data = (**self.data.load()).clone();
        data.retain(|key, _| !keys.contains(key));
        self.data.store(Arc::new(data));
    }
}
