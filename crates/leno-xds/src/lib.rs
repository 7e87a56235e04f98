//! The wire between control plane and proxies, for both ends.
//!
//! [`wire`] turns the model of `leno_core` into bytes and back; [`snapshot`] holds all encoded resources of a mesh;
//! [`server::DeltaSession`] and [`client::DeltaSession`] are the two halves of delta xDS without a socket or a clock;
//! [`client::Client`] runs the client's half over gRPC with back-off and resumption; [`ca_client`] asks for certificates.

pub mod ca_client;
pub mod client;
pub mod codec;
pub mod proto;
pub mod server;
pub mod snapshot;
pub mod transport;
pub mod wire;
