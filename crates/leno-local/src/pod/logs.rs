//! Output of programs, to files that cannot grow without end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Bytes after which a log becomes `FILE.1` (in place of the one before) and a new one begins.
pub const LONGEST: u64 = 8 << 20;

/// The writing end of a pipe whose other end goes to the file, by a thread of its own until all writers are gone.
///
/// # Errors
/// When there are too many open files or the file cannot be made.
pub fn pipe_to(path: &Path) -> io::Result<OwnedFd> {
    let (reader, writer) = io::pipe()?;
    let mut log = Log::open(path)?;
    std::thread::Builder::new().name("log".into()).stack_size(128 << 10).spawn(move || log.copy(reader))?;
    Ok(writer.into())
}

/// The last lines of a log, at most `count`, each cut at 200 characters.
#[must_use]
pub fn last_lines(path: &Path, count: usize) -> Vec<String> {
    let Ok(mut file) = File::open(path) else { return Vec::new() };
    let length = file.metadata().map_or(0, |m| m.len());
    let mut bytes = Vec::new();
    // Enough for some lines of any sane length.
    let from = io::SeekFrom::Start(length.saturating_sub(4096));
    if file.seek(from).and_then(|_| file.read_to_end(&mut bytes)).is_err() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<String> = text.lines().rev().take(count).map(|l| l.chars().take(200).collect()).collect();
    lines.reverse();
    lines
}

struct Log {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Log {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, length })
    }

    fn copy(&mut self, mut from: impl Read) {
        let mut buffer = vec![0; 32 << 10];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return,
                // A full disk loses lines; it must not stop the program that writes them.
                Ok(n) => drop(self.write(&buffer[..n])),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.length + bytes.len() as u64 > LONGEST && self.length > 0 {
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            fs::rename(&self.path, old)?;
            *self = Self::open(&self.path)?;
        }
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}
