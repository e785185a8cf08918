//! The classifier: what a link is about, and how dangerous it looks.
//!
//! ```text
//! URL, title → words → lexicon ─┬→ features → head (rules)  ─┬→ shares → category, confidence
//!                               └→ text → transformer → head ┘
//! URL → risk rules, block lists → score, verdict, reasons
//! ```
//!
//! The rules are compiled in and always there. A model is a folder that may be missing, damaged or
//! of another architecture: then that is said once, and the rules go on.

#[cfg(feature = "classify")]
mod activations;
mod answer;
pub mod blocklist;
mod brands;
pub mod calibration;
pub mod corpus;
mod descent;
#[cfg(feature = "classify")]
mod encoder;
pub mod eval;
pub mod features;
pub mod fetch;
pub mod head;
#[cfg(feature = "classify")]
mod kernels;
mod lengths;
mod letters;
pub mod lexicon;
#[cfg(feature = "classify")]
mod model_files;
mod model_state;
mod page;
pub mod risk;
pub mod shares;
pub mod sites;
pub mod train;
#[cfg(feature = "classify")]
pub mod transformer;
pub mod vocabulary;
pub mod words;

use std::path::PathBuf;
#[cfg(feature = "classify")]
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use url::Url;

pub use crate::classify::answer::Answer;
pub use crate::classify::answer::Decided;
pub use crate::classify::answer::Question;
use crate::classify::blocklist::BlockLists;
use crate::classify::calibration::Calibration;
use crate::classify::features::Features;
use crate::classify::head::Head;
use crate::classify::lexicon::Lexicon;
use crate::classify::lexicon::Spoke;
use crate::classify::model_state::Model;
pub use crate::classify::model_state::ModelError;
pub use crate::classify::model_state::verify_model;
use crate::classify::risk::Assessment;
use crate::classify::risk::RiskRules;
use crate::classify::shares::Shares;
use crate::classify::sites::Kind;
use crate::classify::sites::Sites;
use crate::classify::words::Words;
use crate::domain::label::Category;
use crate::domain::label::Label;
#[cfg(feature = "classify")]
use crate::telemetry;

/// Raised when rules or weights change what is said: the sweep then labels everything again.
const GENERATION: i32 = 8;
/// The head of the rules.
const RULES_HEAD: &[u8] = include_bytes!("data/rules.head");
/// The name of a head that stands beside another model.
#[cfg(feature = "classify")]
pub const HEAD_FILE: &str = "urlshort.head";
/// From so many questions on, the rules work on all cores.
const MANY: usize = 512;

/// Waiting links are counted up to this number.
pub const COUNTED: usize = 100_000;

/// The rank of a labeller with or without a model: labels of a lower one are made again.
#[must_use]
pub const fn rank(has_model: bool) -> i32 {
    GENERATION * 2 + has_model as i32
}

/// Rules, lists and, where there is one, a model. Shared by everything in a process.
#[derive(Debug)]
pub struct Classifier {
    lexicon: Lexicon,
    rules: Head,
    risk: RiskRules,
    lists: BlockLists,
    model: ArcSwapOption<Model>,
    /// Well-known sites, where they count.
    sites: Option<Sites>,
}

/// A question with what was read of it.
struct Read {
    url: Option<Url>,
    words: Words,
    /// What the page of a well-known site says of itself.
    #[cfg(feature = "classify")]
    page: Option<Words>,
    features: Features,
    spoke: Vec<Spoke>,
    site: Option<Kind>,
}

impl Read {
    /// The words that heads are asked about. Those of a well-known site's own name would mislead.
    #[cfg(feature = "classify")]
    fn asked(&self) -> &Words {
        self.page.as_ref().unwrap_or(&self.words)
    }
}

impl Classifier {
    /// The rules, with block lists in these files.
    #[must_use]
    pub fn new(lists: Vec<PathBuf>) -> Self {
        Self {
            lexicon: Lexicon::new(),
            rules: Head::from_bytes(RULES_HEAD).expect("the compiled-in weights are ours"),
            risk: RiskRules::new(),
            lists: BlockLists::new(lists),
            model: ArcSwapOption::empty(),
            sites: Some(Sites::new()),
        }
    }

    /// The same without well-known sites: what it knows of sites that nobody listed.
    #[must_use]
    pub fn without_sites(mut self) -> Self {
        self.sites = None;
        self
    }

