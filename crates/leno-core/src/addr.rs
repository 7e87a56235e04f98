//! Addresses that must not be mixed up, each its own type.

use std::fmt;
use std::net::SocketAddr;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub struct $name(pub SocketAddr);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

address! {
    /// Where the application meant to connect before interception (`SO_ORIGINAL_DST`).
    OrigDst
}
address! {
    /// The peer of an accepted connection.
    ClientAddr
}
address! {
    /// Where a proxy connects to: one endpoint of a service.
    EndpointAddr
}
address! {
    /// An address this process listens on or connects from.
    LocalAddr
}
