//! Deciding again what is on record, for example by another policy.

use thiserror::Error;

use super::{Decider, Gate, Ruling, readings};
use crate::{
    Call, Headers,
    config::Profile,
    decision::Reason,
    kubelet::{self, Refusal},
    policy::{Outcome, RuleId},
    recorded::Recorded,
};

/// What a configuration says of a recorded request: its peers, its denied certificates and its policy.
/// What a dry run forwards is denied here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Judgement {
    /// Why; [`Reason::Allowed`] allows.
    pub reason: Reason,
    /// The rule that decided.
    pub rule: Option<RuleId>,
    /// The policy's own sentence, or why it wasn't asked.
    pub message: Option<String>,
}

/// Why a gate can't say anything of a recorded request.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum NotForThisGate {
    /// The gate is configured for requests of another kind.
    #[error("a request of profile `{}`, and the policy is for profile `{}`", name(*.0), name(*.1))]
    Profile(Profile, Profile),
    /// An adapter has to have the request, and the document has none.
    #[error("no request can be made of the input document: {0}")]
    Request(#[from] Refusal),
}

impl Gate {
    /// Whether equal requests always get equal decisions, so that one may stand for the others. Not so
    /// with a clock or dice in the policy.
    #[must_use]
    pub fn is_pure(&self) -> bool {
        self.cache.is_some()
    }

    /// Decides a recorded request.
    ///
    /// The document is the policy's input as it is, of the node that it names. The headers that
    /// profile `http` shows are those of the record.
    ///
    /// # Errors
    /// When the record is of another profile, or an adapter is asked and can't have the request.
    pub fn decide_recorded(&self, recorded: &Recorded) -> Result<Judgement, NotForThisGate> {
        if recorded.profile != self.config.profile {
            return Err(NotForThisGate::Profile(recorded.profile, self.config.profile));
        }
        let lines = recorded.lines();
        let headers = Headers::new(&lines);
        let peer = Ok(recorded.peer.clone());
        // A document without a certificate is there because Envoy's route led to this cluster.
        let cluster = self.config.token_cluster.as_deref().map(str::as_bytes);
        let call =
            Call { headers, end_of_stream: recorded.ends(), peer: &peer, cluster, decision_id: "" };
        if let Some(why) = self.turns_away(&call, recorded.endpoint()) {
            let message = Some(why.to_owned());
            return Ok(Judgement { reason: Reason::Denied, rule: None, message });
        }
        Ok(Judgement::of(match &self.decider {
            Decider::Kubelet(policy) | Decider::Http(policy) => {
                policy.evaluate(recorded.document.clone())
            }
            Decider::KubeletTlsProxy(adapter) => {
                let request = kubelet::Request::parse(headers, recorded.ends())?;
                adapter.evaluate(&readings(&request))
            }
        }))
    }
}

impl Judgement {
    fn of(outcome: Outcome) -> Self {
        Self {
            reason: Ruling::reason(&outcome),
            rule: outcome.rule().cloned(),
            message: outcome.message().map(str::to_owned),
        }
    }
}

fn name(profile: Profile) -> &'static str {
    match profile {
        Profile::Kubelet => "kubelet",
        Profile::Http => "http",
    }
}
