//! Bytes on their way into a socket, whatever codec they are of.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use leno_http::Output;

use crate::tcp::splice::Io;

/// Writes all that waits, as one write where the socket takes it. What a layer beneath keeps has yet to be flushed.
pub(super) fn poll_write(io: &mut dyn Io, output: &mut Output, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    while !output.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let n = output.slices(&mut slices);
        let written = match &slices[..n] {
            [one] => ready!(Pin::new(&mut *io).poll_write(cx, one))?,
            many => ready!(Pin::new(&mut *io).poll_write_vectored(cx, many))?,
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        output.advance(written);
    }
    Poll::Ready(Ok(()))
}

/// Parts of one write: eight frames with a head each, and what is small behind them.
const SLICES: usize = 20;
