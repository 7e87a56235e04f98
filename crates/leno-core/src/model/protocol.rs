//! Application protocols and how a port declares them.

use serde::Serialize;

/// What a port speaks, as declared; [`Protocol::Auto`] means it is detected per connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.x (h2c is also accepted by detection of its preface).
    Http,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// gRPC over HTTP/2.
    Grpc,
    /// TLS of the application's own: passed through, routed by SNI.
    Tls,
    /// Opaque bytes; the server may speak first.
    Tcp,
    /// Not declared: detected without ever waiting for a client that is waiting for its server.
    #[default]
    Auto,
    /// Not carried by the mesh.
    Udp,
}

impl Protocol {
    /// Whether requests can be told apart: HTTP of any version.
    #[must_use]
    pub const fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Http2 | Self::Grpc)
    }
}
