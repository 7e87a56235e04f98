//! One line for each component: on a terminal it counts until it is done, elsewhere it comes when it is.

use std::io::{IsTerminal as _, Write as _};

use tokio::time::Instant;

/// A component on its way.
pub(crate) struct Step {
    title: String,
    begun: Instant,
    live: bool,
}

impl Step {
    /// Begins it.
    pub(crate) fn begin(title: impl Into<String>) -> Self {
        let step = Self { title: title.into(), begun: Instant::now(), live: std::io::stdout().is_terminal() };
        step.note("");
        step
    }

    /// Says how it stands, on a terminal.
    pub(crate) fn note(&self, text: &str) {
        if self.live {
            let colon = if text.is_empty() { "" } else { ": " };
            print!("\r\x1b[K- {}{colon}{text} ({}s)", self.title, self.begun.elapsed().as_secs());
            let _ = std::io::stdout().flush();
        }
    }

    /// It is done.
    pub(crate) fn done(self, text: &str) {
        self.end("✔", "32", text);
    }

    /// It failed; the error says why.
    pub(crate) fn failed(self) {
        self.end("✘", "31", "");
    }

    fn end(self, mark: &str, colour: &str, text: &str) {
        let colon = if text.is_empty() { "" } else { ": " };
        let title = &self.title;
        let seconds = self.begun.elapsed().as_secs();
        let time = if seconds >= 2 { format!(" ({seconds}s)") } else { String::new() };
        if self.live {
            println!("\r\x1b[K\x1b[{colour}m{mark}\x1b[0m {title}{colon}{text}{time}");
        } else {
            println!("{mark} {title}{colon}{text}{time}");
        }
    }
}
