//! Servers whose every answer, and every silence, is known.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Where the servers of these tests lead.
pub(crate) const TARGET: &str = "https://www.target.example/";

/// When a server of ours answers nobody, counted from its first answer.
#[derive(Clone, Copy)]
pub(crate) struct Stall {
    pub(crate) after: Duration,
    pub(crate) length: Duration,
}

/// A server that answers every request with `answer`, but for its stall; ends with the test.
pub(crate) fn server(answer: &'static str, stall: Option<Stall>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let first = Arc::new(Mutex::new(None));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let first = Arc::clone(&first);
            thread::spawn(move || talk(&stream.unwrap(), answer, stall, &first));
        }
    });
    address
}

fn talk(
    stream: &TcpStream,
    answer: &str,
    stall: Option<Stall>,
    first: &Mutex<Option<Instant>>,
) -> Option<()> {
    stream.set_nodelay(true).unwrap();
    let mut lines = BufReader::new(stream).lines();
    loop {
        let head: Vec<String> = lines
            .by_ref()
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty())
            .collect();
        let line = head.first()?;
        // The load begins with the first GET; what is asked before it starts no clock.
        if line.starts_with("GET") {
            let begun = *first.lock().unwrap().get_or_insert_with(Instant::now);
            if let Some(stall) = stall {
                let into = begun.elapsed().saturating_sub(stall.after);
                if begun.elapsed() >= stall.after && into < stall.length {
                    thread::sleep(stall.length - into);
                }
            }
        }
        (&mut &*stream).write_all(answer.as_bytes()).ok()?;
    }
}

pub(crate) const REDIRECT: &str =
    "HTTP/1.1 302 Found\r\nlocation: https://www.target.example/\r\ncontent-length: 0\r\n\r\n";

/// A server that takes its time for every answer.
pub(crate) fn slow_server(time: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                while lines.by_ref().take_while(|line| !line.is_empty()).count() > 0 {
                    thread::sleep(time);
                    if (&stream).write_all(REDIRECT.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// A server that tells how often it answered.
pub(crate) fn counting_server(count: Arc<(Mutex<u64>, Condvar)>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, count) = (stream.unwrap(), Arc::clone(&count));
            thread::spawn(move || {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                while lines.by_ref().take_while(|line| !line.is_empty()).count() > 0 {
                    if (&stream).write_all(REDIRECT.as_bytes()).is_err() {
                        return;
                    }
                    *count.0.lock().unwrap() += 1;
                    count.1.notify_all();
                }
            });
        }
    });
    address
}
