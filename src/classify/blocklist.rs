//! Block lists: files of hosts, suffixes and networks, read again when they change.
//!
//! One entry a line: `evil.example` (this host), `.evil.example` or `*.evil.example` (and all below
//! it), `203.0.113.0/24` or an address. `#` begins a comment; a hosts file (`0.0.0.0 evil.example`)
//! is read too.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use ipnet::IpNet;

use crate::domain::target::embedded_v4;

/// The longest file that is read, bytes.
const LARGEST: u64 = 256 << 20;

/// The lists of a deployment.
#[derive(Debug)]
pub struct BlockLists {
    paths: Vec<PathBuf>,
    seen: Mutex<Vec<Seen>>,
    entries: ArcSwap<Entries>,
}

/// How a file looked when it was read.
type Seen = Option<(SystemTime, u64)>;

#[derive(Debug, Default)]
struct Entries {
    hosts: HashSet<Box<str>>,
    suffixes: HashSet<Box<str>>,
    networks: Vec<IpNet>,
}

/// What a look at the files found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// Whether the lists are other ones now.
    pub changed: bool,
    /// Entries in force.
    pub entries: usize,
    /// Files that cannot be read, and lines that are no entries.
    pub complaints: Vec<String>,
}

impl BlockLists {
    /// Lists in these files; nothing is read before [`reload`](Self::reload).
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            seen: Mutex::default(),
            entries: ArcSwap::default(),
        }
    }

    /// Reads the files, if one of them changed. While one cannot be read, the lists stay as they
    /// are: a file that is being replaced must not unblock anything.
    pub fn reload(&self) -> Reload {
        let now: Vec<Seen> = self
            .paths
            .iter()
            .map(|path| {
                let facts = std::fs::metadata(path).ok()?;
                Some((facts.modified().ok()?, facts.len()))
            })
            .collect();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return Reload {
                entries: self.entries.load().len(),
                ..Reload::default()
            };
        }
        let mut entries = Entries::default();
        let mut reload = Reload::default();
        let mut readable = true;
        for path in &self.paths {
            let text = match std::fs::metadata(path) {
                Ok(facts) if facts.len() > LARGEST => Err("it is larger than 256 MiB".to_owned()),
                _ => std::fs::read(path).map_err(|error| error.to_string()),
            };
            match text {
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&bytes);
                    for (number, line) in (1_usize..).zip(text.lines()) {
                        if !entries.add(line) && reload.complaints.len() < 20 {
                            let place = format!("{}:{number}", path.display());
                            reload
                                .complaints
                                .push(format!("{place}: no host and no network"));
                        }
                    }
                }
                Err(why) => {
                    readable = false;
                    reload.complaints.push(format!("{}: {why}", path.display()));
                }
            }
        }
        *seen = now;
        if readable {
            self.entries.store(Arc::new(entries));
            reload.changed = true;
        }
        reload.entries = self.entries.load().len();
        reload
    }

    /// The entry that blocks `host` (lower case, in punycode, or an address), if any does.
    #[must_use]
    pub fn blocks(&self, host: &str) -> Option<String> {
        let entries = self.entries.load();
        if entries.len() == 0 {
            return None;
        }
        let host = host.trim_end_matches('.');
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            let inside = match address {
                IpAddr::V4(_) => None,
                IpAddr::V6(v6) => embedded_v4(v6).map(IpAddr::V4),
            };
            let blocks = |net: &&IpNet| {
                net.contains(&address) || inside.is_some_and(|inside| net.contains(&inside))
            };
            return entries
                .networks
                .iter()
                .find(blocks)
                .map(ToString::to_string);
        }
        if entries.hosts.contains(host) {
            return Some(host.to_owned());
        }
        let mut rest = host;
        loop {
            if entries.suffixes.contains(rest) {
                return Some(format!(".{rest}"));
            }
            rest = rest.split_once('.')?.1;
        }
    }
}

impl Entries {
    fn len(&self) -> usize {
        self.hosts.len() + self.suffixes.len() + self.networks.len()
    }

    /// Adds the entry of a line; `false`: it holds none and should.
    fn add(&mut self, line: &str) -> bool {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            return true;
        }
        let mut words = line.split_ascii_whitespace();
        let (first, second) = (words.next().unwrap_or(""), words.next());
        // A hosts file names an address of this machine in front.
        let entry = match second {
            Some(host) if first.parse::<IpAddr>().is_ok() => host,
            Some(_) => return false,
            None => first,
        };
        if let Ok(network) = entry.parse::<IpNet>() {
            self.networks.push(network);
            return true;
        }
        if let Ok(address) = entry.parse::<IpAddr>() {
            self.networks.push(address.into());
            return true;
        }
        let below = entry.strip_prefix("*.").or_else(|| entry.strip_prefix('.'));
        let name = below.unwrap_or(entry).trim_end_matches('.');
        match url::Host::parse(name) {
            Ok(url::Host::Domain(host)) => {
                let list = if below.is_some() {
                    &mut self.suffixes
                } else {
                    &mut self.hosts
                };
                list.insert(host.into());
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> PathBuf {
        let name = format!("urlshort-blocklist-{}-{name}", std::process::id());
        std::env::temp_dir().join(name)
    }

    #[test]
    fn hosts_suffixes_and_networks_block_and_changes_are_seen() {
        let path = file("kinds");
        let text = "# comment\nevil.example\n*.bad.example # all below\n0.0.0.0 ads.example\n\
                    203.0.113.0/24\n2001:db8::/32\nb\u{fc}cher.example\nnot a host\n";
        std::fs::write(&path, text).unwrap();
        let lists = BlockLists::new(vec![path.clone()]);
        assert_eq!(lists.blocks("evil.example"), None);
        let first = lists.reload();
        assert!(first.changed);
        assert_eq!((first.entries, first.complaints.len()), (6, 1), "{first:?}");
        for (host, blocked) in [
            ("evil.example", true),
            ("www.evil.example", false),
            ("bad.example", true),
            ("a.b.bad.example", true),
            ("notbad.example", false),
            ("ads.example", true),
            ("203.0.113.9", true),
            ("203.0.114.9", false),
            ("[::ffff:203.0.113.9]", true),
            ("[64:ff9b::203.0.113.9]", true),
            ("[2002:cb00:7109::1]", true),
            ("[::ffff:203.0.114.9]", false),
            ("[2001:db8::5]", true),
            ("xn--bcher-kva.example", true),
        ] {
            assert_eq!(lists.blocks(host).is_some(), blocked, "{host}");
        }
        assert!(!lists.reload().changed);
        std::fs::write(&path, "other-host.example\n").unwrap();
        assert!(lists.reload().changed);
        assert_eq!(lists.blocks("evil.example"), None);
        // A file that is away unblocks nothing.
        std::fs::remove_file(&path).unwrap();
        let gone = lists.reload();
        assert!(!gone.changed && gone.complaints.len() == 1);
        assert!(lists.blocks("other-host.example").is_some());
    }
}
