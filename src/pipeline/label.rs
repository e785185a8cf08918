//! Labels: links in, categories and verdicts into their rows.
//!
//! # Why
//!
//! The sweep is the one way that needs nothing but the databases: it finds what has no label, or
//! one of an older labeller. Events only make it sooner, so losing one costs seconds, not a label.
//! A label is written where the version still is the one that was read; two workers that meet do
//! the same work twice and no harm.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Semaphore;
use tokio::sync::watch;

use crate::classify::Answer;
use crate::classify::Classifier;
use crate::classify::Decided;
use crate::classify::Question;
use crate::classify::fetch::Fetcher;
use crate::domain::label::Category;
use crate::domain::label::Label;
use crate::domain::label::Risk;
use crate::domain::label::Verdict;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::rows::Labeller as Signature;
use crate::store::rows::NewLabel;
use crate::store::rows::ToLabel;
use crate::store::shard::Shard;
use crate::telemetry;

/// Links in one batch.
pub(super) const BATCH: usize = 128;
/// Batches whose pages wait to be read at most.
pub const READING: u32 = 64;

/// What labelling needs.
#[derive(Clone, Debug)]
pub struct Labeller {
    /// The shards.
    pub store: Arc<Store>,
    /// Who says what a link is about.
    pub classifier: Arc<Classifier>,
    /// Fetches pages, where that is wanted.
    pub fetcher: Option<Arc<Fetcher>>,
    /// Batches whose pages may be read at once.
    pub reading: Arc<Semaphore>,
    /// Grows with every change of the block lists.
    pub lists: Arc<watch::Sender<u64>>,
}

/// The label of a link, and who decided it; `None`: nobody, it is set aside.
struct Judged {
    label: NewLabel,
    decided: Option<Decided>,
}

impl Labeller {
    /// Labels `links`, which one shard owns; answers how many carry the label now.
    ///
    /// # Errors
    /// An outage of the shard.
    pub async fn label(
        &self,
        shard: &Shard,
        links: Vec<ToLabel>,
        force: bool,
    ) -> Result<usize, StoreError> {
        if links.is_empty() {
            return Ok(0);
        }
        let untitled: Vec<ToLabel> = match &self.fetcher {
            Some(_) => links
                .iter()
                .filter(|link| link.title.is_none())
                .cloned()
                .collect(),
            None => Vec::new(),
        };
        let judged = self.judge(links).await;
        judged.iter().for_each(count);
        let written = self.write(shard, &judged, force).await?;
        self.read_pages(shard, untitled, force);
        Ok(written)
    }

    async fn write(
        &self,
        shard: &Shard,
        judged: &[Judged],
        force: bool,
    ) -> Result<usize, StoreError> {
        let labels: Vec<NewLabel> = judged.iter().map(|one| one.label.clone()).collect();
        let (name, rank) = (self.classifier.name(), self.classifier.rank());
        let signature = Signature {
            model: &name,
            rank,
            force,
        };
        let done = shard.label(&labels, signature).await?;
        if !done.changed.is_empty() {
            tracing::info!(links = done.changed.len(), "verdicts changed");
        }
        Ok(done.written)
    }

    /// Labels links again by what their pages say, behind the verdicts: pages that hang must not
    /// keep a dangerous link open. Where too many wait already, the addresses have to do.
    fn read_pages(&self, shard: &Shard, links: Vec<ToLabel>, force: bool) {
        let Some(fetcher) = self.fetcher.clone().filter(|_| !links.is_empty()) else {
            return;
        };
        let Ok(turn) = Arc::clone(&self.reading).try_acquire_owned() else {
            telemetry::classify_errors("fetch", links.len() as u64);
            return;
        };
        let (labeller, shard) = (self.clone(), shard.clone());
        drop(tokio::spawn(async move {
            let pages = links.into_iter().map(|mut link| {
                let fetcher = &fetcher;
                async move {
                    link.title = fetcher.title(&link.target).await;
                    link
                }
            });
            // Each is written down as it comes: nobody waits for the slowest.
            let pages: FuturesUnordered<_> = pages.collect();
            let mut read = pages.ready_chunks(BATCH);
            while let Some(mut links) = read.next().await {
                links.retain(|link| link.title.is_some());
                if links.is_empty() {
                    continue;
                }
                // They are counted already.
                let judged = labeller.judge(links).await;
                // What changed meanwhile has another version, and is asked about anew.
                if let Err(error) = labeller.write(&shard, &judged, force).await {
                    tracing::debug!(%error, "what pages say is not written down");
                }
            }
            drop(turn);
        }));
    }

