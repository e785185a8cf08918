//! User agents: person, crawler or preview, and which browser, system and device.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use foldhash::quality::RandomState;
use woothee::parser::Parser;

use crate::domain::click::ClickKind;
use crate::domain::click::Hit;

/// What a user agent says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Person, bot or preview.
    pub kind: ClickKind,
    /// Such as `Chrome`; `unknown` where nothing is known.
    pub browser: Arc<str>,
    /// Such as `Windows`.
    pub os: Arc<str>,
    /// desktop, mobile, bot, other.
    pub device: Arc<str>,
}

/// Parsed agents and shared strings, bounded: an agent is parsed once, not once a click.
pub struct AgentTable {
    parser: Parser,
    words: AhoCorasick,
    parsed: HashMap<Box<str>, Arc<Agent>, RandomState>,
    strings: HashSet<Arc<str>, RandomState>,
}

impl std::fmt::Debug for AgentTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentTable")
            .field("parsed", &self.parsed.len())
            .finish_non_exhaustive()
    }
}

/// Remembered agents or strings; beyond it the table begins anew.
const MAX_ENTRIES: usize = 20_000;

/// Agents of services that fetch a link to show a preview of it to people.
const PREVIEW: &[&str] = &[
    "facebookexternalhit",
    "facebot",
    "twitterbot",
    "slackbot",
    "slack-imgproxy",
    "discordbot",
    "telegrambot",
    "whatsapp",
    "linkedinbot",
    "skypeuripreview",
    "microsoftpreview",
    "teamsbot",
    "redditbot",
    "pinterestbot",
    "pinterest/",
    "embedly",
    "iframely",
    "viber",
    "line-poker",
    "mastodon",
    "bluesky",
    "cardyb",
    "signal-desktop",
    "snapchat",
    "vkshare",
    "kakaotalk-scrap",
    "google-pagerenderer",
    "googlemessages",
    "imessagebot",
    "zoombot",
    "mattermost",
    "rocket.chat",
    "notionbot",
    "outbrain",
    "flipboardproxy",
    "tumblr",
    "bitlybot",
    "nuzzel",
    "xing-contenttabreceiver",
];

/// Words that people's browsers never carry.
const BOT: &[&str] = &[
    "bot",
    "crawl",
    "spider",
    "slurp",
    "curl/",
    "wget/",
    "python",
    "libwww",
    "httpclient",
    "java/",
    "okhttp",
    "go-http-client",
    "node-fetch",
    "axios/",
    "undici",
    "scrapy",
    "headless",
    "phantomjs",
    "selenium",
    "puppeteer",
    "playwright",
    "lighthouse",
    "pingdom",
    "uptime",
    "monitor",
    "statuscake",
    "datadog",
    "newrelic",
    "prometheus",
    "blackbox",
    "zabbix",
    "nagios",
    "check_http",
    "ahrefs",
    "semrush",
    "mj12",
    "dotbot",
    "petalbot",
    "bytespider",
    "gptbot",
    "chatgpt",
    "oai-search",
    "claude",
    "anthropic",
    "perplexity",
    "ccbot",
    "cohere",
    "diffbot",
    "dataprovider",
    "ia_archiver",
    "archive.org",
    "mediapartners",
    "adsbot",
    "feedfetcher",
    "feedly",
    "rss",
    "validator",
    "scanner",
    "nmap",
    "masscan",
    "zgrab",
    "nikto",
    "sqlmap",
    "nuclei",
    "wpscan",
    "apachebench",
    "wrk/",
    "hey/",
    "vegeta",
    "k6/",
    "loadtest",
    "postmanruntime",
    "insomnia",
    "httpie",
    "rest-client",
    "guzzle",
    "php/",
    "ruby",
    "perl",
    "winhttp",
    "powershell",
    "dalvik/",
    "cfnetwork",
    "reqwest",
    "hyper/",
    "urlshort",
    "fetch/",
    "search",
    "yandex",
    "baidu",
    "sogou",
    "duckduckgo-favicons",
    "ptst/",
    "googleother",
    "google-inspectiontool",
    "google-safety",
    "google-read-aloud",
    "storebot",
    "virustotal",
    "safebrowsing",
    "urlscan",
    "proofpoint",
    "mimecast",
    "barracuda",
    "netcraft",
];

impl Default for AgentTable {
    fn default() -> Self {
        Self::new()
    }
}

