//! This file takes a URL apart: the words that say what it is about.
//!
//! Percent-decoded, split on case and punctuation, accents folded, stop words and identifiers
//! dropped. Everything is bounded, whatever stands in the URL: nothing here can be made slow.

use std::borrow::Cow;

use url::Url;

use crate::classify::letters::camel;
use crate::classify::letters::fold;
use crate::classify::letters::is_identifier;
use crate::classify::letters::is_word;
use crate::classify::letters::letters_and_digits;
use crate::classify::vocabulary::Vocabulary;

/// Words of each kind that are read at most.
const MAX_WORDS: usize = 40;
/// Bytes of a URL and characters of a title that are read at most.
const MAX_URL: usize = 4_096;
const MAX_TITLE: usize = 512;

/// The words of a URL and a title.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// The host without `www.`, as it is written.
    pub host: String,
    /// The registrable name without its suffix: the site.
    pub site: String,
    /// Words inside the host's labels.
    pub of_host: Vec<String>,
    /// The last label of the host.
    pub tld: String,
    /// Words of the path.
    pub of_path: Vec<String>,
    /// Words of the query's keys, and of its values where they are words.
    pub of_query: Vec<String>,
    /// Words of the title.
    pub of_title: Vec<String>,
    /// The title itself, cut and without control characters.
    pub title: String,
}

impl Words {
    /// What the page says of itself: of the host only `below`, what stands in front of its site.
    #[must_use]
    pub fn of_page(&self, below: &str, vocabulary: &Vocabulary) -> Self {
        let below_it = idna_to_unicode(below);
        Self {
            host: below.to_owned(),
            of_host: words_of_labels(below_it.split('.'), vocabulary),
            of_path: self.of_path.clone(),
            of_query: self.of_query.clone(),
            of_title: self.of_title.clone(),
            title: self.title.clone(),
            ..Self::default()
        }
    }

    /// The words of the path and the query.
    pub fn of_rest(&self) -> impl Iterator<Item = &String> {
        self.of_path.iter().chain(&self.of_query)
    }

    /// What a sentence model reads: words of the host, end, words of the rest, title; each word
    /// once, and those of the title where they stand in it. Every token costs time, and the host
    /// as it is written says nothing that its words and the hashed features do not.
    #[must_use]
    pub fn text(&self) -> String {
        let end = match self.tld.split('.').next().unwrap_or("") {
            "gov" | "gob" | "gouv" | "gv" | "mil" => "government",
            "edu" | "ac" => "university",
            "gg" => "gaming",
            other => other,
        };
        let mut text = self.of_host.join(" ");
        text.push(' ');
        text.push_str(end);
        text.push_str(" .");
        let mut said: Vec<&String> = self.of_host.iter().chain(&self.of_title).collect();
        for word in self.of_rest().take(24) {
            if !said.contains(&word) {
                text.push(' ');
                text.push_str(word);
                said.push(word);
            }
        }
        if !self.title.is_empty() {
            text.push_str(" . ");
            text.push_str(&self.title);
        }
        text
    }

    /// Every word, for people.
    #[must_use]
    pub fn all(&self) -> Vec<&str> {
        let kinds = [&self.of_host, &self.of_path, &self.of_query, &self.of_title];
        kinds.into_iter().flatten().map(String::as_str).collect()
    }
}

/// The words of `url` and `title`. A text that is no URL is read as words alone.
#[must_use]
pub fn read(url: &str, title: Option<&str>, vocabulary: &Vocabulary) -> Words {
    read_parsed(url, Url::parse(url).as_ref().ok(), title, vocabulary)
}

