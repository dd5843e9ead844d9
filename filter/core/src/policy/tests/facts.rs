//! What regorus 0.14.1's register VM makes of a policy as it is written, beside what the policy
//! gives here. A fact that changes with a new regorus may make a check or a rewriting needless.

use super::*;

/// What the register VM gives without checks and rewriting.
fn unguarded(rego: &str) -> serde_json::Value {
    let source = source(rego);
    let engine = parse(&source, &limits()).unwrap();
    let mut vm = load(engine, &source).unwrap_or_else(|error| panic!("{rego}\n{error}"));
    vm.set_input(input());
    match vm.execute_entry_point_by_index(0) {
        Ok(Value::Undefined) => serde_json::Value::Null,
        Ok(value) => serde_json::to_value(value).unwrap(),
        Err(error) => panic!("{rego}\n{error}"),
    }
}

#[test]
fn of_several_values_the_register_vm_takes_none_or_the_last() {
    for (note, rego, want) in [
        ("two definitions", "out := 1 if input.a == 1\nout := 2 if input.a == 1", json!(null)),
        (
            "a default does not help",
            "default out := 0\nout := 1 if input.a == 1\nout := 2 if input.a == 1",
            json!(null),
        ),
        (
            "`not` of a conflict holds",
            "x := 1 if input.a\nx := 2 if input.a\nout if not x",
            json!(true),
        ),
        ("one definition", "out := v if some v in input.xs", json!(2)),
        ("a function", "f(xs) := v if some v in xs\nout := f(input.xs)", json!(2)),
        (
            "an object",
            "x[k] := v if {\n\tk := \"k\"\n\tsome v in input.xs\n}\nout := x",
            json!({"k": 2}),
        ),
        (
            "an object comprehension",
            "out := {k: v | k := \"k\"; some v in input.xs}",
            json!({"k": 2}),
        ),
    ] {
        assert_eq!(unguarded(rego), want, "{note}");
        let error = compile(&source(rego)).map(|_| ()).unwrap_err();
        assert!(matches!(error, PolicyError::Conflict(_)), "{note}: {error}");
    }
}

#[test]
fn what_the_register_vm_gets_wrong_is_refused() {
    for (note, rego, want) in [
        ("dotted names", "x.a := 1\nx.b := 2\nout := x", json!(null)),
        ("sets by key", "x[k] contains v if some k, v in input.o\nout := x", json!([1, 2])),
        (
            "nine arguments",
            "f(a, b, c, d, e, g, h, i, j) := j\nout := f(1, 2, 3, 4, 5, 6, 7, 8, 9)",
            json!(null),
        ),
        ("the default of a function", "default f(_) := 9\nf(1) := 1\nout := f(2)", json!(null)),
        ("iterating in `not`", "out if not input.xs[_] == 1", json!(true)),
        ("key and value `in`", "out if \"k\", 2 in input.o", json!(true)),
        (
            "`else` after iterating",
            "out := 1 if {\n\tsome x in input.xs\n\tx == 7\n} else := 2",
            json!(null),
        ),
        ("a second body", "out := 5 if {\n\tfalse\n} {\n\ttrue\n}", json!(true)),
        ("`_ :=`", "out if _ := input.nope", json!(true)),
        ("a parameter called `input`", "f(input) := input\nout := f(7) == 7", json!(false)),
    ] {
        assert_eq!(unguarded(rego), want, "{note}");
        let error = compile(&source(rego)).map(|_| ()).unwrap_err();
        assert!(matches!(error, PolicyError::Unsupported(_)), "{note}: {error}");
    }
}

#[test]
fn calls_that_cannot_be_made_are_refused() {
    for (note, rego, want) in [
        ("too few arguments", "f(x, y) := 1\nout if not f(1)", json!(true)),
        ("too many arguments", "out := startswith(\"a\", \"b\", \"c\", \"d\")", json!(null)),
        ("no function", "f := 1\nout := f(7)", json!(1)),
        ("internal functions", "out := __builtin_host_await(1, 2)", json!(null)),
    ] {
        assert_eq!(unguarded(rego), want, "{note}");
        let error = compile(&source(rego)).map(|_| ()).unwrap_err();
        assert!(matches!(error, PolicyError::Function(_)), "{note}: {error}");
    }
}

