//! Follows a directory by inotify.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Event, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::Files;
use super::scan::{Take, is_object_file};
use crate::source::Batch;

/// Events that come together are read together.
const GATHER: Duration = Duration::from_millis(1);
/// A look at everything now and then, for file systems that tell nothing.
const RESCAN: Duration = Duration::from_secs(5);

/// Reads everything, returns it, and sends what changes from a thread of its own until the receiver is gone.
///
/// # Errors
/// When the directory cannot be read or watched.
pub fn watch(mut files: Files, batches: mpsc::Sender<Batch>) -> io::Result<Batch> {
    let (events, inbox) = channel();
    // Watched before it is read: what changes in between is told.
    let mut watcher = notify::recommended_watcher(events).map_err(to_io)?;
    watcher.watch(&files.root, RecursiveMode::Recursive).map_err(to_io)?;
    let first = files.rescan(Take::All)?;
    std::thread::Builder::new().name("files".to_owned()).spawn(move || {
        let _watcher = watcher;
        follow(&mut files, &inbox, &batches);
    })?;
    Ok(first)
}

fn follow(files: &mut Files, inbox: &Receiver<notify::Result<Event>>, batches: &mpsc::Sender<Batch>) {
    let mut looked = Instant::now();
    loop {
        let mut news = News::default();
        match inbox.recv_timeout(RESCAN.saturating_sub(looked.elapsed())) {
            Ok(event) => news.take(event),
            Err(RecvTimeoutError::Timeout) => news.look(Take::Settled),
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let at = Instant::now();
        if news.look.is_none() && news.paths.is_empty() {
            continue;
        }
        while let Ok(event) = inbox.recv_timeout(GATHER.saturating_sub(at.elapsed())) {
            news.take(event);
        }
        let mut batch = files.reload(news.paths);
        if let Some(take) = news.look {
            looked = Instant::now();
            match files.rescan(take) {
                Ok(more) => {
                    batch.changes.extend(more.changes);
                    batch.faults.extend(more.faults);
                }
                Err(error) => tracing::error!(%error, "the configuration directory cannot be read"),
            }
        }
        batch.at = at;
        if batch.is_empty() {
            if batches.is_closed() {
                return;
            }
        } else if batches.blocking_send(batch).is_err() {
            return;
        }
    }
}

/// What has to be read.
#[derive(Default)]
struct News {
    paths: BTreeSet<PathBuf>,
    look: Option<Take>,
}

impl News {
    fn look(&mut self, take: Take) {
        if self.look != Some(Take::All) {
            self.look = Some(take);
        }
    }

    fn take(&mut self, event: notify::Result<Event>) {
        let Ok(event) = event else { return self.look(Take::All) };
        if event.need_rescan() {
            self.look(Take::All);
        }
        let whole = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Remove(_)
            | EventKind::Modify(ModifyKind::Name(_)) => true,
            // A new file's end of writing follows. One that is linked into place has none: it is looked for.
            EventKind::Create(_) => false,
            _ => return,
        };
        for path in event.paths {
            if is_object_file(&path) && !path.is_dir() {
                if whole {
                    self.paths.insert(path);
                } else if path.is_symlink() {
                    self.look(Take::All);
                }
            } else if path.is_dir() || path.is_symlink() || !path.exists() {
                // A folder came or went, or a link was swapped as Kubernetes does with `..data`.
                self.look(Take::All);
            }
        }
    }
}

fn to_io(e: notify::Error) -> io::Error {
    match e.kind {
        notify::ErrorKind::Io(e) => e,
        _ => io::Error::other(e.to_string()),
    }
}
