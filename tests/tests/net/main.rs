//! The sidecar as it is shipped, with real packets between network namespaces. Needs root.

mod addresses;
mod fail_closed;
mod http;
mod identities;
mod modes;
mod node;
mod privileges;
mod probes;
mod rules;
mod support;
mod traps;
mod udp;
