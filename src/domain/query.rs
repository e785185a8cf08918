//! Query strings that are sent on: which parameters of the visitor reach the target.

use std::borrow::Cow;

/// The most bytes of a visitor's query that are sent on: whole parameters, in order.
pub const MAX_FORWARDED: usize = 2_048;

/// What happens to the query string of the short URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryForward {
    /// Sent on; the target's own parameters win.
    #[default]
    Keep,
    /// Sent on; the visitor's parameters replace the target's.
    Override,
    /// Not sent on.
    Off,
}

impl QueryForward {
    /// Its number in the databases.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Keep => 0,
            Self::Override => 1,
            Self::Off => 2,
        }
    }

    /// The mode behind a number of the databases; an unknown one forwards nothing.
    #[must_use]
    pub const fn from_number(number: i16) -> Self {
        match number {
            0 => Self::Keep,
            1 => Self::Override,
            _ => Self::Off,
        }
    }
}

/// The target with the visitor's query, or `None` where nothing changes.
///
/// Names are compared percent-decoded (`%72ole` must not slip past the target's `role`); what is
/// sent on are the raw bytes. Our own parameter `qr` is dropped.
#[must_use]
pub fn forward(target: &str, query: &str, mode: QueryForward) -> Option<String> {
    if mode == QueryForward::Off || query.is_empty() {
        return None;
    }
    let (before_fragment, fragment) = split(target, '#');
    let (path, own) = split(before_fragment, '?');
    let own_parts: Vec<&str> = parts(own.unwrap_or("")).collect();
    let own_names: Vec<Cow<'_, str>> = own_parts.iter().map(|part| name(part)).collect();
    let sent: Vec<&str> = within(parts(query), MAX_FORWARDED)
        .filter(|part| name(part) != "qr")
        .filter(|part| mode == QueryForward::Override || !own_names.contains(&name(part)))
        .collect();
    if sent.is_empty() {
        return None;
    }
    let sent_names: Vec<Cow<'_, str>> = sent.iter().map(|part| name(part)).collect();
    let kept = own_parts
        .iter()
        .copied()
        .filter(|part| mode == QueryForward::Keep || !sent_names.contains(&name(part)));
    let joined: Vec<&str> = kept.chain(sent.iter().copied()).collect();
    let mut result = format!("{path}?{}", joined.join("&"));
    if let Some(fragment) = fragment {
        result.push('#');
        result.push_str(fragment);
    }
    Some(result)
}

/// Whether a query holds our own parameter `qr`: the visitor came from a QR code.
#[must_use]
pub fn from_qr(query: &str) -> bool {
    parts(query).any(|part| name(part) == "qr")
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at)
        .map_or((text, None), |(left, right)| (left, Some(right)))
}

fn parts(query: &str) -> impl Iterator<Item = &str> {
    query.split('&').filter(|part| !part.is_empty())
}

/// The first parameters that fit into `limit` bytes with their separators.
fn within<'q>(parts: impl Iterator<Item = &'q str>, limit: usize) -> impl Iterator<Item = &'q str> {
    parts.scan(0_usize, move |used, part| {
        *used += part.len() + 1;
        (*used <= limit + 1).then_some(part)
    })
}

fn name(part: &str) -> Cow<'_, str> {
    let raw = split(part, '=').0;
    url::form_urlencoded::parse(raw.as_bytes())
        .next()
        .map_or(Cow::Borrowed(raw), |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(target: &str, query: &str, mode: QueryForward, expected: Option<&str>) {
        assert_eq!(
            forward(target, query, mode).as_deref(),
            expected,
            "{target} + {query}"
        );
    }

    #[test]
    fn the_targets_own_parameters_win_by_default() {
        check(
            "https://e.x/",
            "a=1",
            QueryForward::Keep,
            Some("https://e.x/?a=1"),
        );
        check(
            "https://e.x/?role=u#top",
            "%72ole=admin&b=%202",
            QueryForward::Keep,
            Some("https://e.x/?role=u&b=%202#top"),
        );
        check("https://e.x/?a=1", "a=2", QueryForward::Keep, None);
        check(
            "https://e.x/?a=1&c=3",
            "a=2",
            QueryForward::Override,
            Some("https://e.x/?c=3&a=2"),
        );
        check("https://e.x/", "a=2", QueryForward::Off, None);
        check("https://e.x/", "qr=1", QueryForward::Keep, None);
        check(
            "https://e.x/",
            "q%72=1&x=y",
            QueryForward::Keep,
            Some("https://e.x/?x=y"),
        );
        check("https://e.x/", "", QueryForward::Keep, None);
    }

    #[test]
    fn only_whole_parameters_within_the_bound_are_sent_on() {
        let long = "b=".to_owned() + &"x".repeat(2_046);
        check(
            "https://e.x/",
            &format!("a=1&{long}"),
            QueryForward::Keep,
            Some("https://e.x/?a=1"),
        );
        check(
            "https://e.x/",
            &long,
            QueryForward::Keep,
            Some(&format!("https://e.x/?{long}")),
        );
    }
}
