//! Ctrl-C and its like, as values instead of sudden ends.

use std::sync::mpsc::{Receiver, channel};

use tokio::signal::unix::{SignalKind, signal};

/// Takes over SIGINT, SIGTERM and SIGHUP for the rest of this process; gives their numbers as they come.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn take() -> std::io::Result<Receiver<i32>> {
    let (to, from) = channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate, mut hang_up) = {
        let _guard = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            loop {
                let number = tokio::select! {
                    _ = interrupt.recv() => SignalKind::interrupt(),
                    _ = terminate.recv() => SignalKind::terminate(),
                    _ = hang_up.recv() => SignalKind::hangup(),
                };
                if to.send(number.as_raw_value()).is_err() {
                    return;
                }
            }
        });
    });
    Ok(from)
}
