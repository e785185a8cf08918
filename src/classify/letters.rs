//! Letters: folding them, finding the seams between words, telling words from identifiers.

use std::borrow::Cow;

/// Lower case without accents; German umlauts as they are written without them.
pub(super) fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        };
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            'ä' | 'æ' => out.push_str("ae"),
            'ö' | 'ø' | 'œ' => out.push_str("oe"),
            'ü' => out.push_str("ue"),
            'ß' => out.push_str("ss"),
            'à' | 'á' | 'â' | 'ã' | 'å' | 'ā' | 'ą' => out.push('a'),
            'ç' | 'č' | 'ć' => out.push('c'),
            'è' | 'é' | 'ê' | 'ë' | 'ę' | 'ě' => out.push('e'),
            'ì' | 'í' | 'î' | 'ï' => out.push('i'),
            'ñ' | 'ń' | 'ň' => out.push('n'),
            'ò' | 'ó' | 'ô' | 'õ' => out.push('o'),
            'š' | 'ś' => out.push('s'),
            'ù' | 'ú' | 'û' | 'ů' => out.push('u'),
            'ý' | 'ÿ' => out.push('y'),
            'ž' | 'ź' | 'ż' => out.push('z'),
            'ł' => out.push('l'),
            'ř' => out.push('r'),
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

/// `mineCraftMods` → `mine`, `Craft`, `Mods`; `HTMLParser` → `HTML`, `Parser`.
pub(super) fn camel(text: &str) -> Vec<&str> {
    if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return vec![text];
    }
    let mut parts = Vec::new();
    let mut start = 0;
    let mut before: Option<(usize, char)> = None;
    let mut letters = text.char_indices().peekable();
    while let Some((at, c)) = letters.next() {
        // `PDFs` is one word.
        let ends = c == 's' && letters.peek().is_none_or(|(_, next)| !next.is_lowercase());
        let seam = match before {
            Some((_, before)) if before.is_lowercase() && c.is_uppercase() => at,
            // The last of several capitals begins the next word.
            Some((last, before)) if before.is_uppercase() && c.is_lowercase() && !ends => last,
            _ => start,
        };
        if seam > start {
            parts.extend(text.get(start..seam));
            start = seam;
        }
        before = Some((at, c));
    }
    parts.extend(text.get(start..));
    parts
}

/// `play4free` → `play`, `4`, `free`.
pub(super) fn letters_and_digits(text: &str) -> Vec<&str> {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 || digits == text.len() {
        return vec![text];
    }
    let mut parts = Vec::new();
    let mut start = 0;
    let mut before: Option<bool> = None;
    for (at, c) in text.char_indices() {
        let digit = c.is_ascii_digit();
        if before.is_some_and(|was| was != digit) {
            parts.extend(text.get(start..at));
            start = at;
        }
        before = Some(digit);
    }
    parts.extend(text.get(start..));
    parts
}

/// What names one thing of many and says nothing: numbers, hex, random letters.
pub(super) fn is_identifier(text: &str) -> bool {
    if text.len() > 48 {
        return true;
    }
    let ascii = text.is_ascii();
    let (mut letters, mut digits, mut vowels, mut changes) = (0, 0, 0, 0);
    let (mut is_hex, mut before_is_digit) = (true, None);
    for byte in text.bytes() {
        let digit = byte.is_ascii_digit();
        letters += usize::from(byte.is_ascii_alphabetic());
        digits += usize::from(digit);
        vowels += usize::from(matches!(
            byte | 0x20,
            b'a' | b'e' | b'i' | b'o' | b'u' | b'y'
        ));
        is_hex &= byte.is_ascii_hexdigit();
        changes += usize::from(before_is_digit.is_some_and(|before| before != digit));
        before_is_digit = Some(digit);
    }
    if !ascii {
        letters = text.chars().filter(|c| c.is_alphabetic()).count();
    }
    letters == 0
        || is_hex && digits > 0 && text.len() >= 6
        || digits > letters
        || (changes >= 3 && text.len() >= 8)
        || (letters >= 8 && vowels * 8 < letters && ascii)
}

const LONGEST_STOP: usize = 7;
/// Says nothing of what a page is about, in any of the languages; sorted.
const STOP: [u64; 127] = packed([
    "al", "an", "and", "are", "article", "artikel", "as", "asp", "aspx", "at", "au", "auf", "aux",
    "be", "by", "che", "com", "con", "content", "da", "dans", "das", "de", "default", "del",
    "della", "dem", "den", "der", "des", "detail", "details", "di", "die", "do", "dos", "du", "e",
    "ein", "eine", "el", "em", "en", "es", "et", "for", "fr", "from", "fuer", "gli", "home", "htm",
    "html", "id", "il", "im", "in", "index", "is", "ist", "it", "item", "its", "jsp", "la", "las",
    "le", "les", "lo", "los", "mit", "my", "na", "net", "no", "node", "not", "o", "of", "on", "or",
    "org", "os", "our", "p", "page", "pages", "para", "per", "php", "por", "pour", "pt", "q",
    "que", "ref", "s", "se", "show", "src", "sur", "t", "that", "the", "this", "to", "uk", "um",
    "uma", "un", "una", "und", "une", "us", "utm", "v", "view", "von", "w", "was", "we", "with",
    "www", "y", "you", "your", "zu",
]);

/// Short words as numbers of the same order: comparing these is one step.
#[expect(clippy::indexing_slicing, reason = "the compiler computes it")]
const fn packed<const COUNT: usize>(words: [&str; COUNT]) -> [u64; COUNT] {
    let mut numbers = [0; COUNT];
    let mut at = 0;
    while at < COUNT {
        numbers[at] = pack(words[at].as_bytes());
        at += 1;
    }
    numbers
}

/// Up to eight bytes as a number, the first one in front.
const fn pack(word: &[u8]) -> u64 {
    let (mut number, mut rest, mut room) = (0, word, 8);
    while let [byte, behind @ ..] = rest
        && room > 0
    {
        number = number << 8 | *byte as u64;
        (rest, room) = (behind, room - 1);
    }
    number << (room * 8 % 64)
}

pub(super) fn is_word(text: &str) -> bool {
    (2..=32).contains(&text.len())
        && (text.bytes().any(|byte| byte.is_ascii_alphabetic())
            || !text.is_ascii() && text.chars().any(char::is_alphabetic))
        && (text.len() > LONGEST_STOP || STOP.binary_search(&pack(text.as_bytes())).is_err())
}
