//! What the benchmark asks by itself: makes the links, and follows each once.

use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use crate::Outcome;

/// Items of one request.
const BULK: usize = 1_000;
/// Requests that are sent before their answers are read.
const PIPELINE: usize = 100;

/// The path of the `n`th link.
fn code(n: usize) -> String {
    format!("b{n}")
}

/// A connection that gives up on a server that falls silent.
pub(crate) fn connect(port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The whole answer to one request on a connection of its own.
pub(crate) fn ask(port: u16, request: &str) -> std::io::Result<String> {
    let mut stream = connect(port)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Makes the links `b0`, `b1` … in bulk.
pub(crate) fn create_links(port: u16, count: usize) -> Outcome<()> {
    for from in (0..count).step_by(BULK) {
        let items: Vec<String> = (from..count.min(from + BULK))
            .map(|n| {
                let code = code(n);
                format!(r#"{{"long_url":"https://example.com/some/page/{n}?from=bench","code":"{code}"}}"#)
            })
            .collect();
        let body = format!(r#"{{"items":[{}]}}"#, items.join(","));
        let answer = ask(
            port,
            &format!(
                "POST /api/v1/links/bulk HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        )?;
        let made = answer.matches(r#""ok":true"#).count();
        if !answer.starts_with("HTTP/1.1 200") || made != items.len() {
            let head: String = answer.chars().take(600).collect();
            let wanted = items.len();
            return Err(
                format!("{made} of {wanted} links were made; the answer was:\n{head}").into(),
            );
        }
    }
    Ok(())
}

/// Follows each link once, so that each is in the cache.
pub(crate) fn follow_all(port: u16, count: usize) -> Outcome<()> {
    let mut stream = connect(port)?;
    let mut buffer = vec![0; 1 << 16];
    let answered = b"HTTP/1.1 302";
    for from in (0..count).step_by(PIPELINE) {
        let to = count.min(from + PIPELINE);
        let requests: String = (from..to)
            .map(|n| {
                format!(
                    "GET /{} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
                    code(n)
                )
            })
            .collect();
        stream.write_all(requests.as_bytes())?;
        let mut answers: Vec<u8> = Vec::new();
        // An answer without a body ends with an empty line.
        while answers.windows(4).filter(|end| end == b"\r\n\r\n").count() < to - from {
            let length = stream.read(&mut buffer)?;
            if length == 0 {
                return Err("the server closed the connection".into());
            }
            answers.extend(buffer.iter().take(length));
        }
        let redirects = answers
            .windows(answered.len())
            .filter(|start| start == answered)
            .count();
        if redirects != to - from {
            return Err(format!("{redirects} of {} answers are 302", to - from).into());
        }
    }
    Ok(())
}

/// All series, as the public port shows them.
pub(crate) fn metrics(port: u16) -> std::io::Result<String> {
    let request =
        format!("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    ask(port, &request)
}

/// The sum of the series of `name` that have `label`.
pub(crate) fn metric(port: u16, name: &str, label: &str) -> Outcome<f64> {
    let answer = metrics(port)?;
    let series = answer.lines().filter(|line| {
        let is_named = line
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('{'));
        is_named && line.contains(label)
    });
    Ok(series
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum())
}
