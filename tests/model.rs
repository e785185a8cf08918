//! The sentence model: its embeddings are those of the reference implementation, what is wrong with
//! a folder is told while the rules go on, and answers are as right and as sure as the README says.
//!
//! `URLSHORT_TEST_MODEL` names the folder (`make model`; `make test` sets it). Without it these
//! tests are skipped; `URLSHORT_TEST_REQUIRED=1` makes that a failure.
#![cfg(feature = "classify")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::collections::HashSet;
use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use urlshort::classify::Classifier;
use urlshort::classify::Decided;
use urlshort::classify::ModelError;
use urlshort::classify::Question;
use urlshort::classify::corpus;
use urlshort::classify::corpus::Labelled;
use urlshort::classify::corpus::Part;
use urlshort::classify::eval::Figures;
use urlshort::classify::eval::Judged;
use urlshort::classify::eval::figures;
use urlshort::classify::transformer::Transformer;
use urlshort::classify::verify_model;
use urlshort::classify::words;
use urlshort::domain::label::Category;

const GOLDEN: &str = include_str!("golden/minilm.json");

fn folder() -> Option<PathBuf> {
    let folder = env::var_os("URLSHORT_TEST_MODEL").map(PathBuf::from);
    if folder.is_none() {
        assert!(
            env::var_os("URLSHORT_TEST_REQUIRED").is_none(),
            "URLSHORT_TEST_MODEL is not set; run `make model` and name the folder"
        );
        eprintln!("SKIPPED: URLSHORT_TEST_MODEL names no model; `make model` fetches one");
    }
    folder
}

fn golden() -> (Vec<String>, Vec<Vec<f32>>) {
    let golden: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
    let sentences = serde_json::from_value(golden["sentences"].clone()).unwrap();
    let vectors = serde_json::from_value(golden["vectors"].clone()).unwrap();
    (sentences, vectors)
}

#[track_caller]
fn close(ours: &[f32], theirs: &[f32], what: &str) {
    assert_eq!(ours.len(), theirs.len());
    let distance = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
    let distance = distance.fold(0.0, f32::max);
    assert!(distance < 1e-4, "{what}: {distance}");
}

#[test]
fn embeddings_equal_the_reference_alone_and_in_a_padded_batch() {
    let Some(folder) = folder() else { return };
    let (sentences, vectors) = golden();
    assert!(sentences.len() >= 5);
    for (sentence, vector) in sentences.iter().zip(&vectors) {
        // A model of its own each time: nothing is remembered.
        let model = Transformer::load(&folder).unwrap();
        let alone = model.embed(std::slice::from_ref(sentence)).unwrap();
        close(&alone[0], vector, sentence);
    }
    let model = Transformer::load(&folder).unwrap();
    let batch = model.embed(&sentences).unwrap();
    for ((ours, theirs), sentence) in batch.iter().zip(&vectors).zip(&sentences) {
        close(ours, theirs, sentence);
    }
    // Equal texts are read once and answered in their places.
    let twice = [
        sentences[1].clone(),
        sentences[0].clone(),
        sentences[1].clone(),
    ];
    let again = model.embed(&twice).unwrap();
    close(&again[0], &vectors[1], "first");
    close(&again[1], &vectors[0], "second");
    close(&again[2], &vectors[1], "third");
}

#[test]
fn a_classifier_with_a_model_says_who_decided() {
    let Some(folder) = folder() else { return };
    let classifier = Classifier::new(Vec::new());
    let rules = classifier.rank();
    classifier.load_model(&folder).unwrap();
    assert!(classifier.rank() > rules);
    assert!(
        classifier.name().starts_with("all-MiniLM-L6-v2-"),
        "{}",
        classifier.name()
    );
    let questions = [
        (
            "https://unknown-kitchen.example/grandmas-potato-soup",
            Some("Potato soup"),
        ),
        (
            "https://a-hiking-blog.example/weekend-in-the-dolomites",
            None,
        ),
        ("https://www.chefkoch.de/", None),
    ]
    .map(|(url, title)| Question {
        url: url.to_owned(),
        title: title.map(str::to_owned),
    });
    let answers = classifier.answer(&questions);
    assert_eq!(answers[0].label.category, Category::Food);
    assert_eq!(answers[1].label.category, Category::Travel);
    assert!(matches!(answers[0].decided, Decided::Model | Decided::Both));
    assert_eq!(answers[2].decided, Decided::KnownSite);
    for answer in &answers {
        assert!((0.0..=1.0).contains(&answer.label.confidence));
        assert!((answer.shares.iter().sum::<f32>() - 1.0).abs() < 1e-3);
    }
}

