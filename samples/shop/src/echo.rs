//! `leno-shop echo`: an HTTP server that says who it is and what it was asked, and misbehaves on request.

mod ws;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::{Value, json};

use crate::plan::Plan;
use crate::server::{self, Answer, Body, Peer, full};
use crate::shell::{Handler, Shell, code, json_reply, text};
use crate::units::{Me, hostname};

/// An HTTP/1.1 and h2c server that answers with what it was asked, as JSON.
///
/// Paths: /status/503 /delay/250ms /hang /reset /bytes/1000 /stream?n=10&every=100ms /trailers /echo (sends the body
/// back) /ws (`WebSocket` echo) /flaky?fail=0.3&status=503 /latency?median=10ms&sigma=0.5&max=1s (log-normal)
/// /latency?min=20ms&max=120ms (uniform).
/// Any other path answers 200 and takes ?status= ?delay= ?fail= too.
/// /healthz is for probes; /count gives requests by path (DELETE resets them), /count?id=X those that had
/// ?id=X in their query;
/// POST /mode {"status":503,"hang":true,"reset":true,"delay":"2s","unready":true,"percent":50,"path":"/x","for":"10s"}
/// makes later requests misbehave, DELETE /mode ends it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Port to listen on; may be given several times.
    #[arg(long, short, default_value = "8080", env = "PORT", value_delimiter = ',')]
    port: Vec<u16>,
}

/// Runs the server until SIGTERM.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let me = Me::from_env("echo");
    let shell = Shell::with_knobs(Echo { me: me.clone(), hostname: hostname() }, me);
    let mut servers = tokio::task::JoinSet::new();
    for port in args.port {
        let listener = server::listen(port).await?;
        servers.spawn(server::serve(listener, shell.clone()));
    }
    servers.join_all().await;
    Ok(())
}

struct Echo {
    me: Me,
    hostname: String,
}

impl Handler for Echo {
    async fn answer(&self, request: Request<Incoming>, plan: Plan, peer: Peer) -> Answer {
        if ws::asked(&request) {
            return Answer::Reply(ws::accept(request));
        }
        let (head, body) = request.into_parts();
        if plan.mirror {
            return Answer::Reply(Response::new(body.map_err(io::Error::other).boxed_unsync()));
        }
        let received = match drain(body).await {
            Ok(received) => received,
            Err(error) => return Answer::Reply(text(StatusCode::BAD_REQUEST, &format!("body: {error}\n"))),
        };
        let value = json!({
            "service": self.me.service,
            "version": self.me.version,
            "pod": self.me.pod,
            "hostname": self.hostname,
            "method": head.method.as_str(),
            "path": head.uri.path(),
            "query": head.uri.query().unwrap_or(""),
            "authority": head.uri.authority().map(http::uri::Authority::as_str).or_else(|| host(&head.headers)),
            "http": format!("{:?}", head.version),
            "peer": peer.address.to_string(),
            "bytes": received.bytes,
            "trailers": headers(&received.trailers),
            "headers": headers(&head.headers),
        });
        let mut reply = json_reply(code(plan.status), &value, &self.me);
        if let Some(bytes) = plan.bytes {
            *reply.body_mut() = full(vec![b'x'; bytes.min(MAX_BYTES)]);
        } else if let Some((count, every)) = plan.pieces {
            *reply.body_mut() = pieces(count, every);
        } else if plan.trailers {
            reply.headers_mut().insert(header::TRAILER, HeaderValue::from_static("x-trailer"));
            *reply.body_mut() = with_trailers(&value);
        }
        Answer::Reply(reply)
    }
}

struct Received {
    bytes: u64,
    trailers: HeaderMap,
}

async fn drain(mut body: Incoming) -> Result<Received, hyper::Error> {
    let mut received = Received { bytes: 0, trailers: HeaderMap::new() };
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) => received.bytes += data.len() as u64,
            Err(frame) => received.trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    Ok(received)
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST).and_then(|h| h.to_str().ok())
}

/// Headers as JSON; a header that came several times has its values joined by a comma.
fn headers(map: &HeaderMap) -> Value {
    let mut all = BTreeMap::<&str, String>::new();
    for (name, value) in map {
        let text = all.entry(name.as_str()).or_default();
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&String::from_utf8_lossy(value.as_bytes()));
    }
    json!(all)
}

fn pieces(count: u32, every: Duration) -> Body {
    let stream = stream::unfold(0, move |sent| async move {
        if sent == count {
            return None;
        }
        if sent > 0 {
            tokio::time::sleep(every).await;
        }
        Some((Ok::<_, io::Error>(Frame::data(Bytes::from(format!("piece {sent}\n")))), sent + 1))
    });
    StreamBody::new(stream).boxed_unsync()
}

fn with_trailers(value: &Value) -> Body {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-trailer", HeaderValue::from_static("the end"));
    let frames = [Ok(Frame::data(Bytes::from(format!("{value}\n")))), Ok::<_, io::Error>(Frame::trailers(trailers))];
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

/// Largest `/bytes/N`.
const MAX_BYTES: usize = 64 * 1024 * 1024;
