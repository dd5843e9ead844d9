//! Policies end to end: refused with the right words, or evaluated as Rego says.

use std::collections::BTreeMap;
use std::path::Path;

use gatelet_portable::fs;
use serde_json::json;

use super::*;

mod agreement;
mod facts;
mod refused;

/// A policy of one module, `p.rego` in `package p`, whose entry point is `out`.
fn source(rego: &str) -> Source {
    sources(&[("p.rego", &format!("package p\n\n{rego}\n"))])
}

fn sources(modules: &[(&str, &str)]) -> Source {
    Source {
        modules: modules.iter().map(|(name, rego)| ((*name).into(), (*rego).into())).collect(),
        data: serde_json::Map::new(),
        entrypoint: "data.p.out".to_owned(),
    }
}

/// A busy machine may take long over a test.
fn limits() -> Limits {
    Limits { time: std::time::Duration::from_secs(60), ..Limits::default() }
}

fn compile(source: &Source) -> Result<Policy, PolicyError> {
    Policy::compile(source, Builtins::Standard, &limits())
}

fn policy(rego: &str) -> Policy {
    compile(&source(rego)).unwrap_or_else(|error| panic!("{rego}\n{error}"))
}

fn input() -> Value {
    Value::from(json!({
        "a": 1, "s": "text", "xs": [1, 2], "empty": [],
        "o": {"k": 1, "l": 2},
        "objs": [{"n": 1}, {"n": 2}, {}],
    }))
}

/// The value of `out` as JSON; `null` stands for undefined.
fn value(rego: &str) -> serde_json::Value {
    match policy(rego).run(input()) {
        Ok(Value::Undefined) => serde_json::Value::Null,
        Ok(value) => serde_json::to_value(value).unwrap(),
        Err(outcome) => panic!("{rego}\n{outcome:?}"),
    }
}

#[test]
fn a_policy_decides_by_its_entry_point() {
    let decides = |rego: &str| policy(rego).evaluate(input());
    assert_eq!(decides("out if input.a == 1"), Outcome::Allowed(Verdict::default()));
    assert_eq!(decides("out if input.a == 2"), Outcome::Undefined);
    assert_eq!(decides("default out := false"), Outcome::Denied(Verdict::default()));
    assert_eq!(decides("out := \"true\""), Outcome::NotBoolean);
    assert_eq!(decides("out := {\"allow\": true, \"Rule\": \"a\"}"), Outcome::UnknownKey);
    let granted = "allow contains \"logs\" if input.a == 1\n\
        allow contains \"exec\" if input.a == 2\n\
        out := {\"allow\": true, \"rule\": min(allow)} if count(allow) > 0\n\
        else := {\"allow\": false, \"reason\": \"no grant\"}";
    let rule = RuleId::parse("logs");
    assert_eq!(decides(granted), Outcome::Allowed(Verdict { rule, reason: None }));
    let reason = Some("no grant".to_owned());
    assert_eq!(
        policy(granted).evaluate(Value::new_object()),
        Outcome::Denied(Verdict { rule: None, reason })
    );
}

#[test]
fn what_fails_in_the_entry_point_does_not_allow() {
    for rego in [
        "out if startswith(input.a, \"x\")",
        "out if not startswith(input.a, \"x\")",
        "out if not input.s + 1 == 2",
        "out if not 1 / 0 == 1",
        "out if not sprintf(1, 2) == \"\"",
    ] {
        let outcome = policy(rego).evaluate(input());
        assert!(!matches!(outcome, Outcome::Allowed(_)), "{rego}: {outcome:?}");
    }
}

#[test]
fn a_spent_budget_is_an_outcome_and_the_next_request_has_its_own() {
    let rego = "out if {\n\tsome x in numbers.range(1, input.n)\n\tsome y in numbers.range(1, input.n)\n\tx + y == 0\n}\n\nout if input.n == 1";
    let request = |n: u64| Value::from(json!({"n": n}));
    let few = Limits { instructions: NonZeroUsize::new(5_000).unwrap(), ..limits() };
    let brief = Limits {
        instructions: NonZeroUsize::MAX,
        time: std::time::Duration::from_millis(200),
        ..Limits::default()
    };
    // `wasm32-unknown-unknown` has no clock that could end it.
    let clock = !cfg!(all(target_arch = "wasm32", target_os = "unknown"));
    for limits in [Some(few), clock.then_some(brief)].into_iter().flatten() {
        let policy = Policy::compile(&source(rego), Builtins::Standard, &limits).unwrap();
        for _ in 0..2 {
            assert_eq!(policy.evaluate(request(100_000)), Outcome::Budget, "{limits:?}");
            let next = policy.evaluate(request(1));
            assert_eq!(next, Outcome::Allowed(Verdict::default()), "{limits:?}");
        }
    }
}

