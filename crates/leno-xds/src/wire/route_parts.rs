//! What route rules are made of: destinations, retries, faults, header changes, CORS.

use std::time::Duration;

use leno_core::model::route::{
    Abort, Backend, Cors, Fault, HeaderEdit, HeaderOps, Mirror, Redirect, RetryPolicy, Rewrite, WeightedBackend,
};

use super::common::{
    At, DecodeError, Wire, list, nanos, optional_nanos, optional_port, or_default, pattern, percent, required,
    service_id, status, to_list, unless_default,
};
use crate::proto::leno as pb;

impl Wire for WeightedBackend {
    type Proto = pb::WeightedBackend;

    fn to_wire(&self) -> pb::WeightedBackend {
        pb::WeightedBackend {
            backend: Some(self.backend.to_wire()),
            weight: self.weight,
            headers: unless_default(&self.headers),
            invalid: self.invalid,
        }
    }

    fn from_wire(p: pb::WeightedBackend) -> Result<Self, DecodeError> {
        Ok(Self {
            backend: required(p.backend, "backend")?,
            weight: p.weight,
            headers: or_default(p.headers, "headers")?,
            invalid: p.invalid,
        })
    }
}

impl Wire for Backend {
    type Proto = pb::Backend;

    fn to_wire(&self) -> pb::Backend {
        pb::Backend { service: self.service.to_string(), subset: self.subset.clone(), port: self.port.map(u32::from) }
    }

    fn from_wire(p: pb::Backend) -> Result<Self, DecodeError> {
        Ok(Self { service: service_id(&p.service, "service")?, subset: p.subset, port: optional_port(p.port, "port")? })
    }
}

impl Wire for Redirect {
    type Proto = pb::Redirect;

    fn to_wire(&self) -> pb::Redirect {
        pb::Redirect {
            uri: self.uri.clone(),
            authority: self.authority.clone(),
            scheme: self.scheme.clone(),
            port: self.port.map(u32::from),
            status: self.status.into(),
            prefix: self.prefix.clone(),
            derive_port: self.derive_port,
        }
    }

    fn from_wire(p: pb::Redirect) -> Result<Self, DecodeError> {
        Ok(Self {
            uri: p.uri,
            authority: p.authority,
            scheme: p.scheme,
            port: optional_port(p.port, "port")?,
            status: status(p.status, "status")?,
            prefix: p.prefix,
            derive_port: p.derive_port,
        })
    }
}

impl Wire for Rewrite {
    type Proto = pb::Rewrite;

    fn to_wire(&self) -> pb::Rewrite {
        let (uri_regex, uri_substitution) = match &self.uri_regex {
            Some((pattern, substitution)) => (Some(pattern.source().to_owned()), substitution.clone()),
            None => (None, String::new()),
        };
        pb::Rewrite {
            uri: self.uri.clone(),
            path: self.path.clone(),
            uri_regex,
            uri_substitution,
            authority: self.authority.clone(),
        }
    }

    fn from_wire(p: pb::Rewrite) -> Result<Self, DecodeError> {
        let compiled = p.uri_regex.map(pattern).transpose().at("uri_regex")?;
        Ok(Self {
            uri: p.uri,
            path: p.path,
            uri_regex: compiled.map(|c| (c, p.uri_substitution)),
            authority: p.authority,
        })
    }
}

impl Wire for RetryPolicy {
    type Proto = pb::RetryPolicy;

    fn to_wire(&self) -> pb::RetryPolicy {
        pb::RetryPolicy {
            attempts: self.attempts,
            per_try_timeout_ns: optional_nanos(self.per_try_timeout),
            retry_on: unless_default(&self.retry_on),
            backoff_ns: nanos(self.backoff),
            least_backoff_ns: nanos(self.least_backoff),
        }
    }

    fn from_wire(p: pb::RetryPolicy) -> Result<Self, DecodeError> {
        Ok(Self {
            attempts: p.attempts,
            per_try_timeout: p.per_try_timeout_ns.map(Duration::from_nanos),
            retry_on: or_default(p.retry_on, "retry_on")?,
            backoff: Duration::from_nanos(p.backoff_ns),
            least_backoff: Duration::from_nanos(p.least_backoff_ns),
        })
    }
}