impl AgentTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        let words = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(PREVIEW.iter().chain(BOT))
            .expect("a few short patterns fit into any automaton");
        Self {
            parser: Parser::new(),
            words,
            parsed: HashMap::default(),
            strings: HashSet::default(),
        }
    }

    /// What `agent` says of itself; an empty one is a bot.
    pub fn parse(&mut self, agent: &str) -> Arc<Agent> {
        if let Some(known) = self.parsed.get(agent) {
            return Arc::clone(known);
        }
        if self.parsed.len() >= MAX_ENTRIES {
            self.parsed.clear();
        }
        let parsed = Arc::new(self.look(agent));
        self.parsed.insert(agent.into(), Arc::clone(&parsed));
        parsed
    }

    /// The kind of click that a request of this agent is.
    pub fn kind(&mut self, hit: Hit, agent: &str) -> ClickKind {
        match hit {
            Hit::Head => ClickKind::Head,
            Hit::Get => self.parse(agent).kind,
        }
    }

    /// One shared copy of `text`.
    pub fn intern(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.strings.get(text) {
            return Arc::clone(known);
        }
        if self.strings.len() >= MAX_ENTRIES {
            self.strings.clear();
        }
        let shared: Arc<str> = text.into();
        self.strings.insert(Arc::clone(&shared));
        shared
    }

    fn look(&mut self, agent: &str) -> Agent {
        let found = self.parser.parse(agent);
        let (browser, os, category) = found.as_ref().map_or(("", "", ""), |result| {
            (result.name, result.os, result.category)
        });
        let kind = self.kind_of(agent, category);
        let device = match (kind, category) {
            (ClickKind::Bot | ClickKind::Preview, _) | (_, "crawler") => "bot",
            (_, "pc") => "desktop",
            (_, "smartphone" | "mobilephone") => {
                if agent.contains("iPad")
                    || (agent.contains("Android") && !agent.contains("Mobile"))
                {
                    "tablet"
                } else {
                    "mobile"
                }
            }
            _ => "other",
        };
        Agent {
            kind,
            browser: self.intern(known_or_unknown(browser)),
            os: self.intern(os_family(known_or_unknown(os))),
            device: self.intern(device),
        }
    }

    fn kind_of(&self, agent: &str, category: &str) -> ClickKind {
        if agent.is_empty() {
            return ClickKind::Bot;
        }
        let mut bot = category == "crawler";
        for found in self.words.find_overlapping_iter(agent) {
            if found.pattern().as_usize() < PREVIEW.len() {
                return ClickKind::Preview;
            }
            bot = true;
        }
        if bot {
            ClickKind::Bot
        } else {
            ClickKind::Human
        }
    }
}

fn known_or_unknown(word: &str) -> &str {
    if word.is_empty() || word == "UNKNOWN" {
        "unknown"
    } else {
        word
    }
}

/// "Windows 10" and "Windows 7" are one system in the statistics.
fn os_family(os: &str) -> &str {
    if os.starts_with("Windows") {
        "Windows"
    } else {
        match os {
            "Mac OSX" => "macOS",
            "iPhone" | "iPad" | "iPod" => "iOS",
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(agent: &str, kind: ClickKind, browser: &str, os: &str, device: &str) {
        let parsed = AgentTable::new().parse(agent);
        let got = (parsed.kind, &*parsed.browser, &*parsed.os, &*parsed.device);
        assert_eq!(got, (kind, browser, os, device), "{agent}");
    }

    #[test]
    fn people_bots_and_previews_are_told_apart() {
        check(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
            ClickKind::Human,
            "Chrome",
            "Windows",
            "desktop",
        );
        check(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            ClickKind::Human,
            "Safari",
            "iOS",
            "mobile",
        );
        check(
            "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
            ClickKind::Human,
            "Firefox",
            "Linux",
            "desktop",
        );
        let table = &mut AgentTable::new();
        for bot in [
            "",
            "curl/8.5.0",
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "GPTBot/1.0",
            "python-requests/2.32",
        ] {
            assert_eq!(table.kind(Hit::Get, bot), ClickKind::Bot, "{bot}");
        }
        for preview in [
            "Twitterbot/1.0",
            "WhatsApp/2.23",
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
        ] {
            assert_eq!(
                table.kind(Hit::Get, preview),
                ClickKind::Preview,
                "{preview}"
            );
        }
        assert_eq!(table.kind(Hit::Head, "anything"), ClickKind::Head);
    }
}
