//! `classify`: labels links as a worker; explains a URL, trains and measures.

mod explain;
mod figures;
mod training;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clap::Subcommand;

use crate::app;
use crate::classify::Classifier;
use crate::commands::Failure;
use crate::commands::report;
use crate::config::Config;

/// Say what links are about and how dangerous they look
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Without options it runs until it is stopped: it labels new and changed links, told \
    by Kafka or found in the shards. Any number of processes share the work.\n\nExamples:\n  \
    urlshort classify\n  urlshort classify --url https://example.com/recipes/soup\n  \
    urlshort classify --backfill\n  urlshort classify eval links.tsv"
)]
pub struct ClassifyArgs {
    #[command(subcommand)]
    task: Option<Task>,
    /// Classify these URLs, say why, and stop
    #[arg(long, value_name = "URL", num_args = 1.., conflicts_with = "backfill")]
    url: Vec<String>,
    /// A title to go with the URL
    #[arg(long, requires = "url", value_name = "TEXT")]
    title: Option<String>,
    /// Label every link again, whoever did before, and stop
    #[arg(long)]
    backfill: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The folder of the model (`classify.model_dir` otherwise)
    #[arg(long, global = true, value_name = "FOLDER")]
    model_dir: Option<PathBuf>,
    /// Use the rules alone
    #[arg(long, global = true, conflicts_with = "model_dir")]
    rules: bool,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Train the heads on the training part of a corpus, and write their weights
    Train(training::TrainArgs),
    /// Measure on a file: category, URL and title in columns, separated by tabs
    Eval(figures::EvalArgs),
}

impl ClassifyArgs {
    /// Whether a model is named, here or by the configuration.
    pub(crate) const fn may_load_model(&self, config: &Config) -> bool {
        !self.rules && (self.model_dir.is_some() || config.classify.model_dir.is_some())
    }
}

/// Does what was asked.
///
/// # Errors
/// [`Failure`].
pub async fn run(mut config: Config, args: ClassifyArgs) -> Result<(), Failure> {
    if args.rules {
        config.classify.model_dir = None;
    } else if let Some(folder) = &args.model_dir {
        config.classify.model_dir = Some(folder.clone());
    }
    match args.task {
        Some(Task::Train(task)) => training::run(&config, &task),
        Some(Task::Eval(task)) => figures::run(&config, &task),
        None if args.url.is_empty() => worker::run(config, args.backfill, args.json).await,
        None => explain::run(&config, &args.url, args.title.as_deref(), args.json),
    }
}

/// A classifier with its model loaded, where there is one. One that is named and cannot be used is
/// told, and the rules answer.
fn loaded(config: &Config) -> Arc<Classifier> {
    let classifier = app::classifier(config);
    if let Some(folder) = &config.classify.model_dir
        && let Err(error) = classifier.load_model(folder)
    {
        report::note(&format!("{error}; the rules answer alone"));
    }
    classifier
}
