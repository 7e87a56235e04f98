//! The data path, in one process: real sockets, real TLS, a mesh of literal objects, hyper at both ends as the oracle.
//!
//! Every pod has an address of its own under 127.0.0.0/8. No interception is needed: a listener is told where its
//! connections were going.

mod failures;
mod http;
mod http1;
mod limits;
mod routing;
mod scene;
mod security;
mod streams;
mod tcp;
