//! Where a shard lives: reads the URL, tells databases apart, shows them without their password.

use std::error::Error as _;
use std::fmt;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use tokio_postgres::config::Host;
use tokio_postgres::config::SslMode;

use super::addresses::NO_TLS;
use super::complaint::Fault;
use super::secret::Secret;

/// Where one shard lives, as its URL says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShardUrl {
    /// `sqlite:data/shard-0.db`, opened by this process.
    Sqlite(PathBuf),
    /// `postgres://…`, one server or a primary with its replicas.
    Postgres(Secret),
}

impl ShardUrl {
    /// Reads `text`, or says what is wrong with it (without showing it: it may hold a password).
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            return sqlite(path);
        }
        match text.split_once("://") {
            Some(("postgres" | "postgresql" | "postgresql+asyncpg", rest)) => postgres(rest),
            Some(_) | None => Err(Fault::new(
                "is the URL of no known database",
                "write sqlite:PATH or postgres://user:password@host:5432/database",
            )),
        }
    }

    /// The hosts and ports of a server, in the order in which they are tried; none for a file.
    #[must_use]
    pub fn addresses(&self) -> Vec<(String, u16)> {
        let Self::Postgres(secret) = self else {
            return Vec::new();
        };
        let Ok(parsed) = secret.expose().parse::<tokio_postgres::Config>() else {
            return Vec::new();
        };
        let hosts = parsed.get_hosts().iter().enumerate();
        hosts
            .filter_map(|(at, host)| match host {
                Host::Tcp(name) => Some((name.to_ascii_lowercase(), port(&parsed, at))),
                Host::Unix(_) => None,
            })
            .collect()
    }

    /// What tells this database from others: two shards must differ in it.
    pub(super) fn identity(&self) -> String {
        match self {
            Self::Sqlite(path) => {
                let plain: PathBuf = path
                    .components()
                    .filter(|part| *part != Component::CurDir)
                    .collect();
                format!("sqlite:{}", plain.display())
            }
            Self::Postgres(secret) => match secret.expose().parse::<tokio_postgres::Config>() {
                Ok(parsed) => {
                    let database = parsed
                        .get_dbname()
                        .or(parsed.get_user())
                        .unwrap_or_default();
                    // One database may hold several shards in schemas of their own.
                    let options = parsed.get_options().unwrap_or_default();
                    format!("{}/{database} {options}", hosts(&parsed))
                }
                Err(_) => String::new(),
            },
        }
    }
}

