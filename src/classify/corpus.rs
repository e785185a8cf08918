//! This file reads labelled examples: category, URL and title in columns.

use std::path::Path;

use url::Url;
use xxhash_rust::xxh3::xxh3_64;

use crate::classify::Question;
use crate::classify::train::FOLDS;
use crate::classify::vocabulary::Vocabulary;
use crate::classify::words;
use crate::domain::label::Category;

/// Of so many sites one is kept for the test.
const TEST_EVERY: u64 = 5;

/// One labelled example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// What it is about.
    pub category: Category,
    /// URL and title.
    pub question: Question,
}

impl AsRef<Question> for Labelled {
    fn as_ref(&self) -> &Question {
        &self.question
    }
}

/// The part of a corpus that a site belongs to: all its URLs stand in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Trained on, in this fold of the cross-validation.
    Train(usize),
    /// Never trained on.
    Test,
}

/// Reads a text of `category <tab> URL [<tab> title]`; `#` begins a comment.
///
/// # Errors
/// The first line that is none of these, for people.
pub fn parse(text: &str) -> Result<Vec<Labelled>, String> {
    let mut found = Vec::new();
    for (number, line) in (1_usize..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let mut columns = line.split('\t');
        let name = columns.next().unwrap_or("").trim();
        let category = name
            .to_ascii_lowercase()
            .parse::<Category>()
            .map_err(|_error| {
                format!(
                    "line {number}: {name:?} is no category; write category, tab, URL, tab, title"
                )
            })?;
        let url = columns.next().map(str::trim).filter(|url| !url.is_empty());
        let url =
            url.ok_or_else(|| format!("line {number}: there is no URL behind the category"))?;
        if Url::parse(url).is_err() {
            return Err(format!(
                "line {number}: {url:.80?} is no URL; write it with https://"
            ));
        }
        let title = columns
            .next()
            .map(str::trim)
            .filter(|title| !title.is_empty());
        found.push(Labelled {
            category,
            question: Question {
                url: url.to_owned(),
                title: title.map(str::to_owned),
            },
        });
    }
    Ok(found)
}

/// Reads a file, or every `*.tsv` of a folder in the order of their names.
///
/// # Errors
/// What cannot be read, for people.
pub fn read(path: &Path) -> Result<Vec<Labelled>, String> {
    let one = |path: &Path| {
        let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        parse(&String::from_utf8_lossy(&text)).map_err(|why| format!("{}: {why}", path.display()))
    };
    if !path.is_dir() {
        return one(path);
    }
    let entries =
        std::fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "tsv"));
    files.sort();
    let mut all = Vec::new();
    for file in files {
        all.extend(one(&file)?);
    }
    Ok(all)
}

/// The part of a URL, by the name of its site.
#[must_use]
pub fn part(url: &str) -> Part {
    let site = words::read(url, None, &Vocabulary::of([])).site;
    let hash = xxh3_64(site.as_bytes());
    if hash.is_multiple_of(TEST_EVERY) {
        return Part::Test;
    }
    let fold = usize::try_from((hash / TEST_EVERY) % 1_000).unwrap_or(0) % FOLDS;
    Part::Train(fold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_wrong_ones_named() {
        let text = "# c\nfood\thttps://a.example/\tSoup\r\n\nother\thttps://b.example/\n";
        let found = parse(text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].question.title.as_deref(), Some("Soup"));
        assert!(
            parse("fod\thttps://a.example/")
                .unwrap_err()
                .contains("line 1")
        );
        assert!(parse("food").unwrap_err().contains("no URL"));
        let wrong = parse("food\thttps://a.example/\nfood\tsoup").unwrap_err();
        assert!(
            wrong.contains("line 2") && wrong.contains("soup"),
            "{wrong}"
        );
    }

    #[test]
    fn a_site_stands_in_one_part() {
        let first = part("https://www.soup-lovers.co.uk/a");
        assert_eq!(part("http://blog.soup-lovers.com/b?c"), first);
    }
}
