//! Routes of the Gateway API, by the services that they are for and by those that they send to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use leno_config::gateway::{MeshRoute, ParentVerdict, tables, verdicts};
use leno_core::id::ServiceId;
use leno_core::model::RouteTable;

use super::ObjectKey;
use super::few::Few;
use super::services::{Mentions, Services, forget, mention};

/// Routes with their indices.
#[derive(Debug, Default)]
pub(super) struct MeshRoutes {
    by_parent: HashMap<ServiceId, BTreeMap<ObjectKey, Arc<MeshRoute>>>,
    /// Services that have routes to a service, with the number of routes.
    by_backend: Mentions<ServiceId>,
}

impl MeshRoutes {
    /// Services that have routes.
    pub(super) fn parents(&self) -> impl Iterator<Item = &ServiceId> {
        self.by_parent.keys()
    }

    /// Services whose tables may change with a service: itself, and those with routes to it.
    pub(super) fn that_depend_on(&self, service: &ServiceId) -> impl Iterator<Item = &ServiceId> {
        let own = self.by_parent.get_key_value(service).map(|(own, _)| own);
        own.into_iter().chain(self.by_backend.get(service).into_iter().flat_map(Few::keys))
    }

    /// The tables that a service's routes make.
    #[must_use]
    pub(super) fn tables(&self, service: &ServiceId, services: &Services) -> Vec<RouteTable> {
        let routes = self.of(service);
        if routes.is_empty() { Vec::new() } else { tables(service, &routes, services) }
    }

    /// What becomes of a route.
    #[must_use]
    pub(super) fn verdicts(&self, route: &MeshRoute, services: &Services) -> Vec<ParentVerdict> {
        verdicts(route, |service| self.of(service), services)
    }

    pub(super) fn put(&mut self, key: &ObjectKey, route: &MeshRoute) {
        let route = Arc::new(route.clone());
        for parent in route.services() {
            self.by_parent.entry(parent.clone()).or_default().insert(key.clone(), Arc::clone(&route));
            for backend in route.backends() {
                mention(&mut self.by_backend, backend.clone(), parent);
            }
        }
    }

    pub(super) fn remove(&mut self, key: &ObjectKey, route: &MeshRoute) {
        for parent in route.services() {
            if let Some(routes) = self.by_parent.get_mut(parent) {
                routes.remove(key);
                if routes.is_empty() {
                    self.by_parent.remove(parent);
                }
            }
            for backend in route.backends() {
                forget(&mut self.by_backend, backend, parent);
            }
        }
    }

    fn of(&self, service: &ServiceId) -> Vec<&MeshRoute> {
        self.by_parent.get(service).into_iter().flat_map(BTreeMap::values).map(|route| &**route).collect()
    }
}
