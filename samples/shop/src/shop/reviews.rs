//! What others thought: with a slow route, and one that fails sometimes.

use std::time::Duration;

use http::{Request, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use super::Listen;
use crate::plan::Plan;
use crate::server::{Answer, Peer};
use crate::shell::{Handler, json_reply, text};
use crate::units::{Me, duration};

/// The reviews: GET /reviews/ID fails sometimes, GET /slow takes its time.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    listen: Listen,
    /// Share of GET /reviews/ID (0..1) that answer 503.
    #[arg(long, default_value_t = 0.1, env = "FAIL")]
    fail: f64,
    /// How long GET /slow takes.
    #[arg(long, default_value = "1500ms", env = "SLOW", value_parser = duration)]
    slow: Duration,
}

/// Runs the service until SIGTERM.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let me = Me::from_env("reviews");
    let reviews = Reviews { me: me.clone(), fail: args.fail, slow: args.slow };
    super::serve(&args.listen, me, reviews).await
}

struct Reviews {
    me: Me,
    fail: f64,
    slow: Duration,
}

impl Handler for Reviews {
    async fn answer(&self, request: Request<Incoming>, _plan: Plan, _peer: Peer) -> Answer {
        let path = request.uri().path();
        let about = if let Some(id) = path.strip_prefix("/reviews/") {
            if rand::random::<f64>() < self.fail {
                return Answer::Reply(text(StatusCode::SERVICE_UNAVAILABLE, "the reviewers are asleep\n"));
            }
            id
        } else if path == "/slow" {
            tokio::time::sleep(self.slow).await;
            "all"
        } else {
            return Answer::Reply(text(StatusCode::NOT_FOUND, "GET /reviews/ID or /slow\n"));
        };
        let body = json!({
            "service": self.me.service,
            "version": self.me.version,
            "pod": self.me.pod,
            "about": about,
            "text": "it weaves",
            "stars": 5,
        });
        Answer::Reply(json_reply(StatusCode::OK, &body, &self.me))
    }
}
