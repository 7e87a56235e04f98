//! Logging: lines for people on standard error, JSON where machines read, levels that can change at run time.

use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

/// Form of the log's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One line a person reads; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The text is not a filter, or the log does not take one any more.
#[derive(Debug, thiserror::Error)]
#[error("`{filter}` is not a log level (error, warn, info, debug, trace) or a list of target=level: {reason}")]
pub struct BadFilter {
    filter: String,
    reason: String,
}

/// Changes the level of a running log.
#[derive(Clone)]
pub struct LogHandle {
    set: Arc<dyn Fn(Targets) -> Result<(), String> + Send + Sync>,
    get: Arc<dyn Fn() -> String + Send + Sync>,
}

impl LogHandle {
    /// Takes over a new filter (`info`, `debug,h2=warn`).
    ///
    /// # Errors
    /// When the text is not a filter.
    pub fn set(&self, filter: &str) -> Result<(), BadFilter> {
        let parsed = parse(filter)?;
        (self.set)(parsed).map_err(|reason| BadFilter { filter: filter.to_owned(), reason })
    }

    /// The filter in force.
    #[must_use]
    pub fn get(&self) -> String {
        (self.get)()
    }

    /// A handle that is tied to no log, for tests.
    #[must_use]
    pub fn detached() -> Self {
        Self { set: Arc::new(|_| Ok(())), get: Arc::new(|| "info".to_owned()) }
    }
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogHandle").field(&self.get()).finish()
    }
}

/// Starts the process's log. A second call in one process changes nothing and returns a handle that is tied to no log:
/// tests start several parts in one process.
///
/// # Errors
/// When `filter` is not a filter.
pub fn init(filter: &str, format: Format) -> Result<LogHandle, BadFilter> {
    let (layer, handle) = reload::Layer::new(parse(filter)?);
    let registry = Registry::default().with(layer);
    let started = match format {
        Format::Text => {
            let ansi = std::io::stderr().is_terminal();
            registry
                .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(ansi).with_target(true))
                .try_init()
        }
        Format::Json => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_span_list(false)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
    if started.is_err() {
        return Ok(LogHandle::detached());
    }
    let reader = handle.clone();
    Ok(LogHandle {
        set: Arc::new(move |f| handle.reload(f).map_err(|e| e.to_string())),
        get: Arc::new(move || reader.with_current(ToString::to_string).unwrap_or_default()),
    })
}

/// Checks a filter without using it.
///
/// # Errors
/// When it is not one.
pub fn check(filter: &str) -> Result<(), BadFilter> {
    parse(filter).map(|_| ())
}

/// `Targets` and not `EnvFilter`: the latter's filters on span fields run regular expressions from the first moment, which
/// costs a sidecar half a megabyte that nobody uses.
fn parse(filter: &str) -> Result<Targets, BadFilter> {
    let bad = |reason: String| BadFilter { filter: filter.to_owned(), reason };
    // What the library makes of an empty side of `=` depends on the features that other crates turn on in it.
    if filter
        .split(',')
        .filter_map(|part| part.split_once('='))
        .any(|(target, level)| target.trim().is_empty() || level.trim().is_empty() || level.contains('='))
    {
        return Err(bad("each part is `level` or `target=level`".to_owned()));
    }
    filter.parse::<Targets>().map_err(|e| bad(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_a_level_or_levels_by_target() {
        for good in ["info", "debug,h2=warn", "warn,leno_proxy::identity=trace", "off"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["loud=loud", "info,=,="] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
