//! Unchanged policies of kubelet-tls-proxy: `package kubelet.policy` with `deny` over
//! `input.method` and `input.path`.
//!
//! Such a policy says what is denied, and *undefined* means allowed, so that whatever makes `deny`
//! undefined by accident opens the gate. What can, and what is done about it:
//!
//! - **A value other than `true`**, and definitions that contradict each other: every definition
//!   of `deny` has to be `true`, literally. All else that a policy is refused for
//!   ([`Policy::compile`]) is refused here too.
//! - **A condition on what is never there**: kubelet-tls-proxy gives a policy the method and the
//!   path. A policy that asks for more of the input, or for data that doesn't exist, is refused.
//! - **An error in a helper**, which the register VM turns into undefined: a request that the
//!   register VM doesn't deny is put to regorus' interpreter as well, with strict errors and the
//!   policy as it is written. Only if both find that nothing denies it, it is not denied; an error
//!   or a spent budget is a denial.

use std::collections::BTreeMap;

use regorus::Value;
use regorus::unstable::Module;

use super::bindings::{Terms, bodies};
use super::error::PolicyError;
use super::interpreter::Interpreter;
use super::outcome::{Outcome, RuleId, Verdict};
use super::rules::{Reference, Root, Rules, dotted, each_reference};
use super::syntax::{constant, place, static_path};
use super::{Builtins, Limits, Policy, Source, parse};
use crate::diagnostic::Diagnostic;

/// A policy of kubelet-tls-proxy, compiled. It belongs to one thread.
#[derive(Debug)]
pub struct Adapter {
    policy: Policy,
    interpreter: Interpreter,
}

impl Adapter {
    /// The rule that decides.
    pub const ENTRYPOINT: &str = "data.kubelet.policy.deny";

    /// What the decision log calls it.
    const RULE: &str = "kubelet.policy.deny";

    /// Checks and compiles a policy of kubelet-tls-proxy. Its entry point is the adapter's own.
    ///
    /// # Errors
    /// As [`Policy::compile`]; and if something in it could fail to deny unnoticed.
    pub fn compile(
        source: &Source,
        builtins: Builtins,
        limits: &Limits,
    ) -> Result<Self, PolicyError> {
        let source = Source { entrypoint: Self::ENTRYPOINT.to_owned(), ..source.clone() };
        let policy = Policy::compile(&source, builtins, limits)?;
        let mut engine = parse(&source, limits)?;
        let modules = engine.get_modules().clone();
        let rules = Rules::collect(modules.iter().map(AsRef::as_ref))?;
        check_values(&rules)?;
        modules.iter().try_for_each(|module| check_imports(module))?;
        check_references(&rules, &source)?;
        let interpreter = Interpreter::new(engine, &source, limits)?.strict();
        Ok(Self { policy, interpreter })
    }

    /// The SHA-256 of the policy, as [`Source::digest`] has it.
    #[must_use]
    pub fn digest(&self) -> &str {
        self.policy.digest()
    }

    /// As [`Policy::is_pure`].
    #[must_use]
    pub fn is_pure(&self) -> bool {
        self.policy.is_pure()
    }

    /// Asks the policy about all readings of a request, as method and path. Total: only a request
    /// that has readings of which the policy denies none is allowed.
    pub fn evaluate(&self, readings: &[(&str, &str)]) -> Outcome {
        let rule = RuleId::parse(Self::RULE);
        if readings.is_empty() {
            let reason = Some("the policy can't be asked about this endpoint".to_owned());
            return Outcome::Denied(Verdict { rule, reason });
        }
        for (method, path) in readings {
            match self.denies(method, path) {
                Ok(false) => {}
                Ok(true) => {
                    let reason = Some(format!("denied as {method} {path}"));
                    return Outcome::Denied(Verdict { rule, reason });
                }
                Err(failure) => return failure,
            }
        }
        Outcome::Allowed(Verdict::default())
    }

    /// What the policy sees of one reading.
    pub(crate) fn input((method, path): (&str, &str)) -> Value {
        Value::from(BTreeMap::from([
            (Value::from("method"), Value::from(method)),
            (Value::from("path"), Value::from(path)),
        ]))
    }

    /// Whether the policy denies one reading. A failure is a denial.
    fn denies(&self, method: &str, path: &str) -> Result<bool, Outcome> {
        let input = Self::input((method, path));
        if is_denial(&self.policy.run(input.clone())?) {
            return Ok(true);
        }
        Ok(is_denial(&self.interpreter.run(input)?))
    }
}

/// Anything but "no" and "nothing" is a denial.
fn is_denial(value: &Value) -> bool {
    !matches!(value, Value::Undefined | Value::Bool(false))
}

fn refuse<T>(diagnostic: Diagnostic) -> Result<T, PolicyError> {
    Err(PolicyError::Adapter(diagnostic))
}

