//! How a server misbehaves: switched on while it runs by `POST /mode`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::units::duration;
use serde_json::{Value, json};

/// Misbehaviour in force; the default is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Mode {
    /// Answer with this status.
    pub(crate) status: Option<u16>,
    /// Wait before answering.
    pub(crate) delay: Option<Duration>,
    /// Never answer.
    pub(crate) hang: bool,
    /// Reset the connection without an answer.
    pub(crate) reset: bool,
    /// Fail readiness: `/healthz` answers 503.
    pub(crate) unready: bool,
    /// Share of requests concerned, 0..=100.
    pub(crate) percent: f64,
    /// Only paths that begin so.
    pub(crate) path: String,
    /// When it ends by itself.
    until: Option<Instant>,
}

impl Mode {
    /// Reads `{"status":503,"hang":true,"reset":true,"delay":"2s","unready":true,"percent":50,"path":"/x","for":"10s"}`,
    /// each optional; `{}` is good behaviour.
    pub(crate) fn read(body: &[u8], now: Instant) -> Result<Self, String> {
        let value: Value = if body.is_empty() {
            json!({})
        } else {
            serde_json::from_slice(body).map_err(|e| format!("not JSON: {e}"))?
        };
        let object = value.as_object().ok_or("must be an object")?;
        let mut mode = Self { percent: 100.0, ..Self::default() };
        for (name, value) in object {
            let wrong = || format!("{name}: `{value}` does not fit");
            let flag = || value.as_bool().ok_or_else(wrong);
            let time = || value.as_str().ok_or_else(wrong).and_then(duration);
            match name.as_str() {
                "status" => {
                    let status = value.as_u64().and_then(|v| u16::try_from(v).ok()).filter(|s| (200..600).contains(s));
                    mode.status = Some(status.ok_or_else(wrong)?);
                }
                "delay" => mode.delay = Some(time()?),
                "for" => mode.until = Some(now + time()?),
                "hang" => mode.hang = flag()?,
                "reset" => mode.reset = flag()?,
                "unready" => mode.unready = flag()?,
                "percent" => {
                    mode.percent = value.as_f64().filter(|p| (0.0..=100.0).contains(p)).ok_or_else(wrong)?;
                }
                "path" => value.as_str().ok_or_else(wrong)?.clone_into(&mut mode.path),
                _ => return Err(format!("unknown field `{name}`")),
            }
        }
        Ok(mode)
    }

    fn over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    fn to_json(&self, now: Instant) -> Value {
        json!({
            "status": self.status,
            "delay_ms": self.delay.map(|d| d.as_millis()),
            "hang": self.hang,
            "reset": self.reset,
            "unready": self.unready,
            "percent": self.percent,
            "path": self.path,
            "seconds_left": self.until.map(|until| until.saturating_duration_since(now).as_secs_f64()),
        })
    }
}

/// The mode of this process.
#[derive(Default)]
pub(crate) struct ModeCell(Mutex<Mode>);

impl ModeCell {
    /// Puts a mode in force.
    pub(crate) fn set(&self, mode: Mode) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = mode;
    }

    /// What is in force now.
    pub(crate) fn get(&self, now: Instant) -> Mode {
        let mut mode = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if mode.over(now) {
            *mode = Mode::default();
        }
        mode.clone()
    }

    /// What is in force now, only if it concerns this request. `draw` is a random number in 0..100.
    pub(crate) fn concerning(&self, path: &str, draw: f64, now: Instant) -> Option<Mode> {
        let mode = self.get(now);
        (mode != Mode::default() && draw < mode.percent && path.starts_with(&mode.path)).then_some(mode)
    }

    /// What is in force now, for people.
    pub(crate) fn show(&self, now: Instant) -> Value {
        self.get(now).to_json(now)
    }
}

#[cfg(test)]
mod tests;
