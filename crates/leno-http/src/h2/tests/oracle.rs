//! Against the `h2` crate, in both roles: what one end means is what the other understands.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use proptest::prelude::*;
use std::collections::HashMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

/// One request and its answer; the answer is sent when the whole request is there.
#[derive(Clone, Debug)]
struct Exchange {
    fields: Vec<(String, String)>,
    asks: Vec<usize>,
    answers: Vec<usize>,
    trailers: bool,
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let sizes = || prop::collection::vec(prop_oneof![0usize..200, 10_000usize..60_000], 0..4);
    let fields = prop::collection::vec(("x-[a-z]{1,8}", "[!-~]([ -~]{0,60}[!-~])?"), 0..8);
    (fields, sizes(), sizes(), any::<bool>()).prop_map(|(fields, asks, answers, trailers)| Exchange {
        fields,
        asks,
        answers,
        trailers,
    })
}

/// What arrived: fields by name, body bytes, trailers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    fields: Vec<(String, String)>,
    body: usize,
    trailers: Option<String>,
}

fn fields<'h>(headers: impl IntoIterator<Item = (&'h HeaderName, &'h HeaderValue)>) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = headers
        .into_iter()
        .map(|(n, v)| (n.as_str().to_owned(), v.to_str().expect("text").to_owned()))
        .filter(|(n, _)| n.starts_with("x-"))
        .collect();
    all.sort();
    all
}

fn headers<C: FromIterator<(HeaderName, HeaderValue)>>(exchange: &Exchange) -> C {
    exchange
        .fields
        .iter()
        .map(|(n, v)| (n.parse::<HeaderName>().expect("a name"), v.parse::<HeaderValue>().expect("a value")))
        .collect()
}

fn trailers<C: FromIterator<(HeaderName, HeaderValue)>>(n: usize) -> C {
    [(HeaderName::from_static("x-n"), HeaderValue::from(n))].into_iter().collect()
}

fn pairs(headers: &Fields) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    headers.iter().map(|(name, value)| (name, value))
}

fn asked(exchange: &Exchange, n: usize) -> Request<()> {
    let mut request = Request::post(format!("http://a/{n}")).body(()).expect("a request");
    *request.headers_mut() = headers(exchange);
    request
}

fn seen(exchange: &Exchange, sizes: &[usize], n: usize, trailers: bool) -> Seen {
    let map: HeaderMap = headers(exchange);
    Seen { fields: fields(&map), body: sizes.iter().sum(), trailers: trailers.then(|| n.to_string()) }
}

/// Our end of the wire.
struct End {
    conn: Connection,
    io: DuplexStream,
    input: BytesMut,
}

impl End {
    async fn flush(&mut self) {
        let all = bytes(&mut self.conn);
        self.io.write_all(&all).await.expect("written");
    }

    /// The next event; `None` at the end.
    async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.conn.receive(&mut self.input, Duration::ZERO).expect("good") {
                return Some(event);
            }
            self.flush().await;
            if self.io.read_buf(&mut self.input).await.ok()? == 0 {
                return None;
            }
        }
    }
}

/// Notes what an event says of a stream; true at its end.
fn note(event: Event, seen: &mut HashMap<u32, Seen>, conn: &mut Connection) -> Option<u32> {
    match event {
        Event::Request { stream, head, end } => {
            seen.insert(stream, Seen { fields: fields(pairs(&head.headers)), ..Seen::default() });
            end.then_some(stream)
        }
        Event::Response { stream, head, end } => {
            seen.insert(stream, Seen { fields: fields(pairs(&head.headers)), ..Seen::default() });
            end.then_some(stream)
        }
        Event::Data { stream, data, end } => {
            seen.get_mut(&stream).expect("open").body += data.len();
            conn.consumed(stream, data.len());
            end.then_some(stream)
        }
        Event::Trailers { stream, trailers } => {
            seen.get_mut(&stream).expect("open").trailers = Some(trailers["x-n"].to_str().expect("text").into());
            Some(stream)
        }
        Event::Settings | Event::GoAway { .. } => None,
        other => panic!("{other:?}"),
    }
}

async fn receive(mut body: h2::RecvStream, fields: Vec<(String, String)>) -> Seen {
    let mut seen = Seen { fields, ..Seen::default() };
    while let Some(data) = body.data().await {
        let data = data.expect("data");
        seen.body += data.len();
        body.flow_control().release_capacity(data.len()).expect("released");
    }
    let trailers = body.trailers().await.expect("trailers");
    seen.trailers = trailers.map(|t| t["x-n"].to_str().expect("text").into());
    seen
}

/// Sends a body by the oracle.
async fn send(mut stream: h2::SendStream<Bytes>, sizes: Vec<usize>, trailers: Option<HeaderMap>) {
    for size in sizes {
        let mut left = size;
        while left > 0 {
            stream.reserve_capacity(left);
            let n = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.expect("open").expect("capacity");
            stream.send_data(Bytes::from(vec![7; n]), false).expect("sent");
            left -= n;
        }
    }
    match trailers {
        Some(trailers) => stream.send_trailers(trailers).expect("sent"),
        None => stream.send_data(Bytes::new(), true).expect("sent"),
    }
}

fn respond(conn: &mut Connection, stream: u32, exchange: &Exchange, n: usize) {
    conn.respond(stream, http::StatusCode::OK, &headers::<Fields>(exchange), false);
    for size in &exchange.answers {
        conn.send(stream, Bytes::from(vec![7; *size]), false);
    }
    if exchange.trailers {
        conn.send_trailers(stream, trailers(n));
    } else {
        conn.send(stream, Bytes::new(), true);
    }
}

