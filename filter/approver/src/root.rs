//! The root context: the controller's ticks, calls and answers.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use gatelet_core::csr::{
    Answer, Call, CallId, Controller, Destination, Effect, Failure, LARGEST_BODY, Mode, Response,
};
use proxy_wasm::{
    traits::{Context, RootContext},
    types::Status,
};

use crate::{
    host::Host,
    metrics::Metrics,
    settings::{News, Settings},
};

/// The approver's root context; there is one in a process.
#[derive(Debug)]
pub(crate) struct Root<H> {
    host: H,
    metrics: Option<Metrics>,
    settings: Settings,
    controller: Option<Controller>,
    calls: HashMap<u32, Asked>,
    /// The time of the last tick.
    ticked: DateTime<Utc>,
}

/// Whose call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Settings,
    Controller(CallId),
    /// The controller's, to a kubelet.
    Certificate(CallId),
}

/// The clusters of the shipped configuration.
const API_SERVER: &str = "api_server";
const CONFIGURATION: &str = "configuration";
const LOOPBACK: &str = "loopback";

const TICK: Duration = Duration::from_millis(200);

impl<H: Host> Root<H> {
    pub(crate) fn new(host: H) -> Self {
        Self {
            host,
            metrics: None,
            settings: Settings::default(),
            controller: None,
            calls: HashMap::new(),
            ticked: DateTime::UNIX_EPOCH,
        }
    }

    fn start(&mut self) -> Result<(), Status> {
        self.metrics = Some(Metrics::define(&self.host)?);
        self.host.tick_every(TICK)
    }

    fn tick(&mut self) {
        let Some(now) = self.now() else { return };
        self.ticked = now;
        if let Some(version) = self.settings.ask(now) {
            let headers = [
                (":method", "GET"),
                (":path", "/configuration"),
                (":authority", "gatelet"),
                ("if-none-match", version),
            ];
            match self.host.call(CONFIGURATION, &headers, None, Duration::from_secs(5)) {
                Ok(token) => {
                    self.calls.insert(token, Asked::Settings);
                }
                Err(status) => log::error!("asking for the configuration: {status:?}"),
            }
        }
        if let Some(controller) = &mut self.controller {
            let effects = controller.tick(now);
            self.carry_out(effects, now);
        }
        if let (Some(controller), Some(metrics)) = (&self.controller, &self.metrics)
            && let Err(status) = metrics.gauges(&self.host, controller.gauges(now))
        {
            log::error!("setting a gauge: {status:?}");
        }
    }

    fn answered(&mut self, token: u32, headers: usize, size: usize) {
        let Some(asked) = self.calls.remove(&token) else { return };
        // The controller waits for every answer, so none may be lost.
        let now = self.now().unwrap_or(self.ticked);
        let lines = if headers == 0 { Vec::new() } else { self.lines() };
        match asked {
            Asked::Settings => {
                let version = text(&lines, "etag");
                let answer = self.read(&lines, size);
                self.settle(answer, version);
            }
            Asked::Controller(id) => {
                let answer = self.read(&lines, size);
                self.tell(id, answer, now);
            }
            Asked::Certificate(id) => self.tell(id, read_certificate(&lines), now),
        }
    }

    fn tell(&mut self, id: CallId, answer: Answer, now: DateTime<Utc>) {
        if let Some(controller) = &mut self.controller {
            let effects = controller.answer(id, answer, now);
            self.carry_out(effects, now);
        }
    }

    fn settle(&mut self, answer: Answer, version: Option<String>) {
        let counted = match self.settings.take(answer, version) {
            News::None => return,
            News::Unanswered => {
                log::warn!("Envoy does not serve the configuration");
                return;
            }
            News::Accepted(controller) => {
                announce(&controller);
                self.controller = Some(*controller);
                // Answers to the old controller's calls are nobody's now.
                self.calls.clear();
                self.metrics.as_ref().map(|metrics| metrics.accepted(&self.host))
            }
            News::Rejected(message) => {
                log::error!("{message}");
                self.metrics.as_ref().map(|metrics| metrics.rejected(&self.host))
            }
        };
        if let Some(Err(status)) = counted {
            log::error!("counting a configuration: {status:?}");
        }
    }

