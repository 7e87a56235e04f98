//! Generated from `proto/`.
#![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]

include!(concat!(env!("OUT_DIR"), "/protos.rs"));

pub(crate) use grpc::health::v1 as health;
pub(crate) use leno::echo::v1 as echo;
pub(crate) use leno::shop::v1 as pay;
