//! Traffic policy and retry conditions.

use std::time::Duration;

use leno_core::model::TrafficPolicy;
use leno_core::model::traffic::{
    Balancer, ClientTls, ClientTlsMode, ConnectionPool, HashKey, OutlierDetection, RetryOn,
};

use super::common::{At, DecodeError, Wire, each, nanos, optional, optional_nanos, status};
use crate::proto::leno as pb;

impl Wire for TrafficPolicy {
    type Proto = pb::TrafficPolicy;

    fn to_wire(&self) -> pb::TrafficPolicy {
        pb::TrafficPolicy {
            balancer: self.balancer.as_ref().map(Wire::to_wire),
            pool: self.pool.as_ref().map(Wire::to_wire),
            outlier: self.outlier.as_ref().map(Wire::to_wire),
            tls: self.tls.as_ref().map(Wire::to_wire),
        }
    }

    fn from_wire(p: pb::TrafficPolicy) -> Result<Self, DecodeError> {
        Ok(Self {
            balancer: optional(p.balancer, "balancer")?,
            pool: optional(p.pool, "pool")?,
            outlier: optional(p.outlier, "outlier")?,
            tls: optional(p.tls, "tls")?,
        })
    }
}

impl Wire for Balancer {
    type Proto = pb::Balancer;

    fn to_wire(&self) -> pb::Balancer {
        use pb::balancer::Kind;
        let empty = pb::Empty {};
        let kind = match self {
            Self::LeastRequest => Kind::LeastRequest(empty),
            Self::RoundRobin => Kind::RoundRobin(empty),
            Self::Random => Kind::Random(empty),
            Self::Passthrough => Kind::Passthrough(empty),
            Self::ConsistentHash { key, minimum_ring_size } => Kind::ConsistentHash(pb::ConsistentHash {
                key: Some(hash_key(key)),
                minimum_ring_size: *minimum_ring_size,
            }),
        };
        pb::Balancer { kind: Some(kind) }
    }

    fn from_wire(p: pb::Balancer) -> Result<Self, DecodeError> {
        use pb::balancer::Kind;
        Ok(match p.kind.ok_or_else(DecodeError::missing)? {
            Kind::LeastRequest(_) => Self::LeastRequest,
            Kind::RoundRobin(_) => Self::RoundRobin,
            Kind::Random(_) => Self::Random,
            Kind::Passthrough(_) => Self::Passthrough,
            Kind::ConsistentHash(h) => Self::ConsistentHash {
                key: from_hash_key(h.key.ok_or_else(DecodeError::missing).at("consistent_hash.key")?),
                minimum_ring_size: h.minimum_ring_size,
            },
        })
    }
}

fn hash_key(key: &HashKey) -> pb::consistent_hash::Key {
    use pb::consistent_hash::Key;
    match key {
        HashKey::Header(name) => Key::Header(name.clone()),
        HashKey::Query(name) => Key::Query(name.clone()),
        HashKey::SourceIp => Key::SourceIp(pb::Empty {}),
        HashKey::Cookie { name, path, ttl } => {
            Key::Cookie(pb::CookieKey { name: name.clone(), path: path.clone(), ttl_ns: optional_nanos(*ttl) })
        }
    }
}

fn from_hash_key(key: pb::consistent_hash::Key) -> HashKey {
    use pb::consistent_hash::Key;
    match key {
        Key::Header(name) => HashKey::Header(name),
        Key::Query(name) => HashKey::Query(name),
        Key::SourceIp(_) => HashKey::SourceIp,
        Key::Cookie(c) => HashKey::Cookie { name: c.name, path: c.path, ttl: c.ttl_ns.map(Duration::from_nanos) },
    }
}

impl Wire for ConnectionPool {
    type Proto = pb::ConnectionPool;

    fn to_wire(&self) -> pb::ConnectionPool {
        pb::ConnectionPool {
            max_connections: self.max_connections,
            connect_timeout_ns: optional_nanos(self.connect_timeout),
            tcp_idle_timeout_ns: optional_nanos(self.tcp_idle_timeout),
            http1_max_pending: self.http1_max_pending,
            http2_max_requests: self.http2_max_requests,
            max_requests_per_connection: self.max_requests_per_connection,
            max_retries: self.max_retries,
            http_idle_timeout_ns: optional_nanos(self.http_idle_timeout),
        }
    }

