//! What is known without any training: words and ends of hosts by category.

use hashbrown::HashMap;
use hashbrown::HashSet;

use crate::classify::lengths::Lengths;
use crate::classify::vocabulary::Vocabulary;
use crate::classify::words::Words;
use crate::domain::label::Category;

const WORDS: &str = include_str!("data/lexicon.txt");
const VOCABULARY: &str = include_str!("data/vocabulary.txt");

/// The shortest beginning that a starred word can have.
const SHORTEST_STEM: usize = 3;
/// The shortest word that other forms are recognised by, and the letters they may have more.
const SHORTEST_FORM: usize = 5;
const LONGEST_ENDING: usize = 2;
/// The shortest word that speaks as a part of a compound.
const SHORTEST_PART: usize = 6;

/// Where a word stands that spoke.
const HOST_WORD: &str = "host word";
const WORD: &str = "word";
const TITLE_WORD: &str = "title word";

/// How strongly each category speaks.
pub type Scores = [f32; Category::COUNT];

/// The compiled-in knowledge.
#[derive(Debug)]
pub struct Lexicon {
    words: HashMap<&'static str, Vec<Category>>,
    stems: HashMap<&'static str, Vec<Category>>,
    ends: HashMap<&'static str, Vec<Category>>,
    /// The first words of entries of two.
    firsts: HashSet<&'static str>,
    vocabulary: Vocabulary,
    /// Which stems, beginnings and ends are worth looking for.
    lengths: KnownLengths,
}

/// The lengths of what the lexicon holds.
#[derive(Debug)]
struct KnownLengths {
    stems: Lengths,
    beginnings: Lengths,
    ends: Lengths,
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
    /// Everything that spoke, for people.
    pub spoke: Vec<Spoke>,
}

impl Heard {
    /// What would have been heard if the lexicon did not know the words that `hides` names.
    #[must_use]
    pub fn without(&self, hides: impl Fn(&str) -> bool) -> Self {
        let mut heard = Self {
            end: self.end,
            ..Self::default()
        };
        for spoke in &self.spoke {
            let scores = match spoke.what {
                HOST_WORD => &mut heard.host,
                WORD => &mut heard.rest,
                TITLE_WORD => &mut heard.title,
                _ => continue,
            };
            if !hides(&spoke.word)
                && let Some(score) = scores.get_mut(spoke.category.number())
            {
                *score += spoke.weight;
                heard.spoke.push(spoke.clone());
            }
        }
        heard
    }
}

