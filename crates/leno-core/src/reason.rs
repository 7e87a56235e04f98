//! Every way a request or connection can end, in one vocabulary.
//!
//! A [`Reason`] gives the HTTP status, Istio's response flag (Envoy's `%RESPONSE_FLAGS%`), the code detail for the log
//! and the sentence a person reads. Nothing else in Leno chooses any of these.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $status:literal, $flag:literal, $detail:literal, $sentence:literal;)*) => {
        /// Why a request or connection ended as it did.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, for tables and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// HTTP status that the proxy answers with; 0 where it does not answer itself.
            #[must_use]
            pub const fn status(self) -> u16 { match self { $(Self::$name => $status,)* } }

            /// Envoy's response flag, `-` for none.
            #[must_use]
            pub const fn flag(self) -> &'static str { match self { $(Self::$name => $flag,)* } }

            /// Envoy's response code detail, or Leno's own where Envoy has none.
            #[must_use]
            pub const fn detail(self) -> &'static str { match self { $(Self::$name => $detail,)* } }

            /// In words.
            #[must_use]
            pub const fn sentence(self) -> &'static str { match self { $(Self::$name => $sentence,)* } }
        }
    };
}

reasons! {
    /// The upstream answered.
    Answered => 0, "-", "via_upstream", "the upstream answered";
    /// A rule answered directly.
    DirectResponse => 0, "-", "direct_response", "a route rule answers this directly";
    /// A rule redirected.
    Redirected => 0, "-", "redirect", "a route rule redirects this";
    /// A CORS preflight was answered.
    CorsPreflight => 200, "-", "cors_preflight", "the CORS policy answered the preflight";
    /// The destination is unknown and unknown ones are refused.
    UnknownDestination => 502, "UH", "unknown_destination", "the destination is not in the mesh and the mesh refuses unknown ones (REGISTRY_ONLY)";
    /// No rule matched.
    RouteNotFound => 404, "NR", "route_not_found", "no rule of the service's routes matches the request";
    /// The rule's destination does not exist.
    ClusterNotFound => 503, "NC", "cluster_not_found", "the route's destination service, port or subset does not exist";
    /// The rule's destination cannot be used.
    InvalidBackend => 500, "NC", "invalid_backend_ref", "the route's backendRef does not exist, or is of a kind that cannot be routed to";
    /// No endpoint is healthy.
    NoHealthyUpstream => 503, "UH", "no_healthy_upstream", "no ready endpoint (none exists, or all are ejected)";
    /// Connecting failed.
    ConnectFailure => 503, "UF", "upstream_reset_before_response_started{connection_failure}", "connecting to the endpoint failed (refused or unreachable)";
    /// Connecting took too long.
    ConnectTimeout => 503, "UF", "upstream_reset_before_response_started{connection_timeout}", "connecting to the endpoint took longer than the connect timeout";
    /// The TLS handshake failed.
    TlsFailure => 503, "UF", "upstream_reset_before_response_started{tls_error}", "the TLS handshake with the endpoint failed";
    /// The peer's identity is not the expected one.
    IdentityMismatch => 503, "UF", "upstream_reset_before_response_started{identity_mismatch}", "the endpoint proved an identity that is not the service's";
    /// The upstream ended the connection before it answered.
    UpstreamReset => 503, "UC", "upstream_reset_before_response_started{connection_termination}", "the endpoint closed or reset the connection before it answered";
    /// The upstream refused the stream.
    StreamRefused => 503, "UR", "upstream_reset_before_response_started{remote_refused_stream_reset}", "the endpoint refused the stream before it was processed";
    /// The upstream ended the connection within its answer.
    UpstreamAborted => 0, "UC", "upstream_reset_after_response_started", "the endpoint broke off in the middle of its answer";
    /// The upstream answered something that is not HTTP.
    UpstreamProtocol => 502, "UPE", "upstream_protocol_error", "the endpoint's answer is not valid HTTP";
    /// The whole time ran out.
    Timeout => 504, "UT", "response_timeout", "the route's timeout ran out";
    /// The last try's time ran out.
    PerTryTimeout => 504, "UT", "upstream_per_try_timeout", "the last try took longer than its perTryTimeout";
    /// Every retry failed. The status is the last try's.
    RetriesExhausted => 503, "URX", "retries_exhausted", "every allowed retry failed";
    /// A limit of the circuit breaker was reached.
    Overflow => 503, "UO", "upstream_overflow", "a connection pool limit is reached (circuit breaker)";
    /// The client went away.
    ClientGone => 0, "DC", "downstream_remote_disconnect", "the client closed the connection before the answer";
    /// The client sent something that is not HTTP.
    ClientProtocol => 400, "DPE", "http1.codec_error", "the client's request is not valid HTTP";
    /// An abort was injected.
    FaultAbort => 0, "FI", "fault_filter_abort", "a route rule injects this failure";
    /// A policy denies it.
    PolicyDenied => 403, "RBAC", "rbac_access_denied", "an authorization policy denies it";
    /// Plaintext where mutual TLS is required.
    PlaintextRefused => 0, "UAEX", "strict_mtls_plaintext", "the workload requires mutual TLS (STRICT) and the client spoke plaintext";
    /// The client's certificate was refused.
    ClientCertRefused => 0, "UAEX", "client_certificate_refused", "the client's certificate was not accepted";
    /// The application behind the inbound proxy does not listen.
    AppUnreachable => 503, "UF", "app_connection_failure", "the application in this pod does not accept connections on the port";
    /// The proxy has no certificate or no configuration yet.
    NotReady => 503, "UH", "proxy_not_ready", "the proxy has no configuration or certificate yet";
    /// The proxy is going away.
    Draining => 503, "UH", "proxy_draining", "the proxy is draining";
    /// The stream was idle for too long.
    IdleTimeout => 0, "SI", "stream_idle_timeout", "the connection was idle for longer than its limit";
    /// The tunnel or opaque connection ended as it should.
    Closed => 0, "-", "closed", "the connection ended normally";
}

impl Reason {
    /// Whether the mesh, not the application, made it fail.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        !matches!(
            self,
            Self::Answered
                | Self::DirectResponse
                | Self::Redirected
                | Self::CorsPreflight
                | Self::Closed
                | Self::ClientGone
        )
    }
}
