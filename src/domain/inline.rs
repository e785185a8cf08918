//! Codes that stand in their entry or record itself.
//!
//! # Why
//!
//! A hit compares the code, and a click carries it to the spool. Behind a pointer it would be one
//! more line of memory to wait for, and nearly every code is short.

/// The longest code that needs no memory of its own.
const INLINE: usize = 22;

/// A code.
#[derive(Clone, Debug)]
pub enum InlineCode {
    /// At most [`INLINE`] bytes.
    Short {
        /// How many of the bytes count.
        length: u8,
        /// The code, and zeros.
        bytes: [u8; INLINE],
    },
    /// A longer one.
    Long(Box<str>),
}

impl InlineCode {
    /// Keeps `code`, which is at most as long as codes are.
    #[must_use]
    pub fn new(code: &str) -> Self {
        let mut bytes = [0; INLINE];
        match (bytes.get_mut(..code.len()), u8::try_from(code.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(code.as_bytes());
                Self::Short { length, bytes }
            }
            _ => Self::Long(code.into()),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(code) => code.as_bytes(),
        }
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // It was made of a text.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Bytes besides its own.
    #[must_use]
    pub const fn more_bytes(&self) -> usize {
        match self {
            Self::Short { .. } => 0,
            Self::Long(code) => code.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_codes_are_the_same_from_outside() {
        for length in [0, 1, INLINE - 1, INLINE, INLINE + 1, 64] {
            let text = "x".repeat(length);
            let code = InlineCode::new(&text);
            assert_eq!((code.as_str(), code.as_bytes()), (&*text, text.as_bytes()));
            assert_eq!(code.more_bytes(), if length > INLINE { length } else { 0 });
        }
        assert_eq!(size_of::<InlineCode>(), INLINE + 2);
    }
}
