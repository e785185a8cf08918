//! What the path, the fragment and an address in place of a host say.

use std::borrow::Cow;
use std::net::IpAddr;
use std::net::Ipv4Addr;

use url::Host;
use url::Url;

use crate::classify::blocklist::BlockLists;
use crate::classify::risk::Found;
use crate::classify::risk::Name;
use crate::classify::risk::RiskRules;
use crate::domain::target::embedded_v4;
use crate::domain::target::is_private;

/// Ends of pages that a server makes or keeps.
const PAGES: [&str; 5] = ["html", "htm", "php", "aspx", "jsp"];

/// The path as the rules look at it.
struct Path<'path> {
    segments: Vec<&'path str>,
    /// Whether it ends in the name of a page.
    is_page: bool,
    /// Whether that page is made by a program.
    is_script: bool,
    /// Whether it ends in a slash.
    is_folder: bool,
    /// Words of it that ask for trust.
    baits: usize,
}

impl Path<'_> {
    /// Whether nothing follows the segment at `at` but a language.
    fn ends_at(&self, at: usize) -> bool {
        let later = self.segments.get(at + 1..).unwrap_or(&[]);
        later.iter().all(|part| part.len() == 2) && later.len() < 2
    }

    /// Whether the folder at `at` lies where a site has pictures and programs, but no pages.
    fn is_left_behind(&self, at: usize) -> bool {
        let holds_none = |part: &&str| {
            let programs = ["wp-includes", "wp-content", "wp-admin", ".well-known"];
            let files = ["tmp", "cache", "images", "img", "css", "js", "templates"];
            programs.contains(part) || files.contains(part)
        };
        at + 1 < self.segments.len() && self.segments.iter().take(at).any(holds_none)
    }

    /// Whether it is a page where a site keeps its own programs, pictures and styles.
    fn is_misplaced(&self) -> bool {
        let two = |one: &[&str]| match one {
            [
                "wp-admin",
                "css" | "js" | "images" | "maint" | "user" | "network",
            ] => self.is_page,
            ["wp-includes", _] | ["wp-content", "uploads"] => self.is_script,
            _ => false,
        };
        self.segments.windows(2).any(two)
    }
}

impl RiskRules {
    pub(super) fn judge_path(&self, url: &Url, name: Option<&Name>, found: &mut Found) {
        let path = url.path().to_ascii_lowercase();
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let file: Vec<&str> = segments
            .last()
            .map_or(Vec::new(), |last| last.split('.').collect());
        self.judge_file(&file, found);
        if name.is_some_and(|name| self.brands.is_any(&name.site) && name.home) {
            return;
        }
        let words = segments.iter().flat_map(|part| part.split(['-', '_', '.']));
        let path = Path {
            baits: words.filter(|word| self.words.bait.contains(word)).count(),
            is_script: path.ends_with(".php"),
            is_folder: path.ends_with('/'),
            is_page: file.len() > 1 && file.last().is_some_and(|end| PAGES.contains(end)),
            segments,
        };
        self.judge_brand_in_path(&path, name, found);
        self.judge_folders(&path, name, found);
        let cheap = name.is_some_and(|name| self.words.cheap.contains(name.end.as_str()));
        if cheap && path.baits > 1 {
            found.add("words that ask for trust under an end mostly abused", 0.35);
        }
        let parts = || name.into_iter().flat_map(|name| name.site.split('-'));
        let random = parts().any(is_random);
        let wild = parts().any(|part| is_random(part) && part.len() >= 18);
        let odd = cheap && (random || parts().any(is_unspeakable));
        if random && path.baits > 1 || (wild || odd) && path.baits > 0 {
            found.add("words that ask for trust below a name that is none", 0.55);
        }
        let is_kit = |(key, value): (Cow<'_, str>, Cow<'_, str>)| {
            key == "cmd" && (value.starts_with("login_submit") || value.starts_with("_login"))
        };
        if url.query_pairs().any(is_kit) {
            found.add("a query that kits of phishers send", 0.5);
        }
        if url.scheme() == "http" && path.baits > 0 {
            found.add("a form without encryption", 0.12);
        }
        if url.path().contains("//http") || url.path().contains('@') && path.baits > 0 {
            found.add("another address inside the path", 0.15);
        }
    }

