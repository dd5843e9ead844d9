//! `data.posture`: the verdict on the kubelet, which comes and goes while the policy stays.

use serde_json::{Map, Value};

use super::error::PolicyError;
use super::rules::{Root, Rules, dotted, each_reference};
use super::syntax::place;
use crate::diagnostic::Diagnostic;

/// Its name below `data`.
pub(super) const POSTURE: &str = "posture";

/// Refuses what would stand in its place, and a policy that reads it where there is none: it would be
/// undefined, and `not data.posture.failed` would hold of any kubelet.
pub(super) fn check(
    rules: &Rules<'_>,
    data: &Map<String, Value>,
    is_watched: bool,
) -> Result<(), PolicyError> {
    if data.contains_key(POSTURE) {
        return Err(PolicyError::Overlap(
            Diagnostic::new(
                "the data has a value at `data.posture`, where the verdict on the kubelet is",
            )
            .help("give the data another name"),
        ));
    }
    if is_watched {
        let rule = rules.iter().find(|(path, _)| path.first().is_some_and(|name| name == POSTURE));
        return match rule {
            Some((path, group)) => {
                let mut diagnostic = Diagnostic::new(format!(
                    "the rule `{}` is at `data.posture`, where the verdict on the kubelet is",
                    dotted(path)
                ));
                diagnostic.places = group.span().map(place).into_iter().collect();
                Err(PolicyError::Overlap(diagnostic.help("give the package another name")))
            }
            None => Ok(()),
        };
    }
    let mut read = None;
    for definition in rules.definitions() {
        each_reference(definition.rule, &mut |reference, scope| {
            let Root::Data(mut path) = rules.root(reference.root, definition, scope) else {
                return;
            };
            let names = reference.steps.iter().map_while(|step| step.name());
            path.extend(names.map(str::to_owned));
            if path.first().is_some_and(|name| name == POSTURE) && rules.rule_on(&path).is_none() {
                read.get_or_insert(reference.span);
            }
        });
    }
    match read {
        Some(span) => Err(PolicyError::Unsupported(
            Diagnostic::new("the policy reads `data.posture`, and nobody looks at the kubelet's posture")
                .at(place(span))
                .help("set `posture` in the configuration: `gatelet render --posture owned`, or `hardened`, or `cis`"),
        )),
        None => Ok(()),
    }
}
