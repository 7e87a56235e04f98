//! The time of day, and times as text: UTC to the millisecond, the form of `%START_TIME%` in the access log.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

thread_local! {
    static SEEN: Cell<Option<(Instant, SystemTime)>> = const { Cell::new(None) };
}

/// The time of day at `now`, which has just been. Both clocks are asked together once a second, so what sets the machine's clock
/// shows that much later.
pub(crate) fn wall(now: Instant) -> SystemTime {
    let seen = SEEN.get().filter(|(at, _)| now.saturating_duration_since(*at) < Duration::from_secs(1));
    let (at, wall) = seen.unwrap_or_else(|| {
        let fresh = (now, SystemTime::now());
        SEEN.set(Some(fresh));
        fresh
    });
    wall + now.saturating_duration_since(at)
}

/// Shows a time as `2018-11-23T04:51:00.281Z`.
pub(crate) struct Utc(pub(crate) SystemTime);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute, second, ms) = (second / 3600, second / 60 % 60, second % 60, since.subsec_millis());
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// A time in the form of `strftime`, with `%f` and `%3f` for parts of a second as Envoy has them, in UTC. What is no part
/// of a time stands as it is.
pub(crate) fn formatted(at: SystemTime, form: &str) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second, nanos) = (second / 3600, second / 60 % 60, second % 60, since.subsec_nanos());
    let mut out = String::new();
    let mut chars = form.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        // `%E3S` and `%3f`: so many digits of the second's parts.
        let extended = chars.next_if_eq(&'E').is_some();
        let digits =
            chars.next_if(char::is_ascii_digit).and_then(|d| d.to_digit(10)).and_then(|d| usize::try_from(d).ok());
        let fraction = format!("{nanos:09}").chars().take(digits.unwrap_or(9)).collect::<String>();
        let _ = match chars.next() {
            Some('Y') => write!(out, "{year:04}"),
            Some('y') => write!(out, "{:02}", year % 100),
            Some('m') => write!(out, "{month:02}"),
            Some('d') => write!(out, "{day:02}"),
            Some('e') => write!(out, "{day:2}"),
            Some('H') => write!(out, "{hour:02}"),
            Some('M') => write!(out, "{minute:02}"),
            Some('S') if extended => write!(out, "{second:02}.{fraction}"),
            Some('S') => write!(out, "{second:02}"),
            Some('F') => write!(out, "{year:04}-{month:02}-{day:02}"),
            Some('T') => write!(out, "{hour:02}:{minute:02}:{second:02}"),
            Some('b') => write!(out, "{}", MONTHS.get(usize::try_from(month).unwrap_or(1) - 1).unwrap_or(&"")),
            Some('s') => write!(out, "{}", since.as_secs()),
            Some('f') => write!(out, "{fraction}"),
            Some('z') => write!(out, "+0000"),
            Some('Z') => write!(out, "UTC"),
            Some('%') => write!(out, "%"),
            Some(other) => write!(out, "%{other}"),
            None => write!(out, "%"),
        };
    }
    out
}

/// Year, month and day of a day counted from 1970-01-01 (Gregorian).
const fn civil(days: u64) -> (u64, u64, u64) {
    // Counting from 1 March of year 0 puts the leap day at the end of each year, and 400 years always have 146,097 days.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_day_goes_on_with_the_other_clock() {
        let first = Instant::now();
        let day = wall(first);
        assert!(SystemTime::now().duration_since(day).is_ok_and(|late| late < Duration::from_secs(1)), "{day:?}");
        assert_eq!(wall(first + Duration::from_millis(5)), day + Duration::from_millis(5));
        // Asked anew: what is said of a time that has not come is the time of day as it is.
        let later = wall(first + Duration::from_secs(2));
        assert!(later < day + Duration::from_secs(1), "{later:?}");
    }
}