    fn judge_file(&self, file: &[&str], found: &mut Found) {
        if let [.., before, end] = file {
            let runs = self.words.runs.contains(end);
            let harmless = file.len() > 2 && self.words.harmless.contains(before);
            if harmless && (runs || self.words.dressed.contains(end)) {
                found.add(
                    format!("a program dressed up as a document (.{before}.{end})"),
                    0.85,
                );
            } else if runs {
                found.add(format!("a file that runs when it is opened (.{end})"), 0.3);
            }
        }
    }

    /// The name of a brand as a folder of a foreign host, with a form behind it.
    fn judge_brand_in_path(&self, path: &Path<'_>, name: Option<&Name>, found: &mut Found) {
        let at = path.segments.iter().position(|part| !self.is_folder(part));
        if let Some([host, later @ ..]) = at.and_then(|at| path.segments.get(at..))
            && self.is_brand_host(host)
            && later
                .iter()
                .flat_map(|part| part.split(['-', '_', '.']))
                .any(|word| self.is_entry(word))
        {
            found.add(
                format!("{host} and words that ask for trust in the path"),
                0.55,
            );
            return;
        }
        for (at, segment) in path.segments.iter().enumerate() {
            if segment.contains('.') && !path.is_page {
                continue; // a picture of its sign
            }
            let stem = segment.split('.').next().unwrap_or("");
            let Some(brand) = self.brands.named(stem) else {
                continue;
            };
            let later = path.segments.get(at..).unwrap_or(&[]);
            let words = || later.iter().flat_map(|part| part.split(['-', '_', '.']));
            let before = path.segments.get(..at).unwrap_or(&[]);
            let asks = words().any(|word| self.is_entry(word))
                || before.iter().any(|part| self.is_entry(part));
            let hidden = path
                .segments
                .iter()
                .take(at)
                .any(|part| self.is_folder(part));
            // Others sign people in with it, or it is a word of its own.
            let honest = self.words.signin.contains(brand) || self.words.ambiguous.contains(brand);
            let weight = match (hidden, asks) {
                (true, true) => 0.55,
                (true, _) if path.is_page && (path.baits > 0 || path.is_script) => 0.55,
                (true, _) if !honest && path.is_folder && path.ends_at(at) => 0.5,
                (true, _) if !honest && path.is_page && path.is_left_behind(at) => 0.5,
                (_, true) if path.is_page || !honest => 0.5,
                (_, false) if name.is_none() && path.is_page => 0.5,
                _ if path.baits > 0 => 0.35,
                _ => continue,
            };
            found.add(
                format!("{segment} and words that ask for trust in the path"),
                weight,
            );
            return;
        }
    }

    /// Whether a word of a path leads to a form.
    fn is_entry(&self, word: &str) -> bool {
        self.words.strong.contains(word) || self.words.entry.contains(word)
    }

    /// The whole address of a brand: `www.chase.com`.
    fn is_brand_host(&self, segment: &str) -> bool {
        let host = segment.strip_prefix("www.").unwrap_or(segment);
        let two = host.split_once('.');
        two.is_some_and(|(brand, end)| {
            let ends = matches!(
                end,
                "com" | "net" | "org" | "de" | "fr" | "es" | "it" | "co.uk"
            );
            ends && self.brands.same(brand).is_some()
        })
    }

    fn is_folder(&self, part: &str) -> bool {
        self.words.folder.contains(part) || part.starts_with('~')
    }

