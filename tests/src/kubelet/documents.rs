//! The endpoints that answer with a document: short ones in a kubelet's shape, for the pod
//! `default/web-0` with one container `app`.

/// A document and its media type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Document {
    pub(super) content_type: &'static str,
    pub(super) body: &'static str,
}

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// The document at a path without its trailing slash.
pub(super) fn find(path: &str) -> Option<Document> {
    let (content_type, body) = match path {
        "pods" => (JSON, include_str!("documents/pods.json")),
        "runningpods" => (JSON, include_str!("documents/runningpods.json")),
        "stats/summary" => (JSON, include_str!("documents/stats-summary.json")),
        "configz" => (JSON, include_str!("documents/configz.json")),
        "metrics" => (PROMETHEUS, include_str!("documents/metrics.txt")),
        "metrics/cadvisor" => (PROMETHEUS, include_str!("documents/metrics-cadvisor.txt")),
        "metrics/resource" => (PROMETHEUS, include_str!("documents/metrics-resource.txt")),
        "metrics/probes" => (PROMETHEUS, include_str!("documents/metrics-probes.txt")),
        "metrics/slis" => (PROMETHEUS, include_str!("documents/metrics-slis.txt")),
        "healthz" | "healthz/ping" | "healthz/log" | "healthz/syncloop" => (TEXT, "ok"),
        "flagz" => (TEXT, include_str!("documents/flagz.txt")),
        "statusz" => (TEXT, include_str!("documents/statusz.txt")),
        "logs" => (HTML, include_str!("documents/logs.html")),
        "logs/syslog" => (TEXT, "Sep  1 11:58:41 worker-1 systemd[1]: Started kubelet.service.\n"),
        _ => return None,
    };
    Some(Document { content_type, body })
}
