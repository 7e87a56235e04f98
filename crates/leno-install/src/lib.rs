//! Manifests: a pod to its injected form.
