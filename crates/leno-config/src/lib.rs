//! Istio, Linkerd and Kubernetes objects lowered into Leno's model.
