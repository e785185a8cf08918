//! This file turns words into numbers: hashed words and pieces of words, and the lexicon's scores.

use xxhash_rust::xxh3::xxh3_64;

use crate::classify::lexicon::Heard;
use crate::classify::lexicon::Scores;
use crate::classify::words::Words;
use crate::domain::label::Category;

/// Places for hashed features.
pub const HASHED: usize = 1 << 16;
/// Numbers that the lexicon gives: by the place of the words, and their weighted sum.
pub const HEARD: usize = Category::COUNT * 6;

/// How much of the lexicon's weighted sum counts, by place.
const WEIGHTS: [f32; 5] = [1.5, 1.0, 1.0, 1.0, 4.0];

/// The features of one URL.
#[derive(Clone, Debug, Default)]
pub struct Features {
    /// Hashed features in order of their places, of length 1 together.
    pub sparse: Vec<(u16, f32)>,
    /// What the lexicon gives.
    pub heard: Vec<f32>,
    /// Whether there is a title.
    pub titled: bool,
}

/// The features of these words and of what the lexicon said of them.
#[must_use]
pub fn of(words: &Words, heard: &Heard) -> Features {
    Features {
        sparse: sparse(words),
        heard: dense(heard),
        titled: !words.of_title.is_empty(),
    }
}

fn dense(heard: &Heard) -> Vec<f32> {
    let places: [&Scores; 5] = [
        &heard.host,
        &heard.rest,
        &heard.title,
        &heard.end,
        &heard.site,
    ];
    let mut numbers = Vec::with_capacity(HEARD);
    let mut sum: Scores = [0.0; Category::COUNT];
    for (place, weight) in places.into_iter().zip(WEIGHTS) {
        for (score, total) in place.iter().zip(&mut sum) {
            // The third word for the same says less than the first.
            numbers.push(score.ln_1p());
            *total += weight * score;
        }
    }
    let all: f32 = sum.iter().sum();
    numbers.extend(sum.iter().map(|score| score / (all + 1.0)));
    numbers
}

fn sparse(words: &Words) -> Vec<(u16, f32)> {
    let mut found: Vec<(u16, f32)> = Vec::with_capacity(256);
    let mut add = |kind: &str, text: &str, weight: f32| {
        found.push((place(kind, text), weight));
    };
    add("tld", &words.tld, 1.0);
    add("site", &words.site, 1.0);
    for word in &words.of_host {
        add("", word, 1.0);
        add("h", word, 1.0);
    }
    for word in words.of_rest() {
        add("", word, 1.0);
        add("p", word, 0.5);
    }
    for word in &words.of_title {
        add("", word, 1.0);
    }
    for pair in words.of_title.windows(2).chain(words.of_path.windows(2)) {
        if let [first, second] = pair {
            add("2", &format!("{first} {second}"), 0.5);
        }
    }
    for word in words
        .of_host
        .iter()
        .chain(words.of_rest())
        .chain(&words.of_title)
    {
        pieces(word, &mut add);
    }
    found.sort_unstable_by_key(|(place, _)| *place);
    let mut merged: Vec<(u16, f32)> = Vec::with_capacity(found.len());
    for (place, weight) in found {
        match merged.last_mut() {
            Some((last, sum)) if *last == place => *sum += weight,
            _ => merged.push((place, weight)),
        }
    }
    let length = merged
        .iter()
        .map(|(_, weight)| weight * weight)
        .sum::<f32>();
    let length = length.sqrt().max(1e-6);
    for (_, weight) in &mut merged {
        *weight /= length;
    }
    merged
}

/// Pieces of 3 to 5 letters of `^word$`: what endings and compounds have in common.
fn pieces(word: &str, add: &mut impl FnMut(&str, &str, f32)) {
    let marked = format!("^{word}$");
    if marked.is_ascii() {
        for length in 3..=5_usize {
            for start in 0..(marked.len() + 1).saturating_sub(length) {
                add("#", marked.get(start..start + length).unwrap_or(""), 0.5);
            }
        }
        return;
    }
    let bounds: Vec<usize> = marked
        .char_indices()
        .map(|(at, _)| at)
        .chain([marked.len()])
        .collect();
    for length in 3..=5_usize {
        for window in bounds.windows(length + 1) {
            if let (Some(start), Some(end)) = (window.first(), window.last()) {
                add("#", marked.get(*start..*end).unwrap_or(""), 0.5);
            }
        }
    }
}

fn place(kind: &str, text: &str) -> u16 {
    let mut name = [0_u8; 80];
    let mut length = 0;
    for part in [kind, ":", text] {
        let part = part.as_bytes();
        let part = part
            .get(..part.len().min(name.len() - length))
            .unwrap_or(&[]);
        if let Some(room) = name.get_mut(length..length + part.len()) {
            room.copy_from_slice(part);
            length += part.len();
        }
    }
    let hash = xxh3_64(name.get(..length).unwrap_or(&[]));
    let [low, high, ..] = hash.to_le_bytes();
    u16::from_le_bytes([low, high])
}
