//! One request: read it, decide, and forward it or answer it.

use std::rc::Rc;

use chrono::{DateTime, Utc};
use gatelet_core::{Answer, Call, Decision, Denial, Headers, Peer, Permit, peer::InvalidPeer};
use proxy_wasm::{
    traits::{Context, HttpContext},
    types::{Action, Status},
};

use crate::{host::Host, root::Shared};

/// The context of one request.
pub(crate) struct Http<H> {
    host: H,
    shared: Option<Rc<Shared>>,
}

impl<H: Host> Context for Http<H> {}

impl<H: Host> HttpContext for Http<H> {
    fn on_http_request_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        let Some(shared) = &self.shared else {
            return self.answer(&Denial { status: 500, body: "No policy".to_owned() });
        };
        match self.decide(shared, end_of_stream).and_then(|permit| self.forward(permit)) {
            Ok(action) => action,
            Err(Stop::Denied(denial)) => self.answer(&denial),
            Err(Stop::Failed(what, status)) => {
                log::error!("{what}: {status:?}");
                shared.metrics.failed(&self.host);
                self.answer(&Denial { status: 500, body: "Internal error".to_owned() })
            }
        }
    }
}

/// Why a request is not forwarded.
enum Stop {
    Denied(Denial),
    Failed(&'static str, Status),
}

impl<H: Host> Http<H> {
    pub(crate) fn new(host: H, shared: Option<Rc<Shared>>) -> Self {
        Self { host, shared }
    }

    fn decide(&self, shared: &Shared, end_of_stream: bool) -> Result<Permit, Stop> {
        let Shared { gate, metrics, peers, ids } = shared;
        let host = &self.host;
        #[cfg(feature = "fault-injection")]
        crate::fault::in_request(host, "before-decision");
        let lines = host.request_headers().map_err(|e| Stop::Failed("reading the headers", e))?;
        let peer = peers.of_connection(host, gate.config().vouches_for_source_address());
        let cluster = self.cluster(shared, &peer);
        let id =
            ids.next().map_err(|_| Stop::Failed("naming the decision", Status::InternalFailure))?;
        let mut name = uuid::Uuid::encode_buffer();
        let call = Call {
            headers: Headers::new(&lines),
            end_of_stream,
            peer: &peer,
            cluster: cluster.as_deref(),
            decision_id: id.hyphenated().encode_lower(&mut name),
        };
        let Answer { decision, reason, endpoint, evaluation, failed, record } =
            gate.decide(&call, || self.now());
        // A decision that is not on record is not carried out.
        host.set_record(&record).map_err(|e| Stop::Failed("recording the decision", e))?;
        if metrics.decided(host, endpoint, reason, evaluation).is_err() || failed {
            metrics.failed(host);
        }
        match decision {
            Decision::Allow(permit) => Ok(permit),
            Decision::Deny(denial) => Err(Stop::Denied(denial)),
        }
    }

    /// Where Envoy's route leads. It is asked only where it counts: a property costs more than half a
    /// microsecond.
    fn cluster(&self, shared: &Shared, peer: &Result<Peer, InvalidPeer>) -> Option<Vec<u8>> {
        let has_certificate = peer.as_ref().map_or(true, |peer| peer.certificate.is_some());
        if has_certificate || shared.gate.config().token_cluster.is_none() {
            return None;
        }
        self.host.property(&["xds", "cluster_name"]).ok().flatten()
    }

    /// The one way on, and it takes the proof.
    fn forward(&self, permit: Permit) -> Result<Action, Stop> {
        #[cfg(feature = "fault-injection")]
        crate::fault::in_request(&self.host, "after-decision");
        for name in permit.into_removed_headers() {
            self.host
                .remove_request_header(&name)
                .map_err(|e| Stop::Failed("removing a credential", e))?;
        }
        Ok(Action::Continue)
    }

    /// Answers, and lets nothing through even if the answer can't be sent.
    fn answer(&self, denial: &Denial) -> Action {
        if let Err(status) = self.host.reply(denial.status, &denial.body) {
            log::error!("sending the answer: {status:?}");
        }
        Action::Pause
    }

    /// The time of day. Without a clock it is late: a dry run is over then.
    fn now(&self) -> DateTime<Utc> {
        self.host.now().map_or(DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::from)
    }
}

#[cfg(test)]
mod tests;
