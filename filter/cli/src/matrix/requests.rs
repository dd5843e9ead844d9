//! The requests that stand for an endpoint.

use super::sample::{Name, Sample};
use crate::request::Request;

/// A row of a table: a way to use an endpoint.
#[derive(Clone, Copy)]
pub(super) struct Way {
    pub(super) shown: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Of a container, by POST and GET as API servers differ, with a command: path, query.
    Exec(&'static str),
    /// Of a container, by POST and GET.
    Attach(&'static str),
    PortForward,
    Run,
    /// Of a container: method, path, query.
    Container(&'static str, &'static str, &'static str),
    /// Of the node: method and targets.
    Node(&'static str, &'static [&'static str]),
}

/// A request, and what is particular about it.
pub(super) struct Asked {
    pub(super) request: Request,
    /// The pod, the container, the command: what a footnote names.
    pub(super) shown: String,
}

/// What there is in each namespace.
pub(super) const OF_NAMESPACES: [Way; 13] = [
    way("logs", Kind::Container("GET", "containerLogs", "")),
    way("logs, following", Kind::Container("GET", "containerLogs", "?follow=true")),
    way("logs of the previous run", Kind::Container("GET", "containerLogs", "?previous=true")),
    way("exec, output only", Kind::Exec("output=1&error=1")),
    way("exec with input", Kind::Exec("input=1&output=1&error=1")),
    way("exec with a terminal", Kind::Exec("input=1&output=1&tty=1")),
    way("exec with environment", Kind::Exec("output=1&env=LD_PRELOAD%3Dx")),
    way("attach, output only", Kind::Attach("output=1&error=1")),
    way("attach with input", Kind::Attach("input=1&output=1&error=1")),
    way("attach with a terminal", Kind::Attach("input=1&output=1&tty=1")),
    way("port-forward", Kind::PortForward),
    way("run", Kind::Run),
    way("checkpoint", Kind::Container("POST", "checkpoint", "")),
];

/// What there is once for the node.
pub(super) const OF_THE_NODE: [Way; 14] = [
    way("pods", Kind::Node("GET", &["/pods"])),
    way("running pods", Kind::Node("GET", &["/runningpods/"])),
    way("node logs", Kind::Node("GET", &["/logs/", "/logs/syslog", "/logs/?query=kubelet"])),
    way(
        "metrics",
        Kind::Node(
            "GET",
            &[
                "/metrics",
                "/metrics/cadvisor",
                "/metrics/resource",
                "/metrics/probes",
                "/metrics/slis",
            ],
        ),
    ),
    way("reset of metrics", Kind::Node("DELETE", &["/metrics/slis"])),
    way(
        "statistics",
        Kind::Node("GET", &["/stats/summary", "/stats/summary?only_cpu_and_memory=true"]),
    ),
    way("statistics by POST", Kind::Node("POST", &["/stats/summary"])),
    way("health", Kind::Node("GET", &["/healthz", "/healthz/ping", "/healthz/syncloop"])),
    way("configz", Kind::Node("GET", &["/configz"])),
    way("flagz", Kind::Node("GET", &["/flagz"])),
    way("statusz", Kind::Node("GET", &["/statusz"])),
    way("profiles", Kind::Node("GET", &["/debug/pprof/heap", "/debug/pprof/profile"])),
    way("command line", Kind::Node("GET", &["/debug/pprof/cmdline"])),
    way("log level", Kind::Node("PUT", &["/debug/flags/v"])),
];

const fn way(shown: &'static str, kind: Kind) -> Way {
    Way { shown, kind }
}

impl Way {
    /// The requests for one namespace, or for the node.
    pub(super) fn requests(self, sample: &Sample, namespace: &str) -> Vec<Asked> {
        let containers = || {
            sample
                .pods
                .iter()
                .flat_map(|pod| sample.containers.iter().map(move |container| (pod, container)))
        };
        match self.kind {
            Kind::Exec(streams) => containers()
                .flat_map(|(pod, container)| {
                    sample.commands.iter().flat_map(move |command| {
                        let words: String = command
                            .iter()
                            .map(|word| format!("command={}&", encoded(word)))
                            .collect();
                        let target = format!(
                            "/exec/{namespace}/{}/{}?{words}{streams}",
                            pod.asked, container.asked
                        );
                        let shown = format!("{}: {}", place(pod, container), command.join(" "));
                        streamed(&target, &shown)
                    })
                })
                .collect(),
            Kind::Attach(streams) => containers()
                .flat_map(|(pod, container)| {
                    let target =
                        format!("/attach/{namespace}/{}/{}?{streams}", pod.asked, container.asked);
                    streamed(&target, &place(pod, container))
                })
                .collect(),
            Kind::PortForward => sample
                .pods
                .iter()
                .flat_map(|pod| {
                    streamed(&format!("/portForward/{namespace}/{}", pod.asked), &pod.shown)
                })
                .collect(),
            Kind::Run => containers()
                .flat_map(|(pod, container)| {
                    sample.commands.iter().map(move |command| {
                        let words = encoded(&command.join(" "));
                        let target = format!(
                            "/run/{namespace}/{}/{}?cmd={words}",
                            pod.asked, container.asked
                        );
                        let shown = format!("{}: {}", place(pod, container), command.join(" "));
                        Asked { request: Request::new("POST", target), shown }
                    })
                })
                .collect(),
            Kind::Container(method, endpoint, query) => containers()
                .map(|(pod, container)| {
                    let target =
                        format!("/{endpoint}/{namespace}/{}/{}{query}", pod.asked, container.asked);
                    Asked { request: Request::new(method, target), shown: place(pod, container) }
                })
                .collect(),
            Kind::Node(method, targets) => targets
                .iter()
                .map(|target| Asked {
                    request: Request::new(method, *target),
                    shown: format!("{method} {target}"),
                })
                .collect(),
        }
    }
}

/// As API servers ask for streams: by POST up to 1.35, by GET from 1.36 on.
fn streamed(target: &str, shown: &str) -> Vec<Asked> {
    ["POST", "GET"]
        .into_iter()
        .map(|method| Asked {
            request: Request::new(method, target).with_upgrade(),
            shown: shown.to_owned(),
        })
        .collect()
}

fn place(pod: &Name, container: &Name) -> String {
    format!("{}/{}", pod.shown, container.shown)
}

/// A value in a query: RFC 3986's unreserved characters, all others as `%XX`.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
