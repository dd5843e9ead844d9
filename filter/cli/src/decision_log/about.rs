//! What a request was about, in the words of its input document.

use std::{borrow::Cow, fmt};

use serde::Deserialize;

/// The parts of an input document that a person looks for. Any of them may be masked or erased.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct About<'a> {
    #[serde(borrow)]
    pub(crate) method: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) path: Cow<'a, str>,
    /// Of the kubelet.
    #[serde(borrow)]
    pub(crate) endpoint: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) namespace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) pod: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) container: Option<Cow<'a, str>>,
    /// The service, in profile `http`.
    #[serde(borrow)]
    pub(crate) authority: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) upgrade: Option<Cow<'a, str>>,
    exec: Option<Command>,
    run: Option<Command>,
    #[serde(borrow)]
    pub(crate) peer: Option<Caller<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Command {
    command: Vec<String>,
}

/// Who asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Caller<'a> {
    #[serde(borrow)]
    pub(crate) common_name: Option<Cow<'a, str>>,
    pub(crate) organizations: Vec<String>,
    #[serde(borrow)]
    pub(crate) uri_san: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) dns_san: Option<Cow<'a, str>>,
}

impl<'a> About<'a> {
    /// Reads an input document, or what the log has of a request without one.
    ///
    /// # Errors
    /// When a part has a form that even a mask doesn't give it.
    pub(crate) fn read(input: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(input)
    }

    /// The endpoint, or the service; `None` for a request without a reading.
    pub(crate) fn target(&self) -> Option<&str> {
        self.endpoint.as_deref().or(self.authority.as_deref())
    }

    /// What exec or run runs.
    pub(crate) fn command(&self) -> Option<&[String]> {
        self.exec.as_ref().or(self.run.as_ref()).map(|command| command.command.as_slice())
    }

    /// Who asked, for a person.
    pub(crate) fn caller(&self) -> String {
        self.peer.as_ref().map_or_else(|| "somebody unreadable".to_owned(), ToString::to_string)
    }
}

impl Caller<'_> {
    /// The names by which somebody may look for it.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let names = [&self.common_name, &self.uri_san, &self.dns_san].into_iter().flatten();
        names.map(AsRef::as_ref).chain(self.organizations.iter().map(String::as_str))
    }
}

impl fmt::Display for Caller<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.common_name.as_ref().or(self.uri_san.as_ref()).or(self.dns_san.as_ref());
        match (name, self.organizations.as_slice()) {
            (None, []) => to.write_str("nobody"),
            (None, groups) => write!(to, "({})", groups.join(", ")),
            (Some(name), []) => to.write_str(name),
            (Some(name), groups) => write!(to, "{name} ({})", groups.join(", ")),
        }
    }
}
