//! The command line: what can be typed, and which command it runs.

use std::path::PathBuf;

use clap::Args;
use clap::Parser;
use clap::Subcommand;

use crate::commands;
use crate::commands::Failure;
use crate::commands::diagnose;
use crate::commands::diagnose::Shown;
use crate::commands::seed::Wanted;
use crate::config;
use crate::config::Loaded;
use crate::config::LogFormat;
use crate::domain::key::Scope;
use crate::domain::time::Timestamp;
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
    #[command(after_help = "Examples:\n  urlshort migrate\n  urlshort migrate --restored")]
    Migrate {
        /// A backup was restored: make every cached value unfindable
        #[arg(long)]
        restored: bool,
    },
    /// Make realistic links: the same ones for the same seed number, none of them twice
    #[command(
        after_help = "Examples:\n  urlshort seed\n  urlshort seed --count 100000 --seed 2\n  \
        urlshort seed --count 10 --json"
    )]
    Seed {
        /// How many
        #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
        count: u64,
        /// Which ones: another number makes other links
        #[arg(long, default_value_t = 1, value_name = "NUMBER")]
        seed: u64,
        /// Print the summary as JSON
        #[arg(long)]
        json: bool,
        /// Print nothing but errors
        #[arg(long, short, conflicts_with = "json")]
        quiet: bool,
    },
    /// Ask every dependency one question; say what is broken and what to do about it
    #[command(
        after_help = "Exit status: 0 healthy, 1 degraded, 69 broken (no shard is usable), 78 configuration.\n\n\
        Examples:\n  urlshort diagnose\n  urlshort diagnose --json\n  \
        urlshort diagnose --offline          every setting, and who set it\n  \
        urlshort diagnose --probe            the health check of a container"
    )]
    Diagnose {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Print only what is not well
        #[arg(long, short, conflicts_with = "json")]
        quiet: bool,
        /// Print the effective configuration and ask nobody
        #[arg(long, conflicts_with_all = ["probe", "quiet"])]
        offline: bool,
        /// Ask only whether the process that runs here is ready
        #[arg(long, conflicts_with_all = ["json", "quiet"])]
        probe: bool,
    },
    /// Make, list and revoke API keys
    #[command(
        after_help = "Examples:\n  urlshort keys create --owner team --scope links:read,links:write\n  \
        urlshort keys list --json\n  urlshort keys revoke ID"
    )]
    Keys {
        #[command(subcommand)]
        action: KeysAction,
    },
}

#[derive(Debug, Subcommand)]
enum KeysAction {
    /// Make a key and print it, once
    #[command(
        after_help = "Examples:\n  urlshort keys create --owner team --scope links:read,links:write\n  \
        urlshort keys create --owner ci --expires 30d --json"
    )]
    Create {
        /// Whose links it sees
        #[arg(long, default_value = "admin", value_parser = owner)]
        owner: String,
        /// What it may do: links:read, links:write, links:delete, stats:read, keys:admin
        #[arg(long = "scope", value_delimiter = ',', value_parser = scope,
            default_values = ["links:read", "links:write", "links:delete", "stats:read"])]
        scopes: Vec<Scope>,
        /// When it ends: an RFC 3339 time, or days such as 30d
        #[arg(long, value_name = "TIME", value_parser = expiry)]
        expires: Option<Timestamp>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print every key, without secrets
    #[command(after_help = "Examples:\n  urlshort keys list\n  urlshort keys list --json")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key
    #[command(
        after_help = "Examples:\n  urlshort keys revoke ID\n  urlshort keys revoke ID --json"
    )]
    Revoke {
        /// Its id, or the key itself
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

fn owner(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    if (1..=64).contains(&text.len()) && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("has 1 to 64 letters, digits, and - _ . @".to_owned())
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::from_word(text).ok_or_else(|| {
        let words: Vec<&str> = Scope::ALL.into_iter().map(Scope::word).collect();
        format!("is none of {}", words.join(", "))
    })
}

fn expiry(text: &str) -> Result<Timestamp, String> {
    if let Some(days) = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<u32>().ok())
    {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = i64::try_from(now.unwrap_or_default().as_micros()).unwrap_or(0);
        let hours = u64::from(days) * 24;
        return Ok(Timestamp::from_micros(now).plus(std::time::Duration::from_hours(hours)));
    }
    Timestamp::parse(text).map_err(|error| format!("{error}, nor days such as 30d"))
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
        let loaded = config::load(self.common.config.as_deref(), environment, flags)?;
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

impl Command {
    /// How much a command logs that says by itself what happens, unless a flag wants another.
    const fn own_log_level(&self) -> Option<&'static str> {
        match self {
            Self::Serve { .. } | Self::Analytics | Self::Migrate { .. } => None,
            Self::Seed { .. } | Self::Keys { .. } => Some("error"),
            Self::Diagnose { .. } => Some("off"),
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
        Command::Migrate { restored } => Box::pin(commands::migrate::run(config, restored)).await,
        Command::Seed {
            count,
            seed,
            json,
            quiet,
        } => {
            let wanted = Wanted {
                count,
                seed,
                json,
                quiet,
            };
            Box::pin(commands::seed::run(config, wanted)).await
        }
        Command::Diagnose {
            json,
            quiet,
            offline,
            probe,
        } => {
            if offline {
                diagnose::offline(&loaded, json);
                Ok(())
            } else if probe {
                diagnose::probe(&config).await
            } else {
                Box::pin(diagnose::run(config, Shown { json, quiet })).await
            }
        }
        Command::Keys { action } => match action {
            KeysAction::Create {
                owner,
                scopes,
                expires,
                json,
            } => {
                Box::pin(commands::keys::create(
                    config, &owner, scopes, expires, json,
                ))
                .await
            }
            KeysAction::List { json } => Box::pin(commands::keys::list(config, json)).await,
            KeysAction::Revoke { id, json } => {
                Box::pin(commands::keys::revoke(config, &id, json)).await
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
