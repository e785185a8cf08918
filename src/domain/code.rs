//! Short codes: what they look like, which are reserved, how random ones are drawn.

use std::fmt;
use std::str::FromStr;

use rand::Rng;
use rand::RngExt as _;

/// The length of a random code; one more where five draws were taken.
pub const RANDOM_LENGTH: usize = 7;

/// The longest code.
pub const MAX_LENGTH: usize = 64;

/// Words that are paths of ours, compared without case.
pub const RESERVED: [&str; 11] = [
    "api", "admin", "assets", "metrics", "health", "livez", "readyz", "login", "logout", "links",
    "stats",
];

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A valid short code: 1 to 64 of `0-9 A-Z a-z - _`, the first a letter or a digit.
///
/// Only [`FromStr`] and the generators make one, so code that holds a `ShortCode` never checks it
/// again. A *reserved* word is a valid code that nobody owns.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShortCode(Box<str>);

/// Why a text is no code, or none that can be given.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CodeError {
    /// Empty or over [`MAX_LENGTH`].
    #[error("has {0} bytes; a code has 1 to 64")]
    Length(usize),
    /// Another character than `0-9 A-Z a-z - _`, or one of `-_` in front.
    #[error("may hold only letters, digits, '-' and '_', and begins with a letter or a digit")]
    Character,
    /// One of [`RESERVED`].
    #[error("is a reserved word; choose another code")]
    Reserved,
}

impl ShortCode {
    /// The code's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses a code that somebody wishes for; reserved words are refused.
    ///
    /// # Errors
    /// [`CodeError`], with the reason to show.
    pub fn custom(text: &str) -> Result<Self, CodeError> {
        let code: Self = text.parse()?;
        if code.is_reserved() {
            Err(CodeError::Reserved)
        } else {
            Ok(code)
        }
    }

    /// Whether this is a word of ours, compared without case.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        RESERVED
            .iter()
            .any(|word| word.eq_ignore_ascii_case(&self.0))
    }

    /// Draws a random code of `length` base62 characters (bounded to 1 to 64), never a reserved one.
    pub fn random(rng: &mut impl Rng, length: usize) -> Self {
        let length = length.clamp(1, MAX_LENGTH);
        loop {
            let text: String = (0..length).map(|_| draw(rng)).collect();
            let code = Self(text.into());
            if !code.is_reserved() {
                return code;
            }
        }
    }

    /// The code that 64 hash bits spell in base62: [`RANDOM_LENGTH`] characters, or one more.
    ///
    /// A hash that spells a reserved word gives `None`: take the next attempt.
    #[must_use]
    pub fn derived(mut bits: u64, length: usize) -> Option<Self> {
        let mut text = String::with_capacity(length);
        for _ in 0..length.clamp(1, 10) {
            text.push(char::from(symbol(bits % 62)));
            bits /= 62;
        }
        let code = Self(text.into());
        if code.is_reserved() { None } else { Some(code) }
    }
}

/// Whether these bytes are a valid code, without making one.
#[must_use]
pub fn is_code(bytes: &[u8]) -> bool {
    (1..=MAX_LENGTH).contains(&bytes.len())
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// One of the 62 characters, each as likely as the other: draws of 62 and 63 are drawn again.
fn draw(rng: &mut impl Rng) -> char {
    loop {
        let bits: u8 = rng.random::<u8>() & 0x3f;
        if bits < 62 {
            return char::from(symbol(u64::from(bits)));
        }
    }
}

fn symbol(index: u64) -> u8 {
    usize::try_from(index)
        .ok()
        .and_then(|index| ALPHABET.get(index))
        .copied()
        .unwrap_or(b'0')
}

impl FromStr for ShortCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        if !(1..=MAX_LENGTH).contains(&text.len()) {
            return Err(CodeError::Length(text.len()));
        }
        if !is_code(text.as_bytes()) {
            return Err(CodeError::Character);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for ShortCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ShortCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(), CodeError>) {
        assert_eq!(ShortCode::custom(text).map(|_| ()), expected, "{text:?}");
    }

    #[test]
    fn only_well_formed_and_free_words_become_codes() {
        check("a", Ok(()));
        check("Z9-_", Ok(()));
        check(&"x".repeat(64), Ok(()));
        check("", Err(CodeError::Length(0)));
        check(&"x".repeat(65), Err(CodeError::Length(65)));
        check("-a", Err(CodeError::Character));
        check("a b", Err(CodeError::Character));
        check("ä", Err(CodeError::Character));
        check("a\0", Err(CodeError::Character));
        check("API", Err(CodeError::Reserved));
        check("stats", Err(CodeError::Reserved));
    }

    #[test]
    fn random_codes_use_every_character_about_equally() {
        let mut counts = [0_u32; 128];
        for _ in 0..10_000 {
            for byte in ShortCode::random(&mut rand::rng(), RANDOM_LENGTH)
                .as_str()
                .bytes()
            {
                counts[usize::from(byte)] += 1;
            }
        }
        let expected = 70_000.0 / 62.0;
        let chi: f64 = ALPHABET
            .iter()
            .map(|byte| (f64::from(counts[usize::from(*byte)]) - expected).powi(2) / expected)
            .sum();
        // 61 degrees of freedom: beyond 120 lies less than one run in 100,000.
        assert!(chi < 120.0, "chi-square {chi}");
    }
}
