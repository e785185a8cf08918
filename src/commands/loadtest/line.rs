//! One connection to the service, HTTP/1.1, one request after another.

use std::net::SocketAddr;

use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::Request;
use hyper::body::Body as _;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::client::conn::http1::SendRequest;
use hyper::http::response::Parts;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// More than any answer has, bytes.
const LARGEST: usize = 16 << 20;

/// A request as this tool sends it.
pub(super) type Question = Request<Full<Bytes>>;

/// An open connection.
#[derive(Debug)]
pub(super) struct Line {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Line {
    /// Connects to `address`; the caller limits the time.
    ///
    /// # Errors
    /// Why there is no connection.
    pub(super) async fn open(address: SocketAddr) -> Result<Self, std::io::Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        let driver = tokio::spawn(async move {
            // How it ends is told to whoever asks next.
            connection.await.unwrap_or_default();
        });
        Ok(Self { sender, driver })
    }

    /// Whether the other side can still be asked.
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request and reads the whole answer; the caller limits the time.
    ///
    /// # Errors
    /// Where the connection ended first.
    pub(super) async fn ask(&mut self, question: Question) -> Result<(Parts, Bytes), LineError> {
        self.sender.ready().await?;
        let answer = self.sender.send_request(question).await?;
        if answer.body().is_end_stream() {
            return Ok((answer.into_parts().0, Bytes::new()));
        }
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, LARGEST).collect().await;
        let body = body.map_err(LineError::Body)?.to_bytes();
        Ok((head, body))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The connection ended before the answer did.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    /// While asking.
    #[error("the connection ended")]
    Closed(#[from] hyper::Error),
    /// While reading the body.
    #[error("the body ended early, or is over 16 MiB")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}
