//! Small grammars inside strings: durations, Kubernetes quantities, percentages, times.

use std::time::Duration;

/// The text is not of the form that it must have.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Malformed {
    /// No duration.
    #[error("`{0}` is not a duration: write it like 5s, 0.5s, 100ms or 1m30s")]
    Duration(String),
    /// A duration too short to be meant.
    #[error("`{0}` is shorter than 1ms")]
    TooShort(String),
    /// No quantity.
    #[error("`{0}` is not a quantity: write it like 90, 0.9 or 900m")]
    Quantity(String),
}

/// A duration as Go and Istio write it: a number with a unit (`ns`, `us`, `ms`, `s`, `m`, `h`), several in a row, or `0`.
///
/// # Errors
/// The text is something else, negative, or longer than 292 years (Go's limit).
pub fn duration(text: &str) -> Result<Duration, Malformed> {
    let bad = || Malformed::Duration(text.to_owned());
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(bad());
    }
    let mut nanos = 0.0_f64;
    let mut exact: u128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(bad)?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let scale: u64 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(bad()),
        };
        let value: f64 = number.parse().map_err(|_| bad())?;
        nanos += value * scale as f64;
        exact = exact.saturating_add(scaled(number, scale).ok_or_else(bad)?);
        rest = tail;
    }
    if nanos > i64::MAX as f64 {
        return Err(bad());
    }
    u64::try_from(exact).map(Duration::from_nanos).map_err(|_| bad())
}

/// As [`duration`], and zero or at least a millisecond, as Istio asks.
///
/// # Errors
/// As for [`duration`], or shorter.
pub fn millis_duration(text: &str) -> Result<Duration, Malformed> {
    match duration(text)? {
        d if !d.is_zero() && d < Duration::from_millis(1) => Err(Malformed::TooShort(text.to_owned())),
        d => Ok(d),
    }
}

/// A Kubernetes quantity in thousandths, rounded up: `900m` is 900, `1` is 1000, `2k` is 2,000,000.
///
/// # Errors
/// The text is something else, negative, or beyond 2^64 thousandths.
pub fn milli_quantity(text: &str) -> Result<u64, Malformed> {
    let bad = || Malformed::Quantity(text.to_owned());
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let number_end = unsigned.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(number_end);
    // Thousandths of a unit, as a fraction so that `n` and `u` can be rounded up.
    let (times, over): (u128, u128) = match suffix {
        "n" => (1, 1_000_000),
        "u" => (1, 1_000),
        "m" => (1, 1),
        "" => (1_000, 1),
        "k" => (1_000_000, 1),
        "M" => (1_000_000_000, 1),
        "G" => (1_000_000_000_000, 1),
        "Ki" => (1_000 << 10, 1),
        "Mi" => (1_000 << 20, 1),
        "Gi" => (1_000 << 30, 1),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E']).ok_or_else(bad)?;
            let exponent: i32 = exponent.parse().map_err(|_| bad())?;
            let in_thousandths = exponent.checked_add(3).ok_or_else(bad)?;
            let power = 10_u128.checked_pow(in_thousandths.unsigned_abs()).ok_or_else(bad)?;
            if in_thousandths < 0 { (1, power) } else { (power, 1) }
        }
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 18 {
        return Err(bad());
    }
    let digits: u128 = format!("{whole}{fraction}").parse().map_err(|_| bad())?;
    let below = over.checked_mul(10_u128.pow(u32::try_from(fraction.len()).map_err(|_| bad())?)).ok_or_else(bad)?;
    let value = digits.checked_mul(times).ok_or_else(bad)?.div_ceil(below);
    u64::try_from(value).map_err(|_| bad())
}

/// Seconds since the epoch of an RFC 3339 time in UTC or with an offset; 0 where there is none.
#[must_use]
pub fn unix_seconds(text: &str) -> i64 {
    parse_time(text).unwrap_or(0)
}

/// `number * scale`, exactly; a fraction finer than the nanosecond is cut off.
fn scaled(number: &str, scale: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction = &fraction[..fraction.len().min(18)];
    let mut value = whole.checked_mul(u128::from(scale))?;
    if !fraction.is_empty() {
        let digits: u128 = fraction.parse().ok()?;
        value += digits * u128::from(scale) / 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    }
    Some(value)
}

fn parse_time(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let zone = text.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let offset = match zone.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), ..] => {
            let (hours, minutes) = zone[1..].split_once(':')?;
            let seconds = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    // Days since 1970 of the Gregorian calendar, counted in years that begin in March.
    let shifted = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * shifted + shifted.div_euclid(4) - shifted.div_euclid(100) + shifted.div_euclid(400) + day_of_year
        - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

#[cfg(test)]
mod tests;