    /// The block lists.
    #[must_use]
    pub const fn lists(&self) -> &BlockLists {
        &self.lists
    }

    /// The lexicon.
    #[must_use]
    pub const fn lexicon(&self) -> &Lexicon {
        &self.lexicon
    }

    /// Loads a model; may take a second, so not on a thread that serves.
    ///
    /// # Errors
    /// [`ModelError`]; the rules go on.
    #[cfg(feature = "classify")]
    pub fn load_model(&self, folder: &std::path::Path) -> Result<(), ModelError> {
        self.model.store(Some(Arc::new(Model::load(folder)?)));
        telemetry::classifier_model(true);
        Ok(())
    }

    /// Without the cargo feature `classify` there are rules alone.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(feature = "classify"))]
    pub fn load_model(&self, folder: &std::path::Path) -> Result<(), ModelError> {
        Err(ModelError::Unusable {
            folder: folder.to_owned(),
            why: "this program was built without the cargo feature `classify`".to_owned(),
        })
    }

    /// The name of who answers now: it stands in every label.
    #[must_use]
    pub fn name(&self) -> String {
        let model = self.model.load();
        model
            .as_ref()
            .map_or_else(|| format!("rules-{GENERATION}"), |model| model.name.clone())
    }

    /// The higher, the better the answers: labels of a lower rank are made again.
    #[must_use]
    pub fn rank(&self) -> i32 {
        rank(self.model.load().is_some())
    }

    /// How dangerous `url` looks: rules alone, in microseconds.
    #[must_use]
    pub fn assess(&self, url: &str) -> Assessment {
        self.risk
            .assess(url, &self.lists, self.lexicon.vocabulary())
    }

    /// Answers in order. With a model this computes for milliseconds a question: not on a thread
    /// that serves.
    #[must_use]
    pub fn answer(&self, questions: &[Question]) -> Vec<Answer> {
        self.answer_each(questions, |_, answer| answer)
    }

