//! Rows for people: aligned, no trailing spaces, fitted to the terminal.

use std::io::IsTerminal as _;

/// How a cell looks on a terminal that shows colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// As is.
    Plain,
    /// All is well.
    Good,
    /// Look here.
    Warn,
    /// Wrong.
    Bad,
    /// Less important.
    Faint,
}

/// One cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    look: Look,
}

impl Cell {
    /// A text with a look.
    pub(crate) fn new(text: impl Into<String>, look: Look) -> Self {
        Self { text: text.into(), look }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Look::Plain)
    }
}

/// A table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// With these column titles; a title that begins with `>` is of a column of numbers, aligned to the right.
    pub(crate) fn new(header: &[&'static str]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Columns that the widest line takes where nothing is cut.
    pub(crate) fn width(&self) -> usize {
        let widths = self.widths();
        widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1)
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.header.iter().map(|t| t.trim_start_matches('>').chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        widths
    }

    /// The lines, each ended by a newline.
    pub(crate) fn render(&self, screen: &Screen) -> String {
        let titles: Vec<&str> = self.header.iter().map(|t| t.trim_start_matches('>')).collect();
        let mut widths = self.widths();
        if let Some(limit) = screen.width {
            fit(&mut widths, &self.header, limit);
        }
        let mut out = String::new();
        let header: Vec<Cell> = titles.iter().map(|t| Cell::new(*t, Look::Faint)).collect();
        for row in std::iter::once(&header).chain(&self.rows) {
            let mut line = String::new();
            for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if at > 0 {
                    line.push_str(GAP);
                }
                let text = shorten(&cell.text, *width);
                let pad = " ".repeat(width - text.chars().count());
                let (before, after) = if self.header[at].starts_with('>') { (pad.as_str(), "") } else { ("", &*pad) };
                line.push_str(before);
                line.push_str(&screen.paint(&text, cell.look));
                line.push_str(after);
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// Takes width from the widest columns of text until the table fits; no column gets below [`NARROWEST`].
fn fit(widths: &mut [usize], header: &[&str], limit: usize) {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > limit {
        let widest = (0..widths.len()).filter(|i| !header[*i].starts_with('>')).max_by_key(|i| widths[*i]);
        match widest {
            Some(i) if widths[i] > NARROWEST.max(header[i].len()) => widths[i] -= 1,
            _ => return,
        }
    }
}

/// Cuts out the middle: both ends of a pod's name or an identity tell more than one end alone.
fn shorten(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let head = (width - 1) / 2;
    let tail = width - 1 - head;
    text.chars().take(head).chain(std::iter::once('…')).chain(text.chars().skip(count - tail)).collect()
}

/// What is printed on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Screen {
    /// Columns; `None`: not a terminal, nothing is cut.
    pub(crate) width: Option<usize>,
    /// Rows.
    pub(crate) height: Option<usize>,
    /// Whether colours are shown.
    pub(crate) colour: bool,
}

impl Screen {
    /// Standard output: coloured only on a terminal, and not where `NO_COLOR` is set (<https://no-color.org>).
    pub(crate) fn stdout() -> Self {
        let stdout = std::io::stdout();
        if !stdout.is_terminal() {
            return Self::default();
        }
        let (width, height) =
            terminal_size::terminal_size_of(stdout).map_or((80, 24), |(w, h)| (w.0.into(), h.0.into()));
        let refused = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|t| t == "dumb");
        Self { width: Some(width), height: Some(height), colour: !refused && !dumb }
    }

    /// Colours a text.
    pub(crate) fn paint(&self, text: &str, look: Look) -> String {
        let code = match look {
            Look::Plain => return text.to_owned(),
            Look::Good => "32",
            Look::Warn => "33",
            Look::Bad => "31;1",
            Look::Faint => "2",
        };
        if self.colour && !text.trim().is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A text that is drawn again and again in the same place. What was drawn last stays when the program ends.
#[derive(Debug, Default)]
pub(crate) struct Live {
    drawn: usize,
}

impl Live {
    /// Draws over what was drawn before; lines that do not fit the terminal's height are left out.
    pub(crate) fn draw(&mut self, text: &str, screen: &Screen) {
        let mut out = String::new();
        if self.drawn > 0 {
            out.push_str(&format!("\x1b[{}A", self.drawn));
        }
        let lines = text.lines().take(screen.height.map_or(usize::MAX, |h| h.saturating_sub(1)));
        self.drawn = 0;
        for line in lines {
            out.push_str("\r\x1b[K");
            out.push_str(line);
            out.push('\n');
            self.drawn += 1;
        }
        out.push_str("\x1b[J");
        print!("{out}");
        let _ = std::io::Write::flush(&mut std::io::stdout());
    }
}

const GAP: &str = "  ";

/// No column of text is cut below this.
const NARROWEST: usize = 10;

#[cfg(test)]
mod tests;
