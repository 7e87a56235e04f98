//! Samples as JSON, a few at a time: with many flows the whole takes milliseconds, in which requests would wait.

use leno_core::samples::{RequestSample, Samples, TcpSample};
use serde::Serialize;

/// The text of `samples` in pieces of about 16 KiB.
pub(super) fn pieces(mut samples: Samples) -> impl Iterator<Item = String> + Send {
    let requests = std::mem::take(&mut samples.requests);
    let tcp = std::mem::take(&mut samples.tcp);
    let empty = serde_json::to_string(&samples).unwrap_or_default();
    // The lists are the last fields; both are empty here.
    let head = empty.strip_suffix(TAIL).unwrap_or_default().to_owned();
    Pieces { head: Some(head), requests: requests.into_iter(), tcp: tcp.into_iter(), place: Place::Head }
}

struct Pieces<R, T> {
    head: Option<String>,
    requests: R,
    tcp: T,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    Requests { first: bool },
    Tcp { first: bool },
    End,
}

impl<R: Iterator<Item = RequestSample>, T: Iterator<Item = TcpSample>> Iterator for Pieces<R, T> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut out = String::new();
        while out.len() < PIECE && self.place != Place::End {
            self.place = match self.place {
                Place::Head => {
                    out.push_str(&self.head.take().unwrap_or_default());
                    out.push_str("\"requests\":[");
                    Place::Requests { first: true }
                }
                Place::Requests { first } => match self.requests.next() {
                    Some(sample) => {
                        item(&mut out, first, &sample);
                        Place::Requests { first: false }
                    }
                    None => {
                        out.push_str("],\"tcp\":[");
                        Place::Tcp { first: true }
                    }
                },
                Place::Tcp { first } => match self.tcp.next() {
                    Some(sample) => {
                        item(&mut out, first, &sample);
                        Place::Tcp { first: false }
                    }
                    None => {
                        out.push_str("]}");
                        Place::End
                    }
                },
                Place::End => Place::End,
            };
        }
        (!out.is_empty()).then_some(out)
    }
}

fn item(out: &mut String, first: bool, sample: &impl Serialize) {
    if !first {
        out.push(',');
    }
    out.push_str(&serde_json::to_string(sample).unwrap_or_default());
}

const PIECE: usize = 16 * 1024;
const TAIL: &str = "\"requests\":[],\"tcp\":[]}";
