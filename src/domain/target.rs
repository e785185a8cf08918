//! What may be a target: the one policy for every URL that can become a `Location`.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use url::Host;
use url::Url;

/// The longest target in bytes, in the parser's serialised form.
pub const MAX_BYTES: usize = 2_048;

/// The rules of this deployment: our own hosts, and whether private targets are wanted.
#[derive(Clone, Debug, Default)]
pub struct TargetPolicy {
    own_hosts: Vec<String>,
    allow_private: bool,
}

/// A URL that passed the policy, in the parser's serialised form (host in punycode).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(Box<str>);

/// Why a URL cannot be a target.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TargetError {
    /// Not an absolute URL.
    #[error("is not an absolute URL such as https://example.com/page")]
    Malformed,
    /// Another scheme than http and https.
    #[error("must begin with http:// or https://")]
    Scheme,
    /// A user name or a password in front of the host.
    #[error("must not contain a user name or a password")]
    Credentials,
    /// No host.
    #[error("has no host")]
    NoHost,
    /// Port 0.
    #[error("has the port 0, where nothing can listen")]
    Port,
    /// Over [`MAX_BYTES`].
    #[error("is longer than 2,048 bytes")]
    Length,
    /// A byte below 0x20, or DEL.
    #[error("contains control characters")]
    Control,
    /// Our own host: the visitor would run in a circle.
    #[error("leads back to this service")]
    Loop,
    /// Loopback, private or link-local, in any spelling.
    #[error("leads into a private or local network")]
    Private,
}

impl TargetError {
    /// The stable word for `errors[].code`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed_url",
            Self::Scheme => "scheme",
            Self::Credentials => "credentials",
            Self::NoHost => "no_host",
            Self::Port => "port",
            Self::Length => "too_long",
            Self::Control => "control_characters",
            Self::Loop => "own_host",
            Self::Private => "private_target",
        }
    }
}

impl Target {
    /// The URL as it is stored and sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TargetPolicy {
    /// A policy that knows `own_hosts` (host names without port, any case) as loops.
    #[must_use]
    pub fn new(own_hosts: impl IntoIterator<Item = String>, allow_private: bool) -> Self {
        let own_hosts = own_hosts.into_iter().map(|host| canonical(&host)).collect();
        Self {
            own_hosts,
            allow_private,
        }
    }

    /// The target that `text` names. `request_host` (with or without port) is one more host of ours.
    ///
    /// # Errors
    /// [`TargetError`], with the reason to show.
    pub fn check(&self, text: &str, request_host: Option<&str>) -> Result<Target, TargetError> {
        if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return Err(TargetError::Control);
        }
        if text.len() > MAX_BYTES {
            return Err(TargetError::Length);
        }
        let url = Url::parse(text).map_err(|error| {
            let hostless = error == url::ParseError::EmptyHost;
            if hostless {
                TargetError::NoHost
            } else {
                TargetError::Malformed
            }
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(TargetError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Credentials);
        }
        if url.port() == Some(0) {
            return Err(TargetError::Port);
        }
        let host = url.host().ok_or(TargetError::NoHost)?;
        self.check_host(&host, request_host)?;
        // The serialised form can be longer than what was typed: every 'ä' becomes six bytes.
        if url.as_str().len() > MAX_BYTES {
            return Err(TargetError::Length);
        }
        Ok(Target(url.as_str().into()))
    }

    /// Whether `stored`, read from where others may write, is a target of this policy in the form
    /// in which [`Self::check`] gives it. Costs a fraction of a check for ordinary addresses.
    #[must_use]
    pub fn admits(&self, stored: &str) -> bool {
        let Some(host) = plain_host(stored) else {
            return self
                .check(stored, None)
                .is_ok_and(|target| target.as_str() == stored);
        };
        stored.len() <= MAX_BYTES
            && !self.own_hosts.iter().any(|own| own == host)
            && (self.allow_private || !is_local_name(host))
    }

    fn check_host(&self, host: &Host<&str>, request_host: Option<&str>) -> Result<(), TargetError> {
        let name = canonical(&host.to_string());
        if name.is_empty() {
            return Err(TargetError::NoHost);
        }
        if self.own_hosts.contains(&name) {
            return Err(TargetError::Loop);
        }
        if request_host.is_some_and(|own| canonical(without_port(own)) == name) {
            return Err(TargetError::Loop);
        }
        if self.allow_private {
            return Ok(());
        }
        let private = match host {
            Host::Domain(_) => is_local_name(&name),
            Host::Ipv4(address) => is_private(IpAddr::V4(*address)),
            Host::Ipv6(address) => is_private(IpAddr::V6(*address)),
        };
        if private {
            Err(TargetError::Private)
        } else {
            Ok(())
        }
    }
}

