//! What is known without any training: words, ends of hosts and well-known sites by category.

use hashbrown::HashMap;
use hashbrown::HashSet;

use crate::classify::words::Vocabulary;
use crate::classify::words::Words;
use crate::domain::label::Category;

const WORDS: &str = include_str!("data/lexicon.txt");
const HOSTS: &str = include_str!("data/hosts.txt");
const VOCABULARY: &str = include_str!("data/vocabulary.txt");

/// The shortest beginning that a starred word can have.
const SHORTEST_STEM: usize = 3;

/// How strongly each category speaks.
pub type Scores = [f32; Category::COUNT];

/// The compiled-in knowledge.
#[derive(Debug)]
pub struct Lexicon {
    words: HashMap<&'static str, Vec<Category>>,
    stems: HashMap<&'static str, Vec<Category>>,
    ends: HashMap<&'static str, Vec<Category>>,
    sites: HashMap<&'static str, Category>,
    /// The first words of entries of two.
    firsts: HashSet<&'static str>,
    vocabulary: Vocabulary,
}

/// A word that spoke for a category.
#[derive(Clone, Debug, PartialEq)]
pub struct Spoke {
    /// What: `word`, `host word`, `title word`, `end of the host` or `known site`.
    pub what: &'static str,
    /// The word itself.
    pub word: String,
    /// For which category.
    pub category: Category,
    /// How strongly.
    pub weight: f32,
}

/// What the lexicon says of one URL, by the place of the words.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Words of the host.
    pub host: Scores,
    /// Words of path and query.
    pub rest: Scores,
    /// Words of the title.
    pub title: Scores,
    /// The end of the host.
    pub end: Scores,
    /// A well-known site.
    pub site: Scores,
    /// Everything that spoke, for people.
    pub spoke: Vec<Spoke>,
}

impl Lexicon {
    /// Reads the compiled-in lists.
    #[must_use]
    pub fn new() -> Self {
        let mut lexicon = Self {
            words: HashMap::new(),
            stems: HashMap::new(),
            ends: HashMap::new(),
            sites: HashMap::new(),
            firsts: HashSet::new(),
            vocabulary: Vocabulary::of([]),
        };
        for (ends, category, word) in entries(WORDS) {
            let (map, word) = match (ends, word.strip_suffix('*')) {
                (true, _) => (&mut lexicon.ends, word),
                (false, Some(stem)) => (&mut lexicon.stems, stem),
                (false, None) => (&mut lexicon.words, word),
            };
            let known = map.entry(word).or_default();
            if !known.contains(&category) {
                known.push(category);
            }
        }
        let pairs = lexicon.words.keys().filter_map(|word| word.split_once('-'));
        lexicon.firsts = pairs.map(|(first, _)| first).collect();
        for (_, category, site) in entries(HOSTS) {
            lexicon.sites.entry(site).or_insert(category);
        }
        let own = lexicon.words.keys().chain(lexicon.stems.keys()).copied();
        let mut own: Vec<&str> = own
            .filter(|word| word.len() > 3 && word.bytes().all(|byte| byte.is_ascii_lowercase()))
            .collect();
        own.sort_unstable();
        // Every word of the lexicon is as likely as a frequent word of the language.
        let own = own.chunks(200).map(<[&str]>::to_vec);
        lexicon.vocabulary =
            Vocabulary::of(std::iter::once(VOCABULARY.lines().collect()).chain(own));
        lexicon
    }

    /// The words that compounds are split into.
    #[must_use]
    pub const fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// What the lexicon says of these words; well-known sites count only with `sites`.
    #[must_use]
    pub fn hear(&self, words: &Words, sites: bool) -> Heard {
        let mut heard = Heard::default();
        let mut spoke = Vec::new();
        self.hear_words(&words.of_host, "host word", &mut heard.host, &mut spoke);
        let rest: Vec<String> = words.of_rest().cloned().collect();
        self.hear_words(&rest, "word", &mut heard.rest, &mut spoke);
        self.hear_words(&words.of_title, "title word", &mut heard.title, &mut spoke);
        for end in [
            words.tld.as_str(),
            words.tld.split('.').next().unwrap_or(""),
        ] {
            if let Some(categories) = self.ends.get(end) {
                say(
                    categories,
                    "end of the host",
                    end,
                    1.0,
                    &mut heard.end,
                    &mut spoke,
                );
                break;
            }
        }
        if sites && let Some(category) = self.sites.get(words.site.as_str()) {
            let site = &words.site;
            say(
                &[*category],
                "known site",
                site,
                1.0,
                &mut heard.site,
                &mut spoke,
            );
        }
        heard.spoke = spoke;
        heard
    }

