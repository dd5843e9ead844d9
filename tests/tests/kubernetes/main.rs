//! The manifests of envoy/kubernetes: Kubernetes' own in every field, complete, and run, as far as that
//! goes without a cluster: their commands, probes and hooks are those of processes here.

#![expect(clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

mod container;
mod crds;
mod dry_run;
mod hardening;
mod manifests;
mod monitoring;
mod references;
mod running;
mod schema;
mod walk_through;
