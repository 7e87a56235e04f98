//! A Kubernetes cluster: where objects come from, who knows the callers, where the authority is kept, and what the
//! control plane writes.
//!
//! Every replica reads and serves; only the leader writes ([`leader`]).
//!
//! - [`watch`] follows the kinds of [`kinds`] and sends what it sees to [`feed`], which makes batches for the hub. Kinds of
//!   definitions that are not installed are waited for without holding anything up.
//! - [`object`] takes out of an object what the mesh needs, before anything is kept.
//! - [`review`] asks the cluster whom a token speaks for.
//! - [`authority`] keeps the mesh's authority in step with its Secret.
//! - [`mod@write`] has what the leader writes: the bundle of roots in every namespace, the webhooks' `caBundle`, the label that
//!   mirrors Linkerd's annotation, and the status of objects.

pub mod authority;
pub mod connect;
pub mod feed;
pub mod kinds;
pub mod leader;
pub mod namespaces;
pub mod object;
pub mod peers;
pub mod review;
#[cfg(test)]
mod tests;
pub mod watch;
pub mod write;
