//! Questions to a running process over plain HTTP, from the commands.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::Request;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

/// More than any answer to a command has, bytes.
const LARGEST: usize = 16 << 20;

/// What a process said.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The status.
    pub(super) status: StatusCode,
    /// The body; what is no UTF-8 is replaced.
    pub(super) body: String,
    /// From the first packet to the last.
    pub(super) took: Duration,
}

/// GETs `url`, or POSTs `json` to it, within `patience`.
///
/// # Errors
/// Why there is no answer, for people; it names the URL.
pub(super) async fn ask(
    url: &Url,
    json: Option<String>,
    patience: Duration,
) -> Result<Answer, String> {
    match timeout(patience, ask_at_leisure(url, json)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(format!("{url}: {error}")),
        Err(_) => Err(format!("{url}: no answer within {} s", patience.as_secs())),
    }
}

/// Where a listener on every address is reached from here.
pub(super) fn local(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        any if !any.is_unspecified() => any,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(address, listen.port())
}

async fn ask_at_leisure(
    url: &Url,
    json: Option<String>,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    if url.scheme() != "http" {
        return Err("only http:// can be asked; name the address behind the proxy".into());
    }
    let host = url.host_str().ok_or("it names no host")?;
    let port = url.port_or_known_default().unwrap_or(80);
    let begun = Instant::now();
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let request = Request::builder()
        .uri(path)
        .method(if json.is_some() { "POST" } else { "GET" })
        .header("host", format!("{host}:{port}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(json.unwrap_or_default())))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LARGEST)
        .collect()
        .await?;
    let took = begun.elapsed();
    connection.abort();
    Ok(Answer {
        status,
        body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        took,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(listen: &str, expected: &str) {
        let asked = local(listen.parse().unwrap());
        assert_eq!(asked, expected.parse().unwrap());
    }

    #[test]
    fn a_listener_on_every_address_is_asked_on_the_loopback() {
        check("0.0.0.0:8001", "127.0.0.1:8001");
        check("[::]:8001", "[::1]:8001");
        check("10.0.0.7:8001", "10.0.0.7:8001");
    }
}