/// The same of a URL that is parsed already; `None`: it is none.
#[must_use]
pub fn read_parsed(
    url: &str,
    parsed: Option<&Url>,
    title: Option<&str>,
    vocabulary: &Vocabulary,
) -> Words {
    let mut words = Words::default();
    let cut = url.get(..url.floor_char_boundary(MAX_URL)).unwrap_or(url);
    let short = if cut.len() < url.len() {
        Url::parse(cut).ok().map(Cow::Owned)
    } else {
        parsed.map(Cow::Borrowed)
    };
    match short.as_deref() {
        Some(parsed) => {
            let host = parsed.host_str().unwrap_or("").to_ascii_lowercase();
            read_host(&host, vocabulary, &mut words);
            for segment in parsed.path_segments().into_iter().flatten() {
                collect(&decoded(segment), vocabulary, &mut words.of_path);
            }
            for (key, value) in parsed.query_pairs() {
                if key.starts_with("utm_") {
                    continue; // how somebody came, not what is there
                }
                collect(&key, vocabulary, &mut words.of_query);
                if value.len() <= 80 {
                    collect(&value, vocabulary, &mut words.of_query);
                }
            }
            if let Some(fragment) = parsed.fragment().filter(|part| part.len() <= 80) {
                collect(&decoded(fragment), vocabulary, &mut words.of_path);
            }
        }
        None => collect(cut, vocabulary, &mut words.of_path),
    }
    if let Some(title) = title {
        let title = title.chars().filter(|c| !c.is_control());
        words.title = title.take(MAX_TITLE).collect();
        collect(&words.title, vocabulary, &mut words.of_title);
    }
    words
}

/// Registry suffixes of two labels, so that `bbc.co.uk` is the site `bbc`.
fn is_second_level(label: &str) -> bool {
    matches!(
        label,
        "co" | "com"
            | "org"
            | "net"
            | "ac"
            | "edu"
            | "gov"
            | "gob"
            | "gouv"
            | "gv"
            | "go"
            | "or"
            | "ne"
            | "asso"
            | "govt"
            | "nhs"
            | "mil"
            | "school"
            | "sch"
    )
}

/// How many labels at the end of a host are the registry's, not the site's.
pub(super) fn suffix_labels(labels: &[String]) -> usize {
    let second = labels.len().checked_sub(2).and_then(|at| labels.get(at));
    let second = second.is_some_and(|label| is_second_level(label));
    if second && labels.len() > 2 { 2 } else { 1 }
}

fn read_host(host: &str, vocabulary: &Vocabulary, words: &mut Words) {
    let host = host.strip_prefix("www.").unwrap_or(host);
    host.clone_into(&mut words.host);
    let unicode = idna_to_unicode(host);
    let mut labels: Vec<&str> = unicode.split('.').collect();
    if labels.len() > 1 {
        words.tld = labels.pop().unwrap_or("").to_owned();
        if labels.len() > 1 && labels.last().is_some_and(|label| is_second_level(label)) {
            let second = labels.pop().unwrap_or("");
            if second.len() > 2 || second == "ac" {
                words.tld = format!("{second}.{}", words.tld);
            }
        }
    }
    words.site = labels.last().copied().unwrap_or("").to_owned();
    words.of_host = words_of_labels(labels.into_iter(), vocabulary);
}

fn words_of_labels<'host>(
    labels: impl Iterator<Item = &'host str>,
    vocabulary: &Vocabulary,
) -> Vec<String> {
    let mut words = Vec::new();
    for label in labels {
        let folded = fold(label);
        for part in folded.split(|c: char| !c.is_ascii_alphanumeric()) {
            for piece in letters_and_digits(part) {
                if piece.len() < 2 || !piece.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                    continue;
                }
                let parts = vocabulary.split(piece).into_iter();
                let parts = parts.filter(|word| is_word(word)).map(str::to_owned);
                words.extend(parts);
            }
        }
    }
    words.truncate(MAX_WORDS);
    words
}

/// The host as people read it; what cannot be decoded stays as it is.
pub(super) fn idna_to_unicode(host: &str) -> String {
    if !host.as_bytes().windows(4).any(|four| four == b"xn--") {
        return host.to_owned();
    }
    let (unicode, result) = idna::domain_to_unicode(host);
    if result.is_ok() {
        unicode
    } else {
        host.to_owned()
    }
}

fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let value = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        match (byte, value) {
            (b'%', Some(value)) => {
                out.push(value);
                rest = after.get(2..).unwrap_or(&[]);
            }
            (b'+', _) => {
                out.push(b' ');
                rest = after;
            }
            _ => {
                out.push(byte);
                rest = after;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// Adds the words of a text: split on case and punctuation, folded, identifiers dropped.
fn collect(text: &str, vocabulary: &Vocabulary, into: &mut Vec<String>) {
    for part in text.split(|c: char| !c.is_alphanumeric()) {
        if into.len() >= MAX_WORDS {
            return;
        }
        if part.is_empty() || is_identifier(part) {
            continue;
        }
        if part.bytes().all(|byte| byte.is_ascii_lowercase()) {
            collect_piece(part, vocabulary, into); // nothing to take apart, as nearly always
            continue;
        }
        for piece in camel(part) {
            let folded = fold(piece);
            for piece in letters_and_digits(&folded) {
                if !is_identifier(piece) {
                    collect_piece(piece, vocabulary, into);
                }
            }
        }
    }
    into.truncate(MAX_WORDS);
}

/// Adds a word. A compound is read as its words, and kept: both may be known.
fn collect_piece(piece: &str, vocabulary: &Vocabulary, into: &mut Vec<String>) {
    if !is_word(piece) {
        return;
    }
    into.push(piece.to_owned());
    if vocabulary.is_whole(piece) {
        return;
    }
    let pieces = vocabulary.split(piece);
    let known = pieces.iter().filter(|word| word.len() > 2).count();
    if pieces.len() > 1 && known > 1 && pieces.iter().all(|word| vocabulary.knows(word)) {
        let pieces = pieces.into_iter().filter(|word| is_word(word));
        into.extend(pieces.map(str::to_owned));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vocabulary {
        Vocabulary::of([vec![
            "kartoffel",
            "suppe",
            "daily",
            "garden",
            "news",
            "play",
            "free",
        ]])
    }

    #[track_caller]
    fn check(url: &str, host: &[&str], rest: &[&str]) {
        let words = read(url, None, &vocabulary());
        assert_eq!(words.of_host, host, "{url}");
        assert_eq!(words.of_rest().collect::<Vec<_>>(), rest, "{url}");
    }

    #[test]
    fn words_are_found_and_identifiers_dropped() {
        check(
            "https://www.dailygarden.co.uk/News/2024/03/05/8412733-a1b2c3d4e5.html",
            &["daily", "garden"],
            &["news"],
        );
        check(
            "https://play4free.io/myGreatGame?sessionKey=9f8e7d6c5b4a&sort=newest",
            &["play", "free"],
            &["great", "game", "session", "key", "sort", "newest"],
        );
        check(
            "https://xn--bcher-kva.example/Kartoffelsuppe%20f%C3%BCr%20G%C3%A4ste",
            &["buecher"],
            &["kartoffelsuppe", "kartoffel", "suppe", "gaeste"],
        );
        check(
            "https://xy.example/HTMLParser/myPDFsFolder/AGames/B%C3%9CCHER",
            &["xy"],
            &["parser", "pdfs", "folder", "games", "buecher"],
        );
        check("not a url", &[], &["url"]);
    }

    #[test]
    fn a_page_is_read_without_its_site() {
        let known = vocabulary();
        let words = read("https://garden.news.example/play", Some("Free"), &known);
        let page = words.of_page("garden", &known);
        assert_eq!(page.of_host, ["garden"]);
        assert_eq!(page.all(), ["garden", "play", "free"]);
        assert_eq!((page.site.as_str(), page.tld.as_str()), ("", ""));
        assert_eq!(page.text().replace(' ', ""), "garden.play.Free");
        assert!(words.of_page("", &known).of_host.is_empty());
    }

    #[test]
    fn whatever_is_sent_is_read_in_bounded_time() {
        let long = format!("https://e.x/{}", "a-Ä%ff%".repeat(40_000));
        let words = read(
            &long,
            Some(&"\u{0}\u{202e}😀 x".repeat(9_000)),
            &vocabulary(),
        );
        assert!(words.of_path.len() <= MAX_WORDS && words.of_title.len() <= MAX_WORDS);
        assert!(!words.title.contains('\u{0}'));
    }
}
