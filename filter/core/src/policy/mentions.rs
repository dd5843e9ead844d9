//! The names that a policy has something to say about: in its comparisons with the input, and in its
//! data. They are where decisions change, so a sample of requests has to have them.

use std::collections::BTreeSet;

use regorus::Value;
use regorus::unstable::{Expr, Literal, Rule};

use super::rules::{Definition, Root, Rules};
use super::syntax::{Scope, Step, constant, each_expression, reference, static_path, variable};
use super::{Limits, PolicyError, Source, parse};

/// Names by what they are names of. Some may be missing, where a policy computes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    /// Namespaces.
    pub namespaces: BTreeSet<String>,
    /// Pods.
    pub pods: BTreeSet<String>,
    /// Beginnings of pods' names.
    pub pod_prefixes: BTreeSet<String>,
    /// Containers.
    pub containers: BTreeSet<String>,
    /// Commands with their arguments.
    pub commands: BTreeSet<Vec<String>>,
    /// Common names of callers.
    pub common_names: BTreeSet<String>,
    /// Organizations of callers.
    pub organizations: BTreeSet<String>,
    /// URIs in callers' certificates.
    pub uri_sans: BTreeSet<String>,
}

/// What a value is compared with.
#[derive(Clone, Copy)]
enum Field {
    Namespace,
    Pod,
    PodPrefix,
    Container,
    Command,
    CommonName,
    Organization,
    UriSan,
}

impl Mentions {
    /// Collects the names of a policy for kubelets.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn of(source: &Source, limits: &Limits) -> Result<Self, PolicyError> {
        let mut engine = parse(source, limits)?;
        let modules = engine.get_modules().clone();
        let rules = Rules::collect(modules.iter().map(AsRef::as_ref))?;
        let mut mentions = Self::default();
        for (key, value) in &source.data {
            mentions.add_data(key, value);
        }
        let search = Search { rules: &rules, data: &source.data };
        for definition in rules.definitions() {
            search.definition(definition, &mut mentions);
        }
        Ok(mentions)
    }

    /// Takes what stands in the data under the names that the shipped policy gives it.
    fn add_data(&mut self, key: &str, value: &serde_json::Value) {
        let field = match key {
            "namespace" | "namespaces" => Field::Namespace,
            "pod" | "pods" => Field::Pod,
            "pod_prefix" | "pod_prefixes" => Field::PodPrefix,
            "container" | "containers" => Field::Container,
            "command" | "commands" => Field::Command,
            _ => {
                match value {
                    serde_json::Value::Object(fields) => {
                        fields.iter().for_each(|(key, value)| self.add_data(key, value));
                    }
                    serde_json::Value::Array(items) => {
                        items.iter().for_each(|value| self.add_data("", value));
                    }
                    _ => {}
                }
                return;
            }
        };
        self.add(field, &Value::from(value.clone()));
    }

    /// Takes one name, or a collection of them.
    fn add(&mut self, field: Field, value: &Value) {
        if let (Field::Command, Value::Array(words)) = (field, value) {
            let words: Option<Vec<_>> = words.iter().map(text).collect();
            if let Some(words) = words {
                self.commands.insert(words);
                return;
            }
        }
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.add(field, item)),
            Value::Set(items) => items.iter().for_each(|item| self.add(field, item)),
            value => {
                if let Some(name) = text(value).filter(|name| name != "*" && !name.is_empty()) {
                    self.insert(field, name);
                }
            }
        }
    }

    fn insert(&mut self, field: Field, name: String) {
        match field {
            Field::Namespace => self.namespaces.insert(name),
            Field::Pod => self.pods.insert(name),
            Field::PodPrefix => self.pod_prefixes.insert(name),
            Field::Container => self.containers.insert(name),
            Field::Command => self.commands.insert(vec![name]),
            Field::CommonName => self.common_names.insert(name),
            Field::Organization => self.organizations.insert(name),
            Field::UriSan => self.uri_sans.insert(name),
        };
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.to_string()),
        _ => None,
    }
}

struct Search<'r, 'a> {
    rules: &'r Rules<'a>,
    data: &'r serde_json::Map<String, serde_json::Value>,
}

