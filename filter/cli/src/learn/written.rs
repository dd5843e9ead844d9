//! The files: the shipped policy, what was learned as data, and tests of it.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::ensure;
use serde_json::{Map, Value, json};

use super::{
    asked::Caller,
    grants::{Grant, Grants},
    neighbours,
    seen::{Evidence, Seen},
    verify::is_allowed,
};

/// The shipped policy, which the learned one adds to.
const SHIPPED: [(&str, &str); 8] = [
    ("kubelet/authz/authz.rego", include_str!("../../../../rego/kubelet/authz/authz.rego")),
    ("kubelet/authz/lint/lint.rego", include_str!("../../../../rego/kubelet/authz/lint/lint.rego")),
    (
        "kubelet/authz/peers/peers.rego",
        include_str!("../../../../rego/kubelet/authz/peers/peers.rego"),
    ),
    (
        "kubelet/authz/presets/closed/closed.rego",
        include_str!("../../../../rego/kubelet/authz/presets/closed/closed.rego"),
    ),
    (
        "kubelet/authz/presets/logs/logs.rego",
        include_str!("../../../../rego/kubelet/authz/presets/logs/logs.rego"),
    ),
    (
        "kubelet/authz/presets/observe/observe.rego",
        include_str!("../../../../rego/kubelet/authz/presets/observe/observe.rego"),
    ),
    (
        "kubelet/authz/presets/operate/operate.rego",
        include_str!("../../../../rego/kubelet/authz/presets/operate/operate.rego"),
    ),
    (
        "kubelet/authz/presets/scrape/scrape.rego",
        include_str!("../../../../rego/kubelet/authz/presets/scrape/scrape.rego"),
    ),
];

/// The presets that the shipped lint knows, and those that this one has to.
const PRESETS: [&str; 2] = [
    r#"_presets := {"closed", "logs", "observe", "operate"}"#,
    r#"_presets := {"closed", "learned", "logs", "observe", "operate"}"#,
];

/// All files by their paths.
///
/// # Errors
/// When a test can't be made of a request.
pub(super) fn files(
    seen: &Seen,
    grants: &Grants,
    any_lines: bool,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for (name, rego) in SHIPPED {
        let [known, all] = PRESETS;
        files.insert(name.to_owned(), rego.replace(known, all));
    }
    let mut add = |name: &str, text: String| files.insert(name.to_owned(), text);
    add("kubelet/authz/learned.rego", include_str!("hook.rego").to_owned());
    let folder = "kubelet/authz/presets/learned";
    add(&format!("{folder}/learned.rego"), include_str!("learned.rego").to_owned());
    add(&format!("{folder}/learned_test.rego"), tests(seen, grants, any_lines)?);
    add("data.yaml", data(grants, &seen.span.first, &seen.span.last)?);
    Ok(files)
}

/// Who may do what.
fn data(grants: &Grants, first: &str, last: &str) -> anyhow::Result<String> {
    let mut by_caller: BTreeMap<&Caller, Vec<&Grant>> = BTreeMap::new();
    for grant in &grants.grants {
        by_caller.entry(&grant.caller).or_default().push(grant);
    }
    let mut yaml = format!(
        "# Learned by `gatelet learn` from decisions of {} to {}.\n\
         # Each entry is what was seen, and nothing else is allowed. To take a right back, delete its entry:\n\
         # `gatelet test` then names its test in kubelet/authz/presets/learned/learned_test.rego, to delete too.\n\
         kubelet:\n  peers:\n",
        seconds(first),
        seconds(last)
    );
    for caller in by_caller.keys() {
        let organization =
            caller.organizations.first().map_or(Value::Null, |name| name.as_str().into());
        let entry = [
            ("common_name", Value::from(caller.common_name.as_str())),
            ("organization", organization),
            ("presets", json!(["learned"])),
        ];
        entries(&mut yaml, "    ", &entry)?;
    }
    yaml += "\n  learned:\n";
    for (caller, grants) in by_caller {
        let entry = [
            ("common_name", Value::from(caller.common_name.as_str())),
            ("organizations", json!(caller.organizations)),
        ];
        entries(&mut yaml, "    ", &entry)?;
        yaml += "      allow:\n";
        for grant in grants {
            writeln!(yaml, "        # {}", evidence(&grant.evidence))?;
            entries(&mut yaml, "        ", &fields(grant)?)?;
        }
    }
    Ok(yaml)
}

/// An entry as the policy reads it.
fn fields(grant: &Grant) -> anyhow::Result<Vec<(&'static str, Value)>> {
    let mut fields = vec![
        ("endpoint", Value::from(grant.endpoint.as_str())),
        ("method", Value::from(grant.method.as_str())),
    ];
    if let Some(places) = &grant.place {
        fields.push(("namespace", Value::from(places.namespace.as_str())));
        if !places.pods.is_empty() {
            fields.push(("pods", json!(places.pods)));
        }
        if !places.prefixes.is_empty() {
            fields.push(("pod_prefixes", json!(places.prefixes)));
        }
        if let Some(container) = &places.container {
            fields.push(("container", Value::from(container.as_str())));
        }
    }
    for (name, text) in &grant.details.0 {
        fields.push((*name, serde_json::from_str(text)?));
    }
    Ok(fields)
}

fn evidence(evidence: &Evidence) -> String {
    let Evidence { count, span, example, .. } = evidence;
    let (first, last) = (seconds(&span.first), seconds(&span.last));
    let when = if first == last { first } else { format!("{first} to {last}") };
    format!("{count}x, {when}, e.g. {}", crate::comparison::printable(example))
}

