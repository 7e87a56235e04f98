//! Generated messages and gRPC stubs (`proto/` at the root of the repository).
#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    rustdoc::all
)]

mod generated {
    include!(concat!(env!("OUT_DIR"), "/protos.rs"));
}

pub use generated::envoy::config::core::v3 as core;
pub use generated::envoy::service::discovery::v3 as discovery;
pub use generated::google::protobuf;
pub use generated::google::rpc;
pub use generated::istio::v1::auth as ca;
pub use generated::leno::v1 as leno;
