//! Where a URL leads beyond its own host: to another address that it carries, or into a store that
//! keeps the files of anybody.

use url::Host;
use url::Url;

use crate::classify::risk::Found;
use crate::classify::risk::RiskRules;
use crate::classify::risk::SUSPICIOUS;
use crate::classify::words::Vocabulary;

/// Addresses in a query that are looked at.
const MOST_LEADS: usize = 3;
/// How much a bad address that a URL leads on to counts at most: the host itself may be honest.
const LEAD: f32 = 0.7;

impl RiskRules {
    /// An address in the query that is bad itself: `?url=https://paypa1-login.example/`.
    pub(super) fn judge_leads(&self, url: &Url, vocabulary: &Vocabulary, found: &mut Found) {
        if !url
            .query()
            .is_some_and(|query| query.contains("//") || query.contains("%2"))
        {
            return;
        }
        let leads = url.query_pairs().filter_map(|(_, value)| {
            let lead = Url::parse(&value).ok()?;
            matches!(lead.scheme(), "http" | "https").then_some(lead)
        });
        for lead in leads.take(MOST_LEADS) {
            let Some(Host::Domain(host)) = lead.host() else {
                continue;
            };
            let mut there = Found::default();
            self.judge_name(host, &self.name(host), &lead, vocabulary, &mut there);
            let there = there.finish();
            if let Some((reason, _)) = there.fired.first()
                && there.risk.score >= SUSPICIOUS
            {
                found.add(format!("it leads on to {host}: {reason}"), LEAD);
                return;
            }
        }
    }

    /// A page that asks for trust, among files that anybody may leave there.
    pub(super) fn judge_store(&self, url: &Url, found: &mut Found) {
        let host = url.host_str().unwrap_or("");
        let mut ends = host
            .match_indices('.')
            .filter_map(|(at, _)| host.get(at + 1..));
        let kept = self.store.contains(host) || ends.any(|end| self.store.contains(end));
        if !kept {
            return;
        }
        let path = url.path().to_ascii_lowercase();
        let is_page = [".html", ".htm", ".php"]
            .iter()
            .any(|end| path.ends_with(end));
        let asks = |word: &str| {
            self.bait.contains(word) && (!self.soft.contains(word) || word == "secure")
        };
        if is_page && path.split(['/', '-', '_', '.']).any(asks) {
            found.add("a page that asks for trust in a store of files", 0.55);
        }
    }
}
