//! Where a URL leads beyond its own host: to another address that it carries.

use url::Host;
use url::Url;

use crate::classify::risk::Found;
use crate::classify::risk::RiskRules;
use crate::classify::risk::SUSPICIOUS;
use crate::classify::risk::borrowed::decoded;
use crate::classify::risk::paths::is_open_address;
use crate::classify::vocabulary::Vocabulary;

/// Addresses in a query that are looked at.
const MOST_LEADS: usize = 3;
/// How much a bad address that a URL leads on to counts at most: the host itself may be honest.
const LEAD: f32 = 0.7;
/// How `http` begins in base64.
const HIDDEN: &str = "aHR0c";

impl RiskRules {
    /// An address in the query that is bad itself: `?url=https://paypa1-login.example/`.
    pub(super) fn judge_leads(&self, url: &Url, vocabulary: &Vocabulary, found: &mut Found) {
        let signs = ["//", "%2", HIDDEN];
        let query = url.query().unwrap_or("");
        let queried = signs.iter().any(|sign| query.contains(sign));
        let pairs = queried.then(|| url.query_pairs().map(|(_, value)| value));
        let values = pairs.into_iter().flatten();
        let leads = in_path(url).into_iter().chain(values.filter_map(|value| {
            let hidden = || {
                let at = value.find(HIDDEN)?;
                Url::parse(&decoded(value.get(at..)?)?).ok()
            };
            Url::parse(&value).ok().or_else(hidden)
        }));
        let leads = leads.filter(|lead| matches!(lead.scheme(), "http" | "https"));
        for lead in leads.take(MOST_LEADS) {
            if is_open_address(lead.host().as_ref()) {
                found.add("it leads on to an address instead of a host name", LEAD);
                return;
            }
            let Some(Host::Domain(host)) = lead.host() else {
                continue;
            };
            let mut there = Found::default();
            let name = self.name(host);
            self.judge_name(host, &name, &lead, vocabulary, &mut there);
            self.judge_path(&lead, Some(&name), &mut there);
            self.judge_borrowed(&lead, Some(&name), &mut there);
            let there = there.finish();
            if let Some((reason, _)) = there.fired.first()
                && there.risk.score >= SUSPICIOUS
            {
                found.add(format!("it leads on to {host}: {reason}"), LEAD);
                return;
            }
        }
    }
}

/// An address behind another one in the path: `/amp/s/paypa1.example/`, `/go/https://…`.
fn in_path(url: &Url) -> Option<Url> {
    let path = url.path();
    if !path.contains(':') && !path.contains("/amp/") {
        return None;
    }
    if let Some((_, rest)) = path.split_once("/amp/s/") {
        return Url::parse(&format!("https://{rest}")).ok();
    }
    let at = path.find("http:/").or_else(|| path.find("https:/"))?;
    Url::parse(path.get(at..)?).ok()
}
