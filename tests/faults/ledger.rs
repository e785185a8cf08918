//! Who was answered what: visitors that keep books, and the comparison with the counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::http::Client;
use crate::process::until;

/// The books of some visitors.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Redirects that arrived, per code.
    acknowledged: BTreeMap<String, u64>,
    /// Requests without an answer, or with an error: they may have counted.
    unanswered: BTreeMap<String, u64>,
    /// What came instead of a redirect, for who asks why.
    pub(crate) flaws: Vec<String>,
    /// When redirects arrived, for those who lose what was queued.
    times: Vec<Instant>,
    /// Answers that were neither a redirect nor "try again".
    pub(crate) strange: Vec<String>,
}

/// Visitors at work.
#[derive(Debug)]
pub(crate) struct Visitors {
    stop: Arc<AtomicBool>,
    ledger: Arc<Mutex<Ledger>>,
    threads: Vec<thread::JoinHandle<()>>,
}

/// Sends visitors to these codes; `address` is asked for each connection anew.
pub(crate) fn visit(
    codes: &[String],
    address: impl Fn() -> std::net::SocketAddr + Send + Sync + 'static,
) -> Visitors {
    let (stop, ledger) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(Mutex::new(Ledger::default())),
    );
    let address = Arc::new(address);
    let threads = (0..2)
        .map(|number| {
            let (stop, ledger, codes) = (Arc::clone(&stop), Arc::clone(&ledger), codes.to_vec());
            let address = Arc::clone(&address);
            thread::spawn(move || {
                let mut client = Client::new(address());
                let mut next = number;
                while !stop.load(Ordering::Relaxed) {
                    next += 1;
                    let code = &codes[next % codes.len()];
                    let answer = client.get(&format!("/{code}"));
                    let failed = answer.is_err();
                    ledger
                        .lock()
                        .unwrap()
                        .note(code, answer.map(|answer| (answer.status, answer.body)));
                    if failed {
                        client = Client::new(address());
                        thread::sleep(Duration::from_millis(5));
                    } else {
                        thread::sleep(Duration::from_micros(300));
                    }
                }
            })
        })
        .collect();
    Visitors {
        stop,
        ledger,
        threads,
    }
}

impl Visitors {
    /// How many redirects arrived so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.ledger.lock().unwrap().acknowledged.values().sum()
    }

    /// Waits until this many more redirects have arrived.
    pub(crate) fn wait_for(&self, more: u64) {
        let before = self.acknowledged();
        until("redirects go on", Duration::from_secs(60), || {
            (self.acknowledged() >= before + more).then_some(())
        });
    }

    /// Redirects that arrived within `span` before `moment`.
    pub(crate) fn shortly_before(&self, moment: Instant, span: Duration) -> u64 {
        let ledger = self.ledger.lock().unwrap();
        ledger
            .times
            .iter()
            .filter(|at| **at <= moment && moment.duration_since(**at) <= span)
            .count() as u64
    }

    /// Ends the visits.
    pub(crate) fn end(self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        Arc::into_inner(self.ledger).unwrap().into_inner().unwrap()
    }
}

