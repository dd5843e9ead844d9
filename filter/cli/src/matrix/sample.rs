//! What is asked about: names that the policy mentions, and some that it doesn't.

use std::collections::BTreeSet;

use gatelet_core::{
    Config,
    kubelet::{Label, PodName},
    policy::Mentions,
};

use super::{More, source};
use crate::{
    report,
    request::{Caller, pinned},
};

/// Whom and what to ask about.
pub(super) struct Sample {
    pub(super) callers: Vec<Named>,
    pub(super) namespaces: Vec<Name>,
    pub(super) pods: Vec<Name>,
    pub(super) containers: Vec<Name>,
    pub(super) commands: Vec<Vec<String>>,
}

/// A caller, and what it is to the policy.
pub(super) struct Named {
    pub(super) caller: Caller,
    /// Whether it brings a bearer token.
    pub(super) has_token: bool,
    pub(super) shown: String,
}

/// A name in requests, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) asked: String,
    pub(super) shown: String,
}

/// Who may turn up with a certificate of the cluster's CA.
const STRANGERS: [(&str, &str); 4] = [
    ("CN=kubernetes-admin,O=kubeadm:cluster-admins", "a cluster administrator"),
    ("CN=system:node:worker-2,O=system:nodes", "another node"),
    ("CN=system:kube-scheduler", "the scheduler"),
    ("CN=somebody,O=somewhere", "anybody else"),
];

impl Sample {
    pub(super) fn new(config: &Config, more: &More) -> anyhow::Result<Self> {
        let mentions = Mentions::of(source(config), &config.limits)?;
        let is_label = |name: &str| Label::parse(name).is_some();
        let is_pod = |name: &str| PodName::parse(name).is_some();
        let mut pods = names(&mentions.pods, &more.pods, "pod", is_pod);
        let at = pods.len() - 1;
        let of_prefixes = mentions
            .pod_prefixes
            .iter()
            .map(|prefix| Name { asked: format!("{prefix}0"), shown: format!("{prefix}*") });
        pods.splice(at..at, of_prefixes.filter(|name| is_possible(name, "pod", is_pod)));
        let asked =
            more.commands.iter().map(|command| command.split(' ').map(str::to_owned).collect());
        // A shell is what everybody wants to know about.
        let usual = [vec!["sh".to_owned()], vec!["other-command".to_owned()]];
        let commands: BTreeSet<Vec<String>> =
            mentions.commands.iter().cloned().chain(asked).chain(usual).collect();
        Ok(Self {
            callers: callers(config, &mentions, more)?,
            namespaces: names(&mentions.namespaces, &more.namespaces, "namespace", is_label),
            pods,
            containers: names(&mentions.containers, &more.containers, "container", is_label),
            commands: commands.into_iter().collect(),
        })
    }
}

/// The names that are mentioned, those asked for, and at the end one that nobody mentions.
fn names(
    mentioned: &BTreeSet<String>,
    asked: &[String],
    what: &str,
    is_name: fn(&str) -> bool,
) -> Vec<Name> {
    let all: BTreeSet<&String> = mentioned.iter().chain(asked).collect();
    let mut other = format!("other-{what}");
    while all.iter().any(|name| name.starts_with(&other)) {
        other.push('x');
    }
    let plain = |name: &String| Name { asked: name.clone(), shown: name.clone() };
    let other = Name { asked: other, shown: format!("any other {what}") };
    let possible = |name: &Name| is_possible(name, what, is_name);
    all.into_iter().map(plain).filter(possible).chain([other]).collect()
}

/// Whether requests can have a name. That none can is worth a warning: it may be misspelt.
fn is_possible(name: &Name, what: &str, is_name: fn(&str) -> bool) -> bool {
    let is_possible = is_name(&name.asked);
    if !is_possible {
        report::warning(&format!(
            "`{}` is no name of a {what}, so that no request has it",
            name.shown
        ));
    }
    is_possible
}

/// Those whom the policy names, in all organizations that it names, then strangers.
fn callers(config: &Config, mentions: &Mentions, more: &More) -> anyhow::Result<Vec<Named>> {
    let pinned: Vec<_> =
        pinned(config).into_iter().map(|(name, caller)| (name, Some(caller))).collect();
    let common_names = mentions.common_names.iter().map(|name| (name.clone(), None));
    let organizations = || mentions.organizations.iter().map(String::as_str).map(Some);
    let mut found: Vec<Named> = Vec::new();
    let mut add = |caller: Caller, shown: String, has_token: bool| {
        if found.iter().all(|other| other.caller != caller || other.has_token != has_token) {
            found.push(Named { caller, has_token, shown });
        }
    };
    for (name, caller) in pinned.iter().cloned().chain(common_names) {
        match caller {
            Some(caller) => add(caller.clone(), caller.to_string(), false),
            None => {
                for organization in std::iter::once(None).chain(organizations()) {
                    let caller = Caller::new(&name, organization);
                    add(caller.clone(), caller.to_string(), false);
                }
            }
        }
    }
    for organization in organizations() {
        let caller = Caller::new("somebody", organization);
        add(caller.clone(), caller.to_string(), false);
    }
    for uri in mentions.uri_sans.iter().chain(&more.peers) {
        let caller = Caller::named(uri, config)?;
        add(caller.clone(), caller.to_string(), false);
    }
    for (name, caller) in &pinned {
        // The name alone is worth nothing.
        let other = Caller::new(name, Some("somewhere"));
        add(other.clone(), format!("{other} (the name of a peer)"), false);
        if caller.as_ref().is_some_and(|caller| caller.certificate_sha256.is_some()) {
            let other = Caller { certificate_sha256: None, ..caller.clone().unwrap_or_default() };
            add(other.clone(), format!("{other} (another certificate of a peer)"), false);
        }
    }
    for (subject, what) in STRANGERS {
        let caller = Caller { subject: Some(subject.to_owned()), ..Caller::default() };
        add(caller, format!("{subject} ({what})"), false);
    }
    add(Caller::default(), "no certificate".to_owned(), false);
    if config.token_cluster.is_some() {
        add(Caller::default(), "no certificate, a bearer token".to_owned(), true);
    }
    Ok(found)
}
