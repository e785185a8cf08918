//! Requests for a code, as clicks: what is kept of a visitor, clamped.

use std::borrow::Cow;
use std::net::IpAddr;

use actix_web::http::header::ACCEPT_LANGUAGE;
use actix_web::http::header::HeaderMap;
use actix_web::http::header::HeaderName;
use actix_web::http::header::HeaderValue;
use actix_web::http::header::REFERER;
use actix_web::http::header::USER_AGENT;

use crate::domain::click::Hit;
use crate::domain::click::Trigger;
use crate::domain::time::Timestamp;
use crate::events::queue::Dropped;
use crate::events::queue::Ticket;
use crate::events::queue::Visit;
use crate::http::client::Client;
use crate::http::state::AppState;
use crate::slots::Slot;

const MAX_AGENT: usize = 512;
const MAX_REFERRER: usize = 1_024;
const MAX_LANGUAGE: usize = 64;

/// The header of a prefetch.
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");

/// How a code was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// By the databases' clock.
    pub(super) at: Timestamp,
    /// Whether by HEAD.
    pub(super) head: bool,
    /// Link or QR code.
    pub(super) trigger: Trigger,
}

/// Pushes the click of a request into the worker's lane.
pub(super) fn record(
    state: &AppState,
    lane: usize,
    (slot, code): (Slot, &str),
    (peer, headers): (Option<IpAddr>, &HeaderMap),
    asked: Asked,
) -> Result<Ticket, Dropped> {
    let client = Client::of(state, peer, headers);
    let agent = clamp(header(headers, &USER_AGENT), MAX_AGENT);
    let referrer = headers.get(REFERER).map_or_else(Cow::default, |referrer| {
        referring_host(clamp(referrer.as_bytes(), MAX_REFERRER))
    });
    let prefetch = headers
        .get(SEC_PURPOSE)
        .is_some_and(|purpose| purpose.as_bytes().starts_with(b"prefetch"));
    let visit = Visit {
        at: asked.at.micros(),
        visitor: state.visitors.hash(client.address, agent, asked.at),
        agent,
        referrer: referrer.as_bytes(),
        language: language(clamp(header(headers, &ACCEPT_LANGUAGE), MAX_LANGUAGE)),
        country: client.country(),
        hit: if asked.head || prefetch {
            Hit::Head
        } else {
            Hit::Get
        },
        trigger: asked.trigger,
    };
    state.queue.push(lane, slot, code, &visit)
}

/// A header's bytes; none where it is absent.
fn header<'request>(headers: &'request HeaderMap, name: &HeaderName) -> &'request [u8] {
    headers.get(name).map_or(&[], HeaderValue::as_bytes)
}

/// At most `max` bytes, which may end within a character.
fn clamp(bytes: &[u8], max: usize) -> &[u8] {
    bytes.get(..max).unwrap_or(bytes)
}

/// The host of a `Referer`, in lower case, without port; empty where there is none.
fn referring_host(referrer: &[u8]) -> Cow<'_, str> {
    let text = std::str::from_utf8(referrer).ok();
    let Some((_, rest)) = text.and_then(|text| text.split_once("://")) else {
        return "".into();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    let host = authority.rsplit('@').next().unwrap_or("");
    let host = crate::domain::target::without_port(host);
    let plain = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".-[]:_".contains(&byte));
    if !plain || host.len() > 253 {
        return "".into();
    }
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return host.to_ascii_lowercase().into();
    }
    host.into()
}

/// The primary tag of the first language, such as `de`; empty where there is none.
fn language(header: &[u8]) -> &[u8] {
    let first = header.split(|byte| b",;-".contains(byte)).next();
    let first = first.unwrap_or_default().trim_ascii();
    let plain = (2..=3).contains(&first.len()) && first.iter().all(u8::is_ascii_lowercase);
    if plain { first } else { &[] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_of_a_referrer_is_kept() {
        for (referrer, host) in [
            ("https://News.Example.com:8443/a?b#c", "news.example.com"),
            ("https://user@example.com", "example.com"),
            ("android-app://com.example/", "com.example"),
            ("garbage", ""),
            ("https://<script>/", ""),
        ] {
            assert_eq!(referring_host(referrer.as_bytes()), host);
        }
    }

    #[test]
    fn the_first_language_is_kept() {
        for (header, tag) in [("de-DE,de;q=0.9", "de"), ("en", "en"), ("*", ""), ("", "")] {
            assert_eq!(language(header.as_bytes()), tag.as_bytes());
        }
        assert_eq!(clamp(b"abc", 2), b"ab");
        assert_eq!(clamp(b"abc", 4), b"abc");
    }
}