/// A time of the log without its fraction.
pub(super) fn seconds(time: &str) -> String {
    crate::decision_log::time(time).map_or_else(
        || crate::comparison::printable(time),
        |time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    )
}

/// An element of a list in YAML.
fn entries(yaml: &mut String, indent: &str, entry: &[(&str, Value)]) -> anyhow::Result<()> {
    for (index, (name, value)) in entry.iter().enumerate() {
        let dash = if index == 0 { "- " } else { "  " };
        writeln!(yaml, "{indent}{dash}{name}: {}", flow(value))?;
    }
    Ok(())
}

/// A value on one line of YAML.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, it)| format!("{}: {}", flow(&name.as_str().into()), flow(it)))
                .collect();
            format!("{{{}}}", fields.join(", "))
        }
        // JSON is YAML, but for this: a quoted text stays what it is.
        other => ascii(other),
    }
}

/// Whether YAML reads a text as itself without quotes.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && text.chars().all(|it| it.is_ascii_alphanumeric() || "/._:-".contains(it))
        && !text.ends_with(':')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// A scalar as JSON in printable ASCII.
fn ascii(value: &Value) -> String {
    let mut text = String::new();
    for unit in value.to_string().encode_utf16() {
        match char::from_u32(unit.into()) {
            Some(plain @ ' '..='~') => text.push(plain),
            // Writing to a `String` cannot fail.
            _ => drop(write!(text, "\\u{unit:04x}")),
        }
    }
    text
}

/// For each grant a request that was seen, and its neighbours.
fn tests(seen: &Seen, grants: &Grants, any_lines: bool) -> anyhow::Result<String> {
    let mut rego =
        "# Made by `gatelet learn`: what was seen is allowed, and what is beside it isn't.\n\
                    package kubelet.authz.presets.learned_test\n\n\
                    import data.kubelet.authz\n"
            .to_owned();
    for (index, grant) in grants.grants.iter().enumerate() {
        let name = format!("{}_{}", snake(&grant.endpoint), index + 1);
        let document: Value = serde_json::from_str(&grant.evidence.input)?;
        let Some((asked, _)) =
            seen.learned.iter().find(|(_, evidence)| evidence.input == grant.evidence.input)
        else {
            anyhow::bail!("a grant without a request");
        };
        let mut patches = Vec::new();
        for patch in neighbours::of(asked, &document) {
            let mut neighbour = document.clone();
            json_patch::merge(&mut neighbour, &patch);
            if !is_allowed(grants, &neighbour.to_string(), any_lines) {
                patches.push(patch);
            }
        }
        ensure!(!patches.is_empty(), "a grant without a neighbour");
        write!(rego, "\n# {}, by {}\n", grant.what(), grant.caller)?;
        write!(
            rego,
            "test_{name}_is_allowed if {{\n\tauthz.decision.allow == true with input as _{name}\n}}\n\n\
             test_beside_{name}_is_denied if {{\n\tevery difference in [\n"
        )?;
        for patch in &patches {
            writeln!(rego, "\t\t{},", ascii(patch))?;
        }
        write!(
            rego,
            "\t] {{\n\t\tauthz.decision.allow == false with input as object.union(_{name}, difference)\n\
             \t}}\n}}\n\n_{name} := {}\n",
            pretty(&essential(document), 0)
        )?;
    }
    Ok(rego)
}

/// What of a document policies look at.
fn essential(document: Value) -> Value {
    let Value::Object(mut fields) = document else { return Value::Object(Map::new()) };
    for name in ["schema", "authorization", "user_agent", "node", "protocols", "upgrade"] {
        fields.remove(name);
    }
    if let Some(Value::Object(peer)) = fields.get_mut("peer") {
        for name in ["address", "uri_san", "dns_san"] {
            peer.remove(name);
        }
    }
    Value::Object(fields)
}

/// A value as `opa fmt` writes it.
fn pretty(value: &Value, depth: usize) -> String {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let indent = "\t".repeat(depth + 1);
            let fields = fields.iter().map(|(name, it)| {
                format!("{indent}{}: {},\n", ascii(&name.as_str().into()), pretty(it, depth + 1))
            });
            format!("{{\n{}{}}}", fields.collect::<String>(), "\t".repeat(depth))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|it| pretty(it, depth)).collect();
            format!("[{}]", items.join(", "))
        }
        other => ascii(other),
    }
}

/// An endpoint's name as a part of a rule's.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lint_knows_the_preset() {
        let lint = SHIPPED.iter().find(|(name, _)| name.ends_with("lint.rego")).unwrap().1;
        assert!(lint.contains(PRESETS[0]), "the shipped lint lists its presets otherwise");
    }

    #[test]
    fn yaml_reads_back_what_is_written() {
        for text in [
            "a",
            "-h",
            "no",
            "Null",
            "1e3",
            "0x1",
            ".5",
            "a: b",
            "a:",
            "#a",
            "{a}",
            "*",
            "&a",
            "~",
            "",
            " a ",
            "a\nb",
            "\"",
            "'",
            "ö\u{1f600}\u{202e}",
            "%",
            "@",
            "`",
            "2026-11-20",
            "/x/y.z",
            "=",
        ] {
            let value = json!({"a": [text, {text: text}]});
            let yaml = format!("a: {}\n", flow(&value["a"]));
            let read: Value = crate::document::yaml("a", &yaml).unwrap();
            assert_eq!(read, value, "{yaml}");
        }
    }
}