/// The host of a `Host` header: what stands before the port.
#[must_use]
pub fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // An IPv6 address has colons inside its brackets.
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}

/// The host of an address in which nothing needs the parser: a name of plain letters, digits and
/// hyphens, no port, no credentials, and visible ASCII behind it. `None` for every other one.
fn plain_host(address: &str) -> Option<&str> {
    let rest = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"))?;
    let (host, path) = rest.split_once('/')?;
    // A last label that begins with a digit may be a number, and the host an address.
    let (front, last) = host.rsplit_once('.').unwrap_or(("", host));
    let is_name = last.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    let is_plain = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    let is_visible = |byte| matches!(byte, 0x21..=0x7e);
    (is_name
        && host.bytes().all(is_plain)
        && !last.starts_with("xn--")
        && !front.contains("xn--")
        && path.bytes().all(is_visible))
    .then_some(host)
}

/// Lower case, in punycode, without the root's dot: names that are equal are the same host.
fn canonical(host: &str) -> String {
    let bare = host.strip_suffix('.').unwrap_or(host);
    Host::parse(bare).map_or_else(|_| bare.to_ascii_lowercase(), |host| host.to_string())
}

fn is_local_name(name: &str) -> bool {
    name == "localhost"
        || [".localhost", ".local", ".internal"]
            .iter()
            .any(|suffix| name.ends_with(suffix))
        || matches!(name, "local" | "internal")
}

/// Whether `address` is anything but global unicast, embedded IPv4 addresses included.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => is_private_v6(v6),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113)
}