/// The oracle asks, this end answers.
async fn as_server(script: Vec<Exchange>) {
    let (ours, theirs) = duplex(10_000);
    let asking = script.clone();
    let client = tokio::spawn(async move {
        let (sender, connection) = h2::client::handshake(theirs).await.expect("greeted");
        tokio::spawn(connection);
        let mut tasks = Vec::new();
        for (n, exchange) in asking.into_iter().enumerate() {
            let mut sender = sender.clone().ready().await.expect("ready");
            let (answer, stream) = sender.send_request(asked(&exchange, n), false).expect("sent");
            let trailers = exchange.trailers.then(|| trailers(n));
            tokio::spawn(send(stream, exchange.asks.clone(), trailers));
            tasks.push(tokio::spawn(async move {
                let (parts, body) = answer.await.expect("answered").into_parts();
                let got = receive(body, fields(&parts.headers)).await;
                assert_eq!(got, seen(&exchange, &exchange.answers, n, exchange.trailers));
            }));
        }
        for task in tasks {
            task.await.expect("good");
        }
    });
    let mut end = End { conn: Connection::new(Role::Server, WINDOWS), io: ours, input: BytesMut::new() };
    let (mut got, mut numbers) = (HashMap::new(), HashMap::new());
    while let Some(event) = end.event().await {
        if let Event::Request { stream, head, .. } = &event {
            numbers.insert(*stream, head.uri.path()[1..].parse::<usize>().expect("a number"));
        }
        if let Some(stream) = note(event, &mut got, &mut end.conn) {
            let n = numbers[&stream];
            assert_eq!(got[&stream], seen(&script[n], &script[n].asks, n, script[n].trailers));
            respond(&mut end.conn, stream, &script[n], n);
        }
    }
    client.await.expect("good");
    assert_eq!(end.conn.open_streams(), 0);
}

/// This end asks, the oracle answers.
async fn as_client(script: Vec<Exchange>) {
    let (ours, theirs) = duplex(10_000);
    let answering = script.clone();
    let server = tokio::spawn(async move {
        let mut connection = h2::server::handshake(theirs).await.expect("greeted");
        while let Some(accepted) = connection.accept().await {
            let Ok((request, mut respond)) = accepted else { break };
            let n: usize = request.uri().path()[1..].parse().expect("a number");
            let exchange = answering[n].clone();
            tokio::spawn(async move {
                let (parts, body) = request.into_parts();
                let got = receive(body, fields(&parts.headers)).await;
                assert_eq!(got, seen(&exchange, &exchange.asks, n, exchange.trailers));
                let mut response = Response::new(());
                *response.headers_mut() = headers(&exchange);
                let stream = respond.send_response(response, false).expect("sent");
                send(stream, exchange.answers.clone(), exchange.trailers.then(|| trailers(n))).await;
            });
        }
    });
    let mut end = End { conn: Connection::new(Role::Client, WINDOWS), io: ours, input: BytesMut::new() };
    let mut numbers = HashMap::new();
    for (n, exchange) in script.iter().enumerate() {
        let uri = format!("http://a/{n}").parse().expect("a URI");
        let head = RequestHead { uri, headers: headers(exchange), ..request("POST") };
        let stream = end.conn.open(&head, false);
        numbers.insert(stream, n);
        for size in &exchange.asks {
            end.conn.send(stream, Bytes::from(vec![7; *size]), false);
        }
        if exchange.trailers {
            end.conn.send_trailers(stream, trailers(n));
        } else {
            end.conn.send(stream, Bytes::new(), true);
        }
    }
    let mut got = HashMap::new();
    while end.conn.open_streams() > 0 {
        let event = end.event().await.expect("it goes on");
        if let Some(stream) = note(event, &mut got, &mut end.conn) {
            let (n, exchange) = (numbers[&stream], &script[numbers[&stream]]);
            assert_eq!(got[&stream], seen(exchange, &exchange.answers, n, exchange.trailers));
        }
    }
    end.conn.leave();
    end.flush().await;
    drop(end);
    server.await.expect("good");
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let limited = async { tokio::time::timeout(Duration::from_secs(20), test).await.expect("it does not hang") };
    runtime.block_on(limited);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn the_oracle_is_answered(script in prop::collection::vec(exchange(), 1..12)) {
        run(as_server(script));
    }

    #[test]
    fn the_oracle_answers(script in prop::collection::vec(exchange(), 1..12)) {
        run(as_client(script));
    }

    /// However the bytes are cut, and whatever they are: no panic, and what they make this end send is bounded.
    #[test]
    fn any_frames_are_taken_or_refused(
        frames in prop::collection::vec((0u8..11, any::<u8>(), 0u32..6, prop::collection::vec(any::<u8>(), 0..40)), 0..60),
        cut in 1usize..50,
        client in any::<bool>(),
    ) {
        let mut conn = if client { super::client() } else { server() };
        let all: Vec<u8> = frames.iter().flat_map(|(k, f, s, p)| frame(*k, *f, *s, p)).collect();
        let mut input = BytesMut::new();
        for piece in all.chunks(cut) {
            input.extend_from_slice(piece);
            let mut broken = false;
            loop {
                match conn.receive(&mut input, Duration::ZERO) {
                    Ok(Some(Event::Request { stream, .. })) => {
                        conn.respond(stream, http::StatusCode::OK, &Fields::new(), stream % 3 == 0);
                        conn.send(stream, Bytes::from_static(b"answer"), true);
                    }
                    Ok(Some(Event::Data { stream, data, .. })) => conn.consumed(stream, data.len()),
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => {
                        broken = true;
                        break;
                    }
                }
            }
            if broken {
                break;
            }
        }
        prop_assert!(bytes(&mut conn).len() < 64 * 1024);
    }
}
