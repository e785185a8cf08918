//! Hosts, stores and forms that anybody may use: what they are called, and for whom.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use url::Url;

use crate::classify::risk::Found;
use crate::classify::risk::Name;
use crate::classify::risk::RiskRules;
use crate::classify::risk::known;
use crate::classify::risk::known::Known;

/// Words of a host and a path, by what they are for.
#[derive(Default)]
struct Count {
    mailboxes: usize,
    hard: usize,
    lures: usize,
    brands: usize,
    in_host: usize,
    in_path: usize,
    trial: bool,
}

impl RiskRules {
    /// Mailboxes, forms and addresses of victims on hosts, and in stores, where anybody leaves
    /// pages.
    pub(super) fn judge_borrowed(&self, url: &Url, name: Option<&Name>, found: &mut Found) {
        let host = url.host_str().unwrap_or("");
        let store = self.is_store(host);
        let lent = store || name.is_some_and(|name| name.lent && !name.account);
        let account = self.account(host);
        let pages = account.is_some();
        if lent || pages {
            let words = match (account, name) {
                (Some(account), _) => account.split(['.', '-']).collect(),
                (None, Some(name)) if !store => name.words().collect(),
                _ => Vec::new(),
            };
            let count = self.count(url, words);
            if pages && count.is_form() {
                found.add("a form that asks for trust among pages of anybody", 0.55);
            } else if lent
                && (count.mailboxes > 0
                    || name.is_some_and(|name| self.is_glued_mailbox(&name.site)))
            {
                let weight = if store { 0.55 } else { 0.45 };
                let reason = "the name of a mailbox on a host that anybody can borrow";
                found.add(reason, weight);
            } else if lent && count.is_login() {
                let reason = "a form that asks for trust on a host that anybody can borrow";
                found.add(reason, 0.35);
            }
        }
        let host_of = |set| Known::is_below(set, host);
        if host_of(&self.words.tunnel) {
            let words = name.into_iter().flat_map(Name::words).collect();
            let count = self.count(url, words);
            let weight = if count.hard + count.brands > 0 {
                0.4
            } else {
                0.25
            };
            found.add("a tunnel into the computer of somebody", weight);
        }
        if store {
            self.judge_store(url, found);
        }
        let of_somebody = url.fragment().is_some_and(names_somebody)
            || (lent || name.is_none())
                && url.query_pairs().any(|(_, value)| names_somebody(&value));
        if of_somebody {
            let weight = if lent || is_page(url.path()) {
                0.5
            } else {
                0.4
            };
            found.add("the address of somebody is carried along", weight);
        }
    }

    fn is_store(&self, host: &str) -> bool {
        let bucket = host
            .strip_suffix(".amazonaws.com")
            .is_some_and(|front| front.split(['.', '-']).any(|part| part == "s3"));
        bucket || Known::is_below(&self.words.store, host)
    }

    /// What stands in front of a host whose pages are those of anybody.
    fn account<'host>(&self, host: &'host str) -> Option<&'host str> {
        let host = host.strip_prefix("www.").unwrap_or(host);
        if self.words.pages.contains(host) {
            return Some("");
        }
        let end = known::ends_of(host).find(|end| self.words.pages.contains(end))?;
        host.strip_suffix(end)
    }

    fn count(&self, url: &Url, in_host: Vec<&str>) -> Count {
        let mut count = Count::default();
        let path = url.path().to_ascii_lowercase();
        let parts = path.split(['/', '-', '_', '.']);
        let words = in_host.into_iter().map(|word| (word, true));
        for (word, is_host) in words.chain(parts.map(|word| (word, false))) {
            let hard = self.words.is_hard(word);
            let lure = self.words.lure.contains(word) && !self.words.bait.contains(word);
            count.mailboxes += usize::from(self.words.mailbox.contains(word));
            count.hard += usize::from(hard);
            count.lures += usize::from(lure || !hard && self.words.bait.contains(word) && !is_host);
            count.in_host += usize::from(is_host && (hard || lure));
            count.in_path += usize::from(!is_host && hard);
            count.trial |= is_host && self.words.trial.contains(word);
            let brand = self.brands.same(word);
            count.brands +=
                usize::from(brand.is_some_and(|brand| !self.words.ambiguous.contains(brand)));
        }
        count
    }

    /// A page that asks for trust, among files that anybody may leave there.
    fn judge_store(&self, url: &Url, found: &mut Found) {
        let path = url.path().to_ascii_lowercase();
        let asks = |word: &str| self.words.is_hard(word) || word == "secure";
        let file = path.rsplit('/').next().unwrap_or("");
        let brand = self.brands.same(file.split('.').next().unwrap_or(""));
        let named = brand.is_some_and(|brand| !self.words.ambiguous.contains(brand));
        if is_page(&path) && (named || path.split(['/', '-', '_', '.']).any(asks)) {
            found.add("a page that asks for trust in a store of files", 0.55);
        }
    }
}

impl Count {
    /// Whether a page among those of anybody is made to look like somebody else's.
    const fn is_form(&self) -> bool {
        let asks = self.hard + self.mailboxes;
        asks > 0 && asks + self.lures > 1 || self.brands > 0 && asks + self.lures > 0
    }

    const fn is_login(&self) -> bool {
        !self.trial && self.in_host > 0 && self.in_path > 0 && self.hard + self.lures > 1
    }
}

/// How many labels stand behind the name of a bucket, in stores whose hosts may name a region too.
pub(super) fn labels_behind_a_bucket(host: &str) -> Option<usize> {
    if host == "blob.core.windows.net" || host.ends_with(".blob.core.windows.net") {
        return Some(4);
    }
    if host.ends_with(".web.core.windows.net") {
        return Some(5); // z13.web.core.windows.net
    }
    let is_store = |label: &str| label == "s3" || label.starts_with("s3-");
    let mut labels = host.strip_suffix(".amazonaws.com")?.split('.');
    labels.find(|label| is_store(label))?;
    Some(labels.count() + 3)
}

/// Whether a path ends in the name of a page.
fn is_page(path: &str) -> bool {
    [".html", ".htm", ".php"]
        .iter()
        .any(|end| path.ends_with(end))
}

/// Whether text is the address of a mailbox, as it is or in base64.
fn names_somebody(text: &str) -> bool {
    let is_mail = |text: &str| {
        text.split_once('@').is_some_and(|(who, host)| {
            let ends = host.rsplit_once('.');
            let plain = |c: char| c.is_ascii_alphanumeric() || ".-_+%".contains(c);
            !who.is_empty()
                && who.chars().all(plain)
                && host
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
                && ends.is_some_and(|(name, end)| !name.is_empty() && end.len() > 1)
        })
    };
    let text = text.trim_start_matches(['/', '#', '?', '=']);
    if text.len() > 200 {
        return false;
    }
    if text.contains('@') {
        return is_mail(text);
    }
    decoded(text).is_some_and(|text| is_mail(&text))
}

/// Text out of base64 of either alphabet.
pub(super) fn decoded(text: &str) -> Option<String> {
    if text.len() < 12 || text.len() > 2_000 {
        return None;
    }
    let plain = text
        .trim_end_matches('=')
        .replace('-', "+")
        .replace('_', "/");
    let bytes = STANDARD_NO_PAD.decode(plain).ok()?;
    String::from_utf8(bytes).ok()
}