    /// Pages in folders that hold parts of a site: somebody else left them there.
    fn judge_folders(&self, path: &Path<'_>, name: Option<&Name>, found: &mut Found) {
        let inside = [
            "wp-includes",
            "wp-content",
            "wp-admin",
            ".well-known",
            "cgi-bin",
            "tmp",
        ];
        let at = |name: &str| path.segments.iter().position(|part| *part == name);
        let below_known = at(".well-known").is_some_and(|at| path.segments.len() > at + 2);
        if below_known && (path.is_page || path.is_folder) {
            found.add("a page below .well-known, where none belong", 0.55);
        } else if path.baits > 0
            && (path.is_page || path.is_folder)
            && path.segments.iter().any(|part| inside.contains(part))
        {
            found.add("a page in a folder where no pages belong", 0.3);
        }
        if path.is_misplaced() {
            found.add("a page among the files that a site is built of", 0.5);
        }
        let of_a_user = path.segments.iter().any(|part| part.starts_with('~'));
        let words = path
            .segments
            .iter()
            .flat_map(|part| part.split(['-', '_', '.']));
        let strong = |word: &str| self.words.strong.contains(word);
        let lesson = |word: &str| self.words.trial.contains(word);
        if of_a_user
            && !name.is_some_and(|name| name.official)
            && path.baits > 0
            && path.is_page
            && (path.is_script || words.clone().any(strong))
            && !{ words }.any(lesson)
        {
            found.add("a form in the folder of a user", 0.5);
        }
    }
}

pub(super) fn judge_address(address: IpAddr, url: &Url, lists: &BlockLists, found: &mut Found) {
    if let Some(entry) = lists.blocks(&address.to_string()) {
        found.certain = true;
        found.add(format!("the address is on a block list ({entry})"), 1.0);
    }
    let resolvers = [[1, 1, 1, 1], [8, 8, 8, 8], [9, 9, 9, 9]];
    let is_known = resolvers
        .iter()
        .any(|octets| address == Ipv4Addr::from(*octets));
    if is_known {
        return;
    }
    // Where private targets are allowed at all, addresses are how people name them.
    let weight = if is_of_a_network(address) { 0.2 } else { 0.5 };
    found.add("an address instead of a host name", weight);
    if url.port().is_some() {
        found.add("an unusual port", 0.1);
    }
}

/// Whether machines of a network of somebody's own have such addresses.
fn is_of_a_network(address: IpAddr) -> bool {
    let address = match address {
        IpAddr::V6(v6) => embedded_v4(v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    };
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Whether a path of a shortener may lead away from it: not its home page, nor what it says of
/// itself below a folder of its own.
pub(super) fn may_be_a_code(url: &Url) -> bool {
    let mut parts = url.path().split('/').filter(|part| !part.is_empty());
    let own = [
        "a",
        "app",
        "blog",
        "help",
        "maps",
        "pages",
        "resources",
        "support",
    ];
    let Some(first) = parts.next() else {
        return url.query().is_some();
    };
    !(own.contains(&first) && parts.next().is_some())
}

/// Whether a lead goes to an address of the open net.
pub(super) fn is_open_address(host: Option<&Host<&str>>) -> bool {
    match host {
        Some(Host::Ipv4(address)) => !is_private((*address).into()),
        Some(Host::Ipv6(address)) => !is_private((*address).into()),
        _ => false,
    }
}

/// Letters and digits in turn, as no name has them.
pub(super) fn is_random(part: &str) -> bool {
    let turns = part
        .as_bytes()
        .windows(2)
        .filter(|two| matches!(two, [a, b] if a.is_ascii_digit() != b.is_ascii_digit()))
        .count();
    part.len() >= 12 && part.is_ascii() && turns >= 5
}

/// Six consonants in a row.
fn is_unspeakable(part: &str) -> bool {
    let vowel = |byte: &u8| !byte.is_ascii_alphabetic() || b"aeiouy".contains(byte);
    part.len() >= 10 && part.as_bytes().split(vowel).any(|run| run.len() > 5)
}
