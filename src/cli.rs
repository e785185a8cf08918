//! The command line: what can be typed, and which command it runs.

use std::path::PathBuf;

use clap::Args;
use clap::Parser;
use clap::Subcommand;

use crate::commands;
use crate::commands::Failure;
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
    /// Where SQLite shards, the spool and the admin key lie
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
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key
    Revoke {
        /// Its id, or the key itself
        id: String,
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
        flag("log.level", self.common.log_level);
        if let Command::Serve { listen } = &self.command {
            flag("http.listen", listen.clone());
        }
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let loaded = config::load(self.common.config.as_deref(), environment, flags)?;
        start_logs(&loaded);
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

fn start_logs(loaded: &Loaded) {
    let style = match loaded.config.log.format {
        LogFormat::Auto => LogStyle::Auto,
        LogFormat::Text => LogStyle::Text,
        LogFormat::Json => LogStyle::Json,
    };
    logs::init(&loaded.config.log.level, style);
}

async fn dispatch(command: Command, loaded: Loaded) -> Result<(), Failure> {
    let config = loaded.config.clone();
    match command {
        Command::Serve { .. } => Box::pin(commands::serve::run(config)).await,
        Command::Analytics => Box::pin(commands::analytics::run(config)).await,
        Command::Migrate { restored } => Box::pin(commands::migrate::run(config, restored)).await,
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
            KeysAction::Revoke { id } => Box::pin(commands::keys::revoke(config, &id)).await,
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
