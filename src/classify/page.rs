//! What a page says of itself: the bytes of an HTML page become title, description and language.
//!
//! Whatever is sent is read in time that grows with its length alone.

use encoding_rs::Encoding;
use encoding_rs::UTF_8;
use encoding_rs::WINDOWS_1252;

/// The longest tag that is looked into, bytes.
const LONGEST_TAG: usize = 4_096;
/// Where a page names its alphabet, if it does.
const FRONT: usize = 4_096;

/// What a page says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Its `<title>`.
    pub title: String,
    /// Its description.
    pub description: String,
    /// The language it names.
    pub language: String,
}

/// Whether nothing that is read here stands behind these bytes.
pub(super) fn is_whole(bytes: &[u8], from: usize) -> bool {
    let new = bytes.get(from.saturating_sub(6)..).unwrap_or(bytes);
    new.windows(6)
        .any(|six| six.eq_ignore_ascii_case(b"</head"))
        || new
            .windows(5)
            .any(|five| five.eq_ignore_ascii_case(b"<body"))
}

/// The page of these bytes, in the alphabet that the server or the page names. What names none is
/// UTF-8 if it can be, or else what browsers take it for.
pub(super) fn of(bytes: &[u8], content_type: &str) -> Page {
    let front = bytes.get(..bytes.len().min(FRONT)).unwrap_or(bytes);
    let front = String::from_utf8_lossy(front);
    let named = charset(content_type).or_else(|| charset(&front));
    let known = named.and_then(|name| Encoding::for_label(name.as_bytes()));
    let guessed = || {
        // Its last letter may be cut off.
        let is_utf8 =
            std::str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true);
        if is_utf8 { UTF_8 } else { WINDOWS_1252 }
    };
    let known = known.filter(|encoding| *encoding != UTF_8);
    read(&known.unwrap_or_else(guessed).decode(bytes).0)
}

/// What stands behind `charset=`.
fn charset(text: &str) -> Option<&str> {
    let at = text.to_ascii_lowercase().find("charset=")? + "charset=".len();
    let rest = text.get(at..)?.trim_start_matches(['"', '\'', ' ']);
    rest.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | ':'))
        .next()
}

/// What a page says of itself; hostile bytes are only ever text.
fn read(html: &str) -> Page {
    let lower = html.to_ascii_lowercase();
    let between = |start: &str, end: &str| {
        let at = lower.find(start)? + start.len();
        let open = at + lower.get(at..)?.find('>')? + 1;
        let close = open + lower.get(open..)?.find(end)?;
        html.get(open..close)
    };
    let mut page = Page {
        title: plain(between("<title", "</title").unwrap_or("")),
        ..Page::default()
    };
    let tags = |name: &'static str| {
        // Behind a tag that never ends there is none that does.
        lower.match_indices(name).map_while(|(at, _)| {
            let end = at + lower.get(at..)?.find('>')?.min(LONGEST_TAG);
            html.get(at..html.floor_char_boundary(end))
        })
    };
    for tag in tags("<meta").take(200) {
        let named = attribute(tag, "name").or_else(|| attribute(tag, "property"));
        let is_description = named.is_some_and(|name| {
            matches!(
                name.to_ascii_lowercase().as_str(),
                "description" | "og:description"
            )
        });
        if is_description && page.description.is_empty() {
            page.description = plain(&attribute(tag, "content").unwrap_or_default());
        }
    }
    let language = tags("<html").next().and_then(|tag| attribute(tag, "lang"));
    page.language = plain(&language.unwrap_or_default());
    page
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let at = lower.find(&format!("{name}="))? + name.len() + 1;
    let rest = tag.get(at..)?;
    let quote = rest.chars().next()?;
    let value = if matches!(quote, '"' | '\'') {
        rest.get(1..)?.split(quote).next()?
    } else {
        rest.split([' ', '/', '>']).next()?
    };
    Some(value.to_owned())
}

/// Text without control characters, doubled spaces and the usual entities; 300 characters.
fn plain(text: &str) -> String {
    let text = text
        .replace("&amp;", "&")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&nbsp;", " ");
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn title(bytes: &[u8], content_type: &str, wanted: &str) {
        assert_eq!(of(bytes, content_type).title, wanted);
    }

    #[test]
    fn a_page_is_read_in_its_own_alphabet() {
        title("<title>Küche</title>".as_bytes(), "text/html", "Küche");
        title(
            b"<title>K\xfcche</title>",
            "text/html; charset=ISO-8859-1",
            "Küche",
        );
        title(b"<title>K\xfcche</title>", "text/html", "Küche");
        // Servers that say UTF-8 of everything are wrong about old pages.
        title(
            b"<title>K\xfcche</title>",
            "text/html; charset=utf-8",
            "Küche",
        );
        title(
            "<title>Küche</title>".as_bytes(),
            "text/html; charset=utf-8",
            "Küche",
        );
        title(
            b"<META http-equiv=Content-Type content='text/html; charset=windows-1251'><title>\xcc\xee\xf1\xea\xe2\xe0</title>",
            "text/html",
            "Москва",
        );
        title(
            b"<meta charset=\"shift_jis\"><title>\x93\x8c\x8b\x9e</title>",
            "text/html",
            "東京",
        );
        title(b"<title>x</title>", "text/html; charset=no-such", "x");
        title(b"<title>whole</title>\xe3\x81", "text/html", "whole");
    }

    #[test]
    fn hostile_pages_are_read_in_no_time() {
        let begun = std::time::Instant::now();
        for hostile in [
            "<meta".repeat(100_000),
            format!("{}>", "<meta".repeat(100_000)),
            "<title".repeat(80_000),
            "<html lang=".repeat(40_000),
            format!("<title>{}", "&amp;".repeat(100_000)),
            "charset=".repeat(60_000),
        ] {
            let page = of(hostile.as_bytes(), "text/html");
            assert!(page.title.chars().count() <= 300);
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(5));
    }

    #[test]
    fn the_end_of_the_head_is_seen_across_pieces() {
        assert!(is_whole(b"<title>x</title></HEAD>", 0));
        assert!(is_whole(b"<title>x</title></head>", 20));
        assert!(is_whole(b"<title>x</title><bOdy>", 17));
        assert!(!is_whole(b"<title>x</title></hea", 0));
    }
}