    /// The same for whatever holds a question; of each answer what `tell` makes of it is kept, on
    /// the thread that found it.
    #[must_use]
    pub fn answer_each<Asked, Told>(
        &self,
        asked: &[Asked],
        tell: impl Fn(&Asked, Answer) -> Told + Sync,
    ) -> Vec<Told>
    where
        Asked: AsRef<Question> + Sync,
        Told: Send,
    {
        // The model spreads its own work; small batches are not worth a thread.
        let alone = asked.len() < MANY || self.model.load().is_some();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if alone || cores == 1 {
            return self.answer_here(asked, &tell);
        }
        let share = asked.len().div_ceil(cores);
        std::thread::scope(|scope| {
            let parts = asked.chunks(share);
            let running: Vec<_> = parts
                .map(|part| scope.spawn(|| self.answer_here(part, &tell)))
                .collect();
            let ended = running.into_iter().map(|thread| match thread.join() {
                Ok(answers) => answers,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            ended.flatten().collect()
        })
    }

    fn answer_here<Asked: AsRef<Question>, Told>(
        &self,
        asked: &[Asked],
        tell: &impl Fn(&Asked, Answer) -> Told,
    ) -> Vec<Told> {
        let read = |one: &Asked| self.read(one.as_ref());
        if self.model.load().is_none() {
            // One after the other: what was read of one is gone before the next.
            let told = asked
                .iter()
                .map(|one| tell(one, self.decide(read(one), None)));
            return told.collect();
        }
        let read: Vec<Read> = asked.iter().map(read).collect();
        let beside = self.ask_model(&read);
        let mut told = Vec::with_capacity(asked.len());
        for (at, (one, read)) in asked.iter().zip(read).enumerate() {
            let model = beside.as_ref().and_then(|all| all.get(at));
            told.push(tell(one, self.decide(read, model)));
        }
        told
    }

    /// An answer of the rules alone, whether there is a model or not.
    #[must_use]
    pub fn answer_by_rules(&self, question: &Question) -> Answer {
        self.decide(self.read(question), None)
    }

    fn read(&self, question: &Question) -> Read {
        let title = question.title.as_deref();
        let (text, known) = (question.url.as_str(), self.lexicon.vocabulary());
        let url = Url::parse(text).ok();
        let words = words::read_parsed(text, url.as_ref(), title, known);
        let sites = self.sites.as_ref();
        let site = sites.and_then(|sites| sites.find(&words.host));
        let page = site.map(|site| words.of_page(site.below, known));
        let asked = page.as_ref().unwrap_or(&words);
        let heard = self.lexicon.hear(asked);
        let features = features::of(asked, &heard);
        let mut spoke = heard.spoke;
        spoke.extend(site.map(|site| Spoke {
            what: "known site",
            word: site.site.to_owned(),
            category: site.kind.category,
            weight: 1.0,
        }));
        let site = site.map(|site| site.kind);
        Read {
            url,
            words,
            #[cfg(feature = "classify")]
            page,
            features,
            spoke,
            site,
        }
    }

    #[cfg(feature = "classify")]
    fn ask_model(&self, read: &[Read]) -> Option<Vec<Shares>> {
        let model = self.model.load_full()?;
        let texts: Vec<String> = read.iter().map(|one| one.asked().text()).collect();
        match model.transformer.embed(&texts) {
            Ok(vectors) => {
                let asked = read.iter().zip(&vectors);
                Some(
                    asked
                        .map(|(one, vector)| model.head.shares(&one.features, Some(vector)))
                        .collect(),
                )
            }
            Err(error) => {
                telemetry::classify_errors("model", 1);
                tracing::error!(%error, "the model failed; the rules answer");
                None
            }
        }
    }

    #[cfg(not(feature = "classify"))]
    #[expect(clippy::unused_self, reason = "the other build has a model")]
    fn ask_model(&self, _read: &[Read]) -> Option<Vec<Shares>> {
        None
    }

    fn decide(&self, read: Read, model: Option<&Shares>) -> Answer {
        let by_rules = self.rules.shares(&read.features, None);
        let (mut shares, mut decided, calibration) = match model {
            None => (by_rules, Decided::Rules, self.rules.calibration),
            Some(by_model) => self.combine(&by_rules, by_model),
        };
        calibration.apply(&mut shares, read.features.titled);
        if let Some(site) = read.site {
            let at = site.category.number();
            let own = shares.get(at).copied().unwrap_or(0.0);
            let (best, share) = shares::best_named(&shares);
            let other = if best == at { 0.0 } else { share };
            if let Some(sure) = site.sureness(own, other, calibration.threshold) {
                shares::set(&mut shares, at, sure);
                decided = Decided::KnownSite;
            }
        }
        if read.url.is_none() {
            // Whatever words stand in it: nothing is there.
            shares::set(&mut shares, Category::Other.number(), 1.0);
        }
        let (best, share) = shares::best_named(&shares);
        let none = shares.get(Category::Other.number()).copied().unwrap_or(0.0);
        let category = Category::from_number(best)
            .filter(|_| share >= calibration.threshold && share > none)
            .unwrap_or(Category::Other);
        let confidence = if category == Category::Other {
            none.max(1.0 - share)
        } else {
            share
        };
        let (url, known) = (read.url.as_ref(), self.lexicon.vocabulary());
        let assessment = self.risk.assess_parsed(url, &self.lists, known);
        Answer {
            label: Label {
                category,
                confidence: confidence.clamp(0.0, 1.0),
                risk: assessment.risk.clone(),
            },
            shares,
            decided,
            words: read.words,
            spoke: read.spoke,
            assessment,
        }
    }

    /// One opinion of two, and whose it is in the end.
    #[cfg(feature = "classify")]
    fn combine(&self, rules: &Shares, model: &Shares) -> (Shares, Decided, Calibration) {
        let shares = shares::mix(rules, model);
        let best = shares::best_named(&shares).0;
        let agrees = |shares: &Shares| shares::best_named(shares).0 == best;
        let decided = match (agrees(rules), agrees(model)) {
            (true, true) => Decided::Both,
            (true, false) => Decided::Rules,
            (false, _) => Decided::Model,
        };
        let loaded = self.model.load();
        let calibration = loaded
            .as_ref()
            .map_or(self.rules.calibration, |model| model.head.calibration);
        (shares, decided, calibration)
    }

    #[cfg(not(feature = "classify"))]
    fn combine(&self, rules: &Shares, _model: &Shares) -> (Shares, Decided, Calibration) {
        (*rules, Decided::Rules, self.rules.calibration)
    }
}
