//! The public URL, the far cache and the brokers: what their addresses may look like.

use std::net::Ipv6Addr;

use url::Url;

use super::complaint::Fault;
use super::secret::Secret;

/// What short URLs begin with: scheme, host and perhaps a port; no path, query or credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    origin: String,
    host: String,
}

/// The problem of a URL that wants what this build cannot do.
pub(super) const NO_TLS: &str = "asks for TLS, and this build has no TLS";

impl PublicUrl {
    /// `https://sho.rt`, without a slash behind it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.origin
    }

    /// What a client sends as `Host`: lower case, the port only if it is not the scheme's own.
    #[must_use]
    pub fn host_header(&self) -> &str {
        &self.host
    }

    /// Reads `text`, or says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let remedy = "write scheme and host alone, as https://sho.rt";
        let fault = |problem: &str| Fault::new(problem, remedy);
        let Ok(url) = Url::parse(text) else {
            return Err(fault("is no URL"));
        };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(fault("is neither http:// nor https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(fault("holds credentials"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(fault("has something behind the host"));
        }
        let Some(name) = url.host_str() else {
            return Err(fault("names no host"));
        };
        let host = match url.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        Ok(Self {
            origin: format!("{}://{host}", url.scheme()),
            host,
        })
    }
}

/// Checks the URL of the far cache.
pub(super) fn redis(text: &str) -> Result<Secret, Fault> {
    let remedy = "write redis://host:6379 or redis-cluster://host:6379";
    let fault = |problem: &str| Fault::new(problem, remedy);
    let Ok(url) = Url::parse(text) else {
        return Err(fault("is no URL"));
    };
    match url.scheme() {
        "redis" | "redis-cluster" => (),
        "rediss" | "rediss-cluster" | "valkeys" => return Err(fault(NO_TLS)),
        _ => return Err(fault("has an unknown scheme")),
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(fault("names no host"));
    }
    let database = url.path().trim_matches('/');
    if url.scheme() == "redis-cluster" && !database.is_empty() {
        return Err(fault("names a database, and a cluster has but one"));
    }
    if !database.is_empty() && database.parse::<u8>().is_err() {
        return Err(fault("names a database that is no number"));
    }
    Ok(Secret::new(text))
}

/// `text` without the password it may hold.
pub(super) fn redact(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else {
        return "***".to_owned();
    };
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return "***".to_owned();
    }
    url.to_string()
}

/// Checks one broker: `host:port`, an IPv6 address in brackets.
pub(super) fn broker(text: &str) -> Result<String, Fault> {
    let fault = || Fault::new(format!("{text:?} is no host:port"), "write kafka:9092");
    let (host, port) = text.rsplit_once(':').ok_or_else(fault)?;
    let plain = host
        .chars()
        .all(|sign| sign.is_ascii_alphanumeric() || "-._".contains(sign));
    let address = host
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok());
    let numbered = port.parse::<u16>().is_ok_and(|port| port > 0);
    if host.is_empty() || !(plain || address) || !numbered {
        return Err(fault());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_public(text: &str, expected: Option<(&str, &str)>) {
        let got = PublicUrl::parse(text).ok();
        assert_eq!(
            got.as_ref().map(|url| (url.as_str(), url.host_header())),
            expected
        );
    }

    #[test]
    fn a_public_url_is_scheme_and_host() {
        check_public("https://Sho.RT/", Some(("https://sho.rt", "sho.rt")));
        check_public("https://sho.rt:443", Some(("https://sho.rt", "sho.rt")));
        check_public(
            "http://sho.rt:8000",
            Some(("http://sho.rt:8000", "sho.rt:8000")),
        );
        check_public(
            "http://[::1]:8000",
            Some(("http://[::1]:8000", "[::1]:8000")),
        );
        for text in [
            "sho.rt",
            "ftp://sho.rt",
            "https://a:b@sho.rt",
            "https://sho.rt/x",
        ] {
            check_public(text, None);
        }
        check_public("https://sho.rt/?a", None);
    }

    #[test]
    fn a_redis_url_is_checked_and_redacted() {
        for good in [
            "redis://h",
            "redis://:pw@h:1/3",
            "redis-cluster://h:1?node=i:2",
        ] {
            assert!(redis(good).is_ok(), "{good}");
        }
        assert!(redis("rediss://h").unwrap_err().problem.contains("no TLS"));
        for bad in [
            "h:6379",
            "redis://",
            "http://h",
            "redis://h/x",
            "redis-cluster://h/1",
        ] {
            assert!(redis(bad).is_err(), "{bad}");
        }
        assert_eq!(redact("redis://u:pw@h:1/3"), "redis://u:***@h:1/3");
    }

    #[test]
    fn a_broker_is_host_and_port() {
        for good in ["kafka:9092", "10.0.0.1:1", "[::1]:9092", "a_b-c.d:65535"] {
            assert!(broker(good).is_ok(), "{good}");
        }
        for bad in [
            "kafka",
            "kafka:0",
            "kafka:x",
            ":9092",
            "::1:9092",
            "PLAINTEXT://k:9092",
        ] {
            assert!(broker(bad).is_err(), "{bad}");
        }
    }
}
