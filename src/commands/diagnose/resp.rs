//! What a Redis says to a plain client: the driver keeps its reasons to itself and connects again.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

/// How long the whole talk may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// The first refusal of the server behind `url`; none where it refuses nothing, or says nothing.
pub(super) async fn refusal(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    timeout(PATIENCE, talk(&url)).await.ok()?
}

async fn talk(url: &Url) -> Option<String> {
    let host = url.host_str()?.trim_matches(['[', ']']);
    let mut stream = TcpStream::connect((host, url.port().unwrap_or(6379)))
        .await
        .ok()?;
    let questions = questions(url);
    for words in &questions {
        stream.write_all(&command(words)).await.ok()?;
    }
    let mut said = Vec::new();
    let mut piece = [0; 1_024];
    while refused(&said).is_none() && !ends(&said) {
        match stream.read(&mut piece).await.ok()? {
            0 => break,
            n => said.extend(piece.iter().take(n)),
        }
    }
    refused(&said)
}

/// Who we are, and whether that is a server of the kind that the URL says.
fn questions(url: &Url) -> Vec<Vec<String>> {
    let mut questions = Vec::new();
    let decoded = |text: &str| {
        let bytes = percent_encoding::percent_decode_str(text);
        bytes.decode_utf8_lossy().into_owned()
    };
    if let Some(password) = url.password() {
        let mut words = vec!["AUTH".to_owned()];
        if !url.username().is_empty() {
            words.push(decoded(url.username()));
        }
        words.push(decoded(password));
        questions.push(words);
    }
    if url.scheme() == "redis-cluster" {
        questions.push(vec!["CLUSTER".to_owned(), "INFO".to_owned()]);
    }
    let database = url.path().trim_matches('/');
    if !database.is_empty() {
        questions.push(vec!["SELECT".to_owned(), database.to_owned()]);
    }
    questions.push(vec!["PING".to_owned()]);
    questions
}

/// A command as the protocol has it.
fn command(words: &[String]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
    bytes
}

/// The first error among whole lines; a server of another kind says neither.
fn refused(said: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(said);
    let (whole, _) = text.rsplit_once("\r\n")?;
    if !whole.starts_with(['+', '-', '$', ':', '*']) {
        return Some("it is no Redis that answers".to_owned());
    }
    let mut lines = whole.split("\r\n");
    let error = lines.find_map(|line| line.strip_prefix('-'))?;
    Some(error.chars().take(200).collect())
}

fn ends(said: &[u8]) -> bool {
    said.ends_with(b"+PONG\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_found_among_the_answers() {
        let check = |said: &str, expected: Option<&str>| {
            assert_eq!(refused(said.as_bytes()).as_deref(), expected, "{said:?}");
        };
        check("+OK\r\n+PONG\r\n", None);
        check("-NOAUTH Authentication", None); // not whole yet
        check("+OK\r\n-ERR no\r\n+PONG\r\n", Some("ERR no"));
        check("HTTP/1.1 400 Bad\r\n", Some("it is no Redis that answers"));
    }

    #[test]
    fn the_password_and_the_kind_are_asked_for() {
        let asked = questions(&"redis-cluster://me:a%20b@h:1".parse().unwrap());
        let asked: Vec<String> = asked.iter().map(|words| words.join("|")).collect();
        assert_eq!(asked, ["AUTH|me|a b", "CLUSTER|INFO", "PING"]);
        assert_eq!(command(&["PING".to_owned()]), b"*1\r\n$4\r\nPING\r\n");
    }
}
