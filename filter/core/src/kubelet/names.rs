//! Names of Kubernetes objects, as the API server lets them be.

use serde::Serialize;

/// A namespace or a container: an RFC 1123 label of at most 63 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Label(String);

/// A pod: an RFC 1123 subdomain of at most 253 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PodName(String);

impl Label {
    /// The name, or `None` if Kubernetes would not take it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        is_label(name, 63).then(|| Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PodName {
    /// The name, or `None` if Kubernetes would not take it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        (name.len() <= 253 && name.split('.').all(|label| is_label(label, 253)))
            .then(|| Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_label(name: &str, longest: usize) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_some_and(|byte| is_alphanumeric(*byte));
    let bytes = name.as_bytes();
    bytes.len() <= longest
        && is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes.iter().all(|&byte| is_alphanumeric(byte) || byte == b'-')
}

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_api_server_takes() {
        let long = "a".repeat(63);
        for (name, label, pod) in [
            ("default", true, true),
            ("a", true, true),
            ("0-a", true, true),
            ("web-7d4b9c-x2x.y", false, true),
            (long.as_str(), true, true),
            ("", false, false),
            ("-a", false, false),
            ("a-", false, false),
            ("A", false, false),
            ("a_b", false, false),
            ("a..b", false, false),
            (".a", false, false),
            ("a@b", false, false),
            ("c#", false, false),
        ] {
            assert_eq!(Label::parse(name).is_some(), label, "label {name:?}");
            assert_eq!(PodName::parse(name).is_some(), pod, "pod {name:?}");
        }
        assert_eq!(Label::parse(&"a".repeat(64)), None);
        assert_eq!(PodName::parse(&"a".repeat(254)), None);
    }
}
