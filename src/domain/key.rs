//! API keys: `us_<id>_<secret>`, what they may do, and how they are stored.

use rand::Rng;
use rand::RngExt as _;
use serde::Deserialize;
use serde::Serialize;
use sha2::Digest as _;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::domain::code::ShortCode;
use crate::domain::time::Timestamp;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// See its owner's links.
    #[serde(rename = "links:read")]
    LinksRead,
    /// Make and change links.
    #[serde(rename = "links:write")]
    LinksWrite,
    /// Delete links.
    #[serde(rename = "links:delete")]
    LinksDelete,
    /// See statistics.
    #[serde(rename = "stats:read")]
    StatsRead,
    /// Manage keys, and see and change everybody's links.
    #[serde(rename = "keys:admin")]
    KeysAdmin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [
        Self::LinksRead,
        Self::LinksWrite,
        Self::LinksDelete,
        Self::StatsRead,
        Self::KeysAdmin,
    ];

    /// Its word in the API and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::LinksRead => "links:read",
            Self::LinksWrite => "links:write",
            Self::LinksDelete => "links:delete",
            Self::StatsRead => "stats:read",
            Self::KeysAdmin => "keys:admin",
        }
    }

    /// The scope of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }
}

/// A key as every shard stores it: the secret only as its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// The public part.
    pub id: String,
    /// SHA-256 of the secret, hex.
    pub digest: String,
    /// Whose links it sees.
    pub owner: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Not from this time on.
    pub expires_at: Option<Timestamp>,
    /// Revoked keys stay, so that an old copy of the list cannot bring them back.
    pub revoked: bool,
}

impl ApiKey {
    /// Makes a key; the second part is the whole text `us_<id>_<secret>`, shown once.
    pub fn generate(
        rng: &mut impl Rng,
        owner: String,
        scopes: Vec<Scope>,
        now: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> (Self, String) {
        let id = ShortCode::random(rng, 10).to_string();
        let secret = ShortCode::random(rng, 43).to_string(); // 256 bits
        let text = format!("us_{id}_{secret}");
        let digest = digest(&secret);
        (
            Self {
                id,
                digest,
                owner,
                scopes,
                created_at: now,
                expires_at,
                revoked: false,
            },
            text,
        )
    }

    /// Whether `secret` is this key's, compared in constant time.
    #[must_use]
    pub fn accepts(&self, secret: &str) -> bool {
        digest(secret)
            .as_bytes()
            .ct_eq(self.digest.as_bytes())
            .into()
    }

    /// Whether it may still be used at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.revoked && self.expires_at.is_none_or(|end| now < end)
    }
}

/// Splits `us_<id>_<secret>`.
#[must_use]
pub fn split(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("us_")?.split_once('_')
}

/// SHA-256 in hex.
#[must_use]
pub fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// 32 random bytes.
pub fn random_secret(rng: &mut impl Rng) -> Vec<u8> {
    (0..32).map(|_| rng.random::<u8>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_accepts_its_own_secret_until_it_ends() {
        let now = Timestamp::from_micros(1_000);
        let end = Some(Timestamp::from_micros(2_000));
        let (key, text) = ApiKey::generate(&mut rand::rng(), "me".into(), vec![], now, end);
        let (id, secret) = split(&text).unwrap();
        assert_eq!(id, key.id);
        assert!(key.accepts(secret) && !key.accepts("other") && !key.digest.contains(secret));
        assert!(key.is_live(now) && !key.is_live(Timestamp::from_micros(2_000)));
    }
}
