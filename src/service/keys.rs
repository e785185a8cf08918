//! API keys: who calls, and what that caller may do.

use std::sync::Arc;

use subtle::ConstantTimeEq as _;

use crate::domain::key;
use crate::domain::key::ApiKey;
use crate::domain::key::Scope;
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::rows::DataRow;

/// What the keys' names begin with in the cluster-wide data; the id follows.
const PREFIX: &str = "key/";

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody said.
    Anonymous,
    /// A key.
    Key {
        /// Whose links it sees.
        owner: String,
        /// What it may do.
        scopes: Vec<Scope>,
    },
}

impl Caller {
    /// Whether the caller may do what `scope` names; `keys:admin` may do everything.
    #[must_use]
    pub fn may(&self, scope: Scope) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Key { scopes, .. } => {
                scopes.contains(&scope) || scopes.contains(&Scope::KeysAdmin)
            }
        }
    }

    /// Whose links a new link joins.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::Key { owner, .. } => Some(owner),
        }
    }

    /// Whether the caller sees a link of this owner.
    #[must_use]
    pub fn sees(&self, owner: Option<&str>) -> bool {
        self.may(Scope::KeysAdmin) || (owner.is_some() && self.owner() == owner)
    }
}

/// Why a text opens nothing.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// It is no key that may be used now.
    #[error("the API key is unknown, revoked or expired")]
    NotAuthenticated,
    /// No shard has answered since the start, so that no key is known: try again.
    #[error("no shard has answered yet, so no API key is known")]
    NotRead,
}

/// The keys of the cluster, as this process knows them (refreshed every 5 s).
#[derive(Debug)]
pub struct Keys {
    store: Arc<Store>,
    /// SHA-256 of an admin key given from outside, never stored.
    given: Option<String>,
}

impl Keys {
    /// The keys in `store`, and an admin key given from outside.
    #[must_use]
    pub fn new(store: Arc<Store>, admin_key: Option<&str>) -> Self {
        Self {
            store,
            given: admin_key.map(key::digest),
        }
    }

    /// Who presents `text`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn authenticate(&self, text: &str, now: Timestamp) -> Result<Caller, KeyError> {
        let digest = key::digest(text);
        if self
            .given
            .as_ref()
            .is_some_and(|given| bool::from(given.as_bytes().ct_eq(digest.as_bytes())))
        {
            return Ok(Caller::Key {
                owner: "admin".to_owned(),
                scopes: Scope::ALL.to_vec(),
            });
        }
        let (id, secret) = key::split(text).ok_or(KeyError::NotAuthenticated)?;
        let Some(row) = self.store.datum(&format!("{PREFIX}{id}")) else {
            return Err(if self.store.has_started() {
                KeyError::NotAuthenticated
            } else {
                KeyError::NotRead
            });
        };
        let key: ApiKey =
            serde_json::from_str(&row.value).map_err(|_error| KeyError::NotAuthenticated)?;
        if !key.accepts(secret) || !key.is_live(now) {
            return Err(KeyError::NotAuthenticated);
        }
        Ok(Caller::Key {
            owner: key.owner,
            scopes: key.scopes,
        })
    }

    /// Whether a key was ever made that may manage keys, revoked ones too.
    #[must_use]
    pub fn has_admin(&self) -> bool {
        self.list()
            .iter()
            .any(|key| key.scopes.contains(&Scope::KeysAdmin))
    }

    /// Every key, newest first, revoked ones too.
    #[must_use]
    pub fn list(&self) -> Vec<ApiKey> {
        let rows = self.store.data_under(PREFIX);
        let mut keys: Vec<ApiKey> = rows
            .iter()
            .filter_map(|row| serde_json::from_str(&row.value).ok())
            .collect();
        keys.sort_by(|left, right| (right.created_at, &right.id).cmp(&(left.created_at, &left.id)));
        keys
    }

    /// Makes a key and answers its text, which is shown once.
    ///
    /// # Errors
    /// An outage of every shard.
    pub async fn create(
        &self,
        owner: &str,
        scopes: Vec<Scope>,
        expires_at: Option<Timestamp>,
    ) -> Result<(ApiKey, String), StoreError> {
        let now = self.store.clock().now();
        let (key, text) =
            ApiKey::generate(&mut rand::rng(), owner.to_owned(), scopes, now, expires_at);
        self.store.put_data(&row_of(&key, 1)).await?;
        Ok((key, text))
    }

    /// Writes a key that was generated elsewhere.
    ///
    /// # Errors
    /// An outage of every shard.
    pub async fn insert(&self, key: &ApiKey) -> Result<(), StoreError> {
        self.store.put_data(&row_of(key, 1)).await
    }

    /// Revokes a key; `false` if there is none of that id.
    ///
    /// # Errors
    /// An outage of every shard.
    pub async fn revoke(&self, id: &str) -> Result<bool, StoreError> {
        let Some(row) = self.store.datum(&format!("{PREFIX}{id}")) else {
            return Ok(false);
        };
        let Ok(mut key) = serde_json::from_str::<ApiKey>(&row.value) else {
            return Ok(false);
        };
        key.revoked = true;
        self.store.put_data(&row_of(&key, row.version + 1)).await?;
        Ok(true)
    }
}

fn row_of(key: &ApiKey, version: i64) -> DataRow {
    let value = serde_json::to_string(key).unwrap_or_default();
    DataRow {
        key: format!("{PREFIX}{}", key.id),
        version,
        value,
    }
}
