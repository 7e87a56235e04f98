//! Phase 4: faults that a rule injects. They come before forwarding, so that nothing retries them away.

use std::time::Duration;

use leno_core::Reason;
use leno_core::model::route::Abort;

use super::route::Chosen;
use crate::http::exchange::Exchange;
use crate::http::reply::Reply;

/// Delays, then aborts, each by its own share of requests.
///
/// # Errors
/// The injected answer.
pub async fn inject(chosen: &Chosen, exchange: &mut Exchange) -> Result<(), Reply> {
    let Some(fault) = chosen.rule().and_then(|r| r.fault.as_ref()) else { return Ok(()) };
    if let Some((percent, delay)) = fault.delay
        && hit(percent)
    {
        exchange.say(&injected(delay));
        tokio::time::sleep(delay).await;
        exchange.touch();
    }
    match fault.abort {
        Some((percent, Abort::Http(status))) if hit(percent) => {
            Err(Reply::new(Reason::FaultAbort, "").with_status(status))
        }
        Some((percent, Abort::Grpc(code))) if hit(percent) => {
            let mut reply = Reply::new(Reason::FaultAbort, "").with_status(200);
            reply.grpc_status = Some(code);
            Err(reply)
        }
        _ => Ok(()),
    }
}

fn injected(delay: Duration) -> String {
    format!("delayed by {} ms by a fault rule", delay.as_millis())
}

/// Whether this request is one of `percent` in a hundred.
pub(super) fn hit(percent: f64) -> bool {
    rand::random::<f64>() * 100.0 < percent
}
