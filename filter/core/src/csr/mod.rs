//! Certificate signing requests of kubelets: what they say, and what becomes of them.
//!
//! ```text
//!            list, watch        get               SubjectAccessReview, Node, live certificate
//! Controller ──────────▶ queue ─────▶ Request ──▶ Facts ──▶ Input ── Policy ──▶ Ruling
//!     ▲                                                                          │
//!     └── calls that the shell makes, and their answers ◀── record, approval, event ┘
//! ```
//!
//! The controller is a machine without I/O: it is told the time and the answers, and tells the
//! calls. Whoever may edit requests and nodes at the API server is trusted by it.

mod api;
mod certificate;
mod config;
mod controller;
pub mod corpus;
mod input;
mod key;
mod names;
mod node;
mod object;
mod queue;
mod record;
mod reflector;
mod request;
pub mod route_config;
mod ruling;
mod work;

use chrono::{DateTime, SecondsFormat, Utc};

pub use api::{Answer, Failure, LARGEST_BODY, Response};
pub use certificate::Certificate;
pub use config::{Config, ENTRYPOINT, KUBELET_CLIENT, KUBELET_SERVING, Log, Mode, Queue, Written};
pub use controller::{Call, CallId, Controller, Count, Destination, Effect, Gauges};
pub use input::{Existing, Input, SCHEMA};
pub use key::{Key, KeyType};
pub use names::{AlternativeNames, Subject, SubjectAttribute};
pub use node::Node;
pub use request::{LONGEST, Malformed, Request, RequestedExtension};
pub use ruling::{Reason, Ruling, Verdict};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The beginning of a text that may be anybody's, of so many characters: what isn't printable ASCII is
/// escaped, so that it looks the same wherever it is shown.
fn printable(text: &str, longest: usize) -> String {
    let is_printable = |c: &char| matches!(c, ' '..='~');
    let escape = |c: char| {
        let shown = Some(c).filter(is_printable);
        let escaped = c.escape_default().filter(move |_| shown.is_none());
        shown.into_iter().chain(escaped)
    };
    text.chars().flat_map(escape).take(longest).collect()
}

fn rfc3339<S: serde::Serializer>(time: &DateTime<Utc>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Secs, true))
}
