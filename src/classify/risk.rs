//! This file judges how dangerous a URL looks, by rules that need no third party.
//!
//! Each rule that fires adds its weight; together they make the score `1 - Π (1 - weight)`. What is
//! certain (a block list, a host made to look like another one) is refused at creation already.

mod beside;
mod borrowed;
mod known;
mod leads;
mod names;
mod paths;
mod wording;

use url::Host;
use url::Url;

use crate::classify::blocklist::BlockLists;
use crate::classify::brands::Brands;
use crate::classify::risk::known::Known;
use crate::classify::vocabulary::Vocabulary;
use crate::classify::words;
use crate::domain::label::Risk;
use crate::domain::label::Verdict;

/// From here on a person is asked, and from here on nobody is sent there.
const SUSPICIOUS: f32 = 0.5;
const MALICIOUS: f32 = 0.95;

/// What was found, and whether it is certain.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assessment {
    /// Score, verdict and reasons.
    pub risk: Risk,
    /// Whether no link to it shall be made at all.
    pub certain: bool,
    /// The rules that fired with their weights, the weightiest first.
    pub fired: Vec<(String, f32)>,
}

/// The rules and what they know.
#[derive(Debug)]
pub struct RiskRules {
    brands: Brands,
    words: Known,
}

#[derive(Default)]
struct Found {
    fired: Vec<(String, f32)>,
    certain: bool,
}

impl Found {
    fn add(&mut self, reason: impl Into<String>, weight: f32) {
        self.fired.push((reason.into(), weight));
    }

    fn finish(mut self) -> Assessment {
        self.fired.sort_by(|a, b| b.1.total_cmp(&a.1));
        let clean: f32 = self.fired.iter().map(|(_, weight)| 1.0 - weight).product();
        let score = 1.0 - clean;
        let verdict = if self.certain || score >= MALICIOUS {
            Verdict::Malicious
        } else if score >= SUSPICIOUS {
            Verdict::Suspicious
        } else {
            Verdict::Clean
        };
        Assessment {
            risk: Risk {
                score,
                verdict,
                reasons: self
                    .fired
                    .iter()
                    .map(|(reason, _)| reason.clone())
                    .collect(),
            },
            certain: self.certain,
            fired: self.fired,
        }
    }
}

/// The parts of a host that the rules look at.
struct Name {
    /// As people read it, lower case.
    labels: Vec<String>,
    /// The label that was registered (or lent), as people read it.
    site: String,
    /// What stands in front of it, outermost first.
    below: Vec<String>,
    end: String,
    lent: bool,
    /// Lent, and the name is an account: `somebody.github.io`.
    account: bool,
    /// Below an end that brands take themselves, and not lent.
    home: bool,
    /// Below an end that only an office gets: `.gov`, `.gouv.fr`.
    official: bool,
}

impl Name {
    /// The words of what was registered or lent, and of what stands in front of it.
    fn words(&self) -> impl Iterator<Item = &str> {
        let labels = self.below.iter().chain([&self.site]);
        labels.flat_map(|label| label.split('-'))
    }
}

/// What in a host asks for trust.
#[derive(Clone, Copy, Debug, Default)]
struct Asking {
    /// Words that do, and those of them that honest hosts have too.
    bait: usize,
    soft: usize,
    /// Whether the end of the host is mostly abused, or liked by phishers.
    cheap: bool,
    often: bool,
}

impl Asking {
    /// Whether a name that means much else is meant as that of the brand.
    const fn is_plain(self) -> bool {
        self.bait > self.soft || self.soft > 1
    }
}

impl RiskRules {
    /// The compiled-in rules.
    #[must_use]
    pub fn new() -> Self {
        Self {
            brands: Brands::new(),
            words: Known::new(),
        }
    }

    /// How dangerous `url` looks.
    #[must_use]
    pub fn assess(&self, url: &str, lists: &BlockLists, vocabulary: &Vocabulary) -> Assessment {
        self.assess_parsed(Url::parse(url).as_ref().ok(), lists, vocabulary)
    }