/// What well-known sites and their pages are about, and whether the site says so.
#[track_caller]
fn check_sites(classifier: &Classifier) {
    for (word, by_site, url) in [
        ("shopping", true, "https://www.amazon.com/"),
        ("shopping", true, "https://www.amazon.co.uk/dp/B08N5WRWNW"),
        ("technology", true, "https://www.microsoft.com/en-us/"),
        ("technology", true, "https://www.apple.com/"),
        ("news", true, "https://www.bbc.com/news"),
        ("sports", true, "https://www.espn.com/"),
        ("entertainment", true, "https://youtu.be/dQw4w9WgXcQ"),
        ("social", true, "https://x.com/recipes/cake"),
        // Pages of sites about everything speak for themselves.
        (
            "food",
            false,
            "https://www.bbc.co.uk/food/recipes/apple_pie",
        ),
        ("sports", false, "https://sport.bild.de/fussball/bundesliga"),
        // Below another end it is another site.
        ("other", false, "https://x.example/"),
        ("other", false, "https://target.pl/"),
    ] {
        let question = Question {
            url: url.to_owned(),
            title: None,
        };
        let answer = classifier.answer(&[question]).remove(0);
        let said = (answer.label.category.word(), answer.decided);
        assert_eq!(said.0, word, "{url}: {:?}", answer.label);
        assert_eq!(said.1 == Decided::KnownSite, by_site, "{url}: {said:?}");
        assert!((answer.shares.iter().sum::<f32>() - 1.0).abs() < 1e-3);
        let told = answer.spoke.iter().any(|spoke| spoke.what == "known site");
        assert_eq!(told, word != "other", "{url}: {:?}", answer.spoke);
    }
}

#[test]
fn well_known_sites_are_about_what_they_are_known_for() {
    let classifier = Classifier::new(Vec::new());
    check_sites(&classifier);
    let Some(folder) = folder() else { return };
    classifier.load_model(&folder).unwrap();
    check_sites(&classifier);
}

/// A copy of the model folder with one file replaced.
fn broken(folder: &Path, name: &str, content: Option<&[u8]>) -> PathBuf {
    let copy = env::temp_dir().join(format!("urlshort-model-{}", uuid::Uuid::now_v7()));
    fs::create_dir_all(&copy).unwrap();
    for file in [
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "SHA256SUMS",
    ] {
        if file == name {
            if let Some(content) = content {
                fs::write(copy.join(file), content).unwrap();
            }
        } else {
            std::os::unix::fs::symlink(folder.join(file), copy.join(file)).unwrap();
        }
    }
    copy
}

