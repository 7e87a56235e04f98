//! The life of a request, as a list. Read it and you have read what the proxy does with HTTP.
//!
//! A phase either lets the request go on or stops it with a [`Reply`]. The [`Exchange`] accompanies the request from its
//! head to the last byte of its answer and reports the outcome once, whatever happens.

use std::sync::Arc;

use leno_core::id::Direction;

use super::body::{Body, Head, Request, Response};
use super::client::Dispatch;
use super::exchange::Exchange;
use super::phase::{admit, direct, edit, facts, fault, forward, mirror, peer, route};
use super::replay::Replay;
use super::reply::Reply;
use super::tunnel::{self, Tunnel};
use crate::inbound::Inbound;
use crate::outbound::Outbound;

/// A request of this pod's application, on its way to an endpoint.
pub async fn outbound(from: Arc<Outbound>, request: Request) -> Response {
    let Request { mut head, body, upgrade } = request;
    let app = &from.path.app;
    let mut exchange = Exchange::begin(Direction::Outbound, app.telemetry.clone(), app.drain.hold());
    let tunnel = upgrade.filter(|_| tunnel::is_asked(&head)).map(Tunnel::of_client);
    facts::read(&mut exchange, &mut head, from.downstream());
    let body = Replay::new(body, exchange.is_grpc());
    let outcome = outbound_phases(&from, &mut exchange, head, body, tunnel.is_some()).await;
    conclude(exchange, outcome, tunnel)
}

async fn outbound_phases(
    from: &Arc<Outbound>,
    exchange: &mut Exchange,
    mut head: Head,
    body: Replay,
    tunnel: bool,
) -> Result<forward::Forwarded, Reply> {
    exchange.trace(&mut head.headers);
    let mut chosen = route::choose(from, exchange, &head).await?;
    direct::preflight(&chosen, &head)?;
    fault::inject(&chosen, exchange).await?;
    direct::answer(&chosen, from, &head)?;
    route::time_budget(&chosen, exchange, &head);
    edit::request(&mut chosen, exchange, &mut head, tunnel)?;
    exchange.measure(body.meter());
    mirror::send(from, &chosen, &head, &body);
    let mut request = Dispatch::new(head, Body::empty());
    let mut forwarded = forward::to_service(from, &chosen, exchange, &mut request, &body, tunnel).await?;
    edit::response(&chosen, &request.head, exchange, &mut forwarded.response);
    Ok(forwarded)
}

/// A request from the network, on its way to this pod's application.
pub async fn inbound(from: Arc<Inbound>, request: Request) -> Response {
    let Request { mut head, body, upgrade } = request;
    let app = &from.path.app;
    let mut exchange = Exchange::begin(Direction::Inbound, app.telemetry.clone(), app.drain.hold());
    let tunnel = upgrade.filter(|_| tunnel::is_asked(&head)).map(Tunnel::of_client);
    facts::read(&mut exchange, &mut head, from.downstream());
    let body = Replay::new(body, exchange.is_grpc());
    let outcome = inbound_phases(&from, &mut exchange, head, body, tunnel.is_some()).await;
    conclude(exchange, outcome, tunnel)
}

async fn inbound_phases(
    from: &Inbound,
    exchange: &mut Exchange,
    mut head: Head,
    body: Replay,
    tunnel: bool,
) -> Result<forward::Forwarded, Reply> {
    if from.is_probe(&head) {
        exchange.hush();
    } else {
        exchange.trace(&mut head.headers);
    }
    let native = peer::read(from, exchange, &mut head);
    admit::request(from, exchange, &head)?;
    edit::inbound_request(exchange, &mut head, tunnel);
    exchange.measure(body.meter());
    let mut request = Dispatch::new(head, Body::empty());
    let mut forwarded = forward::to_app(from, exchange, &mut request, &body, native, tunnel).await?;
    edit::inbound_response(exchange, &mut forwarded.response);
    Ok(forwarded)
}

/// The answer for the client. What the phases stopped with becomes one here, and nowhere else.
fn conclude(
    mut exchange: Box<Exchange>,
    outcome: Result<forward::Forwarded, Reply>,
    tunnel: Option<Tunnel>,
) -> Response {
    match outcome {
        Ok(forward::Forwarded { response, tunnel: endpoint }) => match (tunnel, endpoint) {
            (Some(client), Some(endpoint)) if is_switch(&response) => {
                exchange.record.status = response.head.status.as_u16();
                client.join(endpoint, exchange);
                response
            }
            _ => exchange.answer(response),
        },
        Err(reply) => {
            exchange.record.reason = reply.reason;
            exchange.say(&reply.detail);
            let grpc = exchange.is_grpc();
            exchange.answer(reply.into_response(grpc))
        }
    }
}

/// Whether the endpoint left HTTP as asked.
fn is_switch(response: &Response) -> bool {
    response.head.status == http::StatusCode::SWITCHING_PROTOCOLS || response.head.status.is_success()
}
