//! Fields of input documents that the decision log doesn't show: pointers to them, checked, so that a
//! typo shows no secret.

use super::{ConfigError, LogConfig, Profile, field};

/// The fields of each profile's document; `*` is any key or index. What is above them is a field, too.
const KUBELET: &[&str] = &[
    "/attach/stderr",
    "/attach/stdin",
    "/attach/stdout",
    "/attach/tty",
    "/authorization/resource",
    "/authorization/subresources/*",
    "/authorization/verb",
    "/checkpoint/timeout_seconds",
    "/container",
    "/debug/kind",
    "/debug/name",
    "/endpoint",
    "/exec/command/*",
    "/exec/env/*",
    "/exec/stderr",
    "/exec/stdin",
    "/exec/stdout",
    "/exec/tty",
    "/healthz/check",
    "/healthz/exclude/*",
    "/healthz/verbose",
    "/logs/follow",
    "/logs/limit_bytes",
    "/logs/previous",
    "/logs/since_seconds",
    "/logs/since_time",
    "/logs/stream",
    "/logs/tail_lines",
    "/logs/timestamps",
    "/method",
    "/metrics/source",
    "/namespace",
    "/node/name",
    "/node_logs/boot",
    "/node_logs/path",
    "/node_logs/pattern",
    "/node_logs/query/*",
    "/node_logs/since_time",
    "/node_logs/tail_lines",
    "/node_logs/until_time",
    "/path",
    "/peer/address",
    "/peer/authenticated",
    "/peer/bearer_token",
    "/peer/certificate_sha256",
    "/peer/common_name",
    "/peer/dns_san",
    "/peer/organizations/*",
    "/peer/subject",
    "/peer/uri_san",
    "/pod",
    "/port_forward/ports/*",
    "/port_forward/ports_in_stream",
    "/protocols/*",
    "/query/*/*",
    "/run/command/*",
    "/schema",
    "/stats/only_cpu_and_memory",
    "/upgrade",
    "/user_agent",
];
const HTTP: &[&str] = &[
    "/authority",
    "/headers/*/*",
    "/method",
    "/node/name",
    "/path",
    "/peer/address",
    "/peer/authenticated",
    "/peer/bearer_token",
    "/peer/certificate_sha256",
    "/peer/common_name",
    "/peer/dns_san",
    "/peer/organizations/*",
    "/peer/subject",
    "/peer/uri_san",
    "/query/*/*",
    "/schema",
    "/segments/*",
];

/// OPA writes pointers from above the input document.
const ROOT: &str = "/input";

/// Checks what is to be masked and erased, and writes all pointers from the top of the document.
pub(super) fn check(log: LogConfig, profile: Profile) -> Result<LogConfig, ConfigError> {
    let LogConfig { mask, erase, labels } = log;
    let mask = pointers("log.mask", mask, profile)?;
    let erase = pointers("log.erase", erase, profile)?;
    if let Some(both) = mask.iter().find(|pointer| erase.contains(pointer)) {
        return Err(field(
            format!("`{both}` is in `log.mask` and in `log.erase`"),
            "mask it to show that it was there, or erase it",
        ));
    }
    Ok(LogConfig { mask, erase, labels })
}

fn pointers(
    name: &str,
    written: Vec<String>,
    profile: Profile,
) -> Result<Vec<String>, ConfigError> {
    // With profile `http`, the usual ones name nothing.
    let usual = LogConfig::default().mask;
    written
        .into_iter()
        .map(|text| {
            let pointer = match text.strip_prefix(ROOT) {
                Some(below) if below.starts_with('/') => below.to_owned(),
                _ => text.clone(),
            };
            let known = if profile == Profile::Http { HTTP } else { KUBELET };
            let has = format!("`{name}` has `{text}`");
            if !pointer.starts_with('/') {
                let help = "write JSON pointers into the input document, such as `/exec/env`";
                return Err(field(has, help));
            }
            if pointer == "/schema" {
                return Err(field(
                    has,
                    "whoever reads the log has to know what it is: leave it out",
                ));
            }
            if usual.contains(&pointer) || known.iter().any(|field| leads_to(field, &pointer)) {
                return Ok(pointer);
            }
            let help = match nearest(known, &pointer) {
                Some(field) => format!("the input document has `{field}`"),
                None => "the input document has no such field".to_owned(),
            };
            Err(field(has, help))
        })
        .collect()
}

