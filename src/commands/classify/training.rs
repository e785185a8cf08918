//! Training of the heads on a corpus; the test part of it is never looked at.

use std::path::Path;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use xxhash_rust::xxh3::xxh3_64;

use crate::classify::Question;
use crate::classify::corpus;
use crate::classify::corpus::Part;
use crate::classify::features;
use crate::classify::head::Head;
use crate::classify::lexicon::Lexicon;
use crate::classify::train;
use crate::classify::train::Example;
use crate::classify::train::Trained;
use crate::classify::words;
use crate::commands::Failure;
use crate::commands::report;
use crate::config::Config;
use crate::domain::label::Category;

/// How small weights are kept: for the rules' head, and for that of a model.
const RULES_PENALTY: f32 = 3e-5;
#[cfg(feature = "classify")]
const MODEL_PENALTY: f32 = 1e-4;
/// How much an example counts that stands there with and without its title.
const TWICE: f32 = 0.6;
/// Of 100 words that the lexicon knows, so many are hidden from the head, and from its
/// cross-validation. The lexicon was written by who has seen the corpus, and knows more of it than
/// of what comes: without this the heads would lean on it too much, and be too sure.
const HIDDEN: u64 = 30;
const HIDDEN_WHEN_ASKED: u64 = 20;

/// On what, and where to.
#[derive(Debug, Args)]
pub(super) struct TrainArgs {
    /// The corpus: a file or a folder of *.tsv
    #[arg(long, default_value = "src/classify/data/corpus", value_name = "PATH")]
    corpus: PathBuf,
    /// Where the weights go: rules.head, and minilm.head with a model
    #[arg(long, default_value = "src/classify/data", value_name = "FOLDER")]
    out: PathBuf,
    /// Write the model's head beside another model instead, as urlshort.head, and nothing else
    #[arg(long)]
    beside_model: bool,
}

/// Trains and writes.
pub(super) fn run(config: &Config, args: &TrainArgs) -> Result<(), Failure> {
    let begun = Instant::now();
    let (mut examples, texts) = examples(&args.corpus)?;
    report::note(&format!("{} examples", examples.len()));
    let rules = train::train(&examples, RULES_PENALTY, "", None);
    if !args.beside_model {
        write(&args.out.join("rules.head"), &rules.head)?;
    }
    if let Some(folder) = &config.classify.model_dir {
        train_model(folder, args, &mut examples, &texts, &rules)?;
    }
    report::note(&format!(
        "trained in {:.1} s",
        begun.elapsed().as_secs_f64()
    ));
    Ok(())
}

#[cfg(feature = "classify")]
fn train_model(
    folder: &Path,
    args: &TrainArgs,
    examples: &mut [Example],
    texts: &[String],
    rules: &Trained,
) -> Result<(), Failure> {
    let failed = |error: crate::classify::ModelError| Failure::Failed(error.to_string());
    let model = crate::classify::transformer::Transformer::load(folder).map_err(failed)?;
    let vectors = model.embed(texts).map_err(failed)?;
    for (example, vector) in examples.iter_mut().zip(vectors) {
        example.embedding = Some(vector.to_vec());
    }
    let trained = train::train(examples, MODEL_PENALTY, model.fingerprint(), Some(rules));
    let path = if args.beside_model {
        folder.join(crate::classify::HEAD_FILE)
    } else {
        args.out.join("minilm.head")
    };
    write(&path, &trained.head)
}

#[cfg(not(feature = "classify"))]
fn train_model(
    _folder: &Path,
    _args: &TrainArgs,
    _examples: &mut [Example],
    _texts: &[String],
    _rules: &Trained,
) -> Result<(), Failure> {
    let why = "this program was built without the cargo feature `classify`";
    Err(Failure::Failed(why.to_owned()))
}

/// The training part: each example without its title, and with it where it has one. Well-known
/// sites are hidden, or the head would lean on them.
fn examples(path: &Path) -> Result<(Vec<Example>, Vec<String>), Failure> {
    let lexicon = Lexicon::new();
    let (mut examples, mut texts) = (Vec::new(), Vec::new());
    let mut add = |category: Category, fold: usize, question: &Question, weight: f32| {
        let title = question.title.as_deref();
        let words = words::read(&question.url, title, lexicon.vocabulary());
        let heard = lexicon.hear(&words);
        let with_words_hidden = |why: &str, part: u64| {
            let url = &question.url;
            let hidden =
                |word: &str| xxh3_64(format!("{why} {url} {word}").as_bytes()) % 100 < part;
            features::of(&words, &heard.without(hidden))
        };
        examples.push(Example {
            category,
            fold,
            features: with_words_hidden("trained", HIDDEN),
            asked: with_words_hidden("asked", HIDDEN_WHEN_ASKED),
            embedding: None,
            weight,
        });
        texts.push(words.text());
    };
    for one in corpus::read(path).map_err(Failure::Failed)? {
        let Part::Train(fold) = corpus::part(&one.question.url) else {
            continue;
        };
        let bare = Question {
            title: None,
            ..one.question.clone()
        };
        let titled = one.question.title.is_some();
        add(one.category, fold, &bare, if titled { TWICE } else { 1.0 });
        if titled {
            add(one.category, fold, &one.question, TWICE);
        }
    }
    if examples.is_empty() {
        let why = format!("{}: there is nothing to train on", path.display());
        return Err(Failure::Failed(why));
    }
    Ok((examples, texts))
}

fn write(path: &Path, head: &Head) -> Result<(), Failure> {
    let bytes = head.to_bytes();
    let failed = |error| Failure::Failed(format!("{}: {error}", path.display()));
    std::fs::write(path, &bytes).map_err(failed)?;
    report::line(&format!(
        "{}: {} bytes, threshold {:.2}",
        path.display(),
        bytes.len(),
        head.calibration.threshold
    ));
    for (what, curve) in [
        ("without a title", head.calibration.bare),
        ("with one", head.calibration.titled),
    ] {
        report::line(&format!(
            "  {what}: rise {:.2}, fall {:.2}, shift {:+.2}",
            curve.rise, curve.fall, curve.shift
        ));
    }
    Ok(())
}
