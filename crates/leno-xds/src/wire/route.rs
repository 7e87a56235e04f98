//! `Routes`: tables and rules. What rules are made of is in `route_parts`.

use std::time::Duration;

use leno_core::model::route::{
    HttpMatch, Redirect, RouteAction, RuleOrigin, TcpMatch, TcpRoute, TlsRoute, WeightedBackend,
};
use leno_core::model::{HttpRoute, RouteTable, Routes, StringMatch};

use super::common::{
    At, DecodeError, Wire, each, export_to, from_export_to, list, optional, optional_nanos, optional_port, or_default,
    port, required, service_id, status, to_list, unless_default,
};
use crate::proto::leno as pb;

impl Wire for Routes {
    type Proto = pb::Routes;

    fn to_wire(&self) -> pb::Routes {
        pb::Routes { service: self.service.to_string(), tables: to_list(&self.tables) }
    }

    fn from_wire(p: pb::Routes) -> Result<Self, DecodeError> {
        Ok(Self { service: service_id(&p.service, "service")?, tables: list(p.tables, "tables")? })
    }
}

impl Wire for RouteTable {
    type Proto = pb::RouteTable;

    fn to_wire(&self) -> pb::RouteTable {
        pb::RouteTable {
            origin: Some(self.origin.to_wire()),
            export_to: export_to(&self.export_to),
            http: to_list(&self.http),
            tcp: to_list(&self.tcp),
            tls: to_list(&self.tls),
            http_ports: self.http_ports.iter().copied().map(u32::from).collect(),
        }
    }

    fn from_wire(p: pb::RouteTable) -> Result<Self, DecodeError> {
        Ok(Self {
            origin: required(p.origin, "origin")?,
            export_to: from_export_to(p.export_to),
            http: list(p.http, "http")?,
            tcp: list(p.tcp, "tcp")?,
            tls: list(p.tls, "tls")?,
            http_ports: each(p.http_ports, "http_ports", |n| port(n, ""))?,
        })
    }
}

impl Wire for HttpRoute {
    type Proto = pb::HttpRoute;

    fn to_wire(&self) -> pb::HttpRoute {
        use pb::http_route::Action;
        let action = match &self.action {
            RouteAction::Forward(backends) => Action::Forward(pb::Forward { backends: to_list(backends) }),
            RouteAction::Redirect(redirect) => Action::Redirect(redirect.to_wire()),
            RouteAction::Respond { status, body } => {
                Action::Respond(pb::Respond { status: (*status).into(), body: body.clone() })
            }
        };
        pb::HttpRoute {
            name: self.name.clone(),
            line: self.line,
            matches: to_list(&self.matches),
            action: Some(action),
            rewrite: self.rewrite.as_ref().map(Wire::to_wire),
            timeout_ns: optional_nanos(self.timeout),
            retry: self.retry.as_ref().map(Wire::to_wire),
            fault: self.fault.as_ref().map(Wire::to_wire),
            mirrors: to_list(&self.mirrors),
            headers: unless_default(&self.headers),
            cors: self.cors.as_ref().map(Wire::to_wire),
            origin: self.origin.as_ref().map(|o| o.to_wire()),
            try_timeout_ns: optional_nanos(self.try_timeout),
        }
    }

    fn from_wire(p: pb::HttpRoute) -> Result<Self, DecodeError> {
        use pb::http_route::Action;
        let action = match p.action.ok_or_else(DecodeError::missing).at("action")? {
            Action::Forward(f) => RouteAction::Forward(list(f.backends, "forward.backends")?),
            Action::Redirect(r) => RouteAction::Redirect(Redirect::from_wire(r).at("redirect")?),
            Action::Respond(r) => RouteAction::Respond { status: status(r.status, "respond.status")?, body: r.body },
        };
        Ok(Self {
            name: p.name,
            line: p.line,
            matches: list(p.matches, "matches")?,
            action,
            rewrite: optional(p.rewrite, "rewrite")?,
            timeout: p.timeout_ns.map(Duration::from_nanos),
            retry: optional(p.retry, "retry")?,
            fault: optional(p.fault, "fault")?,
            mirrors: list(p.mirrors, "mirrors")?,
            headers: or_default(p.headers, "headers")?,
            cors: optional(p.cors, "cors")?,
            origin: optional::<RuleOrigin>(p.origin, "origin")?.map(Box::new),
            try_timeout: p.try_timeout_ns.map(Duration::from_nanos),
        })
    }
}

