//! A policy as text, and its digest.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Everything a policy consists of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Source {
    /// Rego by file name. `*_test.rego` is not part of the policy.
    pub modules: BTreeMap<String, String>,
    /// The `data` document.
    pub data: Map<String, Value>,
    /// The rule that decides, such as `data.kubelet.authz.decision`.
    pub entrypoint: String,
}

impl Source {
    /// The modules that make the policy: all but tests.
    pub fn policy_modules(&self) -> impl Iterator<Item = (&String, &String)> {
        self.modules.iter().filter(|(name, _)| !name.ends_with("_test.rego"))
    }

    /// SHA-256 over the modules, the data and the entry point, as 64 lower-case hex digits.
    ///
    /// Every part is preceded by its length, and objects are in the order of their keys: two
    /// different policies have no common encoding, and the order of files or keys is no matter.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hasher = Framed(Sha256::new());
        hasher.text("gatelet-policy/v1");
        hasher.count(self.policy_modules().count());
        for (name, rego) in self.policy_modules() {
            hasher.text(name);
            hasher.text(rego);
        }
        hasher.object(&self.data);
        hasher.text(&self.entrypoint);
        hasher.finish()
    }
}

struct Framed(Sha256);

impl Framed {
    fn count(&mut self, count: usize) {
        // A 32-bit and a 64-bit build agree on the digest.
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.0.update(count.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.update(text.as_bytes());
    }

    fn object(&mut self, object: &Map<String, Value>) {
        let sorted: BTreeMap<_, _> = object.iter().collect();
        self.count(sorted.len());
        for (key, value) in sorted {
            self.text(key);
            self.value(value);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.0.update(b"n"),
            Value::Bool(true) => self.0.update(b"t"),
            Value::Bool(false) => self.0.update(b"f"),
            Value::Number(number) => {
                self.0.update(b"#");
                self.text(&number.to_string());
            }
            Value::String(text) => {
                self.0.update(b"s");
                self.text(text);
            }
            Value::Array(items) => {
                self.0.update(b"a");
                self.count(items.len());
                for item in items {
                    self.value(item);
                }
            }
            Value::Object(object) => {
                self.0.update(b"o");
                self.object(object);
            }
        }
    }

    fn finish(self) -> String {
        use std::fmt::Write;

        self.0.finalize().iter().fold(String::new(), |mut hex, b| {
            // Writing to a `String` cannot fail.
            let _ = write!(hex, "{b:02x}");
            hex
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn source(modules: &[(&str, &str)], data: Value, entrypoint: &str) -> Source {
        let Value::Object(data) = data else {
            panic!("data is an object");
        };
        Source {
            modules: modules
                .iter()
                .map(|(name, rego)| ((*name).to_owned(), (*rego).to_owned()))
                .collect(),
            data,
            entrypoint: entrypoint.to_owned(),
        }
    }

    #[test]
    fn the_digest_is_64_hex_digits_and_stays_what_it_was() {
        let digest =
            source(&[("a.rego", "package a")], json!({"x": [1, "1", null]}), "data.a.b").digest();
        assert_eq!(digest, "d2eb9113b39da354ab50e9e0c4928b637970e0213eb2e2b2bc62f23b574a4f4c");
    }

    #[test]
    fn different_policies_have_different_digests() {
        let all = [
            source(&[("a.rego", "package a")], json!({}), "data.a.b"),
            source(&[("a.rego", "package a")], json!({}), "data.a.c"),
            source(&[("b.rego", "package a")], json!({}), "data.a.b"),
            source(&[("a.rego", "package a\n")], json!({}), "data.a.b"),
            source(&[("a.rego", "package"), ("b.rego", " a")], json!({}), "data.a.b"),
            source(&[("a.regopackage", " a")], json!({}), "data.a.b"),
            source(&[("a.rego", "package a")], json!({"x": 1}), "data.a.b"),
            source(&[("a.rego", "package a")], json!({"x": "1"}), "data.a.b"),
            source(&[("a.rego", "package a")], json!({"x": [1]}), "data.a.b"),
            source(&[("a.rego", "package a")], json!({"x": [[1]]}), "data.a.b"),
            source(&[("a.rego", "package a")], json!({"x": [1, []]}), "data.a.b"),
            source(&[("a.rego", "package a")], json!({"x": null}), "data.a.b"),
            source(&[("a.rego", "package a")], json!({"x": true}), "data.a.b"),
            source(&[("a.rego", "package a")], json!({"x": {}}), "data.a.b"),
            source(&[("a.rego", "package a")], json!({"x": {"y": 1}}), "data.a.b"),
            source(&[("a.rego", "package a")], json!({"x": {}, "y": 1}), "data.a.b"),
        ];
        let digests: std::collections::BTreeSet<_> = all.iter().map(Source::digest).collect();
        assert_eq!(digests.len(), all.len());
    }

    #[test]
    fn tests_and_the_order_of_keys_do_not_change_the_digest() {
        let policy = source(&[("a.rego", "package a")], json!({"x": 1, "y": 2}), "data.a.b");
        let same = source(
            &[("a_test.rego", "package a_test"), ("a.rego", "package a")],
            json!({"y": 2, "x": 1}),
            "data.a.b",
        );
        assert_eq!(policy.digest(), same.digest());
    }
}
