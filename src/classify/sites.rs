//! Well-known sites, by their own hosts: a name below another end is another site.

use hashbrown::HashMap;

use crate::domain::label::Category;

const HOSTS: &str = include_str!("data/hosts.txt");

/// Countries whose ends the owners of a name take; under others somebody else often has it.
const COUNTRIES: [&str; 62] = [
    "ae", "ar", "at", "au", "be", "bg", "br", "ca", "ch", "cl", "cn", "co", "cz", "de", "dk", "ee",
    "eg", "es", "eu", "fi", "fr", "gr", "hk", "hr", "hu", "id", "ie", "il", "in", "is", "it", "jp",
    "kr", "lt", "lu", "lv", "ma", "mx", "my", "nl", "no", "nz", "pe", "ph", "pl", "pt", "ro", "rs",
    "sa", "se", "sg", "si", "sk", "th", "tr", "tw", "ua", "uk", "us", "uy", "vn", "za",
];

/// How sure a site's category is where its page says nothing else, and where it does.
const SURE: f32 = 0.92;
const CONTRADICTED: f32 = 0.8;

/// The compiled-in sites.
#[derive(Debug)]
pub struct Sites {
    hosts: HashMap<&'static str, Kind>,
    /// Names that stand below the end of any country, and below `.com`.
    everywhere: HashMap<&'static str, Kind>,
}

/// What a site is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The category of the site.
    pub category: Category,
    /// Whether its pages are about everything, so that what they say of themselves is stronger.
    pub broad: bool,
}

/// A well-known site that a host belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownSite<'host> {
    /// What it is about.
    pub kind: Kind,
    /// The part of the host that is listed.
    pub site: &'host str,
    /// What stands in front of that, perhaps nothing.
    pub below: &'host str,
}

impl Kind {
    /// How sure the site's category is, where the page's own words are so sure of it, and so sure
    /// of another one; `None`: they are right. `threshold`: from there on words count at all.
    #[must_use]
    pub fn sureness(self, own: f32, other: f32, threshold: f32) -> Option<f32> {
        let least = own.max(threshold);
        if other < threshold {
            Some(least.max(SURE))
        } else {
            (!self.broad).then_some(least.max(CONTRADICTED))
        }
    }
}

impl Sites {
    /// Reads the compiled-in list.
    #[must_use]
    pub fn new() -> Self {
        let (mut hosts, mut everywhere) = (HashMap::new(), HashMap::new());
        for (kind, entry) in entries() {
            match entry.strip_suffix(".*") {
                Some(name) => everywhere.insert(name, kind),
                None => hosts.insert(entry, kind),
            };
        }
        Self { hosts, everywhere }
    }

    /// The site that `host` (lower case, without `www.`) belongs to: the longest entry counts.
    #[must_use]
    pub fn find<'host>(&self, host: &'host str) -> Option<KnownSite<'host>> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let starts = std::iter::once(0).chain(host.match_indices('.').map(|(at, _)| at + 1));
        for start in starts {
            let site = host.get(start..)?;
            let (name, end) = site.split_once('.')?;
            let listed = self.hosts.get(site);
            let kind = listed.or_else(|| {
                let kind = self.everywhere.get(name)?;
                is_of_a_country(end).then_some(kind)
            });
            if let Some(kind) = kind {
                return Some(KnownSite {
                    kind: *kind,
                    site,
                    below: host.get(..start.saturating_sub(1)).unwrap_or(""),
                });
            }
        }
        None
    }
}

impl Default for Sites {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a registry's end is `com`, that of a country, or the commercial one below it.
fn is_of_a_country(end: &str) -> bool {
    let country = { end.strip_prefix("co.") }.or_else(|| end.strip_prefix("com."));
    end == "com" || COUNTRIES.binary_search(&country.unwrap_or(end)).is_ok()
}

/// The entries of the list.
fn entries() -> impl Iterator<Item = (Kind, &'static str)> {
    let lines = HOSTS.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.filter_map(|line| line.split_once(": "));
    lines.flat_map(|(name, sites)| {
        let broad = name.ends_with('*');
        let category = name.trim_end_matches('*').parse::<Category>().ok();
        let sites = sites.split_ascii_whitespace();
        sites.filter_map(move |site| {
            let category = category?;
            Some((Kind { category, broad }, site))
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_line_names_a_category_and_no_site_stands_there_twice() {
        for line in HOSTS.lines().filter(|line| !line.starts_with('#')) {
            let (name, _) = line.split_once(": ").unwrap_or((line, ""));
            let named = line.is_empty() || name.trim_end_matches('*').parse::<Category>().is_ok();
            assert!(named, "{line}");
        }
        let mut seen = HashSet::new();
        for (_, entry) in entries() {
            assert!(seen.insert(entry), "{entry}");
            let host = entry.replace(".*", ".com");
            assert!(host.contains('.'), "{entry}");
            assert_eq!(url::Host::parse(&host).unwrap().to_string(), host);
        }
        for category in Category::ALL
            .into_iter()
            .filter(|one| *one != Category::Other)
        {
            assert!(entries().any(|(kind, _)| kind.category == category));
        }
    }

    #[test]
    fn a_site_is_known_by_its_own_ends_and_by_nothing_that_looks_like_it() {
        let sites = Sites::new();
        for (host, site, below, category) in [
            ("github.com", "github.com", "", Category::Technology),
            (
                "gist.github.com",
                "github.com",
                "gist",
                Category::Technology,
            ),
            ("amazon.co.uk", "amazon.co.uk", "", Category::Shopping),
            (
                "smile.amazon.com.br",
                "amazon.com.br",
                "smile",
                Category::Shopping,
            ),
            ("aws.amazon.com", "aws.amazon.com", "", Category::Technology),
            (
                "a.b.finance.yahoo.com.",
                "finance.yahoo.com",
                "a.b",
                Category::Finance,
            ),
            (
                "cooking.nytimes.com",
                "cooking.nytimes.com",
                "",
                Category::Food,
            ),
            ("x.com", "x.com", "", Category::Social),
        ] {
            let found = sites.find(host);
            let found = found.map(|found| (found.site, found.below, found.kind.category));
            assert_eq!(found, Some((site, below, category)), "{host}");
        }
        for host in [
            "x.org",
            "x.example",
            "target.pl",
            "google.example",
            "amazon.shop",
            "amazon.cm",
            "ikea.com.tk",
            "amazon.com.login.example",
            "notgithub.com",
            "github.com.evil.example",
            "com",
            "",
            "amazon",
            "203.0.113.7",
            "[2001:db8::1]",
        ] {
            assert_eq!(sites.find(host), None, "{host}");
        }
    }

    #[test]
    fn what_a_page_says_wins_where_pages_are_about_everything() {
        let site = |broad| Kind {
            category: Category::News,
            broad,
        };
        assert_eq!(site(true).sureness(0.1, 0.8, 0.7), None);
        assert_eq!(site(false).sureness(0.1, 0.8, 0.7), Some(CONTRADICTED));
        assert_eq!(site(true).sureness(0.1, 0.6, 0.7), Some(SURE));
        assert_eq!(site(false).sureness(0.97, 0.0, 0.7), Some(0.97));
    }
}
