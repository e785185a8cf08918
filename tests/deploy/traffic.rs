//! People, bots and owners of links at work, so that every metric has something to tell.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::http::Client;

const BOT: (&str, &str) = (
    "user-agent",
    "Googlebot/2.1 (+http://www.google.com/bot.html)",
);

/// Traffic that goes on until it is told to stop.
#[derive(Debug)]
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// Through the balancer; `processes` are also asked one by one, `key` may edit.
    pub(crate) fn start(
        balancer: SocketAddr,
        processes: Vec<SocketAddr>,
        key: String,
        codes: Vec<String>,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let visiting = Arc::clone(&stop);
        let followed = codes.clone();
        let visitors = thread::spawn(move || {
            let mut client = Client::new(balancer);
            let mut round = 0;
            while !visiting.load(Ordering::Relaxed) {
                round += 1;
                let code = &followed[round % followed.len()];
                visit(&mut client, code, round);
                thread::sleep(Duration::from_millis(5));
            }
        });
        let owning = Arc::clone(&stop);
        let owners = thread::spawn(move || {
            let mut round = 0;
            while !owning.load(Ordering::Relaxed) {
                round += 1;
                let mut client = Client::new(processes[round % processes.len()]);
                own(&mut client, &key, &codes, round);
                thread::sleep(Duration::from_millis(50));
            }
        });
        Self {
            stop,
            threads: vec![visitors, owners],
        }
    }

    pub(crate) fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

/// What comes back does not matter here: other tests look at answers.
fn visit(client: &mut Client, code: &str, round: usize) {
    client.get(&format!("/{code}")).ok();
    if round.is_multiple_of(7) {
        client.get(&format!("/none{round}")).ok();
        client.send("HEAD", &format!("/{code}"), &[], "").ok();
        client.send("GET", &format!("/{code}"), &[BOT], "").ok();
        client.get(&format!("/{code}+")).ok();
        client.get("/api/v1/links").ok(); // 401
    }
}

/// Makes links, and deletes one; edits what others have in their caches.
fn own(client: &mut Client, key: &str, codes: &[String], round: usize) {
    let code = format!("t{round}");
    let body = format!(r#"{{"long_url": "https://example.com/{round}", "code": "{code}"}}"#);
    client.post("/api/v1/links", &body).ok();
    client.get(&format!("/{code}")).ok();
    let key = [("authorization", key), ("content-type", "application/json")];
    let edited = &codes[round % codes.len()];
    let path = format!("/api/v1/links/{edited}");
    let body = format!(r#"{{"title": "edited {round}"}}"#);
    client.send("PATCH", &path, &key, &body).ok();
    let path = format!("/api/v1/links/{code}");
    client.send("DELETE", &path, &key, "").ok();
    client.get(&format!("/api/v1/links/{edited}/stats")).ok();
    client
        .get(&format!("/api/v1/links/{edited}/stats/browser"))
        .ok();
}
