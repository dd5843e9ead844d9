//! What can go wrong, and that nothing gets through then: for each fault what the caller got, what the
//! stand-in kubelet saw, and what was logged and counted. Real Envoy, the shipped configuration.

mod authority;
mod certificates;
mod connections;
mod demo;
mod dry_run;
mod files;
mod kubelet;
mod module;
mod policies;
mod posture;
mod process;
mod script;
mod start;
mod stop;