#[test]
fn what_the_register_vm_gets_wrong_is_rewritten() {
    for (note, rego, wrong, right) in [
        ("an undefined assignment", "out if {\n\tx := input.nope\n}", json!(true), json!(null)),
        ("the same without braces", "out if x := input.nope", json!(true), json!(null)),
        (
            "the same in `every`",
            "out if {\n\tevery x in input.xs {\n\t\ty := input.nope\n\t}\n}",
            json!(true),
            json!(null),
        ),
        ("the same in a comprehension", "out := count([x | x := input.nope])", json!(1), json!(0)),
        ("an undefined element", "out := count([o.n | some o in input.objs])", json!(3), json!(2)),
        (
            "an undefined element in a string's company",
            "out := count([[\"a\", o.n, \"b\"] | some o in input.objs])",
            json!(3),
            json!(2),
        ),
        (
            "an undefined element of a call",
            "out := count([abs(o.n) | some o in input.objs])",
            json!(3),
            json!(2),
        ),
        ("an undefined key", "out := count({o.n: 1 | some o in input.objs})", json!(3), json!(2)),
        (
            "an undefined value",
            "out := count({i: o.n | some i, o in input.objs})",
            json!(3),
            json!(2),
        ),
        (
            "an undefined value of an object",
            "x[i] := o.n if some i, o in input.objs\nout := count(x)",
            json!(3),
            json!(2),
        ),
        (
            "an undefined key without a body",
            "x[input.nope] := 1\nout := count(x)",
            json!(1),
            json!(0),
        ),
        (
            "an undefined value without a body",
            "x[input.a] := input.nope\nout := count(x)",
            json!(1),
            json!(0),
        ),
        (
            "`else` after an undefined value",
            "out := input.nope if input.a == 1 else := 2",
            json!(null),
            json!(2),
        ),
        (
            "`else` after an undefined value in braces",
            "out := [input.nope] if {\n\tinput.a == 1 # \"}\n} else := 2",
            json!(null),
            json!(2),
        ),
        (
            "`input` first in an empty `every`",
            "out if {\n\tevery x in [] {\n\t\tx == input.a\n\t}\n\tnot input.a\n}",
            json!(true),
            json!(null),
        ),
        (
            "`input` first in an empty comprehension",
            "out := [count([x | some x in []; x == input.a]), input.a]",
            json!(null),
            json!([0, 1]),
        ),
        (
            "`input` first in an empty comprehension of `else`",
            "out := 1 if {\n\tfalse\n} else := [count([x | some x in []; x == input.a]), input.a]",
            json!(null),
            json!([0, 1]),
        ),
        (
            "`input` by another name",
            "import input.a as z\nout if {\n\tevery x in [] {\n\t\tx == z\n\t}\n\tnot z\n}",
            json!(true),
            json!(null),
        ),
        (
            "a condition of a comprehension in a loop",
            "out := [x | some x in input.xs; count([1 | x == 7]) == 0]",
            json!([]),
            json!([1, 2]),
        ),
        (
            "a condition of a comprehension in `every`",
            "out := [x | some x in input.xs; every y in input.xs { count([1 | y == 7]) == 0 }]",
            json!([]),
            json!([1, 2]),
        ),
    ] {
        assert_eq!(unguarded(rego), wrong, "{note}");
        assert_eq!(value(rego), right, "{note}");
    }
}

#[test]
fn data_is_loaded_before_it_is_needed() {
    let rego = "out if {\n\tevery x in [] {\n\t\tx == data.limits\n\t}\n\tnot data.locked\n}";
    let mut source = source(rego);
    let data = json!({"locked": true, "limits": 1, "defined": 1, "defined1": true});
    source.data = data.as_object().unwrap().clone();
    assert_eq!(compile(&source).unwrap().evaluate(input()), Outcome::Undefined);
    source.data.remove("locked");
    let allowed = Outcome::Allowed(Verdict::default());
    assert_eq!(compile(&source).unwrap().evaluate(input()), allowed);
}

#[test]
fn a_rewritten_policy_is_still_the_same_policy() {
    for (note, rego, want) in [
        (
            "comments and lines",
            "out := [f(\n\to.n, # ) ; }\n\t\"x\",\n) |\n\tsome o in input.objs # some\n\n\to.n == 1\n]\n\nf(x, _) := x",
            json!([1]),
        ),
        (
            "strings at the ends",
            "out := {\"a\" | x := \"a\"; x == \"a\"} if y := \"b\"",
            json!(["a"]),
        ),
        ("raw strings", "out := x if x := `a\\`", json!("a\\")),
        (
            "comprehensions in elements",
            "out := [count([y | some y in [o.n, 5]; y > 1]) | some o in input.objs]",
            json!([1, 2, 0]),
        ),
        ("elements in parentheses", "out := [(o.n) | some o in input.objs]", json!([1, 2])),
        (
            "a name that is taken",
            "defined1 := 5\nout := [[o.n, defined1] | o := input.objs[0]]",
            json!([[1, 5]]),
        ),
        ("rules as elements", "h := 1 if input.nope\nout := [h | some _x in input.xs]", json!([])),
        ("patterns", "out := y if [_, {\"n\": y}] := [0, {\"n\": 4}]", json!(4)),
    ] {
        assert_eq!(value(rego), want, "{note}");
    }
}
