//! What one request asks, who seems to ask it, and whether the answer is the right one.

use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper::Uri;
use hyper::body::Bytes;
use hyper::header;
use hyper::header::HeaderValue;
use hyper::http::response::Parts;
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use rand_distr::Distribution as _;
use rand_distr::Zipf;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::args::RunArgs;
use super::keys::Key;
use super::line::Question;
use super::measure::Trouble;
use super::options::Mix;
use super::options::Operation;
use super::target::Target;
use crate::commands::seed::visitors::BOTS;
use crate::commands::seed::visitors::BROWSERS;
use crate::commands::seed::visitors::PLACES;
use crate::commands::seed::visitors::PREVIEWS;
use crate::commands::seed::visitors::REFERRERS;

/// The characters of codes that nobody made.
const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Their length: drawn codes are shorter, so these hit nothing.
const UNKNOWN_LENGTH: usize = 12;
/// In so many of a hundred requests the agent is a machine, or draws a preview.
const BOTS_PERCENT: u32 = 10;
const PREVIEWS_PERCENT: u32 = 4;

/// What is asked for, and how often.
#[derive(Debug)]
pub(super) struct Workload {
    /// Whom.
    pub(super) target: Target,
    /// The links, the most followed first.
    pub(super) keys: Vec<Key>,
    /// What the requests do.
    pub(super) mix: Mix,
    /// How uneven the links are followed: 0 is even, 1 is the web.
    pub(super) zipf: f64,
    /// The share of redirects that ask for codes nobody made.
    pub(super) miss_ratio: f64,
    /// Names the links that are made.
    pub(super) run: String,
    visitors: Visitors,
}

/// Who seems to ask, as headers that are ready to be sent.
#[derive(Debug)]
struct Visitors {
    browsers: Vec<HeaderValue>,
    bots: Vec<HeaderValue>,
    previews: Vec<HeaderValue>,
    /// An empty one is a direct visit.
    referrers: Vec<HeaderValue>,
    languages: Vec<HeaderValue>,
}

impl Visitors {
    fn new() -> Self {
        let all = |texts: &[&'static str]| {
            let values = texts.iter().map(|text| HeaderValue::from_static(text));
            values.collect::<Vec<_>>()
        };
        let from = |host: &&str| match *host {
            "" => Some(HeaderValue::from_static("")),
            host => HeaderValue::from_str(&format!("https://{host}/")).ok(),
        };
        let languages: Vec<&str> = PLACES
            .iter()
            .map(|(_country, language)| *language)
            .collect();
        Self {
            browsers: all(BROWSERS),
            bots: all(BOTS),
            previews: all(PREVIEWS),
            referrers: REFERRERS.iter().filter_map(from).collect(),
            languages: all(&languages),
        }
    }
}

impl Workload {
    /// The load that `args` describe, on `target`.
    pub(super) fn new(target: Target, keys: Vec<Key>, args: &RunArgs, run: String) -> Self {
        Self {
            target,
            keys,
            mix: args.mix.clone(),
            zipf: args.zipf,
            miss_ratio: args.miss_ratio,
            run,
            visitors: Visitors::new(),
        }
    }
}

/// Draws the requests of one connection.
#[derive(Debug)]
pub(super) struct Drawer {
    random: SmallRng,
    popularity: Zipf<f64>,
    made: u64,
    name: String,
}

/// One request, and what it must get.
#[derive(Debug)]
pub(super) struct Ask<'load> {
    /// What it does.
    pub(super) operation: Operation,
    /// As it is sent.
    pub(super) question: Question,
    /// The link it follows.
    pub(super) key: Option<&'load Key>,
    expected: Expected<'load>,
}

#[derive(Debug)]
enum Expected<'load> {
    Redirect(&'load Key),
    Nothing,
    Made(String),
    Statistics,
    Page,
}

#[derive(Deserialize)]
struct Made {
    long_url: String,
    #[serde(rename = "code")]
    _code: IgnoredAny,
}

#[derive(Deserialize)]
struct Report {
    #[serde(rename = "totals")]
    _totals: IgnoredAny,
    #[serde(rename = "series")]
    _series: IgnoredAny,
}

