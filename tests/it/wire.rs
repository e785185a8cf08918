//! Raw connections: pipelining, slow senders, broken requests.

use std::io::Read as _;
use std::io::Write as _;
use std::time::Duration;
use std::time::Instant;

use crate::app::on_each;
use crate::client::Answer;
use crate::client::connect;
use crate::client::exchange;

#[test]
fn pipelined_requests_are_answered_in_order() {
    on_each(|app| {
        let codes: Vec<String> = (0..3)
            .map(|n| app.code_to(&format!("https://example.com/{n}")))
            .collect();
        let mut bytes = String::new();
        for round in 0..6 {
            let code = &codes[round % 3];
            let close = if round == 5 {
                "Connection: close\r\n"
            } else {
                ""
            };
            bytes.push_str(&format!("GET /{code} HTTP/1.1\r\nHost: x\r\n{close}\r\n"));
        }
        let answer = exchange(app.address, bytes.as_bytes());
        let text = String::from_utf8(answer).unwrap();
        let places: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("location: "))
            .collect();
        let expected = ["0", "1", "2", "0", "1", "2"].map(|n| format!("https://example.com/{n}"));
        assert_eq!(places, expected);
    });
}

#[test]
fn a_slow_body_is_given_up_without_keeping_others_waiting() {
    on_each(|app| {
        let code = app.code_to("https://example.com/");
        let begun = Instant::now();
        let head = "POST /api/v1/links HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                    Content-Length: 100\r\n\r\n{\"lo";
        let mut slow: Vec<_> = (0..8)
            .map(|_| {
                let mut stream = connect(app.address);
                stream.write_all(head.as_bytes()).unwrap();
                stream
            })
            .collect();
        for _ in 0..10 {
            let asked = Instant::now();
            assert_eq!(app.get(&format!("/{code}")).status, 302);
            assert!(asked.elapsed() < Duration::from_secs(1));
        }
        for stream in &mut slow {
            let mut bytes = vec![0; 4_096];
            let n_read = stream.read(&mut bytes).unwrap();
            let text = String::from_utf8_lossy(&bytes[..n_read]).into_owned();
            assert!(text.starts_with("HTTP/1.1 408"), "{text}");
        }
        let took = begun.elapsed();
        let patience = Duration::from_secs(4)..Duration::from_secs(8);
        assert!(patience.contains(&took), "{took:?}");
    });
}

#[test]
fn what_is_no_http_is_refused_and_hurts_nobody() {
    on_each(|app| {
        let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(10_000));
        let huge = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(300_000));
        let headers = format!(
            "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
            "A: b\r\n".repeat(5_000)
        );
        for bytes in [
            &b"GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
            b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET /learn?q=\xc3\xbc HTTP/1.1\r\nHost: x\r\n\r\n",
            b"garbage\r\n\r\n",
            b"\r\n\r\n\r\n",
            b"POST /api/v1/links HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
            b"POST /api/v1/links HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}",
            b"POST /api/v1/links HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
            huge.as_bytes(),
            headers.as_bytes(),
        ] {
            let mut stream = connect(app.address);
            stream.set_read_timeout(Some(Duration::from_secs(7))).unwrap();
            drop(stream.write_all(bytes));
            drop(stream.shutdown(std::net::Shutdown::Write));
            let mut answer = Vec::new();
            drop(stream.read_to_end(&mut answer));
            if !answer.is_empty() {
                let status = Answer::parse(&answer, false).status;
                assert!((400..500).contains(&status), "{status} for {bytes:.40?}");
            }
        }
        let mut last = connect(app.address);
        last.write_all(
            long.replace("Host: x", "Host: x\r\nConnection: close")
                .as_bytes(),
        )
        .unwrap();
        let mut answer = Vec::new();
        last.read_to_end(&mut answer).unwrap();
        assert_eq!(Answer::parse(&answer, false).status, 404);
        assert_eq!(app.get("/livez").status, 200);
        let log = app.log("serve");
        assert!(!log.contains("stream error"), "a client's mistake: {log}");
    });
}

#[test]
fn an_old_or_absent_host_still_finds_its_link() {
    on_each(|app| {
        let code = app.code_to("https://example.com/");
        for bytes in [
            format!("GET /{code} HTTP/1.0\r\n\r\n"),
            format!(
                "GET http://other.example/{code} HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n"
            ),
        ] {
            let answer = exchange(app.address, bytes.as_bytes());
            let answer = Answer::parse(&answer, false);
            assert_eq!(answer.header("location"), Some("https://example.com/"));
        }
    });
}