impl fmt::Display for ShardUrl {
    /// Never the password: built from the parts, not cut out of the text.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(formatter, "sqlite:{}", path.display()),
            Self::Postgres(secret) => {
                let Ok(parsed) = secret.expose().parse::<tokio_postgres::Config>() else {
                    return formatter.write_str("postgres://***");
                };
                formatter.write_str("postgres://")?;
                if let Some(user) = parsed.get_user() {
                    let password = if parsed.get_password().is_some() {
                        ":***"
                    } else {
                        ""
                    };
                    write!(formatter, "{user}{password}@")?;
                }
                formatter.write_str(&hosts(&parsed))?;
                match parsed.get_dbname() {
                    Some(database) => write!(formatter, "/{database}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The port of the host at that place, by the driver's own rule: one port serves all hosts.
fn port(parsed: &tokio_postgres::Config, at: usize) -> u16 {
    let ports = parsed.get_ports();
    ports.get(at).or(ports.first()).copied().unwrap_or(5432)
}

/// `host:port,host:port`, with the ports that will be used.
fn hosts(parsed: &tokio_postgres::Config) -> String {
    let hosts = parsed.get_hosts().iter().enumerate().map(|(at, host)| {
        let port = port(parsed, at);
        match host {
            Host::Tcp(name) => format!("{}:{port}", name.to_ascii_lowercase()),
            Host::Unix(path) => path.display().to_string(),
        }
    });
    hosts.collect::<Vec<_>>().join(",")
}

fn sqlite(path: &str) -> Result<ShardUrl, Fault> {
    let remedy = "write sqlite: and the path of a file, as sqlite:data/shard-0.db";
    if path.starts_with("//") {
        return Err(Fault::new("begins with sqlite://", remedy));
    }
    if path.is_empty() || path.contains(['?', '\0']) || path.starts_with(':') || path.ends_with('/')
    {
        return Err(Fault::new("names no file", remedy));
    }
    Ok(ShardUrl::Sqlite(Path::new(path).to_owned()))
}

/// `rest` is what stands behind `://`.
fn postgres(rest: &str) -> Result<ShardUrl, Fault> {
    let remedy = "write postgres://user:password@host:5432/database";
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    if rest.matches('@').count() > 1 {
        return Err(Fault::new(
            "holds more than one @",
            "write an @ of the password as %40, and every other sign of its kind alike",
        ));
    }
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match (name, value) {
            ("sslmode" | "ssl", "disable" | "allow" | "prefer" | "false" | "0") => (),
            ("sslmode" | "ssl", _) | ("sslrootcert" | "sslcert" | "sslkey", _) => {
                return Err(Fault::new(
                    NO_TLS,
                    format!("remove {name} and reach the database over a private network"),
                ));
            }
            (_, _) => kept.push(pair),
        }
    }
    let query = if kept.is_empty() {
        String::new()
    } else {
        format!("?{}", kept.join("&"))
    };
    let url = format!("postgres://{place}{query}");
    match url.parse::<tokio_postgres::Config>() {
        Ok(parsed) if parsed.get_hosts().is_empty() => Err(Fault::new("names no host", remedy)),
        Ok(parsed) if parsed.get_ssl_mode() == SslMode::Require => {
            Err(Fault::new(NO_TLS, "remove sslmode"))
        }
        Ok(parsed)
            if parsed.get_ports().len() > 1
                && parsed.get_ports().len() != parsed.get_hosts().len() =>
        {
            Err(Fault::new("has more or fewer ports than hosts", remedy))
        }
        Ok(_) => Ok(ShardUrl::Postgres(Secret::new(&url))),
        Err(error) => {
            let why = error.source().map(ToString::to_string);
            let problem = why.unwrap_or_else(|| "its form".to_owned());
            Err(Fault::new(format!("cannot be read: {problem}"), remedy))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_shard(text: &str, expected: Result<&str, &str>) {
        let got = ShardUrl::parse(text).map(|url| url.to_string());
        match expected {
            Ok(shown) => assert_eq!(got.unwrap(), shown, "{text}"),
            Err(part) => {
                let problem = got.unwrap_err().problem;
                assert!(problem.contains(part), "{text}: {problem}");
            }
        }
    }

    #[test]
    fn a_shard_url_is_shown_without_its_password() {
        check_shard("sqlite:data/a.db", Ok("sqlite:data/a.db"));
        check_shard("sqlite:/data/a.db", Ok("sqlite:/data/a.db"));
        for scheme in ["postgres", "postgresql", "postgresql+asyncpg"] {
            check_shard(
                &format!("{scheme}://u:pw@h/d"),
                Ok("postgres://u:***@h:5432/d"),
            );
        }
        check_shard("postgres://u@H1:1,h2:2/d", Ok("postgres://u@h1:1,h2:2/d"));
        check_shard(
            "postgres://u@h/d?password=pw",
            Ok("postgres://u:***@h:5432/d"),
        );
        check_shard(
            "postgres://u@h/d?sslmode=allow&ssl=false",
            Ok("postgres://u@h:5432/d"),
        );
    }

    #[test]
    fn a_shard_url_that_cannot_work_is_refused() {
        check_shard("sqlite:", Err("names no file"));
        check_shard("sqlite::memory:", Err("names no file"));
        check_shard("sqlite://a.db", Err("sqlite://"));
        check_shard("mysql://h/d", Err("no known database"));
        check_shard("h/d", Err("no known database"));
        check_shard("postgres:///d", Err("no host"));
        check_shard("postgres://u:p@w@h/d", Err("more than one @"));
        check_shard("postgres://u@h/d?sslmode=require", Err("no TLS"));
        check_shard("postgres://u@h/d?sslmode=verify-full", Err("no TLS"));
        check_shard("postgresql+asyncpg://u@h/d?ssl=true", Err("no TLS"));
        check_shard("postgres://u@h/d?tea=green", Err("tea"));
        check_shard("postgres://u@h:port/d", Err("cannot be read"));
    }
}