    fn hear_words(
        &self,
        words: &[String],
        what: &'static str,
        scores: &mut Scores,
        spoke: &mut Vec<Spoke>,
    ) {
        let mut seen: Vec<&str> = Vec::new();
        for (at, word) in words.iter().enumerate() {
            if self.firsts.contains(word.as_str())
                && let Some(next) = words.get(at + 1)
                && let Some((pair, categories)) =
                    self.words.get_key_value(format!("{word}-{next}").as_str())
            {
                say(categories, what, pair, 1.0, scores, spoke);
            }
            if seen.contains(&word.as_str()) {
                continue;
            }
            seen.push(word);
            if let Some(categories) = self.categories(word) {
                say(categories, what, word, 1.0, scores, spoke);
            }
        }
    }

    /// The categories of a word: as it stands, or by its longest known beginning.
    fn categories(&self, word: &str) -> Option<&[Category]> {
        if let Some(found) = self.words.get(word) {
            return Some(found);
        }
        (SHORTEST_STEM..=word.len())
            .rev()
            .find_map(|length| self.stems.get(word.get(..length)?))
            .map(Vec::as_slice)
    }
}

impl Default for Lexicon {
    fn default() -> Self {
        Self::new()
    }
}

/// A word speaks; what it has to say is shared between its categories.
fn say(
    categories: &[Category],
    what: &'static str,
    word: &str,
    weight: f32,
    scores: &mut Scores,
    spoke: &mut Vec<Spoke>,
) {
    #[expect(clippy::cast_precision_loss, reason = "a handful of categories")]
    let weight = weight / categories.len().max(1) as f32;
    for category in categories {
        if let Some(score) = scores.get_mut(category.number()) {
            *score += weight;
        }
        spoke.push(Spoke {
            what,
            word: word.to_owned(),
            category: *category,
            weight,
        });
    }
}

/// The entries of a list: whether it is about ends of hosts, the category, the word.
fn entries(list: &'static str) -> impl Iterator<Item = (bool, Category, &'static str)> {
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(|line| {
        let (ends, line) = match line.strip_prefix("tld: ") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let (category, words) = match line.split_once([':', ' ']) {
            Some((name, words)) => (name.parse::<Category>().ok(), words),
            None => (None, ""),
        };
        words
            .split_ascii_whitespace()
            .filter_map(move |word| Some((ends, category?, word)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::words;

    #[test]
    fn every_line_of_the_lists_names_a_category() {
        for (list, ends) in [(WORDS, false), (WORDS, true), (HOSTS, false)] {
            for category in Category::ALL {
                if category == Category::Other && (ends || list == HOSTS) {
                    continue;
                }
                let found = entries(list)
                    .filter(|entry| entry.0 == ends && entry.1 == category)
                    .count();
                // Some category has no end of hosts of its own, but each has words.
                assert!(found > 0 || ends, "{category}");
            }
        }
        for line in WORDS.lines().chain(HOSTS.lines()) {
            let line = line.strip_prefix("tld: ").unwrap_or(line);
            if !line.is_empty() && !line.starts_with('#') {
                let name = line.split([':', ' ']).next().unwrap_or("");
                assert!(name.parse::<Category>().is_ok(), "{name}");
            }
        }
    }

    #[test]
    fn words_speak_in_every_language_and_say_where_they_stand() {
        let lexicon = Lexicon::new();
        for (url, category) in [
            ("https://omas-kueche.example/kartoffelsuppe", Category::Food),
            ("https://e.example/recette-gateau-chocolat", Category::Food),
            ("https://e.example/jogos/guia-jogo", Category::Gaming),
            ("https://e.example/clinica/sintomas", Category::Health),
            (
                "https://comune.example/bandi-concorsi",
                Category::Government,
            ),
        ] {
            let words = words::read(url, None, lexicon.vocabulary());
            let heard = lexicon.hear(&words, false);
            let best = Category::ALL.into_iter().max_by(|a, b| {
                let of = |category: &Category| {
                    heard.rest[category.number()] + heard.host[category.number()]
                };
                of(a).total_cmp(&of(b))
            });
            assert_eq!(best, Some(category), "{url}: {:?}", heard.spoke);
        }
        let words = words::read("https://www.chefkoch.de/", None, lexicon.vocabulary());
        assert!(
            lexicon
                .hear(&words, false)
                .site
                .iter()
                .all(|score| *score == 0.0)
        );
        assert_eq!(
            lexicon.hear(&words, true).site[Category::Food.number()],
            1.0
        );
    }
}