impl Drawer {
    /// The draws of connection `connection`; the same ones for the same `seed`.
    pub(super) fn new(load: &Workload, connection: u64, seed: u64) -> Option<Self> {
        #[expect(clippy::cast_precision_loss, reason = "there are fewer keys than 2^52")]
        let n = load.keys.len().max(1) as f64;
        Some(Self {
            random: SmallRng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ connection),
            popularity: Zipf::new(n, load.zipf).ok()?,
            made: 0,
            name: format!("{}-{connection}", load.run),
        })
    }

    /// The next request.
    pub(super) fn draw<'load>(&mut self, load: &'load Workload) -> Option<Ask<'load>> {
        let operation = load.mix.at(self.random.random());
        let misses = matches!(operation, Operation::Redirect | Operation::Head)
            && self.random.random_bool(load.miss_ratio);
        let key = self.key(load);
        let (uri, expected) = match operation {
            _ if misses => (self.unknown()?, Expected::Nothing),
            Operation::Redirect | Operation::Head => {
                let key = key?;
                (key.uri.clone(), Expected::Redirect(key))
            }
            Operation::Create => {
                let (name, n) = (&self.name, self.made);
                self.made += 1;
                let url = format!("https://www.load.example/{name}/{n}");
                (Uri::from_static("/api/v1/links"), Expected::Made(url))
            }
            Operation::Stats => {
                let path = format!("/api/v1/links/{}/stats", key?.code.as_str());
                (path.parse().ok()?, Expected::Statistics)
            }
            Operation::Preview => {
                let path = format!("/{}+", key?.code.as_str());
                (path.parse().ok()?, Expected::Page)
            }
        };
        let followed = matches!(expected, Expected::Redirect(_))
            .then_some(key)
            .flatten();
        let question = self.question(load, operation, uri, &expected)?;
        Some(Ask {
            operation,
            question,
            key: followed,
            expected,
        })
    }

    fn question(
        &mut self,
        load: &Workload,
        operation: Operation,
        uri: Uri,
        expected: &Expected<'_>,
    ) -> Option<Question> {
        let body = match expected {
            Expected::Made(url) => Bytes::from(serde_json::json!({ "long_url": url }).to_string()),
            Expected::Redirect(_) | Expected::Nothing | Expected::Statistics | Expected::Page => {
                Bytes::new()
            }
        };
        let mut question = Request::new(Full::new(body));
        *question.uri_mut() = uri;
        let headers = question.headers_mut();
        headers.reserve(4);
        headers.insert(header::HOST, load.target.host.clone());
        headers.insert(header::USER_AGENT, self.agent(&load.visitors)?);
        match operation {
            Operation::Redirect | Operation::Head | Operation::Preview => {
                let referrer = self.favourite(&load.visitors.referrers)?;
                if !referrer.is_empty() {
                    headers.insert(header::REFERER, referrer.clone());
                }
                let language = self.favourite(&load.visitors.languages)?;
                headers.insert(header::ACCEPT_LANGUAGE, language.clone());
            }
            Operation::Create | Operation::Stats => {
                if let Some(key) = &load.target.authorization {
                    headers.insert(header::AUTHORIZATION, key.clone());
                }
                headers.insert(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/json"),
                );
            }
        }
        match operation {
            Operation::Head => *question.method_mut() = Method::HEAD,
            Operation::Create => *question.method_mut() = Method::POST,
            Operation::Redirect | Operation::Stats | Operation::Preview => (),
        }
        Some(question)
    }

    fn key<'load>(&mut self, load: &'load Workload) -> Option<&'load Key> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank is 1 to the number of keys"
        )]
        let rank = self.popularity.sample(&mut self.random) as usize;
        load.keys.get(rank.saturating_sub(1))
    }

    fn unknown(&mut self) -> Option<Uri> {
        let letters = (0..UNKNOWN_LENGTH).filter_map(|_| {
            let at = self.random.random_range(0..BASE62.len());
            BASE62.get(at).copied()
        });
        let path: Vec<u8> = std::iter::once(b'/').chain(letters).collect();
        Uri::try_from(path).ok()
    }

    fn agent(&mut self, visitors: &Visitors) -> Option<HeaderValue> {
        let dice = self.random.random_range(0..100_u32);
        let agents = if dice < BOTS_PERCENT {
            &visitors.bots
        } else if dice < BOTS_PERCENT + PREVIEWS_PERCENT {
            &visitors.previews
        } else {
            &visitors.browsers
        };
        self.favourite(agents).cloned()
    }

    /// One of a list, the earlier the likelier.
    fn favourite<'list, T>(&mut self, list: &'list [T]) -> Option<&'list T> {
        let one = self.random.random_range(0..list.len());
        let other = self.random.random_range(0..list.len());
        list.get(one.min(other))
    }
}

impl Ask<'_> {
    /// What is wrong with an answer; nothing, if it is the expected one.
    pub(super) fn judge(&self, head: &Parts, body: &[u8]) -> Option<Trouble> {
        let status = head.status.as_u16();
        let expected = match &self.expected {
            Expected::Redirect(key) => key.status,
            Expected::Nothing => 404,
            Expected::Made(_) => 201,
            Expected::Statistics | Expected::Page => 200,
        };
        if status != expected {
            return Some(Trouble::BadStatus);
        }
        match &self.expected {
            Expected::Redirect(key) => {
                let location = head.headers.get(header::LOCATION);
                let right = location.is_some_and(|said| said.as_bytes() == key.location);
                (!right).then_some(Trouble::WrongLocation)
            }
            Expected::Nothing => None,
            Expected::Made(url) => {
                let made = serde_json::from_slice::<Made>(body);
                let right = made.is_ok_and(|made| made.long_url == *url);
                (!right).then_some(Trouble::BadBody)
            }
            Expected::Statistics => {
                let read = serde_json::from_slice::<Report>(body);
                read.is_err().then_some(Trouble::BadBody)
            }
            Expected::Page => body.is_empty().then_some(Trouble::BadBody),
        }
    }
}
