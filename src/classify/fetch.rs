//! Fetches the page behind a link for its title, description and language. Off unless configured.
//!
//! # Why
//!
//! A classifier that visits whatever people shorten is a way into the network it runs in. So: the
//! name is resolved here, and refused if *any* of its addresses is not global unicast; the
//! connection goes to exactly these addresses and is looked at once more when it stands; redirects
//! are followed by hand, five at most, each checked in full; ports 80 and 443; no proxy, no cookies,
//! no compression; HTML only, its head or 512 KiB, 2 s to connect, 5 s in all, two at a time for one
//! host. A page that trickles or breaks off is read as far as it came.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use http_body_util::BodyExt as _;
use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use url::Host;
use url::Url;

use crate::classify::page;
pub use crate::classify::page::Page;
use crate::domain::target::is_private;
use crate::telemetry;

const CONNECT: Duration = Duration::from_secs(2);
const TOTAL: Duration = Duration::from_secs(5);
/// How long a page that has begun is waited for.
const READING: Duration = Duration::from_secs(3);
const HOPS: usize = 5;
const LARGEST: usize = 512 * 1024;
const PER_HOST: usize = 2;
const AT_ONCE: usize = 16;
/// Hosts whose turn is remembered.
const HOSTS: usize = 10_000;
const AGENT: &str = concat!("urlshort-classify/", env!("CARGO_PKG_VERSION"));

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It must not be visited.
    #[error("it must not be visited: {0}")]
    Forbidden(&'static str),
    /// It did not answer as a page does.
    #[error("{0}")]
    Failed(String),
}

/// Fetches pages.
pub struct Fetcher {
    is_forbidden: fn(IpAddr) -> bool,
    ports: fn(u16) -> bool,
    reading: Duration,
    all: Semaphore,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
    #[cfg(feature = "fetch")]
    tls: Arc<tokio_rustls::rustls::ClientConfig>,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").finish_non_exhaustive()
    }
}

impl Fetcher {
    /// A fetcher that visits public hosts alone.
    #[must_use]
    pub fn new() -> Self {
        Self {
            is_forbidden: is_private,
            ports: |port| matches!(port, 80 | 443),
            reading: READING,
            all: Semaphore::new(AT_ONCE),
            hosts: Mutex::default(),
            #[cfg(feature = "fetch")]
            tls: tls_config(),
        }
    }

    /// One that visits servers of tests, too.
    #[cfg(test)]
    pub(crate) fn anywhere() -> Self {
        Self {
            is_forbidden: |_| false,
            ports: |_| true,
            ..Self::new()
        }
    }

    /// Title and description of the page behind `url`, where it answers and has any.
    pub async fn title(&self, url: &str) -> Option<String> {
        match self.page(url).await {
            Ok(page) => {
                let text = format!("{} {}", page.title, page.description);
                let text = text.trim();
                (!text.is_empty()).then(|| text.to_owned())
            }
            Err(error) => {
                telemetry::classify_errors("fetch", 1);
                tracing::debug!(%error, "a page was not fetched");
                None
            }
        }
    }

