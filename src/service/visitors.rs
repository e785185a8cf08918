//! Who clicked, without knowing who: a keyed hash of address and agent, with a key for each day.

use std::hash::Hasher as _;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rand::RngExt as _;
use siphasher::sip::SipHasher13;

use crate::domain::time::Timestamp;
use crate::slots::hash;
use crate::store::Store;
use crate::store::rows::DataRow;

/// What the keys' names begin with in the cluster-wide data; the day follows.
const PREFIX: &str = "visitor-key/";

/// The key of today and of the next day.
#[derive(Debug)]
pub struct VisitorKeys {
    keys: ArcSwap<Vec<(i32, [u64; 2])>>,
    /// Until the cluster's key is known: visitors are then counted anew, never told apart wrongly.
    own: [u64; 2],
}

impl Default for VisitorKeys {
    fn default() -> Self {
        Self {
            keys: ArcSwap::default(),
            own: rand::rng().random(),
        }
    }
}

impl VisitorKeys {
    /// The hash of a visitor on the day of `at`.
    ///
    /// The agent's text goes in by its xxh3, which takes a fraction of the keyed hash's time: whoever
    /// makes two agents alike is one visitor with both.
    #[must_use]
    pub fn hash(&self, address: IpAddr, agent: &[u8], at: Timestamp) -> u64 {
        let day = at.day();
        let keys = self.keys.load();
        let [left, right] = keys
            .iter()
            .find(|(known, _)| *known == day)
            .map_or(self.own, |(_, key)| *key);
        let mut hasher = SipHasher13::new_with_keys(left, right);
        match address {
            IpAddr::V4(address) => hasher.write(&address.octets()),
            IpAddr::V6(address) => hasher.write(&address.octets()),
        }
        hasher.write_u64(hash(agent));
        hasher.finish()
    }

    /// Takes the cluster's keys over, makes those that are missing for today and tomorrow, and
    /// deletes those of days that are over.
    pub async fn keep(&self, store: &Store) {
        let today = store.clock().now().day();
        let mut keys = Vec::new();
        let mut old = Vec::new();
        for row in store.data_under(PREFIX) {
            let day: Option<i32> = row
                .key
                .strip_prefix(PREFIX)
                .and_then(|day| day.parse().ok());
            match day {
                Some(day) if day >= today - 1 => {
                    keys.extend(serde_json::from_str(&row.value).ok().map(|key| (day, key)));
                }
                _ => old.push(row.key),
            }
        }
        self.keys.store(Arc::new(keys.clone()));
        for day in [today, today + 1] {
            if keys.iter().all(|(known, _)| *known != day) {
                // Two processes may draw at once: the higher version wins everywhere.
                let key: [u64; 2] = rand::rng().random();
                let version = rand::rng().random_range(1..i64::MAX);
                let value = serde_json::to_string(&key).unwrap_or_default();
                let row = DataRow {
                    key: format!("{PREFIX}{day}"),
                    version,
                    value,
                };
                if let Err(error) = store.put_data(&row).await {
                    tracing::debug!(%error, "the next visitor key is not written yet");
                }
            }
        }
        if !old.is_empty() {
            store.drop_data(&old).await;
        }
    }
}