    /// The same of a URL that is parsed already; `None`: it is none.
    #[must_use]
    pub fn assess_parsed(
        &self,
        url: Option<&Url>,
        lists: &BlockLists,
        vocabulary: &Vocabulary,
    ) -> Assessment {
        let mut found = Found::default();
        let Some(parsed) = url else {
            found.add("it is no URL", 0.6);
            return found.finish();
        };
        if !matches!(parsed.scheme(), "http" | "https") {
            found.add(format!("the scheme is {}", parsed.scheme()), 0.95);
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            found.add("a user name stands in front of the host", 0.6);
        }
        let mut name = None;
        match parsed.host() {
            None => found.add("it has no host", 0.6),
            Some(Host::Domain(host)) => {
                if let Some(entry) = lists.blocks(host) {
                    found.certain = true;
                    found.add(format!("the host is on a block list ({entry})"), 1.0);
                }
                let named = self.name(host);
                self.judge_name(host, &named, parsed, vocabulary, &mut found);
                name = Some(named);
            }
            Some(Host::Ipv4(address)) => {
                paths::judge_address(address.into(), parsed, lists, &mut found);
            }
            Some(Host::Ipv6(address)) => {
                paths::judge_address(address.into(), parsed, lists, &mut found);
            }
        }
        let name = name.as_ref();
        self.judge_path(parsed, name, &mut found);
        self.judge_borrowed(parsed, name, &mut found);
        self.judge_leads(parsed, vocabulary, &mut found);
        found.finish()
    }

    fn name(&self, host: &str) -> Name {
        let unicode = words::idna_to_unicode(host.trim_end_matches('.')).to_lowercase();
        let lent = known::ends_of(host).find_map(|end| self.words.lent.get(end));
        let labels: Vec<String> = unicode.split('.').map(str::to_owned).collect();
        let bucket = borrowed::labels_behind_a_bucket(&unicode);
        let is_lent = lent.is_some() || bucket.is_some();
        let behind = { lent.map(|lent| lent.split('.').count()).or(bucket) }
            .unwrap_or_else(|| words::suffix_labels(&labels));
        let mut at = labels.len().saturating_sub(behind + 1);
        let short = labels.get(at).is_some_and(|site| site.len() == 2);
        let before = at.checked_sub(1).filter(|_| short && !is_lent);
        let sold = before.filter(|at| labels.get(*at).is_some_and(|label| label.contains('-')));
        at = sold.unwrap_or(at); // below a short name: bank-login.cz.com
        let end = labels.last().map_or("", String::as_str);
        let site = labels.get(at).map_or("", String::as_str);
        // A few hosts under other ends are theirs too.
        let home = names::is_home(end) || self.brands.is_any(&format!("{site}.{end}"));
        Name {
            site: labels.get(at).cloned().unwrap_or_default(),
            below: labels.get(..at).unwrap_or(&[]).to_vec(),
            home: home && !is_lent,
            end: labels.last().cloned().unwrap_or_default(),
            lent: is_lent,
            account: lent.is_some_and(|lent| self.words.account.contains(lent)),
            official: names::is_official(&labels),
            labels,
        }
    }

    fn judge_name(
        &self,
        host: &str,
        name: &Name,
        url: &Url,
        vocabulary: &Vocabulary,
        found: &mut Found,
    ) {
        let is_shortener = self
            .words
            .shorteners
            .contains(host.strip_prefix("www.").unwrap_or(host));
        if is_shortener && paths::may_be_a_code(url) {
            found.add("it leads to another shortener, which hides its target", 0.5);
        }
        let cheap = self.words.cheap.contains(name.end.as_str());
        let is_own = name.home && self.brands.is_any(&name.site) && !cheap;
        if cheap {
            found.add(format!("the end .{} is mostly abused", name.end), 0.25);
        }
        names::judge_scripts(name, found);
        names::judge_numbers(name, found);
        if name.below.len() >= 4 {
            let weight = if name.below.len() >= 6 { 0.5 } else { 0.25 };
            found.add(
                format!("{} labels stand below the site", name.below.len()),
                weight,
            );
        }
        let hyphens = name.site.matches('-').count();
        if hyphens >= 3 && !name.site.starts_with("xn--") {
            found.add(
                "many hyphens in the host",
                if hyphens > 3 { 0.35 } else { 0.25 },
            );
        }
        if host.len() > 60 {
            found.add("a very long host", 0.25);
        }
        if url.port().is_some_and(|port| !matches!(port, 8080 | 8443)) {
            found.add("an unusual port", 0.1);
        }
        if is_own || name.official {
            return;
        }
        if name.lent {
            found.add("a host that anybody can borrow", 0.2);
        }
        self.judge_words(name, cheap, url, vocabulary, found);
    }
}

