//! Commands that an operator can type, for what was found: with every name filled in, without
//! passwords.

use std::path::Path;

use url::Url;

use crate::config::ShardUrl;

/// Runs `statement` on that shard.
pub(super) fn sql(shard: &ShardUrl, statement: &str) -> String {
    match shard {
        ShardUrl::Sqlite(path) => {
            let statement = statement.replace("urlshort.", "");
            format!("sqlite3 {} {}", file(path), quoted(&statement))
        }
        ShardUrl::Postgres(_) => {
            format!("psql {} -c {}", quoted(&login(shard)), quoted(statement))
        }
    }
}

/// The shard's URL without its password, which `psql` asks for.
pub(super) fn login(shard: &ShardUrl) -> String {
    shard.to_string().replace(":***@", "@")
}

/// Asks Redis `words`; the password, if there is one, is asked for.
pub(super) fn redis(url: &str, words: &str) -> String {
    let Ok(url) = Url::parse(url) else {
        return format!("redis-cli {words}");
    };
    let mut command = format!(
        "redis-cli -h {} -p {}",
        url.host_str().unwrap_or("localhost"),
        url.port().unwrap_or(6379)
    );
    if url.scheme() == "redis-cluster" {
        command.push_str(" -c");
    }
    if !url.username().is_empty() {
        command.push_str(&format!(" --user {}", quoted(url.username())));
    }
    if url.password().is_some() {
        command.push_str(" --askpass");
    }
    let database = url.path().trim_matches('/');
    if !database.is_empty() {
        command.push_str(&format!(" -n {database}"));
    }
    format!("{command} {words}")
}

/// Lists what the brokers say of `topic`.
pub(super) fn topic(brokers: &[String], topic: &str) -> String {
    format!("kcat -b {} -L -t {}", brokers.join(","), quoted(topic))
}

/// A path as a shell takes it.
pub(super) fn file(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// `text` as one word of a shell.
pub(super) fn quoted(text: &str) -> String {
    let plain = |sign: char| sign.is_ascii_alphanumeric() || "-_./:@%+=,".contains(sign);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_redis(url: &str, expected: &str) {
        assert_eq!(redis(url, "ping"), expected);
    }

    #[test]
    fn redis_is_asked_where_it_is_and_without_its_password() {
        check_redis("redis://h", "redis-cli -h h -p 6379 ping");
        check_redis(
            "redis://me:secret@h:7/3",
            "redis-cli -h h -p 7 --user me --askpass -n 3 ping",
        );
        check_redis("redis-cluster://h:7000", "redis-cli -h h -p 7000 -c ping");
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_read_it() {
        assert_eq!(quoted("data/shard-0.db"), "data/shard-0.db");
        assert_eq!(quoted("my data/it's.db"), r"'my data/it'\''s.db'");
        assert_eq!(quoted(""), "''");
        let shard = ShardUrl::Sqlite("my data/a.db".into());
        let typed = sql(&shard, "SELECT count(*) FROM urlshort.links");
        assert_eq!(typed, "sqlite3 'my data/a.db' 'SELECT count(*) FROM links'");
    }
}
