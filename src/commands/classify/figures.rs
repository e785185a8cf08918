//! Accuracy and calibration on labelled examples.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use crate::classify::Classifier;
use crate::classify::corpus;
use crate::classify::corpus::Labelled;
use crate::classify::corpus::Part;
use crate::classify::eval;
use crate::classify::eval::Figures;
use crate::classify::eval::Judged;
use crate::commands::Failure;
use crate::commands::report;
use crate::config::Config;
use crate::domain::label::Category;

/// Questions asked at once.
const BATCH: usize = 4_096;

/// What is measured, and how.
#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// A file, or a folder of *.tsv: category, tab, URL, tab, title (optional)
    file: PathBuf,
    /// Only sites that are kept out of training (for the own corpus)
    #[arg(long)]
    test_only: bool,
    /// Leave the titles out
    #[arg(long)]
    no_titles: bool,
    /// Let the list of well-known sites speak; it is hidden otherwise
    #[arg(long)]
    known_sites: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(super) fn run(config: &Config, args: &EvalArgs) -> Result<(), Failure> {
    let mut examples = corpus::read(&args.file).map_err(Failure::Failed)?;
    if args.test_only {
        examples.retain(|one| corpus::part(&one.question.url) == Part::Test);
    }
    if args.no_titles {
        for one in &mut examples {
            one.question.title = None;
        }
    }
    if examples.is_empty() {
        let file = args.file.display();
        return Err(Failure::Failed(format!(
            "{file}: there are no examples to measure on"
        )));
    }
    let mut classifier = Classifier::new(config.classify.blocklists.clone());
    if !args.known_sites {
        classifier = classifier.without_sites();
    }
    if let Some(folder) = &config.classify.model_dir {
        // Figures of the rules must not pass for those of the model.
        let loaded = classifier.load_model(folder);
        loaded.map_err(|error| Failure::Failed(error.to_string()))?;
    }
    let begun = Instant::now();
    let judged = judge(&classifier, &examples);
    let seconds = begun.elapsed().as_secs_f64();
    let figures = eval::figures(&judged);
    let (model, file) = (classifier.name(), args.file.display().to_string());
    if args.json {
        report::json(&json!({
            "schema_version": 1, "file": file, "model": model, "seconds": seconds,
            "categories": Category::ALL, "figures": figures,
        }));
    } else {
        tell(&figures, &model, seconds);
    }
    Ok(())
}

fn judge(classifier: &Classifier, examples: &[Labelled]) -> Vec<Judged> {
    let mut judged = Vec::with_capacity(examples.len());
    for part in examples.chunks(BATCH) {
        judged.extend(classifier.answer_each(part, |one, answer| Judged {
            truth: one.category,
            shares: answer.shares,
            answer: answer.label.category,
        }));
    }
    judged
}

fn tell(figures: &Figures, model: &str, seconds: f64) {
    let lines = [
        ("top-1", figures.top1),
        ("top-3", figures.top3),
        ("macro-F1", figures.macro_f1),
        ("calibration error", figures.calibration_error),
        ("coverage", figures.coverage),
        ("precision", figures.precision),
    ];
    report::line(&format!(
        "{} examples, {model}, {seconds:.2} s",
        figures.examples
    ));
    for (name, value) in lines {
        report::line(&format!("  {name:<18} {value:.3}"));
    }
    report::line("  (top-1, top-3 and calibration over the 16 named categories; coverage and");
    report::line("   precision at the threshold below which the answer is `other`)");
    let short = |category: Category| {
        category
            .word()
            .get(..5)
            .unwrap_or(category.word())
            .to_owned()
    };
    let heads: Vec<String> = Category::ALL
        .map(|one| format!("{:>5}", short(one)))
        .to_vec();
    report::line(&format!("  {:<14} {}", "truth \\ said", heads.join(" ")));
    for (category, row) in Category::ALL.into_iter().zip(&figures.confusion) {
        let cells: Vec<String> = row.iter().map(|count| format!("{count:>5}")).collect();
        report::line(&format!("  {:<14} {}", category.word(), cells.join(" ")));
    }
}
