//! What a policy is asked: everything that the input document is made of.

use serde::Serialize;

use crate::{
    http,
    kubelet::{self, Node},
    peer::Peer,
};

/// A request, and who sent it. The input document is a function of this and of the node, which a
/// configuration fixes: equal questions have equal documents.
///
/// Both traits are derived, so that no field can be left out of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) request: Request,
    pub(crate) peer: Peer,
    pub(crate) bearer_token: bool,
}

/// A request of either profile.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    Kubelet(kubelet::Request),
    Http(http::Request),
}

/// The input document of either profile.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Input<'a> {
    Kubelet(kubelet::Input<'a>),
    Http(http::Input<'a>),
}

impl Question {
    /// The document that a policy on this node sees.
    pub(crate) fn input<'a>(&'a self, node: &'a Node) -> Input<'a> {
        let Self { request, peer, bearer_token } = self;
        match request {
            Request::Kubelet(request) => {
                Input::Kubelet(kubelet::Input::new(request, peer, *bearer_token, node))
            }
            Request::Http(request) => {
                Input::Http(http::Input::new(request, peer, *bearer_token, node))
            }
        }
    }
}

impl Request {
    /// The kubelet's endpoint, or the profile.
    pub(crate) fn endpoint(&self) -> &'static str {
        match self {
            Self::Kubelet(request) => request.endpoint.name(),
            Self::Http(_) => "http",
        }
    }
}