/// The same with a checksum that is right.
fn altered(folder: &Path, name: &str, content: &str) -> PathBuf {
    let copy = broken(folder, name, Some(content.as_bytes()));
    let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    let digest = {
        use sha2::Digest as _;
        let digest = sha2::Sha256::digest(content.as_bytes());
        digest
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let lines = sums.lines().map(|line| match line.split_once("  ") {
        Some((_, file)) if file == name => format!("{digest}  {name}"),
        _ => line.to_owned(),
    });
    let lines: Vec<String> = lines.collect();
    fs::remove_file(copy.join("SHA256SUMS")).unwrap();
    fs::write(copy.join("SHA256SUMS"), lines.join("\n")).unwrap();
    copy
}

#[track_caller]
fn told(folder: &Path, word: &str) {
    let classifier = Classifier::new(Vec::new());
    let error = classifier.load_model(folder).unwrap_err();
    assert!(matches!(error, ModelError::Unusable { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("classify.model_dir") && text.contains(word),
        "{text}"
    );
    // What `diagnose` asks is told the same.
    assert_eq!(verify_model(folder).unwrap_err().to_string(), text);
    let question = Question {
        url: "https://e.example/recipes/tomato-soup".to_owned(),
        title: None,
    };
    let answer = classifier.answer(&[question]).remove(0);
    assert_eq!(
        (answer.label.category, answer.decided),
        (Category::Food, Decided::Rules)
    );
}

#[test]
fn a_model_that_is_missing_is_told_and_the_rules_go_on() {
    told(Path::new("/nowhere/at/all"), "no such folder");
}

#[test]
fn a_damaged_or_foreign_model_is_told_and_the_rules_go_on() {
    let Some(folder) = folder() else { return };
    let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    let config = fs::read_to_string(folder.join("config.json")).unwrap();
    let cases: [(&str, Option<Vec<u8>>, &str); 5] = [
        ("model.safetensors", None, "model.safetensors"),
        ("model.safetensors", Some(b"damage".to_vec()), "damaged"),
        ("config.json", Some(b"{}".to_vec()), "damaged"),
        ("SHA256SUMS", Some(b"nonsense".to_vec()), "SHA256SUMS"),
        (
            "SHA256SUMS",
            Some(sums.lines().next().unwrap().as_bytes().to_vec()),
            "no checksum of",
        ),
    ];
    for (name, content, word) in cases {
        let copy = broken(&folder, name, content.as_deref());
        told(&copy, word);
        fs::remove_dir_all(copy).unwrap();
    }
    verify_model(&folder).unwrap();
    // Another architecture, with checksums that are right.
    let other = config.replace("\"bert\"", "\"gpt2\"");
    let copy = altered(&folder, "config.json", &other);
    told(&copy, "gpt2");
    fs::remove_dir_all(copy).unwrap();
    let copy = altered(&folder, "model.safetensors", "short");
    told(&copy, "model.safetensors");
    fs::remove_dir_all(copy).unwrap();
}

#[test]
fn a_tokenizer_of_another_model_is_told_when_it_is_loaded() {
    let Some(folder) = folder() else { return };
    let tokenizer = fs::read_to_string(folder.join("tokenizer.json")).unwrap();
    let mut facts: serde_json::Value = serde_json::from_str(&tokenizer).unwrap();
    // As many words as before; one of them stands behind the last row of the model.
    facts["model"]["vocab"]["garden"] = 40_000.into();
    let copy = altered(&folder, "tokenizer.json", &facts.to_string());
    told(&copy, "40000");
    fs::remove_dir_all(copy).unwrap();
}

#[test]
fn a_head_of_another_version_says_how_to_make_one() {
    let Some(folder) = folder() else { return };
    let copy = broken(&folder, "", None);
    fs::write(copy.join("urlshort.head"), b"USHD01 and more").unwrap();
    told(&copy, "train --beside-model --model-dir");
    fs::remove_dir_all(copy).unwrap();
}

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/classify/data/corpus");
const REAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/classify/data/real.tsv");

const FRESH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/classify/data/fresh.tsv");

/// The figures of a set, well-known sites hidden.
fn measure(classifier: &Classifier, examples: &[Labelled]) -> Figures {
    let questions: Vec<Question> = examples.iter().map(|one| one.question.clone()).collect();
    let answers = classifier.answer(&questions);
    let judged = examples.iter().zip(answers).map(|(one, answer)| Judged {
        truth: one.category,
        shares: answer.shares,
        answer: answer.label.category,
    });
    figures(&judged.collect::<Vec<_>>())
}

/// What no set may miss.
#[track_caller]
fn holds(what: &str, figures: &Figures, top1: f64) {
    let told = format!(
        "{what}: top-1 {:.3}, calibration error {:.3}, coverage {:.3}, precision {:.3}",
        figures.top1, figures.calibration_error, figures.coverage, figures.precision
    );
    eprintln!("{told}");
    assert!(figures.top1 >= top1, "{told}, wanted {top1}");
    assert!(
        figures.precision >= 0.90 && figures.coverage >= 0.60,
        "{told}"
    );
    assert!(figures.calibration_error <= 0.05, "{told}");
}

/// The test sites of the corpus, the real pages by URL alone, and all real pages with a title: of
/// so many chance alone makes a calibration error of 0.03.
fn sets() -> [Vec<Labelled>; 3] {
    let mut own = corpus::read(Path::new(CORPUS)).unwrap();
    own.retain(|one| corpus::part(&one.question.url) == Part::Test);
    let real = corpus::read(Path::new(REAL)).unwrap();
    let mut titled = real.clone();
    titled.extend(corpus::read(Path::new(FRESH)).unwrap());
    titled.retain(|one| one.question.title.is_some());
    let mut bare = real;
    for one in &mut bare {
        one.question.title = None;
    }
    [own, bare, titled]
}

#[test]
fn the_rules_are_right_about_sites_that_nobody_listed() {
    let rules = Classifier::new(Vec::new()).without_sites();
    let [own, bare, titled] = sets();
    holds("own", &measure(&rules, &own), 0.85);
    holds("real URLs", &measure(&rules, &bare), 0.77);
    holds("titled", &measure(&rules, &titled), 0.82);
}

#[test]
fn the_model_is_right_about_sites_that_nobody_listed() {
    let Some(folder) = folder() else { return };
    let classifier = Classifier::new(Vec::new()).without_sites();
    classifier.load_model(&folder).unwrap();
    let [own, bare, titled] = sets();
    holds("own", &measure(&classifier, &own), 0.88);
    holds("real URLs", &measure(&classifier, &bare), 0.77);
    holds("titled", &measure(&classifier, &titled), 0.86);
}

#[test]
fn the_real_pages_stand_in_no_corpus_and_cover_every_category() {
    let rules = Classifier::new(Vec::new());
    let vocabulary = rules.lexicon().vocabulary();
    let site = |one: &Labelled| words::read(&one.question.url, None, vocabulary).site;
    let known: HashSet<String> = corpus::read(Path::new(CORPUS))
        .unwrap()
        .iter()
        .map(site)
        .collect();
    let real = corpus::read(Path::new(REAL)).unwrap();
    let fresh = corpus::read(Path::new(FRESH)).unwrap();
    for one in real.iter().chain(&fresh) {
        assert!(!known.contains(&site(one)), "{}", one.question.url);
    }
    for category in Category::ALL {
        let count = real.iter().filter(|one| one.category == category).count();
        assert!(count >= 5, "{category}: {count}");
    }
}
