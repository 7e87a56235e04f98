//! Each rule by name, and the codec against itself and against httparse.

mod bodies;
mod heads;
mod oracle;

use bytes::Bytes;

use super::{BadBody, BadHead, Decoder, Event, Framing, Request, Scan, request};

/// A whole request head.
fn read(text: &str) -> Result<Request, BadHead> {
    let end = Scan::default().end(text.as_bytes())?.expect("a whole head");
    request(&Bytes::copy_from_slice(&text.as_bytes()[..end]))
}

/// A body that arrives in pieces of `size`, and how many bytes it took.
fn decode(framing: Framing, bytes: &[u8], size: usize) -> Result<(Vec<u8>, Option<crate::Fields>, usize), BadBody> {
    let mut decoder = Decoder::new(framing);
    let (mut body, mut trailers, mut used, mut arrived) = (Vec::new(), None, 0, 0);
    while !decoder.is_done() {
        if arrived == bytes.len() {
            decoder.closed()?;
            break;
        }
        arrived = (arrived + size).min(bytes.len());
        loop {
            let step = decoder.step(&bytes[used..arrived])?;
            match &step.event {
                Event::Data(range) => body.extend_from_slice(&bytes[used + range.start..used + range.end]),
                Event::Trailers(map) => trailers = Some(map.clone()),
                Event::More | Event::End => {}
            }
            used += step.consumed;
            if step.event_ends() || decoder.is_done() {
                break;
            }
        }
    }
    Ok((body, trailers, used))
}

impl super::Step {
    const fn event_ends(&self) -> bool {
        matches!(self.event, Event::More | Event::End)
    }
}