impl Default for RiskRules {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::lexicon::Lexicon;

    const ORDINARY: &str = include_str!("data/ordinary.tsv");
    const PHISHING: &str = include_str!("data/phishing.tsv");

    fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
        text.lines().filter(|line| !line.starts_with('#'))
    }

    fn assess(url: &str) -> Assessment {
        let lists = BlockLists::new(Vec::new());
        RiskRules::new().assess(url, &lists, Lexicon::new().vocabulary())
    }

    #[track_caller]
    fn check(url: &str, verdict: Verdict, certain: bool, reason: &str) {
        let found = assess(url);
        assert_eq!(
            (found.risk.verdict, found.certain),
            (verdict, certain),
            "{url}: {found:?}"
        );
        let told = found.risk.reasons.iter().any(|told| told.contains(reason));
        assert!(told, "{url}: {found:?}");
        assert!((0.0..=1.0).contains(&found.risk.score));
    }

    #[test]
    fn ordinary_urls_are_clean() {
        let (rules, lexicon) = (RiskRules::new(), Lexicon::new());
        let lists = BlockLists::new(Vec::new());
        let mut seen = 0;
        for url in lines(ORDINARY) {
            let found = rules.assess(url, &lists, lexicon.vocabulary());
            assert_eq!(found.risk.verdict, Verdict::Clean, "{url}: {found:?}");
            seen += 1;
        }
        assert!(seen >= 1_000, "{seen}");
    }

    #[test]
    fn what_phishers_write_is_flagged() {
        let (rules, lexicon) = (RiskRules::new(), Lexicon::new());
        let lists = BlockLists::new(Vec::new());
        let verdicts: Vec<Verdict> = lines(PHISHING)
            .map(|url| rules.assess(url, &lists, lexicon.vocabulary()).risk.verdict)
            .collect();
        let flagged = verdicts
            .iter()
            .filter(|one| **one != Verdict::Clean)
            .count();
        assert!(
            flagged * 100 >= verdicts.len() * 95,
            "{flagged} of {}",
            verdicts.len()
        );
    }

    #[test]
    fn names_of_brands_are_found_in_the_shapes_that_phishers_give_them() {
        for (url, reason) in [
            // The beginning of the brand's own address.
            (
                "https://steamcommunity.com-trade.ru/offer/new",
                "steamcommunity.com-trade",
            ),
            (
                "https://paypal.de-sicherheitscenter.com/signin",
                "stands in front",
            ),
            // A brand of two words.
            (
                "https://ing-diba-konto-sperrung.com/verify",
                "the name ingdiba with",
            ),
            ("https://office-365-mail-verify.weebly.com/", "office365"),
            // Words that ask for trust, in other languages.
            ("https://dhl-zollgebuehr-bezahlen.com/", "dhl with a word"),
            (
                "https://correos-envio-retenido.com/pago",
                "correos with a word",
            ),
            ("https://sharefile.click/bewerbung.docx.js", "dressed up"),
            // Words that are harmless elsewhere, beside a brand or beside what asks for trust.
            ("https://hermes-paket-umleitung.net/", "hermes with a word"),
            (
                "https://netflix-abo-mitgliedschaft.com/",
                "netflix with a word",
            ),
            (
                "https://kutxanova-verificar.com/",
                "words that ask for trust",
            ),
            (
                "https://login-microsoftonline.com.r2.dev/",
                "microsoft with a word",
            ),
            // Where it leads.
            (
                "https://shop.example/out?to=https%3A%2F%2Fpaypa1-login.com%2F",
                "leads on to paypa1-login.com",
            ),
            (
                "https://storage.googleapis.com/kunden-login/office.html",
                "a store of files",
            ),
        ] {
            check(url, Verdict::Suspicious, false, reason);
        }
        for url in [
            "https://microsoft.it-solutions.example/",
            "https://sparkassen-finanzportal.de/",
            "https://mozilla.github.io/pdf.js/web/viewer.html",
            "https://www.apple-tree-farm.example/orchard",
            "https://netflix.github.io/",
            "https://deepseek-coder.github.io/",
            "https://soup.s3.eu-central-1.amazonaws.com/recipe.html",
            "https://cityofaustin.formstack.com/forms/permit_request",
            "https://forms.office.com/r/a1b2c3",
            "https://visa-application-form.example/online",
            "https://www.ing-buero-schulz.de/leistungen",
            "https://www.gls-bank.de/",
            "https://trustwallet-review.net/",
            "https://r.mail.example.com/click?u=https%3A%2F%2Fwww.paypal.com%2Fhome",
            "https://storage.googleapis.com/site-assets/help/index.html",
        ] {
            assert_eq!(assess(url).risk.verdict, Verdict::Clean, "{url}");
        }
    }

    #[test]
    fn numbers_files_and_short_names_are_what_they_look_like() {
        for (url, reason) in [
            ("http://203.0.113.7/", "an address instead"),
            ("http://[2001:db8::7]/", "an address instead"),
            (
                "http://0xc0.0xa8.0x1.0x1.evil.example/",
                "an address in front",
            ),
            ("https://192.168.10.1.evil.tk/", "an address in front"),
            ("https://invoice-sept.zip/", "looks like a file"),
            ("https://o2-login-portal.com/", "a short name"),
            ("https://doge-giveaway-live.com/", "given away"),
            (
                "https://myetherwallet.com.ru/",
                "where everybody may take it",
            ),
        ] {
            check(url, Verdict::Suspicious, false, reason);
        }
        for url in [
            "http://192.168.1.1/login",
            "http://[fd00::7]:8080/",
            "https://1.2.3.example.com/",
            "https://archive.zip/",
            "https://o2-arena-tickets.com/",
            "https://bitcoin-magazine.example/",
            "https://goo.gl/maps/abcdef",
            "https://foro.adobeweb.es/",
        ] {
            assert_eq!(assess(url).risk.verdict, Verdict::Clean, "{url}");
        }
    }

    #[test]
    fn the_name_of_a_brand_below_an_end_that_is_not_its_own_is_seen() {
        for url in [
            "https://paypal.xyz/signin",
            "https://secure.paypal.online/signin",
            "https://facebook.support/appeal",
            "https://chase.online/logon",
            "https://usps.help/",
            "https://netflix.cm/login",
            "https://itau.online/token",
        ] {
            let reason = "where everybody may take it";
            check(url, Verdict::Suspicious, false, reason);
        }
        for url in [
            "https://www.paypal.com/signin",
            "https://login.paypal.de/konto",
            "https://discord.gg/rust",
            "https://netflix.shop/",
            "https://linear.app/login",
            "https://target.blog/recipes",
        ] {
            assert_eq!(assess(url).risk.verdict, Verdict::Clean, "{url}");
        }
    }

    #[test]
    fn numbered_words_parts_for_customers_and_misplaced_pages_are_seen() {
        for (url, reason) in [
            ("https://secure07c-chase.com/web/auth", "chase with a word"),
            ("https://mydhl-tracking.top/de", "dhl with a word"),
            ("https://uspstrck-help.com/i", "usps with trck"),
            ("https://ca-securipass.info/connexion", "in front of a form"),
            (
                "http://inn.example/wp-admin/css/colors/mail.php",
                "built of",
            ),
            (
                "http://inn.example/modules/mod_login/dhl/de/",
                "dhl and words",
            ),
        ] {
            check(url, Verdict::Suspicious, false, reason);
        }
        for url in [
            "https://uni.example/~student/login-tutorial.html",
            "https://mydhl.express.dhl/de/de/home.html",
            "https://inn.example/wp-content/uploads/2024/05/menu.html",
            "https://inn.example/wp-admin/admin.php",
            "https://inn.example/modules/mod_login/de/",
            "https://docs.inn.example/plugins/paypal/index.html",
            "https://inn.example/images/paypal.html",
            "https://shop.example/paiement/paypal",
            "https://my-login-demo.netlify.app/",
        ] {
            assert_eq!(assess(url).risk.verdict, Verdict::Clean, "{url}");
        }
    }

    #[test]
    fn what_stands_beside_a_brand_below_it_and_behind_it_counts() {
        for (url, reason) in [
            // A name that nobody else has a use for, beside any other word.
            ("https://natwest-remove-payee.info/", "natwest with a word"),
            ("https://abn-amro-identificatie.nl/", "abnamro with a word"),
            ("https://maybank2u-secure-tac.com/", "the name maybank"),
            (
                "https://intesasanpaolo.attiva-dispositivo.com/",
                "intesasanpaolo with",
            ),
            // Ends where none belong, and a name that is sold below a short one.
            ("https://tax-gov-refund.com/", "the end of offices"),
            ("https://bank-secure.com.au-login.net/", "an end like .com"),
            ("https://csob-overeni-uctu.cz.com/", "with a word"),
            // Two parts that are one name, and a word torn in two.
            ("https://e-zpass-tollpayment.vip/ny", "the name ezpass with"),
            ("https://kraken-logi-n.com/", "kraken with a word"),
            // Digits for letters in a word that only forms have.
            ("https://a9f3k2-l0g1n.ru/", "written with digits"),
            // The brand as a folder: of an address, of a page nobody meant to be there.
            (
                "https://salon.example/wp-includes/certificates/netflix/",
                "netflix and words",
            ),
            (
                "https://lotus.example/cache/natwest/login",
                "natwest and words",
            ),
            (
                "https://club.example/~wells/secure/questions.php",
                "in the folder of a user",
            ),
            (
                "https://studio.example/.well-known/x/y/",
                "below .well-known",
            ),
            (
                "https://kvk-dgd82ksla9s8d7f6.com/login/verify.php",
                "a name that is none",
            ),
            // What anybody can borrow.
            (
                "https://mail-quota-exceeded.webflow.io/",
                "the name of a mailbox",
            ),
            (
                "https://we-transfer-download.blob.core.windows.net/x.html",
                "the name wetransfer",
            ),
            (
                "https://windows-defender-alert.z13.web.core.windows.net/",
                "windowsdefender",
            ),
            (
                "https://zimbra-mail-update.formstack.com/forms/x",
                "pages of anybody",
            ),
            ("https://abcd1234.ngrok.io/paypal", "a tunnel"),
            (
                "https://sites.google.com/view/attnet-mail-login",
                "pages of anybody",
            ),
            (
                "https://pub-7b3f.r2.dev/a.html#info@klinik.example",
                "address of somebody",
            ),
            (
                "https://cloudflare-ipfs.com/ipfs/Qm/?e=Y2ZvQGNvcnAuY29t",
                "address of somebody",
            ),
            // Where it leads, in base64 and in the path.
            (
                "https://t.example/c?u=aHR0cHM6Ly9wYXlwYWwtdmVyaWZ5LmNvbS9sb2dpbg==",
                "leads on to paypal-verify.com",
            ),
            (
                "https://google.com/amp/s/paypal-login.com/x",
                "leads on to paypal-login.com",
            ),
            (
                "https://e.example/?to=http%3A%2F%2F8.8.4.4%2Flogin",
                "leads on to an address",
            ),
        ] {
            check(url, Verdict::Suspicious, false, reason);
        }
        for url in [
            "https://www.isbank.com.tr/internet-subesi",
            "https://www.correios.com.br/rastreamento",
            "https://www.bnpparibas-am.com/en/",
            "https://www.postbank-filialfinder.de/suche",
            "https://netflix-clone-demo.vercel.app/",
            "https://acme.service-now.com/login",
            "https://hsbc.service-now.com/",
            "https://sede.dgt.gob.es/es/multas/",
            "https://shop.example/wp-content/uploads/paypal-logo.png",
            "https://shop.example/assets/img/payment/paypal.svg",
            "https://shop.example/checkout/paypal/return?token=EC-1",
            "https://forum.example/auth/google/callback",
            "https://matrix.example.org/.well-known/matrix/client",
            "https://www.cs.example.edu/~jones/teaching/security/index.html",
            "https://auth-demo.vercel.app/login",
            "https://client-portal.herokuapp.com/login",
            "https://a1b2c3.ngrok-free.app/webhook/test",
            "https://newsletter.example.com/unsubscribe?email=anna@example.de",
            "https://web.archive.org/web/2020/https://www.paypal.com/",
        ] {
            let found = assess(url);
            assert_eq!(found.risk.verdict, Verdict::Clean, "{url}: {found:?}");
        }
    }

    #[test]
    fn every_rule_says_what_it_saw() {
        use Verdict::Malicious;
        use Verdict::Suspicious;
        check("https://раураl.com/", Malicious, true, "paypal");
        check("https://xn--80ak6aa92e.com/", Malicious, true, "apple");
        check("https://www.ɢoogle.com/", Malicious, true, "google");
        // Accents alone are no proof, and words of a language are no names.
        check("https://nétflix.com/", Suspicious, false, "with accents");
        for url in [
            "https://\u{1e41}icrosoft.com/login",
            "https://paypa\u{1e37}.com/",
            "https://p\u{1ea1}ypal.com/",
            "https://microso\u{192}t.com/",
            "https://\u{185}inance.com/",
        ] {
            let found = assess(url);
            assert!(found.risk.verdict != Verdict::Clean, "{url} {found:?}");
        }
        for url in [
            "https://súbito.es/",
            "https://líbero.com.ar/",
            "https://café-caf.fr/",
        ] {
            assert_eq!(assess(url).risk.verdict, Verdict::Clean, "{url}");
        }
        check(
            "https://gаrden-club.example/",
            Suspicious,
            false,
            "mixes alphabets",
        );
        check("https://paypa1.com/", Suspicious, false, "imitate paypal");
        check(
            "https://netfllix.com/",
            Suspicious,
            false,
            "one letter away",
        );
        check(
            "https://paypal.com.evil.example/",
            Suspicious,
            false,
            "in front of another site",
        );
        check(
            "http://45.77.12.9/",
            Suspicious,
            false,
            "address instead of a host",
        );
        check("https://a:b@example.com/", Suspicious, false, "user name");
        check(
            "https://a.b.c.d.e.f.g.example.top/",
            Suspicious,
            false,
            "below the site",
        );
        check(
            "https://e.example/invoice.pdf.exe",
            Suspicious,
            false,
            "dressed up",
        );
        check("https://bit.ly/abc", Suspicious, false, "shortener");
        check("https://tinyurl.com/?u=x", Suspicious, false, "shortener");
    }

    #[test]
    fn accents_are_a_brands_own_only_as_it_writes_them() {
        for own in [
            "https://www.hermès.com/fr",
            "https://nestlé.com/",
            "https://citroën.fr/modeles",
            "https://l-oréal.fr/",
            "https://sociétégénérale.com/",
            "https://itaú.com.br/",
            "https://müller.de/",
            "https://město-brno.cz/",
        ] {
            let found = assess(own);
            assert_eq!(found.risk.verdict, Verdict::Clean, "{own}: {found:?}");
        }
        for foreign in [
            "https://hermés.com/",
            "https://páypal.com/",
            "https://nétflix.com/",
            "https://sparkássen.de/",
            "https://hermès-paket.top/",
            "https://rnicrosoft.com/",
        ] {
            let found = assess(foreign);
            assert_ne!(found.risk.verdict, Verdict::Clean, "{foreign}: {found:?}");
        }
        check(
            "https://pаypal.com/",
            Verdict::Malicious,
            true,
            "made to look like",
        );
    }

    #[test]
    fn what_a_shortener_says_of_itself_hides_nothing() {
        for own in [
            "https://bit.ly/",
            "https://bitly.com/pages/pricing",
            "https://tinyurl.com/app/register",
        ] {
            let found = assess(own);
            assert_eq!(found.risk.verdict, Verdict::Clean, "{own}: {found:?}");
        }
    }

    #[test]
    fn a_block_list_is_certain() {
        let path = std::env::temp_dir().join(format!("urlshort-risk-{}", std::process::id()));
        std::fs::write(&path, "*.evil.example\n45.77.0.0/16\n").unwrap();
        let lists = BlockLists::new(vec![path.clone()]);
        lists.reload();
        std::fs::remove_file(path).unwrap();
        let lexicon = Lexicon::new();
        for url in ["https://www.evil.example./", "http://45.77.12.9/"] {
            let found = RiskRules::new().assess(url, &lists, lexicon.vocabulary());
            assert!(
                found.certain && found.risk.verdict == Verdict::Malicious,
                "{found:?}"
            );
        }
    }
}
