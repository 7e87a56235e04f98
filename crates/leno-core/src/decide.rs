//! Judgements about one request or one connection: pure functions, shared by the proxy, its tests and `leno why`.

pub mod authn;
pub mod authz;
pub mod balance;
pub mod cluster;
pub mod cors;
pub mod destination;
pub mod outlier;
pub mod protocol;
pub mod retry;
pub mod route;
pub mod sniff;
