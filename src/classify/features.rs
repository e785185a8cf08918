//! This file turns words into numbers: hashed words and pieces of words, and the lexicon's scores.

use xxhash_rust::xxh3::xxh3_64;

use crate::classify::lexicon::Heard;
use crate::classify::lexicon::Scores;
use crate::classify::words::Words;
use crate::domain::label::Category;

/// Places for hashed features.
pub const HASHED: usize = 1 << 16;
/// Numbers that the lexicon gives: by the place of the words, and their weighted sum.
pub const HEARD: usize = Category::COUNT * 5;

/// How much of the lexicon's weighted sum counts, by place.
const WEIGHTS: [f32; 4] = [1.5, 1.0, 1.0, 1.0];

/// The features of one URL.
#[derive(Clone, Debug, Default)]
pub struct Features {
    /// Hashed features, of length 1 together; a place may stand here more than once.
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
    let places: [&Scores; 4] = [&heard.host, &heard.rest, &heard.title, &heard.end];
    let mut numbers = Vec::with_capacity(HEARD);
    let mut sum: Scores = [0.0; Category::COUNT];
    for (place, weight) in places.into_iter().zip(WEIGHTS) {
        for (score, total) in place.iter().zip(&mut sum) {
            // The third word for the same says less than the first; most say nothing.
            numbers.push(if *score == 0.0 { 0.0 } else { score.ln_1p() });
            *total += weight * score;
        }
    }
    let all: f32 = sum.iter().sum();
    numbers.extend(sum.iter().map(|score| score / (all + 1.0)));
    numbers
}

fn sparse(words: &Words) -> Vec<(u16, f32)> {
    let mut found: Vec<(u16, f32)> = Vec::with_capacity(512);
    let mut add = |kind: Kind, hash: u64, weight: f32| found.push((place(kind, hash), weight));
    add(Kind::End, hash(&words.tld), 1.0);
    add(Kind::Site, hash(&words.site), 1.0);
    for word in &words.of_host {
        let hash = hash(word);
        add(Kind::Word, hash, 1.0);
        add(Kind::HostWord, hash, 1.0);
        pieces(word, &mut add);
    }
    for word in words.of_rest() {
        let hash = hash(word);
        add(Kind::Word, hash, 1.0);
        add(Kind::RestWord, hash, 0.5);
        pieces(word, &mut add);
    }
    for word in &words.of_title {
        add(Kind::Word, hash(word), 1.0);
        pieces(word, &mut add);
    }
    for pair in words.of_title.windows(2).chain(words.of_path.windows(2)) {
        if let [first, second] = pair {
            add(Kind::Pair, hash(first).rotate_left(17) ^ hash(second), 0.5);
        }
    }
    let length = found.iter().map(|(_, weight)| weight * weight).sum::<f32>();
    let length = length.sqrt().max(1e-6);
    for (_, weight) in &mut found {
        *weight /= length;
    }
    found
}

/// Pieces of 3 to 5 letters of `^word$`: what endings and compounds have in common.
fn pieces(word: &str, add: &mut impl FnMut(Kind, u64, f32)) {
    if word.is_ascii() {
        let mut marked = [0_u8; 40];
        let end = word.len().min(marked.len() - 2) + 1;
        for (to, from) in marked.iter_mut().skip(1).zip(word.as_bytes()) {
            *to = *from;
        }
        marked[0] = b'^';
        if let Some(last) = marked.get_mut(end) {
            *last = b'$';
        }
        let marked = marked.get(..=end).unwrap_or(&[]);
        for start in 0..marked.len().saturating_sub(2) {
            let mut piece = 0_u64;
            for (at, byte) in marked.iter().skip(start).take(5).enumerate() {
                piece = piece << 8 | u64::from(*byte);
                if at >= 2 {
                    add(Kind::Piece, piece, 0.5);
                }
            }
        }
        return;
    }
    let marked = format!("^{word}$");
    let bounds: Vec<usize> = marked
        .char_indices()
        .map(|(at, _)| at)
        .chain([marked.len()])
        .collect();
    for length in 3..=5_usize {
        for window in bounds.windows(length + 1) {
            if let (Some(start), Some(end)) = (window.first(), window.last()) {
                add(
                    Kind::Piece,
                    hash(marked.get(*start..*end).unwrap_or("")),
                    0.5,
                );
            }
        }
    }
}

/// What a hashed feature says where something stands.
#[derive(Clone, Copy)]
enum Kind {
    End = 1,
    Site,
    Word,
    HostWord,
    RestWord,
    Pair,
    Piece,
}

fn hash(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// The upper bits of a product depend on all of the lower ones.
fn place(kind: Kind, hash: u64) -> u16 {
    let mixed = (hash ^ (kind as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let [.., low, high] = mixed.to_le_bytes();
    u16::from_le_bytes([low, high])
}