impl Ledger {
    fn note(&mut self, code: &str, answer: std::io::Result<(u16, String)>) {
        match answer {
            Ok((302, _)) => {
                *self.acknowledged.entry(code.to_owned()).or_default() += 1;
                self.times.push(Instant::now());
            }
            Ok((status, body)) => {
                *self.unanswered.entry(code.to_owned()).or_default() += 1;
                self.flaws.push(format!("{code}: {status} {body}"));
                if status != 503 {
                    self.strange.push(format!("{status} {body}"));
                }
            }
            Err(error) => {
                *self.unanswered.entry(code.to_owned()).or_default() += 1;
                self.flaws.push(format!("{code}: {error}"));
            }
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.acknowledged.values().sum()
    }

    /// Redirects of one code that arrived.
    pub(crate) fn of(&self, code: &str) -> u64 {
        self.acknowledged.get(code).copied().unwrap_or(0)
    }

    pub(crate) fn without_answer(&self) -> u64 {
        self.unanswered.values().sum()
    }

    /// Waits until everything is counted and compares: per code, acknowledged ≤ counted ≤
    /// acknowledged + unanswered, but for `lost` clicks in all.
    #[track_caller]
    pub(crate) fn compare(&self, client: &mut Client, lost: u64) {
        assert!(
            self.strange.is_empty(),
            "strange answers: {:?}",
            self.strange
        );
        let counts = self.settled(client, lost);
        let mut missing = 0;
        for code in self.acknowledged.keys() {
            let (acknowledged, counted) = (self.of(code), counts[code]);
            let unanswered = self.unanswered.get(code).copied().unwrap_or(0);
            assert!(
                counted <= acknowledged + unanswered,
                "{code}: counted {counted}, acknowledged {acknowledged}, unanswered {unanswered}"
            );
            missing += acknowledged.saturating_sub(counted);
        }
        assert!(
            missing <= lost,
            "{missing} acknowledged clicks are not counted; {lost} may be lost"
        );
    }

    /// The counts, once they reach what was acknowledged and do not move any more.
    fn settled(&self, client: &mut Client, lost: u64) -> BTreeMap<String, u64> {
        let mut last = BTreeMap::new();
        let mut since = Instant::now();
        let begun = Instant::now();
        loop {
            let reports: BTreeMap<&String, Counted> = self
                .acknowledged
                .keys()
                .map(|code| (code, counted(client, code).unwrap_or_default()))
                .collect();
            for (code, report) in &reports {
                let acknowledged = self.of(code);
                assert!(
                    !report.complete || report.clicks + lost >= acknowledged,
                    "{code}: said to be complete with {} of {acknowledged}, {:?} after the end",
                    report.clicks,
                    begun.elapsed()
                );
            }
            let counts: BTreeMap<String, u64> = reports
                .iter()
                .map(|(code, report)| ((*code).clone(), report.clicks))
                .collect();
            let missing: u64 = self
                .acknowledged
                .iter()
                .map(|(code, acknowledged)| acknowledged.saturating_sub(counts[code]))
                .sum();
            if counts != last {
                since = Instant::now();
                last = counts;
            }
            let done =
                missing == 0 || (missing <= lost && since.elapsed() > Duration::from_secs(8));
            // A moment longer than any flush: what is counted twice comes late.
            if done && since.elapsed() > Duration::from_secs(2) {
                return last;
            }
            let patience = Duration::from_secs(90);
            assert!(
                begun.elapsed() < patience,
                "{missing} clicks missing after {patience:?}: {last:?} of {self:?}"
            );
            thread::sleep(Duration::from_millis(200));
        }
    }
}

/// What the API says of a code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) clicks: u64,
    pub(crate) complete: bool,
}

/// All clicks of a code, by the API.
pub(crate) fn counted(client: &mut Client, code: &str) -> Option<Counted> {
    let answer = client
        .get(&format!("/api/v1/links/{code}/stats?interval=month"))
        .ok()?;
    if answer.status != 200 {
        return None;
    }
    let report = answer.json();
    let totals = &report["totals"];
    let clicks = ["human", "bot", "preview", "head"]
        .iter()
        .map(|kind| totals[*kind].as_u64())
        .sum::<Option<u64>>()?;
    Some(Counted {
        clicks,
        complete: report["complete"].as_bool()?,
    })
}

/// Makes links with random codes.
pub(crate) fn make_links(client: &mut Client, count: usize) -> Vec<String> {
    let items: Vec<_> = (0..count)
        .map(|number| serde_json::json!({"long_url": format!("https://example.com/{number}")}))
        .collect();
    let body = serde_json::json!({"items": items}).to_string();
    let answer = client.post("/api/v1/links/bulk", &body).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let results = answer.json()["results"].as_array().unwrap().clone();
    results
        .iter()
        .map(|result| result["link"]["code"].as_str().unwrap().to_owned())
        .collect()
}