/// The IPv4 address that a translator or a tunnel takes an IPv6 address to: mapped, NAT64, 6to4.
#[must_use]
pub fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [s0, s1, s2, s3, s4, s5, s6, s7] = address.segments();
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    if (s0, s1, s2, s3, s4, s5) == (0x64, 0xff9b, 0, 0, 0, 0) {
        Some(of(s6, s7))
    } else if s0 == 0x2002 {
        Some(of(s1, s2))
    } else {
        address.to_ipv4_mapped()
    }
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    if let Some(v4) = embedded_v4(address) {
        return is_private_v4(v4);
    }
    let [s0, s1, _, _, s4, s5, s6, s7] = address.segments();
    if (s0 & 0xe000) != 0x2000 {
        // No global unicast is given out elsewhere. Among the rest: ::1, the IPv4-compatible and
        // IPv4-translated forms, NAT64 for local use, unique local, link-local and multicast.
        return true;
    }
    let inside = || {
        let ([a, b], [c, d]) = (s6.to_be_bytes(), s7.to_be_bytes());
        is_private_v4(Ipv4Addr::new(a, b, c, d))
    };
    let isatap = (s4 & !0x0200, s5) == (0, 0x5efe) && inside();
    isatap
        || (s0 == 0x2001 && s1 < 0x200) // protocols, Teredo among them
        || (s0, s1) == (0x2001, 0xdb8)
        || (s0 == 0x3fff && s1 < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, reason: TargetError) {
        let policy = TargetPolicy::new(["sho.rt".to_owned()], false);
        assert_eq!(
            policy.check(text, Some("LOCALHOST.example:8000")),
            Err(reason),
            "{text:?}"
        );
    }

    #[track_caller]
    fn accepted(text: &str, stored: &str) {
        let policy = TargetPolicy::new(["sho.rt".to_owned()], false);
        let target = policy.check(text, None).unwrap();
        assert_eq!(target.as_str(), stored);
        assert_eq!(
            policy.check(stored, None).unwrap(),
            target,
            "stored forms are stable"
        );
    }

    #[test]
    fn ordinary_urls_are_stored_in_their_serialised_form() {
        accepted("https://example.com", "https://example.com/");
        accepted(
            "HTTP://EXAMPLE.com:80/a b?q=ä#f",
            "http://example.com/a%20b?q=%C3%A4#f",
        );
        accepted("https://bücher.example/", "https://xn--bcher-kva.example/");
        accepted("https://8.8.8.8/", "https://8.8.8.8/");
        for public in [
            "https://[2606:4700::1111]/",
            "https://[2a00:1450:4001::200e]/",
            "https://[::ffff:808:808]/",
            "https://[64:ff9b::808:808]/",
            "https://[2002:808:808::1]/",
        ] {
            accepted(public, public);
        }
    }

    #[test]
    fn dangerous_urls_are_refused_with_their_reason() {
        refused("javascript:alert(1)", TargetError::Scheme);
        refused("java\nscript:alert(1)", TargetError::Control);
        refused("data:text/html,x", TargetError::Scheme);
        refused("ftp://example.com/", TargetError::Scheme);
        refused("https://user:pw@example.com/", TargetError::Credentials);
        refused("https://user@example.com/", TargetError::Credentials);
        refused("https://", TargetError::NoHost);
        refused("https://example.com:0/", TargetError::Port);
        refused("example.com", TargetError::Malformed);
        refused("", TargetError::Malformed);
        refused(
            &format!("https://example.com/{}", "x".repeat(2_048)),
            TargetError::Length,
        );
        refused(
            &format!("https://example.com/{}", "ä".repeat(500)),
            TargetError::Length,
        );
        refused("https://SHO.RT./x", TargetError::Loop);
        refused("https://localhost.example:9/", TargetError::Loop);
    }

    #[test]
    fn what_is_read_back_must_be_what_a_check_gave() {
        let policy = TargetPolicy::new(["sho.rt".to_owned()], false);
        for sound in [
            "https://example.com/",
            "http://example.com:8080/a?b#c",
            "https://xn--bcher-kva.example/%C3%84",
            "https://8.8.8.8/",
            "https://[2606:4700::1111]/",
        ] {
            assert!(policy.admits(sound), "{sound}");
        }
        for forged in [
            "",
            "javascript:alert(1)//example.com/",
            "https://user:pw@example.com/",
            "https://example.com",
            "HTTPS://example.com/",
            " https://example.com/",
            "https://example.com/a b",
            "https://example.com/\u{e4}",
            "https://example.com/\r\nSet-Cookie: a=b",
            "https://example.com:0/",
            "https://sho.rt/x",
            "https://sho.rt./x",
            "https://printer.local/",
            "https://localhost/",
            "http://127.0.0.1/",
            "http://0x7f.1/",
            "http://127.1/",
            "http://[::1]/",
            "http:///etc",
        ] {
            assert!(!policy.admits(forged), "{forged}");
        }
        assert!(!policy.admits(&format!("https://example.com/{}", "x".repeat(2_048))));
        assert!(TargetPolicy::new([], true).admits("http://printer.local/"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_read_back_that_a_check_refuses(
            scheme in "https?|ftp|HTTP",
            host in "(([a-z0-9X-]{1,4}|xn--a|local|0x7f|127|@|:[0-9]{1,2}|%6c)[.]?){1,4}",
            path in "(/[ -~]{0,6})?",
        ) {
            let policy = TargetPolicy::new(["a.local1".to_owned()], false);
            let address = format!("{scheme}://{host}{path}");
            if policy.admits(&address) {
                proptest::prop_assert!(policy.check(&address, None).is_ok(), "{address}");
            }
        }
    }

    #[test]
    fn private_hosts_are_refused_in_every_spelling() {
        for host in [
            "localhost",
            "a.localhost",
            "printer.local",
            "db.internal",
            "127.0.0.1",
            "0x7f.1",
            "2130706433",
            "0177.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:0:127.0.0.1]",
            "[::ffff:0:8.8.8.8]",
            "[::127.0.0.1]",
            "[::8.8.8.8]",
            "[64:ff9b::10.0.0.1]",
            "[64:ff9b:1::8.8.8.8]",
            "[64:ff9b:0:1::8.8.8.8]",
            "[2002:a00:1::1]",
            "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
            "[2600::5efe:192.168.0.1]",
            "[2600::200:5efe:10.0.0.1]",
            "[100::1]",
            "[1::1]",
            "[4000::1]",
            "[fec0::1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[fe80::1]",
            "[3fff::1]",
            "[5f00::1]",
            "[fc00::1]",
            "[ff02::1]",
            "１２７.0.0.1",
            "localhost.",
        ] {
            refused(&format!("http://{host}/"), TargetError::Private);
            let open = TargetPolicy::new([], true);
            assert!(
                open.check(&format!("http://{host}/"), None).is_ok(),
                "{host}"
            );
        }
    }
}
