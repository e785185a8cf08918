//! The people and machines of a made-up history: agents, where they come from, when they click.

/// Browsers, the commonest first.
pub(in crate::commands) const BROWSERS: &[&str] = &[
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 OPR/125.0.0.0",
];

/// Crawlers and tools.
pub(in crate::commands) const BOTS: &[&str] = &[
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "curl/8.11.0",
    "python-requests/2.32.3",
];

/// Who draws previews.
pub(in crate::commands) const PREVIEWS: &[&str] = &[
    "WhatsApp/2.24.20.89 A",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "TelegramBot (like TwitterBot)",
    "Twitterbot/1.0",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
];

/// Referring hosts, the commonest first; an empty one is a direct visit.
pub(in crate::commands) const REFERRERS: &[&str] = &[
    "",
    "www.google.com",
    "t.co",
    "www.facebook.com",
    "www.linkedin.com",
    "l.instagram.com",
    "www.reddit.com",
    "news.ycombinator.com",
    "www.youtube.com",
    "mail.google.com",
    "duckduckgo.com",
    "www.bing.com",
    "newsletter.example.org",
    "github.com",
];

/// Countries with the language most people there ask for, the commonest first.
pub(in crate::commands) const PLACES: &[([u8; 2], &str)] = &[
    (*b"US", "en"),
    (*b"DE", "de"),
    (*b"GB", "en"),
    (*b"IN", "en"),
    (*b"FR", "fr"),
    (*b"BR", "pt"),
    (*b"ES", "es"),
    (*b"CA", "en"),
    (*b"IT", "it"),
    (*b"MX", "es"),
    (*b"NL", "nl"),
    (*b"JP", "ja"),
    (*b"AU", "en"),
    (*b"PL", "pl"),
    (*b"AT", "de"),
    (*b"CH", "de"),
    (*b"SE", "sv"),
    (*b"TR", "tr"),
];

/// How likely a click is at each hour of the UTC day, in parts of the busiest.
pub(in crate::commands) const HOURS: [u64; 24] = [
    38, 30, 24, 20, 20, 26, 38, 52, 66, 78, 86, 90, 92, 94, 98, 100, 98, 96, 94, 92, 86, 76, 62, 48,
];