impl Wire for Fault {
    type Proto = pb::Fault;

    fn to_wire(&self) -> pb::Fault {
        use pb::abort::Kind;
        pb::Fault {
            delay: self.delay.map(|(percent, d)| pb::Delay { percent, duration_ns: nanos(d) }),
            abort: self.abort.map(|(percent, abort)| pb::Abort {
                percent,
                kind: Some(match abort {
                    Abort::Http(status) => Kind::Http(status.into()),
                    Abort::Grpc(code) => Kind::Grpc(code),
                }),
            }),
        }
    }

    fn from_wire(p: pb::Fault) -> Result<Self, DecodeError> {
        let delay = |d: pb::Delay| Ok((percent(d.percent, "delay.percent")?, Duration::from_nanos(d.duration_ns)));
        let abort = |a: pb::Abort| {
            let kind = match a.kind.ok_or_else(DecodeError::missing).at("abort.kind")? {
                pb::abort::Kind::Http(s) => Abort::Http(status(s, "abort.http")?),
                pb::abort::Kind::Grpc(code) => Abort::Grpc(code),
            };
            Ok((percent(a.percent, "abort.percent")?, kind))
        };
        Ok(Self { delay: p.delay.map(delay).transpose()?, abort: p.abort.map(abort).transpose()? })
    }
}

impl Wire for Mirror {
    type Proto = pb::Mirror;

    fn to_wire(&self) -> pb::Mirror {
        pb::Mirror { backend: Some(self.backend.to_wire()), percent: self.percent }
    }

    fn from_wire(p: pb::Mirror) -> Result<Self, DecodeError> {
        Ok(Self { backend: required(p.backend, "backend")?, percent: percent(p.percent, "percent")? })
    }
}

impl Wire for HeaderOps {
    type Proto = pb::HeaderOps;

    fn to_wire(&self) -> pb::HeaderOps {
        pb::HeaderOps { request: unless_default(&self.request), response: unless_default(&self.response) }
    }

    fn from_wire(p: pb::HeaderOps) -> Result<Self, DecodeError> {
        Ok(Self { request: or_default(p.request, "request")?, response: or_default(p.response, "response")? })
    }
}

impl Wire for HeaderEdit {
    type Proto = pb::HeaderEdit;

    fn to_wire(&self) -> pb::HeaderEdit {
        pb::HeaderEdit { set: to_list(&self.set), add: to_list(&self.add), remove: self.remove.clone() }
    }

    fn from_wire(p: pb::HeaderEdit) -> Result<Self, DecodeError> {
        Ok(Self { set: list(p.set, "set")?, add: list(p.add, "add")?, remove: p.remove })
    }
}

impl Wire for (String, String) {
    type Proto = pb::Pair;

    fn to_wire(&self) -> pb::Pair {
        pb::Pair { key: self.0.clone(), value: self.1.clone() }
    }

    fn from_wire(p: pb::Pair) -> Result<Self, DecodeError> {
        Ok((p.key, p.value))
    }
}

impl Wire for Cors {
    type Proto = pb::Cors;

    fn to_wire(&self) -> pb::Cors {
        pb::Cors {
            allow_origins: to_list(&self.allow_origins),
            allow_methods: self.allow_methods.clone(),
            allow_headers: self.allow_headers.clone(),
            expose_headers: self.expose_headers.clone(),
            max_age_ns: optional_nanos(self.max_age),
            allow_credentials: self.allow_credentials,
            answers_others: self.answers_others,
        }
    }

    fn from_wire(p: pb::Cors) -> Result<Self, DecodeError> {
        Ok(Self {
            allow_origins: list(p.allow_origins, "allow_origins")?,
            allow_methods: p.allow_methods,
            allow_headers: p.allow_headers,
            expose_headers: p.expose_headers,
            max_age: p.max_age_ns.map(Duration::from_nanos),
            allow_credentials: p.allow_credentials,
            answers_others: p.answers_others,
        })
    }
}