    /// Calls that can't be made are answered at once, which may lead to more.
    fn carry_out(&mut self, effects: Vec<Effect>, now: DateTime<Utc>) {
        let mut effects = effects;
        while !effects.is_empty() {
            let mut more = Vec::new();
            for effect in effects {
                match effect {
                    Effect::Call(call) => match self.call(&call) {
                        Ok(token) => {
                            let asked = match call.to {
                                Destination::Kubelet(_) => Asked::Certificate(call.id),
                                _ => Asked::Controller(call.id),
                            };
                            self.calls.insert(token, asked);
                        }
                        Err(status) => {
                            log::error!("calling {:?}: {status:?}", call.to);
                            if let Some(controller) = &mut self.controller {
                                let failure = Err(Failure::Unanswered);
                                more.extend(controller.answer(call.id, failure, now));
                            }
                        }
                    },
                    Effect::Count(count) => self.count(|metrics, host| metrics.count(host, count)),
                    Effect::Latency(time) => {
                        self.count(|metrics, host| metrics.latency(host, time));
                    }
                    Effect::Warn(message) => log::warn!("{message}"),
                }
            }
            effects = more;
        }
    }

    fn call(&self, call: &Call) -> Result<u32, Status> {
        let Call { id: _, to, method, path, body, timeout } = call;
        let mut headers = vec![(":method", *method), (":path", path.as_str())];
        let cluster = match to {
            Destination::ApiServer => {
                headers.push((":authority", "kubernetes.default.svc"));
                headers.push(("accept", "application/json"));
                API_SERVER
            }
            Destination::DecisionLog(line) => {
                headers.push((":authority", "gatelet"));
                headers.push(("x-gatelet-decision", line));
                LOOPBACK
            }
            Destination::Kubelet(address) => {
                headers.push((":authority", "kubelet"));
                headers.push(("x-envoy-original-dst-host", address));
                LOOPBACK
            }
        };
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        self.host.call(cluster, &headers, body.as_deref(), *timeout)
    }

    fn read(&self, lines: &[(String, Vec<u8>)], size: usize) -> Answer {
        let status = status(lines)?;
        if size > LARGEST_BODY {
            return Err(Failure::TooLarge);
        }
        let body = match self.host.answer_body(size) {
            Ok(body) => body.unwrap_or_default(),
            Err(_) => return Err(Failure::Unanswered),
        };
        Ok(Response {
            status,
            retry_after: text(lines, "retry-after").and_then(|seconds| seconds.parse().ok()),
            peer_certificate: None,
            body,
        })
    }

    fn lines(&self) -> Vec<(String, Vec<u8>)> {
        self.host.answer_headers().unwrap_or_else(|status| {
            log::error!("reading an answer: {status:?}");
            Vec::new()
        })
    }

    fn count(&self, count: impl Fn(&Metrics, &H) -> Result<(), Status>) {
        if let Some(metrics) = &self.metrics
            && let Err(status) = count(metrics, &self.host)
        {
            log::error!("counting: {status:?}");
        }
    }

    /// Without a clock nothing is begun.
    fn now(&self) -> Option<DateTime<Utc>> {
        match self.host.now() {
            Ok(now) => Some(now.into()),
            Err(status) => {
                log::error!("reading the clock: {status:?}");
                None
            }
        }
    }
}

impl<H: Host> Context for Root<H> {
    fn on_http_call_response(&mut self, token: u32, headers: usize, size: usize, _trailers: usize) {
        self.answered(token, headers, size);
    }
}

impl<H: Host> RootContext for Root<H> {
    fn on_configure(&mut self, _size: usize) -> bool {
        match self.start() {
            Ok(()) => true,
            Err(status) => {
                log::error!("starting: {status:?}");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        self.tick();
    }
}

/// Of a kubelet's answer nothing is read but what Envoy adds to it.
fn read_certificate(lines: &[(String, Vec<u8>)]) -> Answer {
    let peer_certificate = text(lines, "x-gatelet-peer-certificate");
    Ok(Response { status: status(lines)?, peer_certificate, ..Response::default() })
}

fn status(lines: &[(String, Vec<u8>)]) -> Result<u16, Failure> {
    let status = text(lines, ":status").and_then(|status| status.parse().ok());
    status.ok_or(Failure::Unanswered)
}

fn text(lines: &[(String, Vec<u8>)], name: &str) -> Option<String> {
    let (_, value) = lines.iter().find(|(line, _)| line == name)?;
    String::from_utf8(value.clone()).ok()
}

fn announce(controller: &Controller) {
    let digest = controller.digest();
    match controller.config().mode {
        Mode::Enforce => log::info!("policy {digest} is in force"),
        Mode::DryRun => log::warn!("DRY RUN: policy {digest} decides nothing"),
    }
}

#[cfg(test)]
mod tests;
