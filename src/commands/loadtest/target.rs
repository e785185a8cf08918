//! The service under test: where it is, how to address it, and whether it may be loaded.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::http::response::Parts;
use tokio::time::timeout;
use url::Url;

use super::line::Line;
use super::line::Question;
use crate::commands::Failure;

/// How long a name look-up may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A service that was found and may be loaded.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// As it was named.
    pub(super) url: Url,
    /// Where it is reached.
    pub(super) address: SocketAddr,
    /// What requests say in `Host`.
    pub(super) host: HeaderValue,
    /// What requests say in `Authorization`, where they need a key.
    pub(super) authorization: Option<HeaderValue>,
    /// How long a connection, or a question beside the load, may take.
    pub(super) patience: Duration,
}

impl Target {
    /// Finds the service, and refuses what is not this machine unless its owner says so.
    ///
    /// # Errors
    /// What is wrong with the address, and what to do.
    pub(super) async fn find(
        url: Url,
        host: Option<&str>,
        key: Option<&str>,
        (is_own, patience): (bool, Duration),
    ) -> Result<Self, Failure> {
        let shown = url.clone();
        let failed = |why: String| Failure::Failed(format!("{shown}: {why}"));
        let usage = |why: &str| Failure::Usage(format!("{shown}: {why}"));
        match url.scheme() {
            "http" => (),
            "https" => {
                return Err(usage(
                    "only http:// can be loaded; name the address behind the proxy that ends TLS",
                ));
            }
            _ => return Err(usage("only http:// can be loaded")),
        }
        if url.path() != "/" || url.query().is_some() {
            return Err(usage(
                "name the service alone, without a path; what is asked is set by --mix",
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(usage("holds credentials; the API key is given with --key"));
        }
        let name = shown
            .host_str()
            .ok_or_else(|| failed("it names no host".to_owned()))?;
        let port = url.port_or_known_default().unwrap_or(80);
        let bare = name.trim_matches(['[', ']']);
        let found = timeout(PATIENCE, tokio::net::lookup_host((bare, port))).await;
        let addresses: Vec<SocketAddr> = match found {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(error)) => {
                return Err(Failure::Unavailable(format!(
                    "{url}: no such host: {error}"
                )));
            }
            Err(_) => {
                return Err(Failure::Unavailable(format!(
                    "{url}: the name was not answered within {} s",
                    PATIENCE.as_secs()
                )));
            }
        };
        if !is_own && addresses.iter().any(|address| !is_here(*address)) {
            return Err(failed(
                "is not this machine; a load test can bring a service down: say \
                 --i-own-this-host if it is yours"
                    .to_owned(),
            ));
        }
        let address = addresses
            .iter()
            .find(|address| address.is_ipv4())
            .or(addresses.first())
            .copied()
            .ok_or_else(|| failed("the name has no address".to_owned()))?;
        let host = host.map_or_else(|| format!("{name}:{port}"), str::to_owned);
        let host = HeaderValue::from_str(&host)
            .map_err(|_error| Failure::Failed(format!("--host: {host:?} is no host")))?;
        let authorization = key
            .map(|key| HeaderValue::from_str(&format!("Bearer {key}")))
            .transpose()
            .map_err(|_error| Failure::Failed("--key: is no API key".to_owned()))?;
        Ok(Self {
            url,
            address,
            host,
            authorization,
            patience,
        })
    }

    /// Whether it is on this machine, so that it shares the processors with the load.
    pub(super) fn is_local(&self) -> bool {
        is_here(self.address)
    }

    /// As people read it: without the slash behind the host.
    fn shown(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// A question beside the load.
    ///
    /// # Errors
    /// Where the path is none.
    pub(super) fn question(&self, method: Method, path: &str) -> Result<Question, Failure> {
        let mut question = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.host.clone());
        if let Some(authorization) = &self.authorization {
            question = question.header("authorization", authorization.clone());
        }
        question
            .body(Full::new(Bytes::new()))
            .map_err(|error| Failure::Bug(format!("{path}: {error}")))
    }

    /// A line for questions beside the load.
    ///
    /// # Errors
    /// Where nothing listens.
    pub(super) async fn line(&self) -> Result<Line, Failure> {
        let opened = timeout(self.patience, Line::open(self.address)).await;
        let nobody = |why: String| {
            Failure::Unavailable(format!(
                "{} does not answer: {why}; start it with `urlshort serve`, or name another address",
                self.shown()
            ))
        };
        match opened {
            Ok(Ok(line)) => Ok(line),
            Ok(Err(error)) => Err(nobody(error.to_string())),
            Err(_) => Err(nobody(format!("no connection within {:?}", self.patience))),
        }
    }

    /// GETs `path` on `line`.
    ///
    /// # Errors
    /// Where there is no answer.
    pub(super) async fn get(
        &self,
        line: &mut Line,
        path: &str,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let question = self.question(Method::GET, path)?;
        let (head, body) = self.ask(line, question, path).await?;
        Ok((head.status, body))
    }

    /// Asks `question`, which is about `what`, on `line`.
    ///
    /// # Errors
    /// Where there is no answer.
    pub(super) async fn ask(
        &self,
        line: &mut Line,
        question: Question,
        what: &str,
    ) -> Result<(Parts, Bytes), Failure> {
        let what = what.trim_start_matches('/');
        let unanswered = |why: &str| {
            Failure::Unavailable(format!(
                "{}/{what}: {why}; look at its log, or ask `urlshort diagnose --url {}`",
                self.shown(),
                self.shown()
            ))
        };
        match timeout(self.patience, line.ask(question)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(unanswered(&error.to_string())),
            Err(_) => Err(unanswered(&format!("no answer within {:?}", self.patience))),
        }
    }
}

/// Whether an address is this machine's own: the loopback, also in the dress of IPv6, and the
/// address that stands for all of a machine's.
fn is_here(address: SocketAddr) -> bool {
    let address = address.ip().to_canonical();
    address.is_loopback() || address.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_all_its_names() {
        for here in [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
            "0.0.0.0:1",
        ] {
            assert!(is_here(here.parse().unwrap()), "{here}");
        }
        for away in [
            "10.0.0.1:1",
            "[fe80::1]:1",
            "[::ffff:10.0.0.1]:1",
            "128.0.0.1:1",
        ] {
            assert!(!is_here(away.parse().unwrap()), "{away}");
        }
    }
}