    /// Waits until every page that was asked for is read.
    async fn pages_read(&self) {
        drop(self.reading.acquire_many(READING).await);
    }

    /// The labels of `links`. What the classifier fails on is looked at alone, and set aside.
    async fn judge(&self, links: Vec<ToLabel>) -> Vec<Judged> {
        let mut judged = Vec::with_capacity(links.len());
        let mut parts = vec![links];
        while let Some(mut part) = parts.pop() {
            match self.ask(&part).await {
                Some(answers) => {
                    for (link, answer) in part.into_iter().zip(answers) {
                        let decided = Some(answer.decided);
                        judged.push(signed(link, answer.label, decided));
                    }
                }
                None if part.len() > 1 => {
                    let right = part.split_off(part.len() / 2);
                    parts.extend([part, right]);
                }
                None => {
                    telemetry::classify_errors("link", 1);
                    for link in part {
                        tracing::error!(code = %link.code, "the classifier fails on this link");
                        judged.push(signed(link, set_aside(), None));
                    }
                }
            }
        }
        judged
    }

    /// The answers for a batch; `None`: the classifier failed on something in it.
    async fn ask(&self, links: &[ToLabel]) -> Option<Vec<Answer>> {
        let questions: Vec<Question> = links.iter().map(question).collect();
        let later: Vec<(Option<String>, Verdict)> = { links.iter() }
            .map(|link| (link.expired_url.clone(), link.verdict))
            .collect();
        let (classifier, begun) = (Arc::clone(&self.classifier), Instant::now());
        let asked = tokio::task::spawn_blocking(move || {
            let mut answers = classifier.answer(&questions);
            for (answer, (url, before)) in answers.iter_mut().zip(later) {
                worsen(&mut answer.label.risk, &classifier, url.as_deref());
                hold(&mut answer.label.risk, &classifier, before);
            }
            answers
        });
        let answers = asked
            .await
            .ok()
            .filter(|answers| answers.len() == links.len());
        if answers.is_some() {
            telemetry::classify_batch(begun.elapsed(), links.len());
        }
        answers
    }
}

fn question(link: &ToLabel) -> Question {
    Question {
        url: link.target.clone(),
        title: link.title.clone(),
    }
}

/// A link is as dangerous as the worst page that it leads to, now or once it has expired.
fn worsen(risk: &mut Risk, classifier: &Classifier, expired_url: Option<&str>) {
    let Some(later) = expired_url.map(|url| classifier.assess(url).risk) else {
        return;
    };
    if later.score > risk.score {
        let reasons = later.reasons.iter();
        *risk = Risk {
            reasons: reasons
                .map(|reason| format!("expired_url: {reason}"))
                .collect(),
            ..later
        };
    }
}

/// What was blocked `before` stays so while a block list cannot be read: it may stand there.
fn hold(risk: &mut Risk, classifier: &Classifier, before: Verdict) {
    if before == Verdict::Malicious
        && risk.verdict != Verdict::Malicious
        && !classifier.lists().are_complete()
    {
        risk.verdict = Verdict::Malicious;
        let why = "it was blocked before, and a block list cannot be read now";
        risk.reasons.insert(0, why.to_owned());
    }
}

/// The verdict that the rules come to now, without what links and pages are about.
pub(super) fn verdict(classifier: &Classifier, link: &ToLabel) -> Verdict {
    let mut risk = classifier.assess(&link.target).risk;
    worsen(&mut risk, classifier, link.expired_url.as_deref());
    hold(&mut risk, classifier, link.verdict);
    risk.verdict
}

fn count(judged: &Judged) {
    let decided = match judged.decided {
        None => return, // set aside
        Some(Decided::Rules) => "rules",
        Some(Decided::Model) => "model",
        Some(Decided::Both) => "both",
        Some(Decided::KnownSite) => "known_site",
    };
    let label = &judged.label.label;
    telemetry::classified(label.category.word(), decided);
    telemetry::classify_verdict(label.risk.verdict.word());
}

