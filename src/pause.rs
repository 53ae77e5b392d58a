//! How long an upstream wants to be left alone: by `retry-after`, or else by what its rate-limit headers say.

use crate::host::{Headers, Millis};
use crate::wire::json::words;

words! {
    /// How a provider tells when its limits end. It does so header by header: where `…remaining…` is 0, `…reset…` is when
    /// there is more.
    ///
    /// Sources: "Rate limits", OpenAI API documentation; "Rate limits", Anthropic API documentation; "Rate limits",
    /// Cerebras Inference documentation; "Quota-specific response headers", DigitalOcean documentation; read 2026-11.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub enum LimitHeaders = "how a provider tells when its limits end" {
        /// Not at all, or only by `retry-after`.
        #[default]
        None as "none",
        /// `x-ratelimit-reset-requests: 6m0s`
        Duration as "duration",
        /// `anthropic-ratelimit-requests-reset: 2026-11-21T18:40:44Z`
        Instant as "instant",
        /// `x-ratelimit-reset-requests: 1795286444`
        Epoch as "epoch",
        /// `x-ratelimit-reset-requests-minute: 11.4`
        Seconds as "seconds",
    }
}

impl LimitHeaders {
    /// How long until every limit that is used up has something left again; `None` where none is.
    pub fn wait_ms(self, headers: &Headers, now: Millis) -> Option<Millis> {
        let waits = headers.iter().filter_map(|(name, value)| {
            let is_limit = name.starts_with("x-ratelimit-") || name.starts_with("anthropic-ratelimit-");
            let is_used_up = || headers.get(&name.replace("reset", "remaining")) == Some("0");
            if is_limit && name.contains("reset") && is_used_up() { self.until_ms(value.trim(), now) } else { None }
        });
        waits.max()
    }

    fn until_ms(self, reset: &str, now: Millis) -> Option<Millis> {
        match self {
            Self::None => None,
            Self::Duration => duration_ms(reset),
            Self::Instant => instant_ms(reset).map(|at| at.saturating_sub(now)),
            Self::Epoch => seconds_ms(reset).map(|at| at.saturating_sub(now)),
            Self::Seconds => seconds_ms(reset),
        }
    }
}

/// Milliseconds in a `retry-after` (seconds) or `retry-after-ms` header; a date is not believed.
pub fn retry_after_ms(headers: &Headers) -> Option<Millis> {
    let wait = |name, ms_each| headers.get(name).and_then(|value| milliseconds(value.trim(), ms_each));
    wait("retry-after-ms", 1).or_else(|| wait("retry-after", 1000))
}

/// The same of a text as in `retry-after`.
pub fn seconds_ms(text: &str) -> Option<Millis> {
    milliseconds(text.trim(), 1000)
}

/// `1h2m3.5s` or `100ms`, as Go writes them.
fn duration_ms(text: &str) -> Option<Millis> {
    let mut rest = text;
    let mut sum: Millis = 0;
    while !rest.is_empty() {
        let (number, unit) = rest.split_at_checked(rest.find(|c: char| c.is_ascii_alphabetic())?)?;
        let (unit, after) =
            unit.split_at_checked(unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len()))?;
        let ms_each = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            "ms" => 1,
            _ => return None,
        };
        sum = sum.saturating_add(milliseconds(number, ms_each)?);
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

/// `2026-11-21T18:40:44Z`, also with a fraction, which is rounded up, as Unix time.
fn instant_ms(text: &str) -> Option<Millis> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.splitn(3, ':');
    let (hour, minute) = (time.next()?.parse::<u64>().ok()?, time.next()?.parse::<u64>().ok()?);
    let second_ms = milliseconds(time.next()?, 1000)?;
    let in_bounds = (1970..10_000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !in_bounds || hour > 23 || minute > 59 || second_ms > 61_000 {
        return None;
    }
    // Years begin in March here, so that a leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days = 365 * year + leap_days + (153 * month + 2) / 5 + day - 1;
    // From 1 March of the year 0 to 1 January 1970.
    let days = days.checked_sub(719_468)?;
    Some(((days * 24 + hour) * 60 + minute) * 60_000 + second_ms)
}

