//! Settings out of the environment, with every mistake reported at once.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Reads raw settings by name and collects what is wrong with them, so that a person corrects all in one go.
pub struct Reader<'s> {
    source: Source<'s>,
    problems: Vec<Problem>,
}

/// Gives a setting's text by its name.
type Source<'s> = Box<dyn Fn(&str) -> Option<String> + 's>;

/// One setting that is missing or wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name of the setting.
    pub name: String,
    /// What is wrong, in words.
    pub message: String,
}

/// All of them.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub struct BadSettings(pub Vec<Problem>);

impl fmt::Display for BadSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Problem { name, message }) in self.0.iter().enumerate() {
            write!(f, "{}{name}: {message}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl<'s> Reader<'s> {
    /// Reads from any source of names and values; tests give a map.
    pub fn new(source: impl Fn(&str) -> Option<String> + 's) -> Self {
        Self { source: Box::new(source), problems: Vec::new() }
    }

    /// Reads the process's environment.
    #[must_use]
    pub fn env() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    /// A setting as text; empty counts as not set, as templates often leave it.
    pub fn text(&mut self, name: &str) -> Option<String> {
        (self.source)(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())
    }

    /// A setting that must be there. A missing one is noted and read as empty.
    pub fn required(&mut self, name: &str) -> String {
        self.text(name).unwrap_or_else(|| {
            self.problem(name, "is not set");
            String::new()
        })
    }

    /// A setting with a type of its own. A bad one is noted and read as not set.
    pub fn parsed<T>(&mut self, name: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        let text = self.text(name)?;
        text.parse().map_err(|e| self.problem(name, format!("`{text}`: {e}"))).ok()
    }

    /// A span of time such as `500ms`, `5s`, `10m`, `24h`, `90d`; plain numbers are seconds.
    pub fn duration(&mut self, name: &str) -> Option<Duration> {
        let text = self.text(name)?;
        duration(&text).map_err(|e| self.problem(name, e)).ok()
    }

    /// Notes a mistake found by the caller.
    pub fn problem(&mut self, name: &str, message: impl fmt::Display) {
        self.problems.push(Problem { name: name.to_owned(), message: message.to_string() });
    }

    /// `value`, if nothing was wrong.
    ///
    /// # Errors
    /// Everything that was noted.
    pub fn finish<T>(self, value: T) -> Result<T, BadSettings> {
        if self.problems.is_empty() { Ok(value) } else { Err(BadSettings(self.problems)) }
    }
}

/// Parses a span of time: Go's form (`1h30m`, `1.5s`), days (`90d`), and plain numbers as seconds.
///
/// # Errors
/// A sentence about the text when it is none of these.
pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a span of time such as 500ms, 5s, 10m, 24h or 90d");
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| bad());
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let seconds = match unit {
            "ms" => 0.001,
            "us" => 0.000_001,
            "ns" => 0.000_000_001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return Err(bad()),
        };
        total += number.parse::<f64>().map_err(|_| bad())? * seconds;
        rest = tail;
    }
    if text.is_empty() { Err(bad()) } else { Duration::try_from_secs_f64(total).map_err(|_| bad()) }
}

#[cfg(test)]
mod tests;