    /// The page behind `url`, within 5 s from when it is its turn: many pages of one host wait for
    /// each other, and keep nobody else waiting.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn page(&self, url: &str) -> Result<Page, FetchError> {
        let url = Url::parse(url).map_err(|error| failed(&error))?;
        let host = url.host_str().unwrap_or("").to_owned();
        let turns = self.turns(&host);
        let _turn = turns.acquire().await.map_err(|error| failed(&error))?;
        let _place = self.all.acquire().await.map_err(|error| failed(&error))?;
        let late = |_| FetchError::Failed("no page within 5 s".to_owned());
        let followed = timeout(TOTAL, self.follow(url, &host)).await;
        followed.map_err(late)?
    }

    /// `held`: the host whose turn it is.
    async fn follow(&self, mut url: Url, held: &str) -> Result<Page, FetchError> {
        for _ in 0..=HOPS {
            let host = url.host_str().unwrap_or("").to_owned();
            let turns = (host != held).then(|| self.turns(&host));
            let _turn = match &turns {
                Some(turns) => Some(turns.acquire().await.map_err(|error| failed(&error))?),
                None => None,
            };
            match self.ask(&url, host).await? {
                Said::Page(page) => return Ok(page),
                Said::Elsewhere(location) => {
                    url = url.join(&location).map_err(|error| failed(&error))?;
                }
            }
        }
        Err(FetchError::Forbidden("it redirects more than five times"))
    }

    /// The addresses of a URL's host; each of them may be visited.
    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, FetchError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FetchError::Forbidden("only http and https are visited"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(FetchError::Forbidden("it holds credentials"));
        }
        let port = url.port_or_known_default().unwrap_or(0);
        if !(self.ports)(port) {
            return Err(FetchError::Forbidden(
                "only the ports 80 and 443 are visited",
            ));
        }
        // A resolver is not asked for addresses: they are checked on their own.
        let addresses: Vec<SocketAddr> = match url.host() {
            None => return Err(FetchError::Forbidden("it has no host")),
            Some(Host::Ipv4(address)) => vec![(IpAddr::V4(address), port).into()],
            Some(Host::Ipv6(address)) => vec![(IpAddr::V6(address), port).into()],
            Some(Host::Domain(name)) => {
                let resolved = timeout(CONNECT, tokio::net::lookup_host((name, port))).await;
                let resolved = resolved.map_err(|error| failed(&error))?;
                resolved.map_err(|error| failed(&error))?.collect()
            }
        };
        if addresses.is_empty() {
            return Err(FetchError::Failed("its host has no address".to_owned()));
        }
        if addresses
            .iter()
            .any(|address| (self.is_forbidden)(address.ip()))
        {
            return Err(FetchError::Forbidden(
                "its host has an address that is not public",
            ));
        }
        Ok(addresses)
    }

    async fn ask(&self, url: &Url, host: String) -> Result<Said, FetchError> {
        let addresses = self.addresses(url).await?;
        let connecting = timeout(CONNECT, TcpStream::connect(addresses.as_slice())).await;
        let stream = connecting
            .map_err(|error| failed(&error))?
            .map_err(|error| failed(&error))?;
        let peer = stream.peer_addr().map_err(|error| failed(&error))?;
        if (self.is_forbidden)(peer.ip()) || !addresses.contains(&peer) {
            return Err(FetchError::Forbidden("the connection leads somewhere else"));
        }
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let shown = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.clone(),
        };
        let request = Request::builder()
            .uri(path)
            .header(header::HOST, shown)
            .header(header::USER_AGENT, AGENT)
            .header(header::ACCEPT, "text/html")
            .header(header::ACCEPT_ENCODING, "identity")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| failed(&error))?;
        if url.scheme() == "http" {
            return exchange(TokioIo::new(stream), request, self.reading).await;
        }
        #[cfg(feature = "fetch")]
        {
            let name = tokio_rustls::rustls::pki_types::ServerName::try_from(host)
                .map_err(|error| failed(&error))?;
            let connector = tokio_rustls::TlsConnector::from(Arc::clone(&self.tls));
            let stream = connector
                .connect(name, stream)
                .await
                .map_err(|error| failed(&error))?;
            exchange(TokioIo::new(stream), request, self.reading).await
        }
        #[cfg(not(feature = "fetch"))]
        Err(FetchError::Failed(
            "https needs a program built with the cargo feature `fetch`".to_owned(),
        ))
    }

    fn turns(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= HOSTS {
            hosts.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        let turns = hosts.entry(host.to_owned());
        Arc::clone(turns.or_insert_with(|| Arc::new(Semaphore::new(PER_HOST))))
    }
}

