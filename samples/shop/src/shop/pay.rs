//! The till, by gRPC.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use futures::{Stream, stream};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use crate::proto::pay::pay_server::{Pay, PayServer};
use crate::proto::pay::{ChargeRequest, HistoryRequest, Receipt};
use crate::units::Me;

/// The till: gRPC, see proto/pay.proto (unary and streaming).
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Port to listen on.
    #[arg(long, short, default_value_t = 9090, env = "PORT")]
    port: u16,
    /// Share of charges (0..1) that fail with UNAVAILABLE.
    #[arg(long, default_value_t = 0.0, env = "FAIL")]
    fail: f64,
}

/// Runs the service until SIGTERM.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let till = Till { me: Me::from_env("pay"), fail: args.fail, receipts: Mutex::default() };
    crate::grpc::serve(args.port, Server::builder().add_service(PayServer::new(till))).await
}

struct Till {
    me: Me,
    fail: f64,
    /// Customer and receipt, the last [`REMEMBERED`].
    receipts: Mutex<VecDeque<(String, Receipt)>>,
}

impl Till {
    fn book(&self, charge: ChargeRequest) -> Receipt {
        let receipt = Receipt { order: charge.order, amount: charge.amount, pod: self.me.pod.clone() };
        let mut receipts = self.receipts.lock().unwrap_or_else(PoisonError::into_inner);
        if receipts.len() >= REMEMBERED {
            receipts.pop_front();
        }
        receipts.push_back((charge.customer, receipt.clone()));
        receipt
    }
}

#[tonic::async_trait]
impl Pay for Till {
    type HistoryStream = Pin<Box<dyn Stream<Item = Result<Receipt, Status>> + Send>>;

    async fn charge(&self, request: Request<ChargeRequest>) -> Result<Response<Receipt>, Status> {
        if rand::random::<f64>() < self.fail {
            return Err(Status::unavailable("the bank does not answer"));
        }
        Ok(Response::new(self.book(request.into_inner())))
    }

    async fn history(&self, request: Request<HistoryRequest>) -> Result<Response<Self::HistoryStream>, Status> {
        let customer = request.into_inner().customer;
        let receipts = self.receipts.lock().unwrap_or_else(PoisonError::into_inner);
        let own: Vec<_> = receipts.iter().filter(|(who, _)| *who == customer).map(|(_, r)| Ok(r.clone())).collect();
        Ok(Response::new(Box::pin(stream::iter(own))))
    }

    async fn settle(&self, request: Request<Streaming<ChargeRequest>>) -> Result<Response<Receipt>, Status> {
        let mut charges = request.into_inner();
        let mut sum = Receipt { order: "settled".to_owned(), amount: 0, pod: self.me.pod.clone() };
        while let Some(charge) = charges.message().await? {
            sum.amount = sum.amount.saturating_add(self.book(charge).amount);
        }
        Ok(Response::new(sum))
    }
}

/// How many receipts are kept.
const REMEMBERED: usize = 1000;
