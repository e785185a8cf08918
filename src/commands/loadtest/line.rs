//! One connection to the service, HTTP/1.1, one request after another.
//!
//! # Why
//!
//! The connection is moved by whoever asks, within the same task: a task of its own would be woken
//! three times for each request.

use std::future::Future as _;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;

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

/// More than any answer has, bytes.
const LARGEST: usize = 16 << 20;

/// A request as this tool sends it.
pub(super) type Question = Request<Full<Bytes>>;

/// An open connection.
#[derive(Debug)]
pub(super) struct Line {
    sender: SendRequest<Full<Bytes>>,
    /// Nothing, once it has ended.
    connection: Option<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>,
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
        Ok(Self {
            sender,
            connection: Some(connection),
        })
    }

    /// Whether the other side can still be asked.
    pub(super) async fn is_open(&mut self) -> bool {
        poll_fn(|context| {
            drive(&mut self.connection, context);
            Poll::Ready(())
        })
        .await;
        self.connection.is_some() && !self.sender.is_closed()
    }

    /// Sends a request and reads the whole answer; the caller limits the time.
    ///
    /// # Errors
    /// Where the connection ended first.
    pub(super) async fn ask(&mut self, question: Question) -> Result<(Parts, Bytes), LineError> {
        let Self { sender, connection } = self;
        let mut exchange = pin!(exchange(sender, question));
        poll_fn(|context| {
            // Its first part goes to the connection, and what that reads comes back to it.
            if let Poll::Ready(done) = exchange.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            drive(connection, context);
            exchange.as_mut().poll(context)
        })
        .await
    }
}

/// Moves what can be moved; how a connection ends is told to whoever asks.
fn drive(
    connection: &mut Option<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>,
    context: &mut Context<'_>,
) {
    let ended = connection
        .as_mut()
        .is_some_and(|open| Pin::new(open).poll(context).is_ready());
    if ended {
        *connection = None;
    }
}

async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    question: Question,
) -> Result<(Parts, Bytes), LineError> {
    sender.ready().await?;
    let answer = sender.send_request(question).await?;
    let (head, body) = answer.into_parts();
    if body.is_end_stream() {
        return Ok((head, Bytes::new()));
    }
    let body = Limited::new(body, LARGEST).collect().await;
    let body = body.map_err(LineError::Body)?.to_bytes();
    Ok((head, body))
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
