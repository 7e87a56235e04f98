//! A gRPC server and client for tests.

use std::collections::HashMap;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use tokio::time::Instant;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::proto::echo::echo_client::EchoClient;
use crate::proto::echo::echo_server::{Echo, EchoServer};
use crate::proto::echo::{EchoReply, EchoRequest};
use crate::proto::health::health_check_response::ServingStatus;
use crate::proto::health::health_server::{Health, HealthServer};
use crate::proto::health::{HealthCheckRequest, HealthCheckResponse};
use crate::report::{Outcome, Report};
use crate::server::{asked_to_end, listen};
use crate::units::{Me, duration, pause};

/// A gRPC server that answers with its version, pod and the request's headers; see proto/echo.proto.
#[derive(clap::Args)]
pub(crate) struct EchoArgs {
    /// Port to listen on.
    #[arg(long, short, default_value_t = 9090, env = "PORT")]
    port: u16,
}

/// How a call is made.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq)]
pub(crate) enum Method {
    /// One request, one answer.
    Unary,
    /// One request, many answers.
    ServerStream,
    /// Many requests, one answer.
    ClientStream,
    /// Many of both.
    Bidi,
}

/// Calls a `grpc-echo` server and prints the answers, or for several calls a summary.
///
/// Fails (exit 1) when a call did not end with status OK.
#[derive(clap::Args)]
pub(crate) struct CallArgs {
    /// HOST:PORT
    address: String,
    /// Kind of call.
    #[arg(long, value_enum, default_value_t = Method::Unary)]
    method: Method,
    /// Short for --method bidi.
    #[arg(long, conflicts_with = "method")]
    stream: bool,
    /// How many calls.
    #[arg(short, long, default_value_t = 1)]
    number: u64,
    /// How many at a time, over one connection.
    #[arg(short, long, default_value_t = 1)]
    concurrency: usize,
    /// Messages in each stream.
    #[arg(long, default_value_t = 3)]
    count: u32,
    /// What to say.
    #[arg(long, default_value = "hello")]
    message: String,
    /// Ask the server to fail with this gRPC status.
    #[arg(long, default_value_t = 0)]
    code: u32,
    /// Ask the server to fail this share (0..1) of calls.
    #[arg(long, default_value_t = 0.0)]
    fail: f64,
    /// Ask the server to wait before each answer.
    #[arg(long, default_value = "0s", value_parser = duration)]
    delay: Duration,
    /// Header, may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Deadline of each call, sent as grpc-timeout.
    #[arg(long, default_value = "15s", value_parser = duration)]
    timeout: Duration,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs `grpc-echo` until SIGTERM.
pub(crate) async fn echo(args: EchoArgs) -> anyhow::Result<()> {
    let service = EchoService { me: Me::from_env("grpc-echo") };
    serve(args.port, Server::builder().add_service(EchoServer::new(service))).await
}

/// Serves a gRPC service and gRPC health until SIGTERM; calls in flight may finish.
pub(crate) async fn serve(port: u16, router: tonic::transport::server::Router) -> anyhow::Result<()> {
    let incoming = TcpIncoming::from(listen(port).await?).with_nodelay(Some(true));
    let router = router.add_service(HealthServer::new(HealthService));
    Ok(router.serve_with_incoming_shutdown(incoming, asked_to_end()).await?)
}

struct HealthService;

#[tonic::async_trait]
impl Health for HealthService {
    async fn check(&self, _request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }
}

struct EchoService {
    me: Me,
}

impl EchoService {
    fn reply(&self, request: EchoRequest, number: u32, headers: HashMap<String, String>) -> EchoReply {
        EchoReply {
            message: request.message,
            version: self.me.version.clone(),
            pod: self.me.pod.clone(),
            number,
            headers,
        }
    }
}

type Replies = Pin<Box<dyn Stream<Item = Result<EchoReply, Status>> + Send>>;

#[tonic::async_trait]
impl Echo for EchoService {
    type ServerStreamStream = Replies;
    type BidiStream = Replies;

    async fn unary(&self, request: Request<EchoRequest>) -> Result<Response<EchoReply>, Status> {
        let headers = headers(request.metadata());
        let request = request.into_inner();
        obey(&request).await?;
        Ok(Response::new(self.reply(request, 1, headers)))
    }

    async fn server_stream(&self, request: Request<EchoRequest>) -> Result<Response<Replies>, Status> {
        let headers = headers(request.metadata());
        let request = request.into_inner();
        let reply = self.reply(request.clone(), 0, headers);
        let replies = stream::unfold((0, true), move |(sent, alive)| {
            let (request, reply) = (request.clone(), reply.clone());
            async move {
                if !alive || sent == request.count.max(1) {
                    return None;
                }
                let obeyed = obey(&request).await;
                let alive = obeyed.is_ok();
                Some((obeyed.map(|()| EchoReply { number: sent + 1, ..reply }), (sent + 1, alive)))
            }
        });
        Ok(Response::new(Box::pin(replies)))
    }

