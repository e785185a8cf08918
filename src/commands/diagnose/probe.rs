//! The containers' health check: asks the process of this machine whether it is ready.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::commands::Failure;
use crate::commands::report;
use crate::config::Config;

/// How long the whole question may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than any answer has.
const LARGEST: u64 = 65_536;

/// Succeeds where `/readyz` of the local admin listener answers 200, also with warnings: a process
/// that goes on without a dependency must not be restarted for it.
///
/// # Errors
/// [`Failure::Unavailable`].
pub async fn probe(config: &Config) -> Result<(), Failure> {
    let address = local(config.admin.listen);
    if address.port() == 0 {
        let why = "admin.listen has port 0, so nobody knows where to ask; give it a port";
        return Err(Failure::Unavailable(why.to_owned()));
    }
    let answer = tokio::time::timeout(PATIENCE, ask(address))
        .await
        .map_err(|_elapsed| {
            Failure::Unavailable(format!("http://{address}/readyz: no answer within 2 s"))
        })?
        .map_err(|error| Failure::Unavailable(format!("http://{address}/readyz: {error}")))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split_whitespace().nth(1).unwrap_or("no status");
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let word = body.get("status").and_then(Value::as_str);
    if status != "200" {
        let why = body.get("output").and_then(Value::as_str);
        return Err(Failure::Unavailable(format!(
            "not ready: {status}, {}",
            why.unwrap_or("without a reason")
        )));
    }
    report::line(match word {
        Some("warn" | "fail") => "ready, but degraded; `urlshort diagnose` says why",
        _ => "ready",
    });
    Ok(())
}

/// Where a listener on every address is reached from here.
fn local(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        any if !any.is_unspecified() => any,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(address, listen.port())
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LARGEST).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
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
