//! The whole terminal: keys as they are pressed, and all as it was before once it is over, however it ends.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use nix::sys::termios::{self, LocalFlags, SetArg, SpecialCharacterIndices, Termios};

use crate::cmd::local::signals;

/// What was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    Escape,
}

/// The terminal while it is taken.
pub(super) struct Full {
    signals: Receiver<i32>,
}

impl Full {
    /// Takes the terminal; `None` where there is none to take.
    ///
    /// # Errors
    /// When the terminal or the kernel refuses.
    pub(super) fn take() -> anyhow::Result<Option<Self>> {
        let (input, output) = (std::io::stdin(), std::io::stdout());
        if !input.is_terminal() || !output.is_terminal() {
            return Ok(None);
        }
        let signals = signals::take().context("signals cannot be caught")?;
        let before = termios::tcgetattr(&input).context("the terminal's settings")?;
        let mut raw = before.clone();
        // Signals stay: Ctrl-C ends it as a signal does. Only stopping (Ctrl-Z) would leave the screen as it is.
        raw.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        raw.control_chars[SpecialCharacterIndices::VSUSP as usize] = 0;
        raw.control_chars[SpecialCharacterIndices::VMIN as usize] = 0;
        raw.control_chars[SpecialCharacterIndices::VTIME as usize] = 1;
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let next = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                next(panic);
            }));
        });
        termios::tcsetattr(&input, SetArg::TCSANOW, &raw).context("the terminal's settings")?;
        print!("{ENTER}");
        let _ = std::io::stdout().flush();
        Ok(Some(Self { signals }))
    }

    /// Draws lines from the top; none may be wider than the terminal.
    pub(super) fn draw(&self, text: &str) {
        let mut out = String::from("\x1b[H");
        for (at, line) in text.lines().enumerate() {
            out.push_str(if at > 0 { "\r\n" } else { "" });
            out.push_str(line);
            out.push_str("\x1b[K");
        }
        out.push_str("\x1b[J");
        print!("{out}");
        let _ = std::io::stdout().flush();
    }

    /// The keys pressed until `end`, as soon as there is one; `None` once a signal told the program to end, or the terminal
    /// is gone.
    pub(super) fn keys(&self, end: Instant) -> Option<Vec<Key>> {
        let mut bytes = [0; 64];
        loop {
            if self.signals.try_recv().is_ok() {
                return None;
            }
            // Waits for a tenth of a second at most, see VTIME.
            match std::io::stdin().read(&mut bytes) {
                Ok(0) if Instant::now() >= end => return Some(Vec::new()),
                Ok(0) => {}
                Ok(read) => return Some(read_keys(&bytes[..read])),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    let before: Option<Termios> = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        print!("{LEAVE}");
        let _ = std::io::stdout().flush();
        let _ = termios::tcsetattr(std::io::stdin(), SetArg::TCSANOW, &before);
    }
}

/// What keys send; what is not known is passed over.
fn read_keys(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        let sequence = SEQUENCES.iter().find(|(code, _)| bytes.starts_with(code.as_bytes()));
        if let Some((code, key)) = sequence {
            keys.push(*key);
            bytes = &bytes[code.len()..];
            continue;
        }
        bytes = rest;
        match first {
            0x1b if rest.first() == Some(&b'[') => {
                // A sequence of no interest, up to its last byte.
                let end = rest.iter().skip(1).position(|b| (0x40..0x7f).contains(b)).map_or(rest.len(), |at| at + 2);
                bytes = &rest[end..];
            }
            0x1b => keys.push(Key::Escape),
            b' '..=b'~' => keys.push(Key::Char(char::from(*first))),
            _ => {}
        }
    }
    keys
}

const SEQUENCES: &[(&str, Key)] = &[
    ("\x1b[A", Key::Up),
    ("\x1b[B", Key::Down),
    ("\x1bOA", Key::Up),
    ("\x1bOB", Key::Down),
    ("\x1b[5~", Key::PageUp),
    ("\x1b[6~", Key::PageDown),
    ("\x1b[H", Key::Home),
    ("\x1b[1~", Key::Home),
];
/// The other screen, cleared, without a cursor and without line wrap.
const ENTER: &str = "\x1b[?1049h\x1b[2J\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// The terminal's settings while it is taken.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_as_terminals_send_them() {
        assert_eq!(read_keys(b"q"), [Key::Char('q')]);
        assert_eq!(
            read_keys(b"\x1b[A\x1bOB\x1b[5~\x1b[6~s"),
            [Key::Up, Key::Down, Key::PageUp, Key::PageDown, Key::Char('s')]
        );
        assert_eq!(read_keys(b"\x1b"), [Key::Escape]);
        assert_eq!(read_keys(b"\x1b[1;5Cx\x00\xff"), [Key::Char('x')]);
        assert_eq!(read_keys(b"\x1b["), []);
    }
}
