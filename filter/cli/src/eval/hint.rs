//! What is probably meant by a request that no policy is asked about.

use gatelet_core::{Answer, Gate, Reason};
use serde_json::Value;

use crate::request::{Question, Request};

/// The kubelet's paths, by their first word.
const PATHS: [(&str, &str); 16] = [
    ("attach", "/attach/{namespace}/{pod}/{container}"),
    ("checkpoint", "/checkpoint/{namespace}/{pod}/{container}"),
    ("configz", "/configz"),
    ("containerLogs", "/containerLogs/{namespace}/{pod}/{container}"),
    ("debug", "/debug/pprof/{profile} and /debug/flags/v"),
    ("exec", "/exec/{namespace}/{pod}/{container}?command={word}&command={word}"),
    ("flagz", "/flagz"),
    ("healthz", "/healthz and /healthz/{check}"),
    ("logs", "/logs/ and /logs/{file}"),
    (
        "metrics",
        "/metrics, /metrics/cadvisor, /metrics/resource, /metrics/probes and /metrics/slis",
    ),
    ("pods", "/pods"),
    ("portForward", "/portForward/{namespace}/{pod}"),
    ("run", "/run/{namespace}/{pod}/{container}?cmd={command}"),
    ("runningpods", "/runningpods/"),
    ("stats", "/stats/summary"),
    ("statusz", "/statusz"),
];

/// The words of kubectl and of the API server for the kubelet's parameters.
const PARAMETERS: [(&str, &str); 7] = [
    ("stdin", "`input=1`"),
    ("stdout", "`output=1`"),
    ("stderr", "`error=1`"),
    ("cmd", "`command`, once for each word"),
    ("command", "`cmd`, with all words in it"),
    ("container", "the last segment of the path"),
    ("tail", "`tailLines`"),
];

/// A sentence for whoever wrote the request.
pub(super) fn hint(
    gate: &Gate,
    answer: &Answer,
    question: &Question,
    request: Option<&Request>,
) -> Option<String> {
    let request = request?;
    match answer.reason {
        Reason::UnknownEndpoint => path(&request.target),
        Reason::Method => method(gate, question, request),
        Reason::Malformed => malformed(answer, request),
        Reason::Denied if question.peer.as_ref().is_ok_and(|peer| peer.certificate.is_none()) => {
            Some("the caller has no certificate; `--peer` says who asks".to_owned())
        }
        _ => None,
    }
}

fn path(target: &str) -> Option<String> {
    let path = target.split('?').next().unwrap_or_default();
    let word = path.split('/').nth(1).unwrap_or_default();
    if matches!(word, "api" | "apis") {
        return Some(
            "that is a path of the API server; the kubelet's begin with an endpoint, as `/exec/…`"
                .to_owned(),
        );
    }
    if let Some((_, form)) = PATHS.iter().find(|(name, _)| *name == word) {
        let uid = if matches!(word, "exec" | "attach" | "run" | "portForward")
            && form.matches('/').count() + 1 == path.matches('/').count()
        {
            ", and the form with the pod's UID is not allowed"
        } else {
            ""
        };
        return Some(format!("the kubelet has {form}{uid}"));
    }
    let distance = |name: &str| {
        strsim::damerau_levenshtein(&name.to_ascii_lowercase(), &word.to_ascii_lowercase())
    };
    let (name, form) = PATHS.into_iter().min_by_key(|(name, _)| distance(name))?;
    (distance(name) <= 1 + name.len() / 4).then(|| format!("did you mean {form}?"))
}

/// Which methods the endpoint has, found by asking.
fn method(gate: &Gate, question: &Question, request: &Request) -> Option<String> {
    let has = |method: &&str| {
        let other = Request { method: (*method).to_owned(), ..request.clone() };
        other.from(question.peer.clone()).put_to(gate).reason != Reason::Method
    };
    let methods: Vec<_> = ["GET", "POST", "PUT", "DELETE"].into_iter().filter(has).collect();
    (!methods.is_empty()).then(|| format!("the endpoint has {}", methods.join(" and ")))
}

fn malformed(answer: &Answer, request: &Request) -> Option<String> {
    let record: Value = serde_json::from_str(&answer.record).ok()?;
    let message = record.get("message")?.as_str()?.to_owned();
    if let Some(name) = message.strip_prefix("the endpoint has no query parameter `") {
        let name = name.strip_suffix('`')?;
        let (_, meant) = PARAMETERS.into_iter().find(|(other, _)| *other == name)?;
        return Some(format!("the kubelet's word for `{name}` is {meant}"));
    }
    if message == "the endpoint needs an upgrade" {
        return Some("leave out `--as-is`, or give the headers of an upgrade with `-H`".to_owned());
    }
    let is_percent = request.target.split('?').next().is_some_and(|path| path.contains('%'));
    is_percent.then(|| "in a path, nothing may be percent-encoded; in a query, it may".to_owned())
}
