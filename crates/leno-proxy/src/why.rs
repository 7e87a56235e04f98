//! What would become of a request, from this proxy's live state: `GET /leno/v1/why` of the admin port.
//!
//! The question is a [`why::Asked`] (of this pod's application) or a [`why::Arriving`] (at this pod), as JSON in
//! hexadecimal digits. What the proxy has not been told of yet it asks the control plane for, as for a real request.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::uri::{Authority, PathAndQuery};
use leno_core::id::ServiceId;
use leno_core::model::Address;
use leno_core::why::{self, Arriving, Asked, Backend, Callee, Caller, Found, Known, Trace, View};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::App;
use crate::cluster::ClusterKey;
use crate::discovery::{Lookup, Own};

/// The answer.
///
/// # Errors
/// In words, where the question cannot be read.
pub(crate) async fn answer(app: &App, asked: Option<&str>, arriving: Option<&str>) -> Result<Value, String> {
    let own = app.discovery.own();
    let answer = match (asked, arriving) {
        (Some(asked), None) => serde_json::to_value(outbound(app, &own, &question(asked)?).await),
        (None, Some(arriving)) => serde_json::to_value(inbound(app, &own, &question(arriving)?)),
        _ => return Err("give ?asked= or ?arriving=\n".to_owned()),
    };
    answer.map_err(|e| format!("{e}\n"))
}

fn question<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let bytes = why::from_hex(text).ok_or("the question is not in hexadecimal digits, or too long\n")?;
    serde_json::from_slice(&bytes).map_err(|e| format!("the question cannot be read: {e}\n"))
}

/// Judges again and again, until everything is known that is asked for on the way.
async fn outbound(app: &App, own: &Arc<Own>, asked: &Asked) -> Trace {
    let _ = app.discovery.address(asked.dialled.ip()).await;
    let mut rounds = 0;
    loop {
        let live = Live { app, own: Arc::clone(own), missing: RefCell::default() };
        let trace = why::outbound(&live, asked);
        let missing = live.missing.into_inner();
        rounds += 1;
        if missing.is_empty() || rounds > ROUNDS {
            return trace;
        }
        for id in missing {
            let _ = app.discovery.service(&id).await;
        }
    }
}

fn inbound(app: &App, own: &Own, arriving: &Arriving) -> why::Inbound {
    let port = arriving.dialled.port();
    let callee = Callee {
        workload: &own.workload,
        ports: &own.ports,
        policies: [&own.policies, &own.root_policies],
        root_namespace: &own.mesh.root_namespace,
        opaque: app.settings.opaque_ports.iter().any(|range| range.contains(&port)),
    };
    why::Inbound { live: true, ..why::inbound(callee, arriving) }
}

/// This proxy's state now.
struct Live<'a> {
    app: &'a App,
    own: Arc<Own>,
    /// Services that were asked for and are not known yet.
    missing: RefCell<Vec<ServiceId>>,
}

impl Known for Live<'_> {
    fn caller(&self) -> Caller {
        let identity = self.own.workload.identity.clone().unwrap_or_else(|| self.app.settings.identity());
        let workload = leno_core::model::Workload { identity: Some(identity), ..(*self.own.workload).clone() };
        Caller {
            workload: Arc::new(workload),
            viewer: Arc::clone(&self.own.viewer),
            mesh: Arc::clone(&self.own.mesh),
            own: self.app.settings.instance_ips.clone(),
            meshed: true,
        }
    }

    fn address(&self, ip: IpAddr) -> Found<Arc<Address>> {
        match self.app.discovery.try_address(ip) {
            Some(Lookup::Found(address)) => Found::Found(address),
            Some(Lookup::Absent) => Found::Absent,
            Some(Lookup::Unavailable) | None => Found::Unknown,
        }
    }

    fn service(&self, id: &ServiceId) -> Found<View> {
        match self.app.discovery.try_service(id) {
            Some(Lookup::Found(handle)) => {
                let view = handle.current();
                Found::Found(View {
                    service: Arc::clone(&view.service),
                    endpoints: Arc::clone(&view.endpoints),
                    routes: view.routes.clone(),
                    rule: view.rule.clone(),
                })
            }
            Some(Lookup::Absent) => Found::Absent,
            Some(Lookup::Unavailable) => Found::Unknown,
            None => {
                self.missing.borrow_mut().push(id.clone());
                Found::Unknown
            }
        }
    }

    fn is_ejected(&self, of: Backend<'_>, endpoint: SocketAddr) -> bool {
        let Backend { service, subset, port } = of;
        let key = ClusterKey::Service { id: service.clone(), subset: subset.map(str::to_owned), port };
        self.app.clusters.existing(&key).is_some_and(|c| c.is_ejected(endpoint))
    }

    fn is_target(&self, path: &str, authority: Option<&str>) -> bool {
        path.parse::<PathAndQuery>().is_ok() && authority.is_none_or(|a| a.parse::<Authority>().is_ok())
    }
}

/// A rule names services, and those name no others.
const ROUNDS: usize = 3;