    fn from_wire(p: pb::ConnectionPool) -> Result<Self, DecodeError> {
        let duration = |ns: Option<u64>| ns.map(Duration::from_nanos);
        Ok(Self {
            max_connections: p.max_connections,
            connect_timeout: duration(p.connect_timeout_ns),
            tcp_idle_timeout: duration(p.tcp_idle_timeout_ns),
            http1_max_pending: p.http1_max_pending,
            http2_max_requests: p.http2_max_requests,
            max_requests_per_connection: p.max_requests_per_connection,
            max_retries: p.max_retries,
            http_idle_timeout: duration(p.http_idle_timeout_ns),
        })
    }
}

impl Wire for OutlierDetection {
    type Proto = pb::OutlierDetection;

    fn to_wire(&self) -> pb::OutlierDetection {
        pb::OutlierDetection {
            consecutive_5xx: self.consecutive_5xx,
            consecutive_gateway: self.consecutive_gateway,
            consecutive_local_origin: self.consecutive_local_origin,
            split_local_origin: self.split_local_origin,
            interval_ns: nanos(self.interval),
            base_ejection_ns: nanos(self.base_ejection),
            max_ejection_percent: self.max_ejection_percent,
            min_health_percent: self.min_health_percent,
        }
    }

    fn from_wire(p: pb::OutlierDetection) -> Result<Self, DecodeError> {
        Ok(Self {
            consecutive_5xx: p.consecutive_5xx,
            consecutive_gateway: p.consecutive_gateway,
            consecutive_local_origin: p.consecutive_local_origin,
            split_local_origin: p.split_local_origin,
            interval: Duration::from_nanos(p.interval_ns),
            base_ejection: Duration::from_nanos(p.base_ejection_ns),
            max_ejection_percent: p.max_ejection_percent,
            min_health_percent: p.min_health_percent,
        })
    }
}

impl Wire for ClientTls {
    type Proto = pb::ClientTls;

    fn to_wire(&self) -> pb::ClientTls {
        let mode = match self.mode {
            ClientTlsMode::Disable => pb::client_tls::Mode::Disable,
            ClientTlsMode::IstioMutual => pb::client_tls::Mode::IstioMutual,
        };
        pb::ClientTls { mode: mode.into(), subject_alt_names: self.subject_alt_names.clone(), sni: self.sni.clone() }
    }

    fn from_wire(p: pb::ClientTls) -> Result<Self, DecodeError> {
        // Guessing a mode could send plaintext where TLS was meant.
        let mode = match pb::client_tls::Mode::try_from(p.mode) {
            Ok(pb::client_tls::Mode::Disable) => ClientTlsMode::Disable,
            Ok(pb::client_tls::Mode::IstioMutual) => ClientTlsMode::IstioMutual,
            Ok(pb::client_tls::Mode::Unspecified) => return Err(DecodeError::missing()).at("mode"),
            Err(_) => return Err(DecodeError::unknown("TLS mode", p.mode)).at("mode"),
        };
        Ok(Self { mode, subject_alt_names: p.subject_alt_names, sni: p.sni })
    }
}

impl Wire for RetryOn {
    type Proto = pb::RetryOn;

    fn to_wire(&self) -> pb::RetryOn {
        pb::RetryOn {
            five_xx: self.five_xx,
            gateway_error: self.gateway_error,
            reset: self.reset,
            reset_before_request: self.reset_before_request,
            connect_failure: self.connect_failure,
            refused_stream: self.refused_stream,
            retriable_4xx: self.retriable_4xx,
            statuses: self.statuses.iter().copied().map(u32::from).collect(),
            grpc: self.grpc.clone(),
        }
    }

    fn from_wire(p: pb::RetryOn) -> Result<Self, DecodeError> {
        Ok(Self {
            five_xx: p.five_xx,
            gateway_error: p.gateway_error,
            reset: p.reset,
            reset_before_request: p.reset_before_request,
            connect_failure: p.connect_failure,
            refused_stream: p.refused_stream,
            retriable_4xx: p.retriable_4xx,
            statuses: each(p.statuses, "statuses", |s| status(s, ""))?,
            grpc: p.grpc,
        })
    }
}