impl Lexicon {
    /// Reads the compiled-in lists.
    #[must_use]
    pub fn new() -> Self {
        let mut lexicon = Self {
            words: HashMap::new(),
            stems: HashMap::new(),
            ends: HashMap::new(),
            firsts: HashSet::new(),
            vocabulary: Vocabulary::of([]),
            lengths: KnownLengths::of(&HashMap::new(), &HashMap::new()),
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
        let own = lexicon.words.keys().chain(lexicon.stems.keys()).copied();
        let mut own: Vec<&str> = own
            .filter(|word| word.len() > 3 && word.bytes().all(|byte| byte.is_ascii_lowercase()))
            .collect();
        own.sort_unstable();
        // Every word of the lexicon is as likely as a frequent word of the language.
        let own = own.chunks(200).map(<[&str]>::to_vec);
        lexicon.lengths = KnownLengths::of(&lexicon.words, &lexicon.stems);
        lexicon.vocabulary =
            Vocabulary::of(std::iter::once(VOCABULARY.lines().collect()).chain(own));
        lexicon
    }

    /// The words that compounds are split into.
    #[must_use]
    pub const fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// What the lexicon says of these words.
    #[must_use]
    pub fn hear(&self, words: &Words) -> Heard {
        let mut heard = Heard::default();
        let mut spoke = Vec::new();
        self.hear_words(words.of_host.iter(), HOST_WORD, &mut heard.host, &mut spoke);
        self.hear_words(words.of_rest(), WORD, &mut heard.rest, &mut spoke);
        let title = words.of_title.iter();
        self.hear_words(title, TITLE_WORD, &mut heard.title, &mut spoke);
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
        heard.spoke = spoke;
        heard
    }

    fn hear_words<'word>(
        &self,
        words: impl Iterator<Item = &'word String>,
        what: &'static str,
        scores: &mut Scores,
        spoke: &mut Vec<Spoke>,
    ) {
        let mut seen: Vec<&str> = Vec::with_capacity(40);
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            if let Some(next) = words.peek()
                && self.firsts.contains(word.as_str())
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

    /// The categories of a word: as it stands, by its longest known beginning, or as what it is
    /// built of.
    fn categories(&self, word: &str) -> Option<&[Category]> {
        if let Some(found) = self.words.get(word) {
            return Some(found);
        }
        let stems = self.lengths.stems.beginning_as(word.as_bytes());
        let stem = (SHORTEST_STEM..=word.len())
            .rev()
            .filter(|length| stems.may_hold(*length))
            .find_map(|length| self.stems.get(word.get(..length)?));
        stem.or_else(|| self.within(word)).map(Vec::as_slice)
    }

    /// What a word that is not listed is built of: another form of a word (`reservas`), or a
    /// compound, whose last part says most (`klostermuseum`, `treibertausch`).
    fn within(&self, word: &str) -> Option<&Vec<Category>> {
        let most = word.len().saturating_sub(1);
        let beginnings = self.lengths.beginnings.beginning_as(word.as_bytes());
        let ends = self.lengths.ends.ending_as(word.as_bytes());
        let beginning = |length: usize| {
            let held = beginnings.may_hold(length);
            held.then(|| self.words.get(word.get(..length)?)).flatten()
        };
        let end = |length: usize| {
            let held = ends.may_hold(length);
            held.then(|| self.words.get(word.get(word.len() - length..)?))
                .flatten()
        };
        let mut forms = (SHORTEST_FORM..=most).rev().take(LONGEST_ENDING);
        let parts = || (SHORTEST_PART..=most).rev();
        forms
            .find_map(beginning)
            .or_else(|| parts().find_map(end))
            .or_else(|| parts().find_map(beginning))
    }
}

impl KnownLengths {
    fn of(
        words: &HashMap<&'static str, Vec<Category>>,
        stems: &HashMap<&'static str, Vec<Category>>,
    ) -> Self {
        Self {
            stems: Lengths::by_beginning(stems.keys().copied()),
            beginnings: Lengths::by_beginning(words.keys().copied()),
            ends: Lengths::by_end(words.keys().copied()),
        }
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
        for ends in [false, true] {
            for category in Category::ALL {
                if category == Category::Other && ends {
                    continue;
                }
                let found = entries(WORDS)
                    .filter(|entry| entry.0 == ends && entry.1 == category)
                    .count();
                // Some category has no end of hosts of its own, but each has words.
                assert!(found > 0 || ends, "{category}");
            }
        }
        for line in WORDS.lines() {
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
            let heard = lexicon.hear(&words);
            let best = Category::ALL.into_iter().max_by(|a, b| {
                let of = |category: &Category| {
                    heard.rest[category.number()] + heard.host[category.number()]
                };
                of(a).total_cmp(&of(b))
            });
            assert_eq!(best, Some(category), "{url}: {:?}", heard.spoke);
        }
    }

    #[test]
    fn forms_and_compounds_of_listed_words_speak_and_hidden_words_do_not() {
        let lexicon = Lexicon::new();
        let list = |category: Category| vec![category];
        let mut small = Lexicon {
            words: HashMap::new(),
            stems: HashMap::new(),
            ..lexicon
        };
        small.words.insert("museum", list(Category::Travel));
        small.words.insert("reserva", list(Category::Travel));
        small.words.insert("hotel", list(Category::Travel));
        small.words.insert("kloster", list(Category::Education));
        small.words.insert("tausch", list(Category::Business));
        small.lengths = KnownLengths::of(&small.words, &small.stems);
        let said = |word: &str| small.categories(word).and_then(|all| all.first().copied());
        assert_eq!(said("reservas"), Some(Category::Travel));
        assert_eq!(said("hotelier"), None); // three letters more: another word
        assert_eq!(said("klostermuseum"), Some(Category::Travel)); // the last part
        assert_eq!(said("treibertausch"), Some(Category::Business));
        assert_eq!(said("klostergarten"), Some(Category::Education));
        assert_eq!(said("tauschen"), Some(Category::Business));
        assert_eq!(said("garten"), None);

        let url = "https://museum.example/reservas/museum";
        let words = words::read(url, None, small.vocabulary());
        let heard = small.hear(&words);
        let travel = |heard: &Heard| {
            let at = Category::Travel.number();
            (heard.host[at], heard.rest[at])
        };
        assert_eq!(travel(&heard), (1.0, 2.0));
        assert_eq!(travel(&heard.without(|_| false)), (1.0, 2.0));
        assert_eq!(travel(&heard.without(|word| word == "museum")), (0.0, 1.0));
    }
}
