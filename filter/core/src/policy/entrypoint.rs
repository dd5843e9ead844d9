//! The rule that decides.

use super::error::PolicyError;
use super::functions::nearest;
use super::rules::{Kind, Rules, dotted};
use crate::diagnostic::Diagnostic;

/// Refuses an entry point that does not exist, or that has no single value.
pub(super) fn check(rules: &Rules<'_>, entrypoint: &str) -> Result<(), PolicyError> {
    let refuse = |message: String, help: String| {
        Err(PolicyError::Entrypoint(Diagnostic::new(message).help(help)))
    };
    let path: Vec<String> = match entrypoint.strip_prefix("data.") {
        Some(rest) => rest.split('.').map(str::to_owned).collect(),
        None => {
            return refuse(
                format!("the entry point `{entrypoint}` does not begin with `data.`"),
                "write it as `data.kubelet.authz.decision`".to_owned(),
            );
        }
    };
    if let Some(group) = rules.get(&path) {
        return match group.kind {
            Kind::Complete => Ok(()),
            kind => refuse(
                format!("the entry point `{entrypoint}` is {}", kind.describe()),
                "it has to be one value: a boolean, or an object with `allow`".to_owned(),
            ),
        };
    }
    let names: Vec<String> = rules
        .iter()
        .filter(|(_, group)| group.kind == Kind::Complete)
        .map(|(path, _)| dotted(path))
        .collect();
    let package = path.split_last().map(|(_, package)| dotted(package));
    let siblings: Vec<&str> = names
        .iter()
        .filter(|name| name.rsplit_once('.').map(|(package, _)| package) == package.as_deref())
        .map(String::as_str)
        .collect();
    let as_long = names.iter().filter(|name| name.split('.').count() == path.len() + 1);
    let help = match nearest(entrypoint, as_long.map(String::as_str)) {
        Some(similar) => format!("is `{similar}` meant?"),
        None if siblings.is_empty() => format!("the policy's rules are {}", list(&names)),
        None => format!("the rules there are {}", list(&siblings)),
    };
    refuse(format!("there is no rule `{entrypoint}`"), help)
}

fn list<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 10;

    let mut text = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{}`", name.as_ref()))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(", …");
    }
    if text.is_empty() {
        text.push_str("none that can decide");
    }
    text
}
