//! The command line: what can be typed, and which command it runs.

use std::path::PathBuf;

use clap::Args;
use clap::CommandFactory as _;
use clap::Parser;
use clap::Subcommand;

use crate::commands;
use crate::commands::Failure;
use crate::commands::classify::ClassifyArgs;
use crate::commands::completions::CompletionsArgs;
use crate::commands::diagnose::DiagnoseArgs;
use crate::commands::keys::KeysArgs;
use crate::commands::loadtest::LoadtestArgs;
use crate::commands::man::ManArgs;
use crate::commands::producers::ProducersArgs;
use crate::commands::seed::SeedArgs;
use crate::commands::warmup::WarmupArgs;
use crate::config;
use crate::config::Loaded;
use crate::config::LogFormat;
use crate::telemetry::logs;
use crate::telemetry::logs::LogStyle;

/// A URL shortener in one binary: embedded for one machine, distributed for many.
#[derive(Debug, Parser)]
#[command(name = "urlshort", version, about, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
struct Common {
    /// The configuration file [default: ./config.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where shard files, the spool and the admin key lie
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<String>,
    /// How much is logged: error, warn, info, debug, trace
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve redirects, the API and the pages
    #[command(
        after_help = "Examples:\n  urlshort serve\n  urlshort serve --listen 127.0.0.1:9000\n  \
        DB_SHARD_0_URL=postgres://… REDIS_HOST=redis urlshort serve"
    )]
    Serve {
        /// The public address [default: 0.0.0.0:8000]
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<String>,
    },
    /// Count the clicks that arrive through Kafka
    #[command(after_help = "Examples:\n  KAFKA_BOOTSTRAP_SERVERS=kafka:9092 urlshort analytics")]
    Analytics,
    /// Apply pending migrations to every shard, and stop
    #[command(
        after_help = "Examples:\n  urlshort migrate\n  urlshort migrate --restored\n  urlshort migrate --json"
    )]
    Migrate {
        /// A backup was restored: make every cached value unfindable
        #[arg(long)]
        restored: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    Classify(ClassifyArgs),
    Seed(SeedArgs),
    Warmup(WarmupArgs),
    Loadtest(LoadtestArgs),
    Diagnose(DiagnoseArgs),
    Keys(KeysArgs),
    Producers(ProducersArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// [`Failure`], with the exit status.
    pub fn run(self) -> Result<(), Failure> {
        let mut flags = Vec::new();
        let mut flag = |key: &str, value: Option<String>| {
            flags.extend(value.map(|value| (key.to_owned(), value)));
        };
        flag("data_dir", self.common.data_dir);
        let wants_log = self.common.log_level.is_some();
        flag("log.level", self.common.log_level);
        if let Command::Serve { listen } = &self.command {
            flag("http.listen", listen.clone());
        }
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let loaded = config::load(self.common.config.as_deref(), environment, flags);
        if let (Err(error), Command::Diagnose(args)) = (&loaded, &self.command) {
            args.complain(error);
        }
        let loaded = loaded?;
        if self.command.may_load_model(&loaded) {
            one_thread_for_each_replica();
        }
        let level = self.command.own_log_level().filter(|_| !wants_log);
        start_logs(&loaded, level);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Bug(format!("no runtime: {error}")))?;
        let outcome = runtime.block_on(dispatch(self.command, loaded));
        // A blocking task may hang on a dead disk: it must not keep the process.
        runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        outcome
    }
}

/// Starts this program anew, in the same process, with the variables that keep the model's kernels
/// from sharing threads: they are read once, from the environment alone, and replicas that wait for
/// each other's threads are half as fast.
fn one_thread_for_each_replica() {
    use std::os::unix::process::CommandExt as _;
    const VARIABLES: [&str; 2] = ["CANDLE_NUM_THREADS", "RAYON_NUM_THREADS"];
    if VARIABLES
        .iter()
        .any(|name| std::env::var_os(name).is_some())
    {
        return; // set by hand, or by us
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut arguments = std::env::args_os();
    let mut command = std::process::Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    // It only comes back where it failed: then the model is slower, and that is all.
    let _failed = command
        .args(arguments)
        .envs(VARIABLES.map(|name| (name, "1")))
        .exec();
}

impl Command {
    /// Whether it may run the model in this process.
    const fn may_load_model(&self, loaded: &Loaded) -> bool {
        match self {
            Self::Serve { .. } => loaded.config.classify.model_dir.is_some(),
            Self::Classify(args) => args.may_load_model(&loaded.config),
            Self::Analytics
            | Self::Migrate { .. }
            | Self::Seed(_)
            | Self::Warmup(_)
            | Self::Loadtest(_)
            | Self::Diagnose(_)
            | Self::Keys(_)
            | Self::Producers(_)
            | Self::Completions(_)
            | Self::Man(_) => false,
        }
    }

    /// How much a command logs that says by itself what happens, unless a flag wants another.
    const fn own_log_level(&self) -> Option<&'static str> {
        match self {
            Self::Serve { .. } | Self::Analytics | Self::Classify(_) | Self::Migrate { .. } => None,
            Self::Seed(_)
            | Self::Warmup(_)
            | Self::Loadtest(_)
            | Self::Keys(_)
            | Self::Producers(_) => Some("error"),
            Self::Diagnose(_) | Self::Completions(_) | Self::Man(_) => Some("off"),
        }
    }
}

fn start_logs(loaded: &Loaded, level: Option<&str>) {
    let style = match loaded.config.log.format {
        LogFormat::Auto => LogStyle::Auto,
        LogFormat::Text => LogStyle::Text,
        LogFormat::Json => LogStyle::Json,
    };
    logs::init(level.unwrap_or(&loaded.config.log.level), style);
}

async fn dispatch(command: Command, loaded: Loaded) -> Result<(), Failure> {
    let config = loaded.config.clone();
    match command {
        Command::Serve { .. } => Box::pin(commands::serve::run(config)).await,
        Command::Analytics => Box::pin(commands::analytics::run(config)).await,
        Command::Migrate { restored, json } => {
            Box::pin(commands::migrate::run(config, restored, json)).await
        }
        Command::Classify(args) => Box::pin(commands::classify::run(config, args)).await,
        Command::Seed(args) => Box::pin(commands::seed::run(config, args)).await,
        Command::Warmup(args) => Box::pin(commands::warmup::run(config, args)).await,
        Command::Loadtest(args) => Box::pin(commands::loadtest::run(config, args)).await,
        Command::Diagnose(args) => Box::pin(commands::diagnose::run(&loaded, args)).await,
        Command::Keys(args) => Box::pin(commands::keys::run(config, args)).await,
        Command::Producers(args) => Box::pin(commands::producers::run(config, args)).await,
        Command::Completions(args) => {
            commands::completions::run(args, Cli::command());
            Ok(())
        }
        Command::Man(args) => commands::man::run(&args, Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