/// Whether a pointer names a field, or something above it.
fn leads_to(field: &str, pointer: &str) -> bool {
    let mut steps = field.split('/');
    pointer.split('/').all(|step| steps.next().is_some_and(|known| known == "*" || known == step))
}

/// What was probably meant.
fn nearest<'a>(known: &[&'a str], pointer: &str) -> Option<&'a str> {
    let fields = known.iter().map(|field| field.trim_end_matches("/*"));
    let distance = |field: &str| strsim::damerau_levenshtein(field, pointer);
    let ends_so = |field: &&str| field.ends_with(pointer);
    let near = fields.clone().map(|field| (distance(field), field)).min();
    fields.clone().find(ends_so).or(near
        .filter(|(distance, _)| *distance <= 3 && 2 * distance < pointer.len())
        .map(|(_, field)| field))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use gatelet_portable::fs;
    use serde_json::Value;

    use super::*;

    /// The fields of a schema that have none below them.
    fn leaves(schema: &Value, at: &str, root: &Value, found: &mut BTreeSet<String>) {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let pointer = name.trim_start_matches('#');
            return leaves(root.pointer(pointer).unwrap(), at, root, found);
        }
        let before = found.len();
        for list in ["oneOf", "anyOf", "allOf"] {
            let schemas = schema.get(list).and_then(Value::as_array);
            schemas.into_iter().flatten().for_each(|schema| leaves(schema, at, root, found));
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            leaves(schema, &format!("{at}/{name}"), root, found);
        }
        for any in ["additionalProperties", "items"] {
            if let Some(schema) = schema.get(any).filter(|schema| schema.is_object()) {
                leaves(schema, &format!("{at}/*"), root, found);
            }
        }
        let is_leaf = found.len() == before && !at.is_empty();
        if is_leaf && !found.iter().any(|other| other.starts_with(&format!("{at}/"))) {
            found.insert(at.to_owned());
        }
    }

    #[test]
    fn the_fields_are_those_of_the_schemas() {
        for (file, known) in [("gatelet-v1.json", KUBELET), ("gatelet-http-v1.json", HTTP)] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rego/schemas");
            let schema = fs::read_to_string(folder.join(file)).unwrap();
            let schema: Value = serde_json::from_str(&schema).unwrap();
            let mut found = BTreeSet::new();
            leaves(&schema, "", &schema, &mut found);
            let known: BTreeSet<_> = known.iter().map(|field| (*field).to_owned()).collect();
            assert_eq!(found, known, "{file}");
        }
    }

    fn mask(pointer: &str, profile: Profile) -> Result<Vec<String>, String> {
        pointers("log.mask", vec![pointer.to_owned()], profile).map_err(|error| error.to_string())
    }

    #[test]
    fn a_pointer_names_a_field() {
        for (pointer, want) in [
            ("/exec/env", "/exec/env"),
            ("/exec/env/TOKEN", "/exec/env/TOKEN"),
            ("/exec", "/exec"),
            ("/exec/command/0", "/exec/command/0"),
            ("/query/a~1b", "/query/a~1b"),
            ("/input/user_agent", "/user_agent"),
        ] {
            assert_eq!(mask(pointer, Profile::Kubelet), Ok(vec![want.to_owned()]), "{pointer}");
        }
        assert!(mask("/headers/x-tenant", Profile::Http).is_ok());
        // A configuration that is rendered has them, whatever the profile.
        assert!(mask("/exec/env", Profile::Http).is_ok());
    }

    #[test]
    fn a_pointer_that_names_nothing_is_an_error() {
        for (pointer, help) in [
            ("exec.env", "write JSON pointers"),
            ("", "write JSON pointers"),
            ("/env", "the input document has `/exec/env`"),
            ("/exec/evn", "the input document has `/exec/env`"),
            ("/exec/environment", "the input document has no such field"),
            ("/user-agent", "the input document has `/user_agent`"),
            ("/pod/of/mine", "no such field"),
            ("/headers/x-tenant", "no such field"),
            ("/input", "no such field"),
            ("/", "no such field"),
            ("/exec/", "no such field"),
            ("/schema", "leave it out"),
        ] {
            let error = mask(pointer, Profile::Kubelet).unwrap_err();
            assert!(error.contains(&format!("`log.mask` has `{pointer}`")), "{error}");
            assert!(error.contains(help), "{pointer}: {error}");
        }
        assert!(mask("/exec/command", Profile::Http).is_err());
    }
}
