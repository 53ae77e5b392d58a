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
