//! What several commands let people type: numbers with a unit, and the address of a service.

use url::Url;

/// A whole number from `least` to `most`, as `20000`, `20_000`, `20k` or `1.5M`.
///
/// # Errors
/// What it should be.
pub(super) fn number(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let plain = text.replace(['_', '\''], "");
    let (digits, factor) = match plain.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1_000),
        None => match plain.strip_suffix(['m', 'M']) {
            Some(digits) => (digits, 1_000_000),
            None => (plain.as_str(), 1),
        },
    };
    let number = if factor == 1 {
        digits.parse::<u64>().ok()
    } else {
        scaled(digits, factor)
    };
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("is no whole number from {least} to {most}, as 1500, 20k or 1.5M"))
}

/// `digits`, perhaps with a point, times `factor`; nothing where that is no whole number.
fn scaled(digits: &str, factor: u64) -> Option<u64> {
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let places = u32::try_from(part.len()).ok()?;
    let unit = factor.checked_div(10_u64.checked_pow(places)?)?;
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || unit == 0 || !is_digits(whole) || !is_digits(part) {
        return None;
    }
    let part = if part.is_empty() { "0" } else { part };
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    whole.checked_add(part.parse::<u64>().ok()?.checked_mul(unit)?)
}

/// The address of a service; `127.0.0.1:8000` and `localhost:8000` mean `http://`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn service(text: &str) -> Result<Url, String> {
    let whole = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let url = Url::parse(&whole).map_err(|error| {
        format!("is no address of a service, as http://127.0.0.1:8000: {error}")
    })?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err("names no host: write http://HOST:PORT".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(number(text, 1, 10_000_000).ok(), expected, "{text:?}");
    }

    #[test]
    fn numbers_are_read_as_people_write_them() {
        check("1500", Some(1_500));
        check("20k", Some(20_000));
        check("1.5M", Some(1_500_000));
        check("1_000_000", Some(1_000_000));
        check("0.5k", Some(500));
        for bad in [
            "", "0", "k", ".5k", "1.0005k", "-1", "1e3", "11M", "1.2.3k", "1 000",
        ] {
            check(bad, None);
        }
        let error = number("many", 1, 5).unwrap_err();
        assert!(error.contains("from 1 to 5"), "{error}");
    }

    #[test]
    fn an_address_needs_no_scheme() {
        let shown = |text: &str| service(text).map(|url| url.to_string());
        assert_eq!(shown("127.0.0.1:19100").unwrap(), "http://127.0.0.1:19100/");
        assert_eq!(shown("localhost:8000").unwrap(), "http://localhost:8000/");
        assert_eq!(shown("[::1]:8000").unwrap(), "http://[::1]:8000/");
        assert_eq!(shown("https://sho.rt").unwrap(), "https://sho.rt/");
        for bad in ["", "http://", "http://a b", "h:port"] {
            assert!(service(bad).is_err(), "{bad:?}");
        }
    }
}
