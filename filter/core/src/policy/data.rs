//! The base documents beside the rules.

use serde_json::{Map, Value};

use super::error::PolicyError;
use super::rules::{Rules, dotted};
use super::syntax::place;
use crate::diagnostic::Diagnostic;

/// Refuses data at, below or across the path of a rule: one of them would be hidden.
pub(super) fn check(rules: &Rules<'_>, data: &Map<String, Value>) -> Result<(), PolicyError> {
    for (path, group) in rules.iter() {
        let mut object = data;
        for (depth, name) in path.iter().enumerate() {
            let is_rule = depth + 1 == path.len();
            match object.get(name) {
                None => break,
                Some(Value::Object(inner)) if !is_rule => object = inner,
                Some(_) => {
                    let data_path = dotted(path.get(..=depth).unwrap_or_default());
                    let mut diagnostic = Diagnostic::new(format!(
                        "the data has a value at `{data_path}`, where the rule `{}` is",
                        dotted(path)
                    ));
                    diagnostic.places = group.span().map(place).into_iter().collect();
                    return Err(PolicyError::Overlap(
                        diagnostic.help("give the data or the package another name"),
                    ));
                }
            }
        }
    }
    Ok(())
}