fn check_values(rules: &Rules<'_>) -> Result<(), PolicyError> {
    let deny = rules.iter().find(|(path, _)| dotted(path) == Adapter::ENTRYPOINT);
    let definitions = deny.map_or(&[][..], |(_, group)| &group.definitions);
    for definition in definitions {
        for (_, terms) in bodies(definition) {
            if let Terms::Body { value: Some(value), .. } = terms
                && constant(value) != Some(Value::from(true))
            {
                return refuse(
                    Diagnostic::new("`deny` has to be `true` in each of its definitions")
                        .at(place(value.span()))
                        .help("write `deny if { … }`"),
                );
            }
        }
    }
    Ok(())
}

/// What kubelet-tls-proxy gives to a policy.
const INPUT: [&str; 2] = ["method", "path"];

fn no_such_input(span: &regorus::unstable::Span) -> Result<(), PolicyError> {
    refuse(
        Diagnostic::new("kubelet-tls-proxy's policies see `input.method` and `input.path` only")
            .at(place(span))
            .help("what depends on anything else never denies; write a policy for `kubelet.authz`"),
    )
}

fn check_imports(module: &Module) -> Result<(), PolicyError> {
    for import in &module.imports {
        match static_path(&import.refr).as_deref() {
            Some(["input", field]) if INPUT.contains(field) => {}
            Some(["input", ..]) => return no_such_input(import.refr.span()),
            _ => {}
        }
    }
    Ok(())
}

fn check_references(rules: &Rules<'_>, source: &Source) -> Result<(), PolicyError> {
    for definition in rules.definitions() {
        let mut refused = Ok(());
        each_reference(definition.rule, &mut |reference, scope| {
            if refused.is_ok() {
                let root = rules.root(reference.root, definition, scope);
                refused = check_reference(rules, source, &reference, root);
            }
        });
        refused?;
    }
    Ok(())
}

fn check_reference(
    rules: &Rules<'_>,
    source: &Source,
    reference: &Reference<'_>,
    root: Root,
) -> Result<(), PolicyError> {
    match root {
        Root::Local => Ok(()),
        // An import of the input has been checked.
        Root::Input if reference.root != "input" => Ok(()),
        Root::Input => match reference.steps.first().and_then(|step| step.name()) {
            Some(field) if INPUT.contains(&field) => Ok(()),
            _ => no_such_input(reference.span),
        },
        Root::Data(mut path) => {
            let names = reference.steps.iter().map_while(|step| step.name());
            path.extend(names.map(str::to_owned));
            if rules.rule_on(&path).is_some() || is_in(&source.data, &path) {
                return Ok(());
            }
            refuse(
                Diagnostic::new(format!("there is no `{}`", dotted(&path)))
                    .at(place(reference.span))
                    .help("what depends on it never denies; add the data, or correct the name"),
            )
        }
    }
}

