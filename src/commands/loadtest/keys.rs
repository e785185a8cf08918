//! Which links are followed, and what each must answer: from the service's list, a file, or a run
//! of `seed`.

use std::fmt;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use hyper::Method;
use hyper::StatusCode;
use hyper::Uri;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::header::LOCATION;
use serde::Deserialize;
use url::Url;

use super::target::Target;
use crate::commands::Failure;
use crate::commands::seed::made_up;
use crate::domain::code::ShortCode;
use crate::domain::link::LinkFields;
use crate::domain::route::LinkState;
use crate::domain::target::TargetPolicy;
use crate::domain::time::Timestamp;

/// Links of a seed run that are looked for before it is followed.
const PROBES: usize = 20;
/// Links of one page of the list.
const PAGE: usize = 200;

/// A link to follow, with what it must answer.
#[derive(Debug)]
pub(super) struct Key {
    /// Its code.
    pub(super) code: ShortCode,
    /// The path that follows it.
    pub(super) uri: Uri,
    /// The status of its redirect.
    pub(super) status: u16,
    /// Where it leads, in the bytes of the header.
    pub(super) location: Bytes,
    /// Redirects that were answered as they should.
    acknowledged: AtomicU64,
    /// Requests without an answer: their click may be counted or not.
    unanswered: AtomicU64,
}

/// Where keys come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'args> {
    /// The newest active links that the service lists.
    List,
    /// The lines of a file: a code, or a code and where it leads.
    File(&'args Path),
    /// The links that `seed --count --seed` made.
    Seed(u64, u64),
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List => f.write_str("the service's list"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Seed(count, seed) => write!(f, "seed --count {count} --seed {seed}"),
        }
    }
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Listed>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Listed {
    code: ShortCodeText,
    long_url: String,
    redirect_status: u16,
    expires_at: Option<String>,
    valid_from: Option<String>,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct ShortCodeText(String);

impl Key {
    /// A key; `None` where the code makes no path.
    fn new(code: ShortCode, status: u16, location: impl Into<Bytes>) -> Option<Self> {
        let uri = format!("/{}", code.as_str()).parse().ok()?;
        Some(Self {
            code,
            uri,
            status,
            location: location.into(),
            acknowledged: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
        })
    }

    /// One redirect more was answered as it should.
    pub(super) fn acknowledge(&self) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// One request more got no answer.
    pub(super) fn give_up(&self) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
    }

    /// Redirects that were acknowledged, and requests without an answer.
    pub(super) fn tally(&self) -> (u64, u64) {
        (
            self.acknowledged.load(Ordering::Relaxed),
            self.unanswered.load(Ordering::Relaxed),
        )
    }
}

/// At most `most` links to follow.
///
/// # Errors
/// Where there are none, and what to do.
pub(super) async fn load(
    source: Source<'_>,
    most: u64,
    target: &Target,
) -> Result<Vec<Key>, Failure> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let keys = match source {
        Source::List => listed(most, target).await?,
        Source::File(path) => in_file(path, most, target).await?,
        Source::Seed(count, seed) => {
            let keys = seeded(count, seed, most);
            are_there(&keys, (count, seed), target).await?;
            keys
        }
    };
    if keys.is_empty() {
        return Err(Failure::Failed(match source {
            Source::List => format!(
                "{} has no link to follow: make some with `urlshort seed`",
                target.url
            ),
            Source::File(path) => format!(
                "--keys: {} names no link: write a code in each line",
                path.display()
            ),
            Source::Seed(..) => {
                "--seed-run: none of these links can be followed: take more of them".to_owned()
            }
        }));
    }
    Ok(keys)
}

async fn listed(most: usize, target: &Target) -> Result<Vec<Key>, Failure> {
    let mut keys = Vec::new();
    let mut cursor = String::new();
    let mut line = target.line().await?;
    while keys.len() < most {
        let path = format!("/api/v1/links?status=active&limit={PAGE}{cursor}");
        let (status, body) = target.get(&mut line, &path).await?;
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(Failure::Failed(
                "the list of links needs a key with links:read: say --key, run where \
                 data_dir/admin-key lies, or name the links with --keys FILE or --seed-run COUNT"
                    .to_owned(),
            ));
        }
        if status == StatusCode::NOT_FOUND {
            return Err(Failure::Failed(format!(
                "{}: no API of urlshort answers there (404); name the public port, not the admin \
                 one",
                target.url
            )));
        }
        if !status.is_success() {
            return Err(Failure::Unavailable(format!(
                "{}: the list of links was answered {status}: {}",
                target.url,
                String::from_utf8_lossy(&body)
            )));
        }
        let page: Page = serde_json::from_slice(&body).map_err(|error| {
            let url = &target.url;
            Failure::Failed(format!("{url}: no urlshort answers there: {error}"))
        })?;
        // What begins or ends during the run would be a failure of the plan, not of the service.
        let lasts = |link: &Listed| link.expires_at.is_none() && link.valid_from.is_none();
        let lasting = page.data.into_iter().filter(lasts);
        keys.extend(lasting.filter_map(|link| {
            let code = link.code.0.parse().ok()?;
            Key::new(code, link.redirect_status, link.long_url)
        }));
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    keys.truncate(most);
    Ok(keys)
}