impl<'a> Search<'_, 'a> {
    fn definition(&self, definition: &Definition<'a>, mentions: &mut Mentions) {
        each_expression(definition.rule, &mut |expr, _| match expr {
            Expr::BoolExpr { lhs, rhs, .. } | Expr::AssignExpr { lhs, rhs, .. } => {
                self.compare(definition, lhs, rhs, mentions);
                self.compare(definition, rhs, lhs, mentions);
            }
            Expr::Membership { value, collection, .. } => {
                self.compare(definition, value, collection, mentions);
                self.compare(definition, collection, value, mentions);
            }
            Expr::Call { fcn, params, .. }
                if static_path(fcn).as_deref() == Some(&["startswith"]) =>
            {
                if let [name, prefix] = params.as_slice()
                    && let Some(Field::Pod) = field(name)
                {
                    self.add(definition, Field::PodPrefix, prefix, mentions);
                }
            }
            _ => {}
        });
        let Rule::Spec { bodies, .. } = definition.rule else { return };
        for statement in bodies.iter().flat_map(|body| &body.query.stmts) {
            if let Literal::SomeIn { value, collection, .. } = &statement.literal {
                self.compare(definition, value, collection, mentions);
            }
        }
    }

    fn compare(
        &self,
        definition: &Definition<'a>,
        one: &'a Expr,
        other: &'a Expr,
        mentions: &mut Mentions,
    ) {
        if let Some(field) = field(one) {
            self.add(definition, field, other, mentions);
        }
    }

    /// Takes the constants that an expression stands for.
    fn add(
        &self,
        definition: &Definition<'a>,
        field: Field,
        expr: &'a Expr,
        mentions: &mut Mentions,
    ) {
        if let Some(value) = constant(expr) {
            mentions.add(field, &value);
            return;
        }
        if let Expr::Array { items, .. } | Expr::Set { items, .. } = expr {
            items.iter().for_each(|item| self.add(definition, field, item, mentions));
            return;
        }
        let (root, steps) = reference(expr);
        let Some(name) = variable(root) else { return };
        let Root::Data(mut path) = self.rules.root(name, definition, &Scope::default()) else {
            return;
        };
        path.extend(steps.iter().map_while(|step| step.name()).map(str::to_owned));
        if let Some(group) = self.rules.get(&path) {
            for value in group.definitions.iter().filter_map(Definition::value).filter_map(constant)
            {
                mentions.add(field, &value);
            }
            return;
        }
        let pointer: String = path
            .iter()
            .map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1")))
            .collect();
        let data = serde_json::Value::Object(self.data.clone());
        if let Some(value) = data.pointer(&pointer) {
            mentions.add(field, &Value::from(value.clone()));
        }
    }
}

/// The field of the input that an expression is, or a variable named after one.
fn field(expr: &Expr) -> Option<Field> {
    let (root, steps) = reference(expr);
    let names: Vec<_> = steps.iter().map_while(|step| Step::name(*step)).collect();
    match (variable(root)?, names.as_slice()) {
        ("input", ["namespace"]) | ("namespace", []) => Some(Field::Namespace),
        ("input", ["pod"]) | ("pod", []) => Some(Field::Pod),
        ("input", ["container"]) | ("container", []) => Some(Field::Container),
        ("input", ["exec" | "run", "command"]) | ("command", []) => Some(Field::Command),
        ("input", ["peer", "common_name"]) => Some(Field::CommonName),
        ("input", ["peer", "organizations"]) => Some(Field::Organization),
        ("input", ["peer", "uri_san"]) => Some(Field::UriSan),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn mentions(rego: &str, data: serde_json::Value) -> Mentions {
        let source = Source {
            modules: BTreeMap::from([("a.rego".to_owned(), rego.to_owned())]),
            data: data.as_object().unwrap().clone(),
            entrypoint: "data.a.allow".to_owned(),
        };
        Mentions::of(&source, &Limits::default()).unwrap()
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn names_that_the_input_is_compared_with_are_found() {
        for (condition, want) in [
            (r#"input.namespace == "x""#, &["x"][..]),
            (r#""x" == input.namespace"#, &["x"]),
            (r#"input.namespace in {"x", "y"}"#, &["x", "y"]),
            ("input.namespace in data.b.c", &["d"]),
            ("input.namespace in known", &["k"]),
            (r#"some namespace in ["x"]"#, &["x"]),
            (r#"input.namespace != "x""#, &["x"]),
            (r#"input.pod == "x""#, &[]),
            ("input.namespace == input.pod", &[]),
        ] {
            let rego = format!("package a\n\nknown := {{\"k\"}}\n\nallow if {{ {condition} }}\n");
            let found = mentions(&rego, json!({"b": {"c": ["d", "*"]}}));
            assert_eq!(found.namespaces, names(want), "{condition}");
        }
    }

    #[test]
    fn commands_prefixes_and_callers_are_found() {
        let found = mentions(
            r#"package a

allow if {
	input.exec.command in [["id"], ["df", "-h"]]
	startswith(input.pod, "web-")
	input.container == "app"
	input.peer.common_name == "admin"
	"ops" in input.peer.organizations
	input.peer.uri_san == "spiffe://x"
}

allow if input.exec.command[0] == "sh"
"#,
            json!({}),
        );
        let command =
            |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            found,
            Mentions {
                namespaces: names(&[]),
                pods: names(&[]),
                pod_prefixes: names(&["web-"]),
                containers: names(&["app"]),
                commands: [command(&["id"]), command(&["df", "-h"]), command(&["sh"])].into(),
                common_names: names(&["admin"]),
                organizations: names(&["ops"]),
                uri_sans: names(&["spiffe://x"]),
            }
        );
    }

    #[test]
    fn the_data_names_them_by_its_keys() {
        let found = mentions(
            "package a\n\nallow := true\n",
            json!({"kubelet": {"operate": [{"namespaces": ["x"], "pods": ["p"], "pod_prefixes": ["q-"],
                "containers": ["*"], "exec": [{"command": ["id", "-u"]}]}]}}),
        );
        assert_eq!(found.namespaces, names(&["x"]));
        assert_eq!((found.pods, found.pod_prefixes), (names(&["p"]), names(&["q-"])));
        assert_eq!(found.containers, names(&[]));
        assert_eq!(found.commands, [vec!["id".to_owned(), "-u".to_owned()]].into());
    }
}