/// Whether the data has a value at a path.
fn is_in(data: &serde_json::Map<String, serde_json::Value>, path: &[String]) -> bool {
    let mut steps = path.iter();
    let Some(value) = steps.next().and_then(|name| data.get(name)) else {
        return false;
    };
    steps.try_fold(value, |value, name| value.get(name)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As kubelet-tls-proxy's documentation has one: interactive access is denied.
    const SAMPLE: &str = include_str!("tests/kubelet_tls_proxy.rego");

    fn limits() -> Limits {
        Limits { time: std::time::Duration::from_secs(60), ..Limits::default() }
    }

    fn adapter(rego: &str) -> Result<Adapter, PolicyError> {
        with_data(rego, serde_json::json!({}))
    }

    fn with_data(rego: &str, data: serde_json::Value) -> Result<Adapter, PolicyError> {
        let source = Source {
            modules: BTreeMap::from([("policy.rego".to_owned(), rego.to_owned())]),
            data: data.as_object().unwrap().clone(),
            entrypoint: String::new(),
        };
        Adapter::compile(&source, Builtins::Standard, &limits())
    }

    fn package(rules: &str) -> String {
        format!("package kubelet.policy\n\nimport rego.v1\n\n{rules}\n")
    }

    fn allows(adapter: &Adapter, method: &str, path: &str) -> bool {
        matches!(adapter.evaluate(&[(method, path)]), Outcome::Allowed(_))
    }

    #[test]
    fn an_unchanged_policy_denies_what_it_denied() {
        let adapter = adapter(SAMPLE).unwrap();
        for (method, path, want) in [
            ("POST", "/exec/default/web-0/app", false),
            ("POST", "/attach/default/web-0/app", false),
            ("POST", "/portForward/default/web-0", false),
            ("GET", "/exec/default/web-0/app", true),
            ("GET", "/containerLogs/default/web-0/app", true),
            ("GET", "/pods", true),
        ] {
            assert_eq!(allows(&adapter, method, path), want, "{method} {path}");
        }
    }

    #[test]
    fn a_request_is_allowed_only_if_no_reading_of_it_is_denied() {
        let adapter = adapter(SAMPLE).unwrap();
        let path = "/exec/default/web-0/app";
        let rule = RuleId::parse("kubelet.policy.deny");
        let reason = Some("denied as POST /exec/default/web-0/app".to_owned());
        let denied = Outcome::Denied(Verdict { rule, reason });
        assert_eq!(adapter.evaluate(&[("GET", path), ("POST", path)]), denied);
        assert_eq!(adapter.evaluate(&[("POST", path), ("GET", path)]), denied);
        let allowed = Outcome::Allowed(Verdict::default());
        assert_eq!(adapter.evaluate(&[("GET", path), ("GET", "/pods")]), allowed);
        assert!(matches!(adapter.evaluate(&[]), Outcome::Denied(_)));
    }

    #[test]
    fn an_error_denies_where_it_would_have_allowed() {
        for (note, rules) in [
            ("in `deny`", "deny if startswith(input.path, 1)"),
            ("in a helper", "deny if _blocked\n\n_blocked if startswith(input.path, 1)"),
            ("in a function", "deny if _blocked(input.path)\n\n_blocked(path) if path + 1 == 2"),
            (
                "in an element",
                "deny if \"/a\" in _blocked\n\n_blocked contains p if {\n\tsome p in [\"/a\", 1]\n\tstartswith(p, \"/\")\n\tp != \"/a\"\n}",
            ),
            ("under `not`", "deny if not _fine\n\n_fine if startswith(input.path, 1)"),
        ] {
            let adapter = adapter(&package(rules)).unwrap();
            let outcome = adapter.evaluate(&[("GET", "/pods")]);
            assert!(
                matches!(outcome, Outcome::Failed(_) | Outcome::Denied(_)),
                "{note}: {outcome:?}"
            );
        }
    }

    #[test]
    fn a_spent_budget_denies() {
        let rules = "deny if {\n\tsome x in numbers.range(1, 100000)\n\tx == 0\n}";
        let adapter = adapter(&package(rules)).unwrap();
        assert_eq!(adapter.evaluate(&[("GET", "/pods")]), Outcome::Budget);
    }

    #[test]
    fn the_interpreter_is_asked_too() {
        let adapter = adapter(SAMPLE).unwrap();
        let path = "/exec/default/web-0/app";
        // A register VM that denies nothing.
        let harmless = Policy::compile(
            &Source {
                modules: BTreeMap::from([(
                    "policy.rego".to_owned(),
                    package("default deny := false"),
                )]),
                data: serde_json::Map::new(),
                entrypoint: Adapter::ENTRYPOINT.to_owned(),
            },
            Builtins::Standard,
            &limits(),
        );
        let misled = Adapter { policy: harmless.unwrap(), ..adapter };
        assert!(!allows(&misled, "POST", path));
        assert!(allows(&misled, "GET", "/pods"));
    }

    #[test]
    fn what_could_fail_to_deny_is_refused() {
        for (note, rules, want) in [
            ("false", "deny := false if input.method == \"GET\"", "`deny` has to be `true`"),
            ("a text", "deny := \"no\" if input.method == \"GET\"", "`deny` has to be `true`"),
            ("a condition", "deny := input.method == \"POST\"", "`deny` has to be `true`"),
            (
                "another `else`",
                "deny if input.method == \"GET\" else := false",
                "`deny` has to be `true`",
            ),
            ("a set", "deny contains \"no\" if input.method == \"GET\"", "is a set"),
            ("no `deny`", "allow if input.method == \"GET\"", "there is no rule"),
            (
                "two values of a helper",
                "deny if _x == 1\n\n_x := 1 if input.path\n\n_x := 2 if input.path",
                "different values",
            ),
            (
                "more of the input",
                "deny if input.pod == \"web-0\"",
                "`input.method` and `input.path` only",
            ),
            (
                "the whole input",
                "deny if object.get(input, \"pod\", \"\") == \"web-0\"",
                "`input.method` and `input.path` only",
            ),
            (
                "a computed field",
                "deny if {\n\tsome f in [\"pod\"]\n\tinput[f] == \"web-0\"\n}",
                "`input.method` and `input.path` only",
            ),
            (
                "data that is not there",
                "deny if input.path in data.blockd",
                "there is no `data.blockd`",
            ),
        ] {
            let data = serde_json::json!({"blocked": ["/pods"]});
            let error = with_data(&package(rules), data).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(want), "{note}: {error}");
        }
        let import = "package kubelet.policy\n\nimport input.pod\n\ndeny if pod == \"web-0\"\n";
        let error = adapter(import).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("`input.method` and `input.path` only"), "{error}");
    }

    #[test]
    fn data_and_other_names_are_no_obstacle() {
        let rules = "import input.method as verb\nimport data.blocked\n\ndefault deny := false\n\ndeny if {\n\tverb == \"GET\"\n\tinput.path in blocked\n}\n\ndeny if startswith(input.path, data.more.prefix)\n";
        let data = serde_json::json!({"blocked": ["/pods"], "more": {"prefix": "/debug"}});
        let adapter = with_data(&package(rules), data).unwrap();
        assert!(!allows(&adapter, "GET", "/pods"));
        assert!(!allows(&adapter, "GET", "/debug/pprof"));
        assert!(allows(&adapter, "GET", "/healthz"));
    }
}