#[test]
fn instructions_are_counted_up_to_the_limit() {
    let rego = "out if {\n\tsome x in numbers.range(1, input.n)\n\tx == 0\n}";
    let policy = policy(rego);
    let count = |n: u64| policy.instructions(&Value::from(json!({"n": n})));
    let (ten, twenty) = (count(10).unwrap(), count(20).unwrap());
    assert!(ten > 10 && twenty > ten + 10, "{ten} {twenty}");
    assert_eq!(count(100_000), None);
    assert_eq!(count(10), Some(ten));
    let exact = Limits { instructions: NonZeroUsize::new(ten).unwrap(), ..limits() };
    let policy = Policy::compile(&source(rego), Builtins::Standard, &exact).unwrap();
    assert_eq!(policy.evaluate(Value::from(json!({"n": 10}))), Outcome::Undefined);
    assert_eq!(policy.evaluate(Value::from(json!({"n": 11}))), Outcome::Budget);
}

#[test]
fn nothing_of_one_request_is_left_for_the_next() {
    let policy = policy("out if _named\n\n_named if input.name == \"a\"");
    for (name, want) in [
        ("a", Outcome::Allowed(Verdict::default())),
        ("b", Outcome::Undefined),
        ("a", Outcome::Allowed(Verdict::default())),
    ] {
        assert_eq!(policy.evaluate(Value::from(json!({"name": name}))), want, "{name}");
    }
}

#[test]
fn a_clock_or_dice_make_a_policy_impure() {
    assert!(policy("out if input.a == 1").is_pure());
    assert!(!policy("out if time.now_ns() > 0").is_pure());
    assert!(!policy("out if _later\n\n_later if [1 | time.now_ns() > 0]").is_pure());
    assert!(!policy("out if rand.intn(\"x\", 2) == 1").is_pure());
}

#[test]
fn tests_are_no_part_of_a_policy() {
    let test = ("p_test.rego", "package p_test\n\ntest_it if data.p.out with input as {}\n");
    let policy = sources(&[("p.rego", "package p\n\nout := true\n"), test]);
    assert!(compile(&policy).is_ok());
    assert!(matches!(compile(&sources(&[test])), Err(PolicyError::Empty)));
}

#[test]
fn the_shipped_policies_are_accepted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rego");
    for (folder, entrypoint) in
        [("kubelet", "data.kubelet.authz.decision"), ("http", "data.http.authz.decision")]
    {
        let mut modules = BTreeMap::new();
        read_modules(&root.join(folder), &mut modules);
        let source =
            Source { modules, data: serde_json::Map::new(), entrypoint: entrypoint.into() };
        let policy = compile(&source).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let outcome = policy.evaluate(Value::new_object());
        assert!(!matches!(outcome, Outcome::Allowed(_)), "{folder}: {outcome:?}");
    }
}

fn read_modules(folder: &Path, modules: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if fs::metadata(&path).unwrap().is_dir() {
            read_modules(&path, modules);
        } else if path.extension().is_some_and(|extension| extension == "rego") {
            let text = fs::read_to_string(&path).unwrap();
            modules.insert(path.display().to_string(), text);
        }
    }
}

/// Faults of the register VM that nothing refuses or rewrites: it allows, and Rego does not.
#[test]
fn what_only_the_register_vm_allows_is_not_allowed() {
    for (note, rego) in [
        ("a function that ignores an undefined argument", "out if f(input.nope)\nf(_) := true"),
        ("a second argument", "out if f(1, input.nope)\nf(x, _) if x == 1"),
        ("an order of types, negated", "out if not h\nh if input.null < 5"),
        ("an object taken for a list", "out if { [_, _] := input.o }"),
    ] {
        let input = Value::from(json!({"a": 1, "null": null, "o": {"k": 1, "l": 2}}));
        let policy = policy(rego);
        let vm = policy.run(input.clone()).map(|value| Outcome::read(&value));
        assert!(matches!(vm, Ok(Outcome::Allowed(_))), "{note}: the register VM is mended: {vm:?}");
        assert!(matches!(policy.evaluate(input), Outcome::Failed(_)), "{note}");
    }
    let both = policy("out if f(input.a)\nf(_) := true").evaluate(input());
    assert_eq!(both, Outcome::Allowed(Verdict::default()));
}