/// Reads the codes of a file; where a line does not say where its code leads, the service is asked.
async fn in_file(path: &Path, most: usize, target: &Target) -> Result<Vec<Key>, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Failed(format!("--keys: {shown} cannot be read: {error}")))?;
    let mut keys = Vec::new();
    let mut line = target.line().await?;
    let lines = (1..).zip(text.lines());
    let lines = lines.filter(|(_, text)| !text.trim().is_empty() && !text.starts_with('#'));
    for (number, text) in lines.take(most) {
        let complain = |why: String| Failure::Failed(format!("--keys: {shown}:{number}: {why}"));
        let mut words = text.split_whitespace();
        let word = words.next().unwrap_or("");
        let code: ShortCode = word
            .parse()
            .map_err(|error| complain(format!("{word:?}: {error}")))?;
        let expected = words.next().map(Url::parse).transpose();
        let expected = expected.map_err(|error| complain(format!("the target: {error}")))?;
        let question = target.question(Method::HEAD, &format!("/{}", code.as_str()))?;
        let (head, _) = target.ask(&mut line, question, code.as_str()).await?;
        let said = head.headers.get(LOCATION).map(HeaderValue::as_bytes);
        let location = match (&expected, said) {
            (Some(url), _) => Bytes::from(url.as_str().to_owned()),
            (None, Some(said)) => Bytes::copy_from_slice(said),
            (None, None) => {
                return Err(complain(format!(
                    "{} is answered {}: it is no link to follow",
                    code.as_str(),
                    head.status.as_u16()
                )));
            }
        };
        let status = if head.status.is_redirection() {
            head.status.as_u16()
        } else {
            302
        };
        keys.extend(Key::new(code, status, location));
    }
    Ok(keys)
}

/// Looks for some of the links of a seed run, spread over all of them.
async fn are_there(
    keys: &[Key],
    (count, seed): (u64, u64),
    target: &Target,
) -> Result<(), Failure> {
    let mut line = target.line().await?;
    let step = (keys.len() / PROBES).max(1);
    for key in keys.iter().rev().step_by(step) {
        let path = format!("/{}", key.code.as_str());
        let question = target.question(Method::HEAD, &path)?;
        let (head, _) = target.ask(&mut line, question, &path).await?;
        if head.status == StatusCode::NOT_FOUND {
            return Err(Failure::Failed(format!(
                "--seed-run {count}:{seed}: {} is not there; make them with `urlshort seed --count \
                 {count} --seed {seed}`",
                key.code.as_str()
            )));
        }
    }
    Ok(())
}

fn seeded(count: u64, seed: u64, most: usize) -> Vec<Key> {
    let policy = TargetPolicy::default();
    let now = Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
    let lasts = |fields: &LinkFields| {
        fields.state() == LinkState::Active
            && fields.valid_from.is_none()
            && fields.expires_at.is_none()
    };
    (0..count)
        .filter_map(|index| {
            let fields = made_up::fields(seed, index, now, &policy).ok();
            let fields = fields.filter(lasts)?;
            let code = made_up::code(seed, index, 0)?;
            Key::new(code, fields.status.code(), fields.target)
        })
        .take(most)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_run_gives_the_same_lasting_links_every_time() {
        let keys = seeded(500, 1, 300);
        assert_eq!(keys.len(), 300);
        let again = seeded(500, 1, 300);
        for (one, other) in keys.iter().zip(&again) {
            assert_eq!(one.code, other.code);
            assert_eq!(one.location, other.location);
        }
        assert!(keys.iter().any(|key| key.status == 301));
        assert!(keys.iter().all(|key| key.location.starts_with(b"http")));
    }

    #[test]
    fn a_key_remembers_what_became_of_its_requests() {
        let key = Key::new("abc".parse().unwrap(), 302, "https://a.example/").unwrap();
        key.acknowledge();
        key.acknowledge();
        key.give_up();
        assert_eq!(key.tally(), (2, 1));
    }
}