impl Wire for RuleOrigin {
    type Proto = pb::RuleOrigin;

    fn to_wire(&self) -> pb::RuleOrigin {
        pb::RuleOrigin { object: Some(self.object.to_wire()), index: self.index }
    }

    fn from_wire(p: pb::RuleOrigin) -> Result<Self, DecodeError> {
        Ok(Self { object: required(p.object, "object")?, index: p.index })
    }
}

impl Wire for HttpMatch {
    type Proto = pb::HttpMatch;

    fn to_wire(&self) -> pb::HttpMatch {
        let text = |m: &Option<StringMatch>| m.as_ref().map(Wire::to_wire);
        pb::HttpMatch {
            name: self.name.clone(),
            uri: text(&self.uri),
            ignore_uri_case: self.ignore_uri_case,
            scheme: text(&self.scheme),
            method: text(&self.method),
            authority: text(&self.authority),
            headers: to_list(&self.headers),
            without_headers: to_list(&self.without_headers),
            query: to_list(&self.query),
            port: self.port.map(u32::from),
            source_labels: self.source_labels.clone(),
            source_namespace: self.source_namespace.clone(),
            uri_by_element: self.uri_by_element,
        }
    }

    fn from_wire(p: pb::HttpMatch) -> Result<Self, DecodeError> {
        Ok(Self {
            name: p.name,
            uri: optional(p.uri, "uri")?,
            ignore_uri_case: p.ignore_uri_case,
            scheme: optional(p.scheme, "scheme")?,
            method: optional(p.method, "method")?,
            authority: optional(p.authority, "authority")?,
            headers: list(p.headers, "headers")?,
            without_headers: list(p.without_headers, "without_headers")?,
            query: list(p.query, "query")?,
            port: optional_port(p.port, "port")?,
            source_labels: p.source_labels,
            source_namespace: p.source_namespace,
            uri_by_element: p.uri_by_element,
        })
    }
}

impl Wire for (String, StringMatch) {
    type Proto = pb::NamedMatch;

    fn to_wire(&self) -> pb::NamedMatch {
        pb::NamedMatch { name: self.0.clone(), value: Some(self.1.to_wire()) }
    }

    fn from_wire(p: pb::NamedMatch) -> Result<Self, DecodeError> {
        Ok((p.name, required(p.value, "value")?))
    }
}

impl Wire for TcpRoute {
    type Proto = pb::TcpRoute;

    fn to_wire(&self) -> pb::TcpRoute {
        pb::TcpRoute { matches: to_list(&self.matches), backends: to_list(&self.backends) }
    }

    fn from_wire(p: pb::TcpRoute) -> Result<Self, DecodeError> {
        Ok(Self { matches: list(p.matches, "matches")?, backends: list::<WeightedBackend>(p.backends, "backends")? })
    }
}

impl Wire for TcpMatch {
    type Proto = pb::TcpMatch;

    fn to_wire(&self) -> pb::TcpMatch {
        pb::TcpMatch {
            port: self.port.map(u32::from),
            destination_subnets: to_list(&self.destination_subnets),
            source_labels: self.source_labels.clone(),
            source_namespace: self.source_namespace.clone(),
        }
    }

    fn from_wire(p: pb::TcpMatch) -> Result<Self, DecodeError> {
        Ok(Self {
            port: optional_port(p.port, "port")?,
            destination_subnets: list(p.destination_subnets, "destination_subnets")?,
            source_labels: p.source_labels,
            source_namespace: p.source_namespace,
        })
    }
}

impl Wire for TlsRoute {
    type Proto = pb::TlsRoute;

    fn to_wire(&self) -> pb::TlsRoute {
        pb::TlsRoute { matches: to_list(&self.matches), backends: to_list(&self.backends) }
    }

    fn from_wire(p: pb::TlsRoute) -> Result<Self, DecodeError> {
        Ok(Self { matches: list(p.matches, "matches")?, backends: list(p.backends, "backends")? })
    }
}

impl Wire for (Vec<String>, TcpMatch) {
    type Proto = pb::TlsMatch;

    fn to_wire(&self) -> pb::TlsMatch {
        pb::TlsMatch { sni_hosts: self.0.clone(), rest: unless_default(&self.1) }
    }

    fn from_wire(p: pb::TlsMatch) -> Result<Self, DecodeError> {
        Ok((p.sni_hosts, or_default(p.rest, "rest")?))
    }
}
