//! Block lists: files of hosts, suffixes and networks, read again when they change.
//!
//! One entry a line: `evil.example` (this host), `.evil.example` or `*.evil.example` (and all below
//! it), `203.0.113.0/24` or an address. `#` begins a comment; a hosts file (`0.0.0.0 evil.example`)
//! is read too.

use std::collections::HashSet;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use arc_swap::ArcSwap;
use ipnet::IpNet;

use crate::domain::target::embedded_v4;

/// The longest file that is read, bytes.
const LARGEST: u64 = 256 << 20;
/// Lines that are told as no entries, at most.
const MOST_COMPLAINTS: usize = 20;
/// So young a change may hide the next one, seconds.
const FRESH: i64 = 1;

/// The lists of a deployment.
#[derive(Debug)]
pub struct BlockLists {
    paths: Vec<PathBuf>,
    seen: Mutex<Seen>,
    entries: ArcSwap<Entries>,
    complete: AtomicBool,
}

/// How the files looked when they were read.
#[derive(Debug, Default)]
struct Seen {
    /// `None`: it cannot be asked about.
    stamps: Vec<Option<Stamp>>,
    /// Whether one may have changed since without a trace.
    fresh: bool,
}

/// What tells a file from the one before: size and time of writing may be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// When anything about it changed, seconds and nanoseconds since 1970. Nobody can set that.
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let facts = std::fs::metadata(path).ok()?;
        Some(Self {
            device: facts.dev(),
            inode: facts.ino(),
            size: facts.len(),
            changed: (facts.ctime(), facts.ctime_nsec()),
        })
    }

    /// Whether the last change is so young that the next one may bear the same time.
    fn is_fresh(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        (0..=FRESH).contains(&now.saturating_sub(self.changed.0))
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
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
            complete: AtomicBool::new(paths.is_empty()),
            paths,
            seen: Mutex::default(),
            entries: ArcSwap::default(),
        }
    }

    /// Whether there are any lists.
    #[must_use]
    pub const fn are_any(&self) -> bool {
        !self.paths.is_empty()
    }

    /// Whether all that the files hold is in force; `false` before they were read, and where one
    /// could never be.
    #[must_use]
    pub fn are_complete(&self) -> bool {
        self.complete.load(Relaxed)
    }

    /// Reads the files, if one of them changed. While one cannot be read, the lists stay as they
    /// are: a file that is being replaced must not unblock anything.
    pub fn reload(&self) -> Reload {
        let stamps: Vec<Option<Stamp>> = self.paths.iter().map(|path| Stamp::of(path)).collect();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let same = seen.stamps == stamps;
        let mut reload = Reload::default();
        if !same || seen.fresh {
            let (entries, complaints) = self.read();
            // What was written a moment ago may be written again within one tick of the clock.
            seen.fresh = stamps.iter().flatten().any(Stamp::is_fresh);
            seen.stamps = stamps;
            if let Some(entries) = entries {
                // What was blocked while a list was missing is looked at again.
                reload.changed = !self.are_complete() || **self.entries.load() != entries;
                self.entries.store(Arc::new(entries));
                self.complete.store(true, Relaxed);
            }
            if reload.changed || !same {
                reload.complaints = complaints;
            }
        }
        reload.entries = self.entries.load().len();
        reload
    }

    /// What the files hold, if all can be read, and what is wrong with them.
    fn read(&self) -> (Option<Entries>, Vec<String>) {
        let (mut entries, mut readable) = (Entries::default(), true);
        let mut complaints = Vec::new();
        for path in &self.paths {
            let text = match std::fs::metadata(path) {
                Ok(facts) if facts.len() > LARGEST => Err("it is larger than 256 MiB".to_owned()),
                // Opening a pipe waits for whoever writes into it.
                Ok(facts) if !facts.is_file() => Err("it is no file".to_owned()),
                _ => std::fs::read(path).map_err(|error| error.to_string()),
            };
            match text {
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&bytes);
                    for (number, line) in (1_usize..).zip(text.lines()) {
                        if !entries.add(line) && complaints.len() < MOST_COMPLAINTS {
                            let place = format!("{}:{number}", path.display());
                            complaints.push(format!("{place}: no host and no network"));
                        }
                    }
                }
                Err(why) => {
                    readable = false;
                    complaints.push(format!("{}: {why}", path.display()));
                }
            }
        }
        (readable.then_some(entries), complaints)
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
        // As long and as old as the one before, but another one.
        let old = std::fs::metadata(&path).unwrap().modified().unwrap();
        let beside = file("beside");
        std::fs::write(&beside, "third-host.example\n").unwrap();
        let twin = std::fs::File::options().write(true).open(&beside);
        twin.unwrap().set_modified(old).unwrap();
        std::fs::rename(&beside, &path).unwrap();
        assert!(lists.reload().changed);
        assert!(lists.blocks("third-host.example").is_some());
        // Written twice within a tick; the same again is no change.
        std::fs::write(&path, "fourthhost.example\n").unwrap();
        assert!(lists.reload().changed && !lists.reload().changed);
        std::fs::write(&path, "other-host.example\n").unwrap();
        assert!(lists.reload().changed);
        // A file that is away unblocks nothing.
        std::fs::remove_file(&path).unwrap();
        let gone = lists.reload();
        assert!(!gone.changed && gone.complaints.len() == 1);
        assert!(lists.reload().complaints.is_empty(), "said once");
        // Nor does what would be waited for.
        let pipe = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(pipe.unwrap().success());
        let odd = lists.reload();
        assert!(!odd.changed && odd.complaints[0].contains("no file"));
        std::fs::remove_file(&path).unwrap();
        assert!(lists.blocks("other-host.example").is_some());
    }
}