impl Default for Fetcher {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "fetch")]
fn tls_config() -> Arc<tokio_rustls::rustls::ClientConfig> {
    use tokio_rustls::rustls;
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows the usual versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

fn failed(error: &dyn std::error::Error) -> FetchError {
    FetchError::Failed(error.to_string())
}

enum Said {
    Page(Page),
    Elsewhere(String),
}

async fn exchange<Stream>(
    stream: TokioIo<Stream>,
    request: Request<Empty<Bytes>>,
    reading: Duration,
) -> Result<Said, FetchError>
where
    Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
        .await
        .map_err(|error| failed(&error))?;
    // Dropped, and the connection with it, however this ends.
    let _connection = Running(tokio::spawn(connection).abort_handle());
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| failed(&error))?;
    let text = |name: header::HeaderName| {
        let value = response.headers().get(name);
        value
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    if response.status().is_redirection() {
        let nowhere = || FetchError::Failed("a redirect without a place".to_owned());
        return text(header::LOCATION)
            .map(Said::Elsewhere)
            .ok_or_else(nowhere);
    }
    if !response.status().is_success() {
        return Err(FetchError::Failed(format!(
            "it answers {}",
            response.status()
        )));
    }
    let kind = text(header::CONTENT_TYPE)
        .unwrap_or_default()
        .to_ascii_lowercase();
    if kind.split(';').next().map(str::trim) != Some("text/html") {
        return Err(FetchError::Failed("it is no HTML".to_owned()));
    }
    if text(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(FetchError::Failed(
            "it is compressed, though nobody asked".to_owned(),
        ));
    }
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    let last = tokio::time::Instant::now() + reading;
    loop {
        match tokio::time::timeout_at(last, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                let known = bytes.len();
                bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data.as_ref()));
                if bytes.len() >= LARGEST || page::is_whole(&bytes, known) {
                    break;
                }
            }
            // What came before may hold a title.
            Ok(Some(Err(error))) if bytes.is_empty() => return Err(failed(&error)),
            Err(late) if bytes.is_empty() => return Err(failed(&late)),
            Ok(None | Some(Err(_))) | Err(_) => break,
        }
    }
    bytes.truncate(LARGEST);
    Ok(Said::Page(page::of(&bytes, &kind)))
}

