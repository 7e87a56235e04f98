//! Heads of messages, in whatever version of HTTP they come or go.

use http::{Method, StatusCode, Uri, Version};

use crate::Fields;

/// A request, apart from its body.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// Method.
    pub method: Method,
    /// Target: by HTTP/1 as it was sent, by HTTP/2 what the pseudo-headers say.
    pub uri: Uri,
    /// The version that the client speaks, or that the endpoint is spoken to in.
    pub version: Version,
    /// Header fields.
    pub headers: Fields,
}

/// A response, apart from its body.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// Status.
    pub status: StatusCode,
    /// The version that it came in.
    pub version: Version,
    /// Header fields.
    pub headers: Fields,
}

impl RequestHead {
    /// Without fields.
    #[must_use]
    pub const fn new(method: Method, uri: Uri, version: Version) -> Self {
        Self { method, uri, version, headers: Fields::new() }
    }
}

impl ResponseHead {
    /// Of HTTP/1.1, without fields.
    #[must_use]
    pub const fn new(status: StatusCode) -> Self {
        Self { status, version: Version::HTTP_11, headers: Fields::new() }
    }
}