fn signed(link: ToLabel, label: Label, decided: Option<Decided>) -> Judged {
    let label = NewLabel {
        code: link.code,
        version: link.version,
        label,
    };
    Judged { label, decided }
}

/// The label of a link that nothing can be said of.
fn set_aside() -> Label {
    Label {
        category: Category::Other,
        confidence: 0.0,
        risk: Risk {
            reasons: vec!["the classifier could not read this link".to_owned()],
            ..Risk::default()
        },
    }
}

/// What labelling everything again came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backfilled {
    /// Links with a new label.
    pub labelled: usize,
    /// Links that were blocked and are not any more.
    pub freed: usize,
}

/// Labels every link of `shard`, whoever did before; `progress` is told after each batch.
///
/// # Errors
/// An outage of the shard.
pub async fn backfill(
    labeller: &Labeller,
    shard: &Shard,
    mut progress: impl FnMut(usize),
) -> Result<Backfilled, StoreError> {
    let (mut after, mut done) = (String::new(), Backfilled::default());
    loop {
        let links = shard.to_label_after(&after, BATCH).await?;
        let Some(last) = links.last() else {
            return Ok(done);
        };
        after = last.code.to_string();
        let read = links.len();
        let is_blocked = |verdict| verdict == Verdict::Malicious;
        let freed = { links.iter() }.filter(|link| {
            is_blocked(link.verdict) && !is_blocked(verdict(&labeller.classifier, link))
        });
        done.freed += freed.count();
        done.labelled += labeller.label(shard, links, true).await?;
        labeller.pages_read().await;
        progress(read);
    }
}

/// Loads the model of `folder`, in the background of everything else; without it the rules go on.
pub async fn load_model(classifier: Arc<Classifier>, folder: PathBuf) {
    let loading = tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        (classifier.load_model(&folder), begun.elapsed(), classifier)
    });
    match loading.await {
        Ok((Ok(()), took, classifier)) => {
            let seconds = took.as_secs_f64();
            tracing::info!(model = classifier.name(), seconds, "the model is loaded");
        }
        Ok((Err(error), _, _)) => {
            telemetry::classify_errors("model", 1);
            tracing::error!(%error, "the rules classify alone");
        }
        Err(error) => {
            telemetry::classify_errors("model", 1);
            tracing::error!(%error, "loading the model failed; the rules classify alone");
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use uuid::Uuid;

    use super::*;
    use crate::config::ShardConfig;
    use crate::config::ShardUrl;
    use crate::domain::link::LinkFields;
    use crate::domain::link::NewLink;
    use crate::store::Judgement;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_verdict_does_not_wait_for_a_page_that_hangs() {
        let folder = std::env::temp_dir().join(format!("urlshort-label-{}", Uuid::now_v7()));
        let url = ShardUrl::Sqlite(folder.join("links.db"));
        let store = Arc::new(Store::new(&[ShardConfig { url, weight: 1.0 }]).unwrap());
        assert!(matches!(store.judge().await, Judgement::Started));
        let shard = store.members().first().unwrap().shard.clone();
        let labeller = Labeller {
            store,
            classifier: Arc::new(Classifier::new(Vec::new())),
            fetcher: Some(Arc::new(Fetcher::anywhere())),
            reading: Arc::new(Semaphore::new(READING as usize)),
            lists: Arc::new(watch::Sender::new(0)),
        };
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let target = format!("http://127.0.0.1:{port}/paypal/login.php");
        let link = NewLink {
            code: "hangs".parse().unwrap(),
            owner: None,
            fields: LinkFields::to(target),
        };
        shard.insert(&link, false).await.unwrap();
        let rank = labeller.classifier.rank();
        let links = shard.unlabelled(rank, BATCH).await.unwrap();
        assert_eq!(labeller.label(&shard, links, false).await.unwrap(), 1);
        let labelled = shard.find(&link.code).await.unwrap().unwrap().labelled;
        let verdict = labelled.unwrap().label.risk.verdict;
        assert_eq!(verdict, Verdict::Suspicious);
        // The page is asked for, and the question still waits for its answer.
        let (question, _) = server.accept().await.unwrap();
        assert!(labeller.reading.available_permits() < READING as usize);
        drop(question);
        labeller.pages_read().await;
        std::fs::remove_dir_all(folder).unwrap();
    }
}
