//! Who asks, and under which name: client address, scheme and host, believed only from proxies
//! that the configuration names.

use std::net::IpAddr;
use std::net::Ipv4Addr;

use actix_web::http::header::HOST;
use actix_web::http::header::HeaderMap;
use actix_web::http::header::HeaderName;
use actix_web::http::header::HeaderValue;

use crate::domain::target::is_private;
use crate::domain::target::without_port;
use crate::http::state::AppState;

const CF_IPCOUNTRY: HeaderName = HeaderName::from_static("cf-ipcountry");
const CF_CONNECTING_IP: HeaderName = HeaderName::from_static("cf-connecting-ip");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What the peer and its headers say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client<'request> {
    headers: &'request HeaderMap,
    /// The client itself, behind trusted proxies.
    pub(super) address: IpAddr,
    trusted: bool,
}

impl<'request> Client<'request> {
    pub(super) fn of(state: &AppState, peer: Option<IpAddr>, headers: &'request HeaderMap) -> Self {
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| {
            peer.to_canonical()
        });
        let trusted = is_trusted(state, peer);
        if trusted {
            let address = forwarded(state, headers).unwrap_or(peer);
            return Self {
                headers,
                address,
                trusted,
            };
        }
        if is_private(peer) && headers.contains_key(X_FORWARDED_FOR) {
            state.health.warn(
                "http:trusted_proxies",
                &format!(
                    "{peer} sends forwarding headers and is not in http.trusted_proxies: behind it \
                     all people are one client"
                ),
            );
        }
        Self {
            headers,
            address: peer,
            trusted,
        }
    }

    /// Two capitals, or zeros.
    pub(super) fn country(&self) -> [u8; 2] {
        let unknown = [0, 0];
        if !self.trusted {
            return unknown;
        }
        match self.headers.get(CF_IPCOUNTRY).map(HeaderValue::as_bytes) {
            Some(b"XX" | b"xx") | None => unknown,
            Some([a, b]) if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                [a.to_ascii_uppercase(), b.to_ascii_uppercase()]
            }
            Some(_) => unknown,
        }
    }

    /// What short URLs begin with: the configured one, or how this request came here.
    pub(super) fn base(&self, state: &AppState) -> String {
        if let Some(base) = &state.settings.public_url {
            return base.clone();
        }
        let scheme = self
            .headers
            .get(X_FORWARDED_PROTO)
            .map(HeaderValue::as_bytes);
        let scheme = if self.trusted && scheme == Some(b"https") {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.host().unwrap_or("localhost"))
    }

    /// The request's `Host`, if it is a plausible one.
    pub(super) fn host(&self) -> Option<&'request str> {
        let host = self.headers.get(HOST)?.to_str().ok()?;
        is_host(host).then_some(host)
    }

    /// Whether a proxy stands in between, believed or not.
    pub(super) fn is_forwarded(&self) -> bool {
        [
            "x-forwarded-for",
            "forwarded",
            "cf-connecting-ip",
            "x-real-ip",
            "cf-ray",
        ]
        .iter()
        .any(|name| self.headers.contains_key(*name))
    }
}

/// Whether a `Host` can be what short URLs begin with: a host name or address, maybe a port.
pub(super) fn is_host(host: &str) -> bool {
    let name = without_port(host);
    let port = host
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix(':'));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
    (1..=253).contains(&name.len())
        && name.bytes().all(plain)
        && (is_common(name) || url::Host::parse(name).is_ok())
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Whether the full check, which costs a microsecond, would agree: an IPv4 address or a plain name.
fn is_common(name: &str) -> bool {
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.iter().all(u8::is_ascii_alphanumeric) && !bytes.is_empty() && bytes.len() < 64
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = last.starts_with(|first: char| first.is_ascii_digit());
    if is_number {
        return name.parse::<Ipv4Addr>().is_ok();
    }
    name.split('.').all(is_label)
}

/// The right-most address that is no proxy of ours.
fn forwarded(state: &AppState, headers: &HeaderMap) -> Option<IpAddr> {
    if !headers.contains_key(X_FORWARDED_FOR) && !headers.contains_key(CF_CONNECTING_IP) {
        return None;
    }
    let lists: Vec<&str> = headers
        .get_all(X_FORWARDED_FOR)
        .filter_map(|value| value.to_str().ok())
        .collect();
    for entry in lists.iter().rev().flat_map(|list| list.rsplit(',')) {
        // What cannot be read ends the chain: to its left anything may have been written.
        let address = entry.trim().parse::<IpAddr>().ok()?.to_canonical();
        if !is_trusted(state, address) {
            return Some(address);
        }
    }
    headers.get(CF_CONNECTING_IP)?.to_str().ok()?.parse().ok()
}

fn is_trusted(state: &AppState, address: IpAddr) -> bool {
    state
        .settings
        .trusted_proxies
        .iter()
        .any(|network| network.contains(&address))
}
