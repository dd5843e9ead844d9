//! Values as Rego writes them.

use regorus::Value;

/// The text that evaluates to a value. What is undefined has a name, and no text.
pub(super) fn literal(value: &Value) -> String {
    let list =
        |items: &mut dyn Iterator<Item = &Value>| items.map(literal).collect::<Vec<_>>().join(", ");
    match value {
        Value::Array(items) => format!("[{}]", list(&mut items.iter())),
        Value::Set(items) if items.is_empty() => "set()".to_owned(),
        Value::Set(items) => format!("{{{}}}", list(&mut items.iter())),
        Value::Object(fields) => {
            let field = |(key, value)| format!("{}: {}", literal(key), literal(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        Value::Undefined => "undefined".to_owned(),
        scalar => scalar.to_json_str().unwrap_or_else(|_| "undefined".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_written_as_rego_reads_it() {
        let set = |items: &[&str]| {
            Value::from(items.iter().map(|item| Value::from(*item)).collect::<BTreeSet<_>>())
        };
        for (value, want) in [
            (
                Value::from(json!({"a": [1, null, true], "b\n": "\""})),
                r#"{"a": [1, null, true], "b\n": "\""}"#,
            ),
            (Value::from(json!({})), "{}"),
            (set(&["a", "b"]), r#"{"a", "b"}"#),
            (set(&[]), "set()"),
            (Value::Undefined, "undefined"),
        ] {
            assert_eq!(literal(&value), want);
        }
    }
}
