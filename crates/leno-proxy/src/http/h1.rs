//! HTTP/1.1 on the data path: sockets around [`leno_http::h1`].
//!
//! Everything of one exchange happens in the task of its client's connection: bodies are pulled through it, so there is no
//! channel, no second task and no wake-up between the two sides.

pub mod client;
mod outgoing;
mod server;
mod wire;

pub use client::Http1;
pub use server::{Incoming, Upgrade, serve};

use std::io;
use std::task::{Context, Poll};

use bytes::Buf;
use leno_http::h1::{BadBody, Decoder, Event};

use super::body::{BodyError, Frame, Polled};
use wire::Wire;

/// The next frame of the body that `decoder` reads from `wire`. Nothing is read before it is asked for.
fn poll_body(wire: &mut Wire, decoder: &mut Decoder, cx: &mut Context<'_>) -> Polled {
    loop {
        if decoder.is_done() {
            return Poll::Ready(None);
        }
        if !wire.input.is_empty() {
            let step = match decoder.step(&wire.input) {
                Ok(step) => step,
                Err(bad) => return Poll::Ready(Some(Err(bad.into()))),
            };
            match step.event {
                Event::Data(range) => {
                    wire.input.advance(range.start);
                    let data = wire.input.split_to(range.len()).freeze();
                    return Poll::Ready(Some(Ok(Frame::Data(data))));
                }
                Event::Trailers(trailers) => {
                    wire.input.advance(step.consumed);
                    return Poll::Ready(Some(Ok(Frame::Trailers(trailers))));
                }
                Event::End => {
                    wire.input.advance(step.consumed);
                    return Poll::Ready(None);
                }
                Event::More => wire.input.advance(step.consumed),
            }
        }
        match wire.poll_fill(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(0)) => {
                return Poll::Ready(decoder.closed().err().map(|cut| Err(cut.into())));
            }
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => {
                // A reset is as good an end as any where only the connection's end is one: it is none.
                return Poll::Ready(Some(Err(BodyError::Broken(error.kind()))));
            }
        }
    }
}

impl From<BadBody> for BodyError {
    fn from(bad: BadBody) -> Self {
        if bad == BadBody::Cut { Self::Broken(io::ErrorKind::UnexpectedEof) } else { Self::Malformed(bad) }
    }
}