/// A decimal number of units of `ms_each`, rounded up; too long a wait is the longest there is.
fn milliseconds(decimal: &str, ms_each: u64) -> Option<Millis> {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, "0"));
    if ![whole, fraction].iter().all(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    let whole = whole.parse::<u64>().unwrap_or(u64::MAX);
    // Three places are milliseconds; whatever stands behind them rounds up.
    let places = format!("{fraction:0<3}");
    let (thousandths, rest) = places.split_at_checked(3)?;
    let rounded = thousandths.parse::<u64>().ok()? + u64::from(rest.bytes().any(|b| b != b'0'));
    Some(whole.saturating_mul(ms_each).saturating_add((rounded * ms_each).div_ceil(1000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T18:40:44Z
    const NOW: Millis = 1_795_286_444_000;

    #[test]
    fn waits_are_read_from_either_header() {
        let cases = [
            (&[("retry-after", "2")][..], Some(2_000)),
            (&[("retry-after", "0.5")], Some(500)),
            (&[("retry-after", "2"), ("Retry-After-Ms", "1500")], Some(1_500)),
            (&[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], None),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "NaN")], None),
            (&[("retry-after", "1e300")], None),
            (&[("retry-after", "0.0001")], Some(1)),
            (&[("retry-after", "1.25")], Some(1_250)),
            (&[("retry-after-ms", "7.2")], Some(8)),
            (&[("retry-after", "99999999999999999999999")], Some(u64::MAX)),
            (&[("retry-after", "")], None),
            (&[("retry-after", ".5")], None),
            (&[], None),
        ];
        for (fields, expected) in cases {
            assert_eq!(retry_after_ms(&fields.iter().copied().collect::<Headers>()), expected, "{fields:?}");
        }
    }

    #[test]
    fn only_a_limit_that_is_used_up_is_waited_for() {
        use LimitHeaders::{Duration, Epoch, Instant, Seconds};
        let go = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "1m2.5s"),
            ("x-ratelimit-remaining-tokens", "7"),
            ("x-ratelimit-reset-tokens", "6h0m0s"),
        ];
        let anthropic = [
            ("anthropic-ratelimit-input-tokens-remaining", "0"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-11-21T18:41:00Z"),
        ];
        let epoch = [("x-ratelimit-remaining-tokens-per-day", "0"), ("x-ratelimit-reset-tokens-per-day", "1795286450")];
        let seconds = [("x-ratelimit-remaining-requests-day", "0"), ("x-ratelimit-reset-requests-day", "33.0110")];
        type Case<'a> = (LimitHeaders, &'a [(&'a str, &'a str)], Option<Millis>);
        let cases: &[Case<'_>] = &[
            (Duration, &go, Some(62_500)),
            (LimitHeaders::None, &go, None),
            (Duration, &go[2..], None),
            (Instant, &anthropic, Some(16_000)),
            (Instant, &go, None),
            (Epoch, &epoch, Some(6_000)),
            (Seconds, &seconds, Some(33_011)),
        ];
        for (family, fields, expected) in cases {
            let headers = fields.iter().copied().collect();
            assert_eq!(family.wait_ms(&headers, NOW), *expected, "{family:?} {fields:?}");
        }
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        let durations = [("6m0s", 360_000), ("100ms", 100), ("1h", 3_600_000), ("2m59.56s", 179_560), ("0s", 0)];
        for (text, ms) in durations {
            assert_eq!(duration_ms(text), Some(ms), "{text}");
        }
        let instants = [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("2026-11-21T18:40:44Z", NOW),
            ("2026-11-21T18:40:43.0001Z", NOW - 999),
        ];
        for (text, ms) in instants {
            assert_eq!(instant_ms(text), Some(ms), "{text}");
        }
        for nonsense in ["", "5", "s", "1x", "-1s", "é", "1é"] {
            assert_eq!(duration_ms(nonsense), None, "{nonsense}");
        }
        for nonsense in ["", "Z", "TZ", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01", "1-1-1T1:1:1Z"] {
            assert_eq!(instant_ms(nonsense), None, "{nonsense}");
        }
    }
}
