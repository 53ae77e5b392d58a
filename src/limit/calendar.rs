//! Days, weeks and months of the calendar, UTC.

use crate::host::Millis;

pub const DAY_MS: Millis = 86_400_000;

/// `2026-11-21`.
pub fn day(now: Millis) -> String {
    let (year, month, day) = civil(now / DAY_MS);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `2026-11`.
pub fn month(now: Millis) -> String {
    let (year, month, _) = civil(now / DAY_MS);
    format!("{year:04}-{month:02}")
}

/// `2026-11-16+7`: the Monday that begins it, and its days.
pub fn week(now: Millis) -> String {
    format!("{}+7", day(monday(now) * DAY_MS))
}

pub fn day_end(now: Millis) -> Millis {
    (now / DAY_MS + 1) * DAY_MS
}

pub fn week_end(now: Millis) -> Millis {
    (monday(now) + 7) * DAY_MS
}

pub fn month_end(now: Millis) -> Millis {
    let today = now / DAY_MS;
    let (_, month, _) = civil(today);
    let first = (today + 1..today + 32).find(|&later| civil(later).1 != month).unwrap_or(today + 31);
    first * DAY_MS
}

/// The UTC instant that RFC 3339 writes as `2027-01-31T12:00:00Z`, or the beginning of the day `2027-01-31`; none before
/// 1970.
pub fn instant(text: &str) -> Option<Millis> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, time.strip_suffix('Z')?),
        None => (text, "00:00:00"),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    if !(1..=12).contains(&month) || year < 1970 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days(year, month, day)?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

/// `2027-01-31T12:00:00Z`.
pub fn written_instant(instant: Millis) -> String {
    let seconds = instant / 1000 % 86_400;
    format!("{}T{:02}:{:02}:{:02}Z", day(instant), seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Three numbers of these lengths, in digits only.
fn numbers(text: &str, between: char, lengths: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(between);
    let mut found = [0; 3];
    for (found, length) in found.iter_mut().zip(lengths) {
        let is_number = |part: &&str| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
        *found = parts.next().filter(is_number)?.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

/// Since the epoch; none where the month has no such day.
///
/// Source: as [`civil`], days_from_civil.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let (shifted, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (shifted / 400, shifted % 400);
    let day_of_year = (153 * from_march + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    (civil(days) == (year, month, day)).then_some(days)
}

/// The last one, in days since the epoch, which was a Thursday.
fn monday(now: Millis) -> u64 {
    let today = now / DAY_MS;
    today.saturating_sub((today + 3) % 7)
}

/// Year, month and day.
///
/// Source: "chrono-Compatible Low-Level Date Algorithms", Howard Hinnant, civil_from_days.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01"),
            (951_782_400_000, "2000-02-29"),
            (1_709_164_800_000, "2024-02-29"),
            (1_795_219_199_999, "2026-11-20"),
            (1_795_219_200_000, "2026-11-21"),
            (4_102_444_800_000, "2100-01-01"),
        ];
        for (now, expected) in cases {
            assert_eq!(day(now), expected);
        }
        assert_eq!(day(month_end(1_795_219_200_000)), "2026-12-01");
        assert_eq!(day(month_end(1_735_603_200_000)), "2025-01-01");
        assert_eq!(month(1_795_219_200_000), "2026-11");
    }

    #[test]
    fn an_instant_is_read_as_it_is_written() {
        let cases = [
            ("1970-01-01", Some(0)),
            ("2026-11-21", Some(1_795_219_200_000)),
            ("2026-11-21T12:00:59Z", Some(1_795_262_459_000)),
            ("2024-02-29T23:59:59Z", Some(1_709_251_199_000)),
            ("9999-12-31", Some(253_402_214_400_000)),
        ];
        for (text, expected) in cases {
            assert_eq!(instant(text), expected, "{text}");
            let written = expected.map(written_instant).unwrap_or_default();
            assert!(written.starts_with(text) && instant(&written) == expected, "{text} {written}");
        }
        let wrong = ["", "2025-02-29", "2026-13-01", "2026-00-01", "2026-1-1", "1969-12-31", "2026-11-21T12:00:59"];
        let more =
            ["2026-11-21T24:00:00Z", "2026-11-21T12:00:59+00:00", "2026-11-21 12:00:59Z", "+026-11-21", "2026-11-2é"];
        for text in wrong.into_iter().chain(more) {
            assert_eq!(instant(text), None, "{text}");
        }
    }

    #[test]
    fn a_week_begins_on_monday() {
        // A Saturday.
        let saturday = 1_795_219_200_000;
        assert_eq!(week(saturday), "2026-11-16+7");
        assert_eq!(day(week_end(saturday)), "2026-11-23");
        assert_eq!(week(week_end(saturday)), "2026-11-23+7");
        assert_eq!(week(week_end(saturday) - 1), "2026-11-16+7");
        assert_eq!(day_end(saturday + 1), saturday + DAY_MS);
    }
}
