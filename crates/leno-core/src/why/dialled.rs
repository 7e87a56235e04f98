//! What the caller dialled, and what is spoken there.

use std::net::SocketAddr;
use std::sync::Arc;

use super::outbound::Walk;
use super::{Failure, Found, Spoken, Step, View, words};
use crate::Reason;
use crate::decide::destination::{self, Meaning};
use crate::decide::protocol::protocol_of_port;
use crate::id::ServiceId;
use crate::model::{Protocol, Workload, WorkloadPort};

/// What was dialled.
pub(super) enum Dialled {
    Service(View, u16),
    Pod(Arc<Workload>, Option<(View, WorkloadPort)>),
    Outside,
    Itself,
}

impl Walk<'_> {
    pub(super) fn dialled(&mut self) -> Result<Dialled, Failure> {
        let at = self.asked.dialled;
        let own = self.caller.own.contains(&at.ip());
        let address = match self.known.address(at.ip()) {
            Found::Found(address) => Some(address),
            Found::Absent => None,
            Found::Unknown => return Err(self.unknown(&format!("what {} is", at.ip()))),
        };
        let meaning = match destination::meaning(at, own, address.as_deref(), self.caller.mesh.allow_any) {
            Ok(meaning) => meaning,
            Err(reason) => {
                self.step(Step::new(
                    "destination",
                    format!("{at} is not in the mesh, which refuses what it does not know (REGISTRY_ONLY)"),
                ));
                return Err(Failure::closed(reason, at.to_string()));
            }
        };
        match meaning {
            Meaning::Itself => {
                self.step(Step::new(
                    "destination",
                    format!("{at} is the caller's own pod: no rule and no policy applies"),
                ));
                Ok(Dialled::Itself)
            }
            Meaning::Outside => {
                let says = format!("{at} is not in the mesh: passed through as it is (ALLOW_ANY)");
                self.step(Step::new("destination", says));
                Ok(Dialled::Outside)
            }
            Meaning::Service(id) => self.service(id, at),
            Meaning::Pod { workload, port } => {
                let service = match port.map(|p| (self.known.service(&p.service), p)) {
                    Some((Found::Found(view), port)) => Some((view, port.clone())),
                    _ => None,
                };
                let by = service.as_ref().map_or_else(
                    || "no service names this port of it".to_owned(),
                    |(_, p)| format!("port {} of service {}", p.service_port, p.service),
                );
                self.step(Step::new(
                    "destination",
                    format!("{at} is pod {}/{}: {by}", workload.namespace, workload.pod),
                ));
                Ok(Dialled::Pod(Arc::clone(workload), service))
            }
        }
    }

    fn service(&mut self, id: &ServiceId, at: SocketAddr) -> Result<Dialled, Failure> {
        let view = match self.known.service(id) {
            Found::Found(view) => view,
            Found::Absent => return Err(Failure::closed(Reason::ClusterNotFound, format!("service {id}"))),
            Found::Unknown => return Err(self.unknown(&format!("service {id}"))),
        };
        if view.service.port(at.port()).is_some() {
            self.step(Step::new("destination", format!("{at} is service {id}, port {}", at.port())));
            return Ok(Dialled::Service(view, at.port()));
        }
        let ports: Vec<String> = view.service.ports.iter().map(|p| p.port.to_string()).collect();
        let says = format!("{at} is service {id}, which has no port {}; it has {}", at.port(), ports.join(", "));
        self.step(Step::new("destination", says));
        // As with kube-proxy such a port leads nowhere.
        Err(Failure::closed(Reason::ClusterNotFound, format!("service {id} has no port {}", at.port())))
    }

    fn unknown(&mut self, what: &str) -> Failure {
        self.step(Step::new("destination", format!("the control plane has not told this sidecar of {what}")));
        Failure::closed(Reason::NotReady, what)
    }

    pub(super) fn speaks_http(&mut self, dialled: &Dialled) -> bool {
        let (declared, port) = match dialled {
            Dialled::Service(view, port) => {
                let port = view.service.port(*port);
                (port.map_or(Protocol::Auto, |p| p.protocol), port.map(|p| (p.name.clone(), p.port)))
            }
            Dialled::Pod(_, Some((_, port))) => (port.protocol, None),
            Dialled::Pod(_, None) | Dialled::Outside | Dialled::Itself => (Protocol::Auto, None),
        };
        let how = match port {
            Some((name, number)) if protocol_of_port(None, &name, number, false) != declared => {
                format!("port {number}, by its appProtocol or as an opaque port")
            }
            Some((name, number)) if !name.is_empty() => format!("port {number} is named `{name}`"),
            Some((_, number)) => format!("port {number} has no name and no appProtocol that says"),
            None => "by the port of the service".to_owned(),
        };
        let spoken = self.asked.spoken;
        let (http, says) = match declared {
            Protocol::Tcp | Protocol::Udp => {
                (false, format!("{}, as declared ({how}): no rule for requests applies", words::protocol(declared)))
            }
            Protocol::Http | Protocol::Http2 | Protocol::Grpc if spoken.is_http() => {
                (true, format!("{}, as declared ({how})", words::protocol(declared)))
            }
            Protocol::Http | Protocol::Http2 | Protocol::Grpc => (
                false,
                format!(
                    "declared as {} ({how}), but the client speaks {}: carried as opaque TCP",
                    words::protocol(declared),
                    spoken_words(spoken)
                ),
            ),
            Protocol::Tls | Protocol::Auto => {
                (spoken.is_http(), format!("{}, told by the first bytes that the client sends", spoken_words(spoken)))
            }
        };
        self.step(Step::new("protocol", says));
        http
    }
}

const fn spoken_words(spoken: Spoken) -> &'static str {
    match spoken {
        Spoken::Http1 => "HTTP/1.1",
        Spoken::Http2 => "HTTP/2",
        Spoken::Tls => "TLS of the application's own",
        Spoken::Opaque => "opaque TCP",
    }
}