struct Running(tokio::task::AbortHandle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// Answers every connection with `answer`, and counts them.
    async fn server(answer: String) -> (u16, Arc<std::sync::atomic::AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen: Arc<std::sync::atomic::AtomicUsize> = Arc::default();
        let count = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let mut head = [0_u8; 2_048];
                let read = stream.read(&mut head).await;
                if read.is_ok() && stream.write_all(answer.as_bytes()).await.is_ok() {
                    let ended = stream.shutdown().await;
                    drop(ended);
                }
            }
        });
        (port, seen)
    }

    fn html(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n{body}")
    }

    #[tokio::test]
    async fn a_page_says_what_it_is_about() {
        let body = "<html lang=\"de\"><head><meta name='description' content=\"Suppen &amp; mehr\">\
                    <TITLE>\n Omas   K\u{fc}che </TITLE>";
        let (port, _) = server(html(body)).await;
        let page = Fetcher::anywhere()
            .page(&format!("http://127.0.0.1:{port}/x"))
            .await
            .unwrap();
        assert_eq!(page.title, "Omas K\u{fc}che");
        assert_eq!(
            (page.description.as_str(), page.language.as_str()),
            ("Suppen & mehr", "de")
        );
    }

    #[tokio::test]
    async fn a_host_that_hangs_keeps_no_other_waiting() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hangs = format!("http://{}/", silent.local_addr().unwrap());
        let fetcher = Arc::new(Fetcher::anywhere());
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..2 * AT_ONCE {
            let (fetcher, hangs) = (Arc::clone(&fetcher), hangs.clone());
            waiting.spawn(async move { fetcher.page(&hangs).await.is_ok() });
        }
        let first = silent.accept().await.unwrap();
        let (port, _) = server(html("<title>other</title>")).await;
        let page = fetcher.page(&format!("http://localhost:{port}/")).await;
        assert_eq!(page.unwrap().title, "other");
        assert!(waiting.try_join_next().is_none(), "it was waited for");
        drop(first);
    }

    #[tokio::test]
    async fn nothing_that_is_not_public_is_visited() {
        let (port, seen) = server(html("<title>inside</title>")).await;
        let fetcher = Fetcher {
            ports: |_| true,
            ..Fetcher::new()
        };
        for host in [
            "127.0.0.1",
            "localhost",
            "0x7f.1",
            "2130706433",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "10.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "[fd00::1]",
        ] {
            let url = format!("http://{host}:{port}/");
            let refused = fetcher.page(&url).await;
            assert!(
                matches!(refused, Err(FetchError::Forbidden(_))),
                "{url}: {refused:?}"
            );
        }
        assert_eq!(seen.load(std::sync::atomic::Ordering::SeqCst), 0);
        for url in ["ftp://example.com/", "http://a:b@example.com/"] {
            assert!(
                matches!(fetcher.page(url).await, Err(FetchError::Forbidden(_))),
                "{url}"
            );
        }
        let odd = Fetcher::new().page("http://example.com:8080/").await;
        assert!(matches!(odd, Err(FetchError::Forbidden(_))), "{odd:?}");
    }

    #[tokio::test]
    async fn a_redirect_is_checked_like_the_first_address() {
        let (inner, seen) = server(html("<title>inside</title>")).await;
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:{inner}/\r\n\r\n");
        let (outer, _) = server(answer).await;
        let fetcher = Fetcher {
            // The first host counts as public, the second does not.
            is_forbidden: |address| address == IpAddr::from([127, 0, 0, 2]),
            ports: |_| true,
            ..Fetcher::new()
        };
        let refused = fetcher.page(&format!("http://127.0.0.1:{outer}/")).await;
        assert!(
            matches!(refused, Err(FetchError::Forbidden(_))),
            "{refused:?}"
        );
        assert_eq!(seen.load(std::sync::atomic::Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn circles_other_types_and_endless_pages_end() {
        let circle = "HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n".to_owned();
        let (port, seen) = server(circle).await;
        let refused = Fetcher::anywhere()
            .page(&format!("http://127.0.0.1:{port}/"))
            .await;
        assert!(
            matches!(refused, Err(FetchError::Forbidden(_))),
            "{refused:?}"
        );
        assert_eq!(seen.load(std::sync::atomic::Ordering::SeqCst), HOPS + 1);
        let (port, _) =
            server("HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\nx".to_owned()).await;
        assert!(
            Fetcher::anywhere()
                .page(&format!("http://127.0.0.1:{port}/"))
                .await
                .is_err()
        );
        let long = html(&format!("<title>front</title>{}", "x".repeat(2 * LARGEST)));
        let (port, _) = server(long).await;
        let page = Fetcher::anywhere()
            .page(&format!("http://127.0.0.1:{port}/"))
            .await
            .unwrap();
        assert_eq!(page.title, "front");
    }

    /// Answers one byte after the other, and never ends.
    async fn trickle(answer: String) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0_u8; 2_048];
            let read = stream.read(&mut head).await;
            assert!(read.is_ok());
            for byte in answer.bytes() {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
            }
            std::future::pending::<()>().await;
        });
        port
    }

    #[tokio::test]
    async fn a_page_that_trickles_or_breaks_off_is_read_as_far_as_it_came() {
        let hurried = || Fetcher {
            reading: Duration::from_millis(300),
            ..Fetcher::anywhere()
        };
        let port = trickle(html("<title>slow</title><p>and so on")).await;
        let page = hurried().page(&format!("http://127.0.0.1:{port}/")).await;
        assert_eq!(page.unwrap().title, "slow");
        // With the patience of every day: the end of the head is enough.
        let port = trickle(html("<title>slow</title></head>")).await;
        let page = Fetcher::anywhere()
            .page(&format!("http://127.0.0.1:{port}/"))
            .await;
        assert_eq!(page.unwrap().title, "slow");
        let port = trickle(html("")).await;
        let page = hurried().page(&format!("http://127.0.0.1:{port}/")).await;
        assert!(matches!(page, Err(FetchError::Failed(_))), "{page:?}");
        let chunked =
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (port, _) = server(format!("{chunked}14\r\n<title>front</title>\r\nzz\r\n")).await;
        let page = Fetcher::anywhere()
            .page(&format!("http://127.0.0.1:{port}/"))
            .await;
        assert_eq!(page.unwrap().title, "front");
        let (port, _) = server(format!("{chunked}zz\r\n")).await;
        let page = Fetcher::anywhere()
            .page(&format!("http://127.0.0.1:{port}/"))
            .await;
        assert!(matches!(page, Err(FetchError::Failed(_))), "{page:?}");
    }

    #[tokio::test]
    async fn what_is_larger_than_it_may_be_is_refused() {
        let ok = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n";
        let enormous = format!("{ok}X: {}\r\n\r\n<title>x</title>", "x".repeat(4 << 20));
        let many = format!("{ok}{}\r\n<title>x</title>", "X: x\r\n".repeat(100_000));
        let bomb = format!("{ok}Content-Encoding: gzip\r\n\r\n<title>x</title>");
        for answer in [enormous, many, bomb] {
            let (port, _) = server(answer).await;
            let page = Fetcher::anywhere()
                .page(&format!("http://127.0.0.1:{port}/"))
                .await;
            assert!(matches!(page, Err(FetchError::Failed(_))), "{page:?}");
        }
    }
}
