//! Why a gate's policy answers a request as it does. The decision is [`Gate::decide`]'s alone.

use super::{Call, Decider, Gate, readings};
use crate::policy::Adapter;
use crate::{
    config::PolicyConfig,
    http, kubelet,
    policy::{Explanation, PolicyError, Source, value},
    question::{Question, Request},
};

impl Gate {
    /// Explains what the policy says of a request, once for each reading that it is asked about. Empty
    /// if it isn't asked: the request can't be read, or the configuration turns the caller away.
    ///
    /// # Errors
    /// When the policy can't be read again, which [`Gate::new`] did.
    pub fn explain(&self, call: &Call<'_>) -> Result<Vec<Explanation>, PolicyError> {
        let Some(question) = self.question(call) else { return Ok(Vec::new()) };
        let limits = &self.config.limits;
        match (&self.config.policy, &question.request) {
            (PolicyConfig::Rego(source), _) => {
                let Ok(input) = value::to_value(&question.input(&self.config.node)) else {
                    return Ok(Vec::new());
                };
                Ok(vec![Explanation::new(source, limits, input)?])
            }
            (PolicyConfig::KubeletTlsProxy(source), Request::Kubelet(request)) => {
                let source =
                    Source { entrypoint: Adapter::ENTRYPOINT.to_owned(), ..source.clone() };
                readings(request)
                    .into_iter()
                    .map(|reading| Explanation::new(&source, limits, Adapter::input(reading)))
                    .collect()
            }
            (PolicyConfig::KubeletTlsProxy(_), Request::Http(_)) => Ok(Vec::new()),
        }
    }

    fn question(&self, call: &Call<'_>) -> Option<Question> {
        let peer = call.peer.as_ref().ok()?;
        let request = match self.decider {
            Decider::Http(_) => {
                Request::Http(http::Request::parse(call.headers, &self.config.http.headers).ok()?)
            }
            Decider::Kubelet(_) | Decider::KubeletTlsProxy(_) => {
                Request::Kubelet(kubelet::Request::parse(call.headers, call.end_of_stream).ok()?)
            }
        };
        let bearer_token = call.headers.has_bearer_token();
        let question = Question { request, peer: peer.clone(), bearer_token };
        self.turns_away(call, question.request.endpoint()).is_none().then_some(question)
    }
}
