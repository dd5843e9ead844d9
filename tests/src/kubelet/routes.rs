//! The kubelet's route table: which methods a path takes, and what answers them.

use bytes::Bytes;
use hyper::StatusCode;

use super::answer::{self, Answer, document, text};
use super::logs::LogOptions;
use super::mux::{Route, Target};
use super::process::{Command, Streams, exit_code};
use super::query::Query;
use super::record::Recorded;
use super::upgrade::{self, Requested};
use super::{Kubelet, documents, port_forward, remote_command};
use crate::channel::SPDY_TUNNEL;

/// The stream protocols of exec and attach over SPDY, in the kubelet's order of preference.
const SPDY_STREAMS: &[&str] =
    &["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];
/// The stream protocol of port-forward over SPDY.
const SPDY_PORTS: &[&str] = &["portforward.k8s.io"];

/// Answers a request as a kubelet with all its handlers enabled does.
pub(super) async fn answer(kubelet: &Kubelet, request: &Recorded) -> Answer {
    let webhook = kubelet.options.webhook.as_ref();
    if let Some(refusal) = webhook.and_then(|webhook| webhook.refusal(request)) {
        return refusal;
    }
    let target = Target::parse(&request.target);
    let segments = match target.route() {
        Route::Segments(segments) => segments,
        Route::Redirect(location) => {
            return answer::redirect(StatusCode::TEMPORARY_REDIRECT, &location);
        }
        Route::Unknown => return text(StatusCode::NOT_FOUND, "404 page not found\n"),
        Route::Unreadable => return text(StatusCode::BAD_REQUEST, "400 Bad Request"),
    };
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let Some((handler, methods)) = handler(&segments) else {
        return text(StatusCode::NOT_FOUND, "404 page not found\n");
    };
    if !methods.is_empty() && !methods.contains(&request.method.as_str()) {
        return answer::method_not_allowed(methods);
    }
    let query = Query::parse(target.query());
    match handler {
        Handler::Exec => exec(kubelet, request, &query),
        Handler::Attach => attach(kubelet, request, &query),
        Handler::PortForward => port_forward(kubelet, request, &query),
        Handler::Run => run(kubelet, &query).await,
        Handler::ContainerLogs => container_logs(kubelet, &query),
        Handler::Checkpoint { namespace, pod, container } => {
            let path = format!(
                "/var/lib/kubelet/checkpoints/checkpoint-{pod}_{namespace}-{container}.tar"
            );
            json(&serde_json::json!({"items": [path]}))
        }
        Handler::Verbosity => text(StatusCode::OK, "successfully set klog.logging.verbosity"),
        Handler::Profile => text(StatusCode::OK, "profile\n"),
        Handler::Document => match documents::find(&segments.join("/")) {
            Some(found) if kubelet.options.says_anonymous && segments == ["configz"] => {
                let open = r#""anonymous":{"enabled":true}"#;
                let body = found.body.replace(r#""anonymous":{"enabled":false}"#, open);
                document(StatusCode::OK, found.content_type, body)
            }
            Some(found) => document(StatusCode::OK, found.content_type, found.body),
            None => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        },
    }
}

enum Handler<'a> {
    Exec,
    Attach,
    PortForward,
    Run,
    ContainerLogs,
    Checkpoint { namespace: &'a str, pod: &'a str, container: &'a str },
    Verbosity,
    Profile,
    Document,
}

/// The handler of a path and the methods it takes; an empty list is any method, known or not.
fn handler<'a>(segments: &[&'a str]) -> Option<(Handler<'a>, &'static [&'static str])> {
    Some(match *segments {
        // The forms with a UID, which the kubelet ignores on all but port-forward.
        ["exec", _, _, _] | ["exec", _, _, _, _] => (Handler::Exec, &["GET", "POST"]),
        ["attach", _, _, _] | ["attach", _, _, _, _] => (Handler::Attach, &["GET", "POST"]),
        ["portForward", _, _] | ["portForward", _, _, _] => {
            (Handler::PortForward, &["GET", "POST"])
        }
        ["run", _, _, _] | ["run", _, _, _, _] => (Handler::Run, &["POST"]),
        ["containerLogs", _, _, _] => (Handler::ContainerLogs, &["GET"]),
        ["checkpoint", namespace, pod, container] => {
            (Handler::Checkpoint { namespace, pod, container }, &["POST"])
        }
        ["debug", "flags", "v"] => (Handler::Verbosity, &["PUT"]),
        ["debug", "pprof", name] if !name.is_empty() => (Handler::Profile, &["GET"]),
        ["pods"] | ["runningpods"] | ["logs", ..] => (Handler::Document, &["GET"]),
        ["stats", "summary"] => (Handler::Document, &["GET", "POST"]),
        ["metrics" | "healthz", ..] | ["configz" | "flagz" | "statusz"] => (Handler::Document, &[]),
        _ => return None,
    })
}

fn exec(kubelet: &Kubelet, request: &Recorded, query: &Query) -> Answer {
    let argv = query.all("command").map(str::to_owned).collect();
    remote_command(kubelet, request, query, argv)
}

fn attach(kubelet: &Kubelet, request: &Recorded, query: &Query) -> Answer {
    remote_command(kubelet, request, query, kubelet.options.main_command.clone())
}

fn remote_command(
    kubelet: &Kubelet,
    request: &Recorded,
    query: &Query,
    argv: Vec<String>,
) -> Answer {
    let streams = match Streams::parse(query) {
        Ok(streams) => streams,
        Err(error) => return text(StatusCode::BAD_REQUEST, error),
    };
    let env = query.all("env").filter_map(|pair| pair.split_once('='));
    let command = Command {
        argv,
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        directory: kubelet.options.directory.clone(),
        streams,
    };
    match Requested::of(request) {
        Some(Requested::WebSocket) => {
            upgrade::websocket(request, remote_command::PROTOCOLS, |socket, protocol| {
                remote_command::serve(socket, protocol, command)
            })
        }
        Some(Requested::Spdy) => upgrade::spdy(request, SPDY_STREAMS),
        None => upgrade_required(),
    }
}

fn port_forward(kubelet: &Kubelet, request: &Recorded, query: &Query) -> Answer {
    match Requested::of(request) {
        Some(Requested::Spdy) => upgrade::spdy(request, SPDY_PORTS),
        Some(Requested::WebSocket)
            if request
                .header("sec-websocket-protocol")
                .iter()
                .any(|list| list.contains(SPDY_TUNNEL)) =>
        {
            upgrade::websocket(request, &[SPDY_TUNNEL], |socket, _| upgrade::echo_messages(socket))
        }
        Some(Requested::WebSocket) => match port_forward::ports(query) {
            Ok(ports) => {
                let targets = kubelet.options.ports.clone();
                upgrade::websocket(request, &[port_forward::PROTOCOL], |socket, _| async move {
                    port_forward::serve(socket, ports, &targets).await;
                })
            }
            Err(error) => text(StatusCode::BAD_REQUEST, error),
        },
        None => upgrade_required(),
    }
}

fn upgrade_required() -> Answer {
    text(StatusCode::INTERNAL_SERVER_ERROR, "Upgrade request required\n")
}

async fn run(kubelet: &Kubelet, query: &Query) -> Answer {
    let command = Command {
        // Only a first value, cut at each space: there is no quoting.
        argv: query.first("cmd").unwrap_or_default().split(' ').map(str::to_owned).collect(),
        env: Vec::new(),
        directory: kubelet.options.directory.clone(),
        streams: Streams { stdin: false, stdout: true, stderr: true, tty: false },
    };
    match command.output().await {
        Ok((exit, output)) if exit.success() => document(StatusCode::OK, JSON, output),
        Ok((exit, output)) => {
            let output = String::from_utf8_lossy(&output);
            let error = format!("command exited with {}: {output}", exit_code(exit));
            text(StatusCode::INTERNAL_SERVER_ERROR, error)
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")),
    }
}

fn container_logs(kubelet: &Kubelet, query: &Query) -> Answer {
    if query.is_true("previous") {
        return text(StatusCode::BAD_REQUEST, "previous terminated container not found");
    }
    let options = match LogOptions::parse(query) {
        Ok(options) => options,
        Err(error) => return text(StatusCode::BAD_REQUEST, error),
    };
    let lines = kubelet.logs.read(options);
    if let Some(line) = kubelet.options.log_when_followed.as_ref().filter(|_| options.follow) {
        kubelet.logs.push(line);
    }
    answer::streamed(lines)
}

/// What `/run` calls its output, whatever it is.
const JSON: &str = "application/json";

fn json(value: &serde_json::Value) -> Answer {
    document(StatusCode::OK, JSON, Bytes::from(value.to_string()))
}
