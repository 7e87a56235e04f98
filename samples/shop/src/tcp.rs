//! TCP servers and a client for tests: one protocol where the client speaks first, one where the server does.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::client::kind_of;
use crate::report::{Outcome, Report};
use crate::server::{asked_to_end, listen};
use crate::units::{Me, duration, pause};

/// A TCP server that sends back what it receives (the client speaks first).
#[derive(clap::Args)]
pub(crate) struct EchoArgs {
    /// Port to listen on.
    #[arg(long, short, default_value_t = 9000, env = "PORT")]
    port: u16,
}

/// A TCP server that speaks first: it greets with `220 SERVICE VERSION POD ready`, then answers each line with `250 LINE`.
///
/// The line `quit` is answered with `221 bye` and ends the connection.
#[derive(clap::Args)]
pub(crate) struct GreetArgs {
    /// Port to listen on.
    #[arg(long, short, default_value_t = 9001, env = "PORT")]
    port: u16,
    /// Wait so long before the greeting.
    #[arg(long, default_value = "0s", value_parser = duration)]
    delay: Duration,
}

/// Opens TCP connections and prints the lines that come: the server's greeting, then an answer to each line sent.
///
/// Fails (exit 1) when a connection did not get its lines.
#[derive(clap::Args)]
pub(crate) struct CallArgs {
    /// HOST:PORT
    address: String,
    /// The client speaks first: no greeting is waited for.
    #[arg(long)]
    client_first: bool,
    /// Line to send [default: none, `hello` with --client-first].
    #[arg(long)]
    send: Option<String>,
    /// How many connections, one after another.
    #[arg(short, long, default_value_t = 1)]
    number: u64,
    /// Lines to send on each connection.
    #[arg(long, default_value_t = 1)]
    lines: u32,
    /// Hold each connection open so long after the last line.
    #[arg(long, default_value = "0s", value_parser = duration)]
    hold: Duration,
    /// Longest time for one connection, without --hold.
    #[arg(long, default_value = "10s", value_parser = duration)]
    timeout: Duration,
    /// Print a summary as JSON; `versions` and `pods` are those of `tcp-greet`'s greeting.
    #[arg(long)]
    json: bool,
}

/// Runs `tcp-echo` until SIGTERM.
pub(crate) async fn echo(args: EchoArgs) -> anyhow::Result<()> {
    let listener = listen(args.port).await?;
    accept(listener, |mut stream| async move {
        let (mut from, mut to) = stream.split();
        tokio::io::copy(&mut from, &mut to).await?;
        to.shutdown().await
    })
    .await;
    Ok(())
}

/// Runs `tcp-greet` until SIGTERM.
pub(crate) async fn greet(args: GreetArgs) -> anyhow::Result<()> {
    let listener = listen(args.port).await?;
    let me = Arc::new(Me::from_env("greet"));
    let delay = args.delay;
    accept(listener, move |stream| {
        let me = me.clone();
        async move {
            pause(delay).await;
            let greeting = format!("220 {} {} {} ready\r\n", me.service, me.version, me.pod);
            lines(stream, &greeting, |line| Some(format!("250 {line}\r\n"))).await
        }
    })
    .await;
    Ok(())
}

/// Accepts until asked to end; one task for each connection.
pub(crate) async fn accept<F, T>(listener: TcpListener, serve: F)
where
    F: Fn(TcpStream) -> T,
    T: Future<Output = io::Result<()>> + Send + 'static,
{
    let stop = asked_to_end();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(serve(stream));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            () = &mut stop => return,
        }
    }
}

/// A line protocol that greets first. `answer` gives the reply to a line; `None` is an unknown one.
pub(crate) async fn lines(
    mut stream: TcpStream,
    greeting: &str,
    answer: impl Fn(&str) -> Option<String>,
) -> io::Result<()> {
    let (from, mut to) = stream.split();
    to.write_all(greeting.as_bytes()).await?;
    let mut reader = BufReader::new(from);
    let mut line = String::new();
    loop {
        line.clear();
        if (&mut reader).take(LONGEST_LINE).read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let text = line.trim();
        if text.eq_ignore_ascii_case("quit") {
            to.write_all(b"221 bye\r\n").await?;
            return to.shutdown().await;
        }
        let reply = answer(text).unwrap_or_else(|| format!("500 what is `{text}`?\r\n"));
        to.write_all(reply.as_bytes()).await?;
    }
}

/// Runs `tcp-call`.
pub(crate) async fn call(args: CallArgs) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let mut report = Report::default();
    for _ in 0..args.number {
        let began = Instant::now();
        let talked = tokio::time::timeout(args.timeout, talk(&args)).await;
        let outcome = match talked {
            Ok(Ok((stream, heard))) => {
                if !args.json && args.number == 1 {
                    heard.iter().for_each(|line| println!("{line}"));
                }
                pause(args.hold).await;
                drop(stream);
                let word =
                    |n: usize| heard.first()?.split(' ').nth(n).filter(|_| !args.client_first).map(str::to_owned);
                let (version, pod) = (word(2), word(3));
                Outcome { status: None, grpc: None, good: true, error: None, detail: String::new(), version, pod }
            }
            Ok(Err(error)) => Outcome::failed(kind_of(&error), error.to_string()),
            Err(_) => Outcome::failed("timeout", format!("no line within {:?}", args.timeout)),
        };
        if let (false, Some(kind)) = (args.json, outcome.error) {
            eprintln!("{kind}: {}", outcome.detail);
        }
        report.add(outcome, began.elapsed(), start.elapsed());
    }
    let seconds = start.elapsed().as_secs_f64();
    if args.json {
        println!("{}", report.json(seconds));
    } else if args.number > 1 {
        print!("{}", report.text(seconds));
    }
    Ok(if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One conversation: all lines heard, and the connection still open.
async fn talk(args: &CallArgs) -> io::Result<(BufReader<TcpStream>, Vec<String>)> {
    let mut stream = BufReader::new(TcpStream::connect(args.address.as_str()).await?);
    let mut heard = Vec::new();
    if !args.client_first {
        heard.push(read_line(&mut stream).await?);
    }
    if let Some(send) = args.send.as_deref().or(args.client_first.then_some("hello")) {
        for _ in 0..args.lines {
            stream.write_all(format!("{send}\r\n").as_bytes()).await?;
            heard.push(read_line(&mut stream).await?);
        }
    }
    Ok((stream, heard))
}

/// One line without its end; the connection's end before it is an error.
pub(crate) async fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    match stream.take(LONGEST_LINE).read_line(&mut line).await? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed before a line came")),
        _ => Ok(line.trim_end().to_owned()),
    }
}

/// Longest line of the line protocols, bytes.
const LONGEST_LINE: u64 = 64 * 1024;