    async fn client_stream(&self, request: Request<Streaming<EchoRequest>>) -> Result<Response<EchoReply>, Status> {
        let headers = headers(request.metadata());
        let mut requests = request.into_inner();
        let (mut number, mut last) = (0, EchoRequest::default());
        while let Some(request) = requests.message().await? {
            obey(&request).await?;
            number += 1;
            last = request;
        }
        Ok(Response::new(self.reply(last, number, headers)))
    }

    async fn bidi(&self, request: Request<Streaming<EchoRequest>>) -> Result<Response<Replies>, Status> {
        let headers = headers(request.metadata());
        let this = Self { me: self.me.clone() };
        let state = (request.into_inner(), 0, this, headers);
        let replies = stream::try_unfold(state, |(mut requests, sent, this, headers)| async move {
            let Some(request) = requests.message().await? else { return Ok(None) };
            obey(&request).await?;
            let reply = this.reply(request, sent + 1, headers.clone());
            Ok(Some((reply, (requests, sent + 1, this, headers))))
        });
        Ok(Response::new(Box::pin(replies)))
    }
}

/// Waits and fails as the request asks.
async fn obey(request: &EchoRequest) -> Result<(), Status> {
    pause(Duration::from_millis(request.delay_ms.into())).await;
    let code = Code::from_i32(i32::try_from(request.code).unwrap_or(2));
    let share = if request.fail > 0.0 { request.fail } else { f64::from(u8::from(code != Code::Ok)) };
    if rand::random::<f64>() >= share {
        return Ok(());
    }
    Err(Status::new(if code == Code::Ok { Code::Unavailable } else { code }, "failed as asked"))
}

fn headers(metadata: &MetadataMap) -> HashMap<String, String> {
    let all = metadata.clone().into_headers();
    all.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect()
}

/// Runs `grpc-call`.
pub(crate) async fn call(args: CallArgs) -> anyhow::Result<ExitCode> {
    let address = args.address.trim_start_matches("http://");
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect_lazy();
    let one = args.number == 1 && !args.json;
    let (args, start) = (&args, Instant::now());
    let report = stream::iter(0..args.number)
        .map(|_| {
            let channel = channel.clone();
            async move {
                let began = Instant::now();
                let outcome = outcome(call_once(args, channel).await, one);
                (outcome, began.elapsed())
            }
        })
        .buffer_unordered(args.concurrency.max(1))
        .fold(Report::default(), |mut report, (outcome, took)| async move {
            report.add(outcome, took, start.elapsed());
            report
        })
        .await;
    let seconds = start.elapsed().as_secs_f64();
    if args.json {
        println!("{}", report.json(seconds));
    } else if !one {
        print!("{}", report.text(seconds));
    }
    Ok(if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn outcome(result: Result<Vec<EchoReply>, Status>, show: bool) -> Outcome {
    match result {
        Ok(replies) => {
            if show {
                for reply in &replies {
                    println!("{} {} from {} {}", reply.number, reply.message, reply.version, reply.pod);
                }
            }
            let (version, pod) = replies.first().map(|r| (r.version.clone(), r.pod.clone())).unzip();
            Outcome { status: None, grpc: Some(0), good: true, error: None, detail: String::new(), version, pod }
        }
        Err(status) => {
            let code = u32::try_from(i32::from(status.code())).unwrap_or(2);
            let detail = format!("{:?}: {}", status.code(), status.message());
            if show {
                eprintln!("{detail}");
            }
            Outcome { status: None, grpc: Some(code), good: false, error: None, detail, version: None, pod: None }
        }
    }
}

async fn call_once(args: &CallArgs, channel: Channel) -> Result<Vec<EchoReply>, Status> {
    let mut client = EchoClient::new(channel);
    let message = EchoRequest {
        message: args.message.clone(),
        delay_ms: u32::try_from(args.delay.as_millis()).unwrap_or(u32::MAX),
        code: args.code,
        fail: args.fail,
        count: args.count,
    };
    let many = stream::iter(vec![message.clone(); args.count as usize]);
    match if args.stream { Method::Bidi } else { args.method } {
        Method::Unary => Ok(vec![client.unary(prepared(args, message)?).await?.into_inner()]),
        Method::ClientStream => Ok(vec![client.client_stream(prepared(args, many)?).await?.into_inner()]),
        Method::ServerStream => collect(client.server_stream(prepared(args, message)?).await?.into_inner()).await,
        Method::Bidi => collect(client.bidi(prepared(args, many)?).await?.into_inner()).await,
    }
}

fn prepared<T>(args: &CallArgs, message: T) -> Result<Request<T>, Status> {
    let mut request = Request::new(message);
    request.set_timeout(args.timeout);
    for line in &args.headers {
        let wrong = || Status::invalid_argument(format!("header `{line}`: must be NAME: VALUE"));
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name: tonic::metadata::AsciiMetadataKey = name.trim().to_lowercase().parse().map_err(|_| wrong())?;
        request.metadata_mut().append(name, MetadataValue::try_from(value.trim()).map_err(|_| wrong())?);
    }
    Ok(request)
}

async fn collect(mut replies: Streaming<EchoReply>) -> Result<Vec<EchoReply>, Status> {
    let mut all = Vec::new();
    while let Some(reply) = replies.message().await? {
        all.push(reply);
    }
    Ok(all)
}
