//! What policies are refused for, in the words that their authors read.

use super::*;

fn message(source: &Source, builtins: Builtins) -> String {
    match Policy::compile(source, builtins, &limits()) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_message_says_what_and_where_and_the_way_out() {
    let conflict = "zone := \"a\" if input.a\n\nzone := \"b\" if input.s\n\nout if zone == \"a\"";
    assert_eq!(
        message(&source(conflict), Builtins::Standard),
        r#"two definitions of `data.p.zone` can give different values
 --> p.rego:3:1
  |
3 | zone := "a" if input.a
  | ^
 --> p.rego:5:1
  |
5 | zone := "b" if input.s
  | ^
help: chain them with `else`, so that the first one that holds decides"#
    );
    let builtin = "out if {\n\tinput.s\n\tregex.match(`^t`, input.s)\n}";
    assert_eq!(
        message(&source(builtin), Builtins::Standard),
        "`regex.match` is not in gatelet.wasm
 --> p.rego:5:2
  |
5 | \tregex.match(`^t`, input.s)
  | \t^
help: use gatelet-full.wasm, or `startswith`, `endswith`, `contains`, `split` and sets of exact values"
    );
    let syntax = "out if {\n\tinput.a ==\n}";
    assert_eq!(
        message(&source(syntax), Builtins::Standard),
        "expecting expression
 --> p.rego:5:1
  |
5 | }
  | ^"
    );
}

#[test]
fn what_can_have_two_values_is_refused() {
    for (rego, want) in [
        ("x := 1 if input.a\nx := input.b\nout if x", "two definitions of `data.p.x`"),
        (
            "x := input.a if input.s\nx := input.a if input.o\nout if x",
            "two definitions of `data.p.x`",
        ),
        ("x if input.a\nx := false if input.s\nout if x", "two definitions of `data.p.x`"),
        (
            "x := 1 if input.a else := 2\nx := 1 if input.s\nout if x",
            "two definitions of `data.p.x`",
        ),
        ("f(x) := 1 if x > 0\nf(x) := 2 if x > 1\nout if f(1)", "two definitions of `data.p.f`"),
        ("f(1, _) := 1\nf(_, 1) := 2\nout if f(1, 1)", "two definitions of `data.p.f`"),
        (
            "x[k] := 1 if some k in input.xs\nx[k] := 2 if some k in input.xs\nout if x[1]",
            "two definitions of `data.p.x`",
        ),
        (
            "x := y if {\n\tsome z in input.objs\n\ty := z.n\n}\nout if x",
            "`y` differs between solutions",
        ),
        ("x := {\"n\": z} if some z in input.xs\nout if x", "`z` differs between solutions"),
        ("x := z if input.xs[_] = z\nout if x", "`z` differs between solutions"),
        ("x := i if input.xs[i] == 1\nout if x", "`i` differs between solutions"),
        ("x := [y | y := z] if some z in input.xs\nout if x", "`z` differs between solutions"),
        ("f(xs) := x if some x in xs\nout if f([1])", "`x` differs between solutions"),
        (
            "x[o.n] := o if some o in input.objs\nout if x[1]",
            "several values for one key: `o` differs",
        ),
        (
            "x[k] := v if {\n\tsome k, _ in input.o\n\tsome v in input.xs\n}\nout if x.k",
            "several values for one key: `v` differs",
        ),
        (
            "out if {o.n: o | some o in input.objs}[1]",
            "an object comprehension can have several values",
        ),
        (
            "out if {lower(k): v | some k, v in input.o}.k",
            "an object comprehension can have several values",
        ),
        (
            "y := 1\nout if {k: z | some k in input.xs; z := input.xs[_]}",
            "an object comprehension can have several values",
        ),
        ("y := 1\nx := y if some y in input.xs\nout if x", "`y` differs between solutions"),
    ] {
        let message = message(&source(rego), Builtins::Standard);
        assert!(message.contains(want), "{rego}\n{message}");
        assert!(message.contains("--> p.rego:") && message.contains("help: "), "{message}");
    }
}

#[test]
fn what_has_one_value_is_accepted() {
    for rego in [
        "x := 1 if input.a\nx := 1 if input.s\nout if x",
        "x if input.a\nx if input.s\nx := true if input.o\nout if x",
        "x := {\"a\": [1]} if input.a\nx := {\"a\": [1]} if input.s\nout if x",
        "default x := 0\nx := 1 if input.a\nout if x",
        "x := 1 if input.a == 7 else := 2 if input.s else := 3\nout if x == 2",
        "f(1) := 1\nf(2) := 2\nout if f(2) == 2",
        "f(\"a\", x) := x\nf(\"b\", x) := x + 1\nout if f(\"b\", 1) == 2",
        "f(x) := y if y := x + 1\nout if f(1) == 2",
        "f([x, y]) := x + y\nout if f([1, 2]) == 3",
        "x := y if {\n\ty := count([z | some z in input.xs])\n}\nout if x == 2",
        "x := [y | y := input.a] if {\n\tsome z in input.xs\n\ty := z\n}\nout if x == [1]",
        "x := \"some\" if {\n\tsome z in input.xs\n\tz == 2\n}\nout if x",
        "x[k] := v if some k, v in input.o\nout if x.l == 2",
        "x[k] := {\"v\": v, \"w\": w} if {\n\tsome k, v in input.o\n\tw := v + 1\n\tsome y in input.xs\n\ty == 1\n}\nout if x.l.w == 3",
        "x[i] := n if {\n\tsome i, o in input.objs\n\tn := o.n\n}\nout if x[1] == 2",
        "x[[i, j]] := i + j if {\n\tsome i in input.xs\n\tsome j in input.xs\n}\nout if count(x) == 4",
        "x[k] := input.o[k] if some k in [\"k\", \"l\"]\nout if x.k == 1",
        "x[k] := true if some k in input.xs\nx[k] := true if some k in input.xs\nout if x[1]",
        "x contains 1\nx contains 2 if input.a\nout if count(x) == 2",
        "out if {k: v | some k, v in input.o}.l == 2",
        "out if {x: y | some x in input.xs; y := [z | some z in input.xs; z > x]}[1] == [2]",
        "out if [{k: x | some k, _ in input.o} | some x in input.xs][1].k == 2",
    ] {
        let outcome = policy(rego).evaluate(input());
        assert_eq!(outcome, Outcome::Allowed(Verdict::default()), "{rego}");
    }
}

#[test]
fn iteration_under_not_is_refused_and_what_replaces_it_is_not() {
    for (rego, want) in [
        ("out if not input.xs[_] == 1", "`not` can't iterate"),
        ("out if not input.xs[i] == 1", "`not` can't iterate"),
        ("out if {\n\tsome i\n\tnot input.xs[i] == 1\n}", "`not` can't iterate"),
        ("out if {\n\tnot _f(x)\n\tinput.a\n}\n_f(_) := 1", "`not` can't iterate"),
        (
            "out if {\n\tevery x in input.xs {\n\t\tnot input.objs[_].n == x\n\t}\n}",
            "`not` can't iterate",
        ),
        ("out if [x | some x in input.xs; not input.objs[_].n == x]", "`not` can't iterate"),
        ("out if {\n\tsome i, _ in input.xs\n\tnot input.xs[i] == 7\n}", "accepted"),
        ("out if not 7 in input.xs", "accepted"),
        ("out if not _seven\n_seven if input.xs[_] == 7", "accepted"),
        ("out if {\n\tevery i, x in input.xs {\n\t\tnot input.xs[i] == x + 1\n\t}\n}", "accepted"),
        ("out if {\n\tnot count([x | some x in input.xs]) == 7\n}", "accepted"),
        ("import input.o as o\nout if not o.k == 7", "accepted"),
    ] {
        let message = message(&source(rego), Builtins::Standard);
        assert!(message.starts_with(want), "{rego}\n{message}");
    }
}

#[test]
fn unsupported_rego_is_refused_with_a_way_out() {
    for (rego, want) in [
        ("out if _h with input as {}\n_h if input.a", "the register VM has no `with`"),
        ("out if [1 | true with input.a as 1]", "the register VM has no `with`"),
        ("x := 1\nout if data.p == {}", "`data.p` contains rules and can't be read as a document"),
        ("x := 1\nout if {\n\tsome k in [\"x\"]\n\tdata.p[k]\n}", "`data.p` contains rules"),
        ("out := input.xs[_]", "a value can't iterate"),
        ("x contains input.xs[_]\nout if x", "a value can't iterate"),
        ("out if count([o[_] | some o in input.objs]) == 2", "a value can't iterate"),
        (
            "x[k] := 1 if some k in input.xs else := 2\nout if x",
            "an object's definition can't have an `else`",
        ),
        ("default out := input.a", "the value of a default must be a constant"),
        ("out if {\n\tinput := 1\n\tinput == 1\n}", "input cannot be shadowed"),
        (
            "out if {\n\tsome data in [1]\n\tdata == 1\n}",
            "a variable can't be called `input` or `data`",
        ),
        ("out if -input.a == 1", "unary - can only be used with numeric literals"),
        ("out if walk(input, [_, 1])", "unknown function `walk`"),
        ("out if nowhere == 1", "use of undefined variable `nowhere` is unsafe"),
        ("out if count([x | some y in [1]]) == 0", "Undefined variable: 'x'"),
    ] {
        let message = message(&source(rego), Builtins::Standard);
        assert!(message.starts_with(want), "{rego}\n{message}");
        assert!(message.contains("--> p.rego:"), "{message}");
    }
}

#[test]
fn a_call_needs_its_function() {
    for (rego, want) in [
        ("out if startwith(input.s, \"t\")", "unknown function `startwith`\n"),
        ("out if startwith(input.s, \"t\")", "help: is `startswith` meant?"),
        ("is_logs(x) if x == 1\nout if is_log(1)", "help: is `is_logs` meant?"),
        ("out if print(input.s)", "unknown function `print`"),
        ("out if utterly.unknown(1)", "help: define it, or import the package that does"),
        ("out if count(input.xs, n)", "`count` takes 1 arguments, not 2"),
        ("out if count(input.xs, n)", "help: for its result write `x := count(…)`"),
        ("f(x) := x\nout if f(1, 2, 3)", "`data.p.f` takes 1 arguments, not 3"),
        ("x := 1\nout if x(1)", "`data.p.x` is not a function"),
        ("out if http.send({})", "unknown function `http.send`"),
        ("out if base64url.decode(\"\")", "unknown function `base64url.decode`"),
    ] {
        let message = message(&source(rego), Builtins::Standard);
        assert!(message.contains(want), "{rego}\n{message}");
        assert!(message.contains("--> p.rego:"), "{message}");
    }
}

#[test]
fn only_the_full_module_has_the_full_builtins() {
    for call in [
        "regex.match(`a`, input.s)",
        "glob.match(\"*\", [], input.s)",
        "semver.is_valid(input.s)",
        "base64.is_valid(input.s)",
    ] {
        let source = source(&format!("out if {call}"));
        let standard = message(&source, Builtins::Standard);
        assert!(standard.contains("is not in gatelet.wasm"), "{call}: {standard}");
        let full = message(&source, Builtins::Full);
        let want = if cfg!(feature = "full-builtins") { "accepted" } else { "unknown function" };
        assert!(full.starts_with(want), "{call}: {full}");
    }
    for call in ["time.now_ns() > 0", "net.cidr_contains(\"10.0.0.0/8\", \"10.1.2.3\")"] {
        let source = source(&format!("out if {call}"));
        assert_eq!(message(&source, Builtins::Standard), "accepted", "{call}");
    }
}

#[test]
fn a_function_of_another_package_is_called_by_its_path_or_import() {
    let library = ("lib.rego", "package lib\n\nis_one(x) if x == 1\n");
    for (rego, want) in [
        ("package p\n\nout if data.lib.is_one(input.a)\n", "accepted"),
        ("package p\n\nimport data.lib\n\nout if lib.is_one(input.a)\n", "accepted"),
        ("package p\n\nimport data.lib as l\n\nout if l.is_one(input.a)\n", "accepted"),
        ("package p\n\nout if lib.is_one(input.a)\n", "unknown function `lib.is_one`"),
        (
            "package p\n\nimport data.lib\n\nout if lib.is_two(input.a)\n",
            "unknown function `lib.is_two`",
        ),
    ] {
        let source = sources(&[("p.rego", rego), library]);
        let message = message(&source, Builtins::Standard);
        assert!(message.starts_with(want), "{rego}\n{message}");
        if let Ok(policy) = compile(&source) {
            assert_eq!(policy.evaluate(input()), Outcome::Allowed(Verdict::default()), "{rego}");
        }
    }
}

#[test]
fn one_path_has_one_owner() {
    let one = "package p\n\ndefault out := false\n";
    for (modules, want) in [
        ([("a.rego", one), ("b.rego", one)], "`data.p.out` has two defaults\n --> a.rego:3:1"),
        (
            [("a.rego", one), ("b.rego", "package p.out\n\nx := 1\n")],
            "`data.p.out.x` is within the value of `data.p.out`\n --> a.rego:3:1",
        ),
        (
            [("a.rego", one), ("b.rego", "package p\n\nout contains 1\n")],
            "`data.p.out` is a rule with one value and a set",
        ),
        (
            [
                ("a.rego", "package p\n\nout := true\n\nf(_) := 1\n"),
                ("b.rego", "package p\n\nf(_, _) := 1\n"),
            ],
            "`data.p.f` is a function of 1 arguments and of 2\n --> a.rego:5:1",
        ),
    ] {
        let message = message(&sources(&modules), Builtins::Standard);
        assert!(message.starts_with(want), "{message}");
        assert!(message.contains("--> b.rego:3:1"), "{message}");
    }
}

#[test]
fn data_may_not_hide_a_rule() {
    for (data, want) in [
        (json!({"p": {"out": true}}), "the data has a value at `data.p.out`"),
        (json!({"p": {"out": {}}}), "the data has a value at `data.p.out`"),
        (json!({"p": []}), "the data has a value at `data.p`"),
        (json!({"p": null}), "the data has a value at `data.p`"),
        (json!({"p": {"other": 1}, "out": 1}), "accepted"),
        (json!({"p": {}}), "accepted"),
    ] {
        let mut source = source("out if input.a");
        source.data = data.as_object().unwrap().clone();
        let message = message(&source, Builtins::Standard);
        assert!(message.starts_with(want), "{data}: {message}");
    }
}

#[test]
fn an_entry_point_that_is_none_is_told_the_rules() {
    for (entrypoint, want) in [
        ("data.p.out", "accepted"),
        ("data.p.oat", "there is no rule `data.p.oat`\nhelp: is `data.p.out` meant?"),
        (
            "data.p.decision",
            "there is no rule `data.p.decision`\nhelp: the rules there are `data.p.out`, `data.p.y`",
        ),
        (
            "data.kubelet.authz.decision",
            "there is no rule `data.kubelet.authz.decision`\nhelp: the policy's rules are `data.p.out`, `data.p.y`",
        ),
        (
            "data.p",
            "there is no rule `data.p`\nhelp: the policy's rules are `data.p.out`, `data.p.y`",
        ),
        ("p.out", "the entry point `p.out` does not begin with `data.`"),
        ("", "the entry point `` does not begin with `data.`"),
        ("data.p.f", "the entry point `data.p.f` is a function"),
        ("data.p.s", "the entry point `data.p.s` is a set"),
        ("data.p.o", "the entry point `data.p.o` is an object"),
    ] {
        let rego = "out := true\ny := 1\nf(_) := 1\ns contains 1\no[k] := 1 if some k in [1]";
        let mut source = source(rego);
        source.entrypoint = entrypoint.to_owned();
        let message = message(&source, Builtins::Standard);
        assert!(message.starts_with(want), "{entrypoint}: {message}");
    }
}

#[test]
fn rules_that_need_themselves_are_refused() {
    for (rego, want) in [
        ("out if a\na if b\nb if a", "`data.p.a` → `data.p.b` → `data.p.a`"),
        ("out if not out", "`data.p.out` → `data.p.out`"),
        ("f(x) := f(x - 1) if x > 0\nout if f(1)", "`data.p.f` → `data.p.f`"),
        ("f(x) if g(x)\ng(x) if f(x)\nout if f(1)", "`data.p.f` → `data.p.g` → `data.p.f`"),
        (
            "import data.p as self\nout if self.a\na if data.p[\"out\"]",
            "`data.p.a` → `data.p.out` → `data.p.a`",
        ),
        ("out if count([1 | out]) == 0", "`data.p.out` → `data.p.out`"),
    ] {
        let message = message(&source(rego), Builtins::Standard);
        assert!(
            message.starts_with(&format!("a rule needs its own value: {want}")),
            "{rego}\n{message}"
        );
    }
    let shadowed = "x := 1\nout if {\n\tx := 2\n\tx == 2\n}\ny if out";
    assert_eq!(message(&source(shadowed), Builtins::Standard), "accepted");
}

#[test]
fn rules_may_use_each_other_to_a_depth_that_fits_the_stack() {
    // One is found from its last rule and one from its first: they are visited by name.
    let chain = |length: usize| {
        let rules = (1..length).map(|i| format!("a{i} := a{}\n", i - 1)).collect::<String>();
        format!("a0 := true\n{rules}out := a{}", length - 1)
    };
    let functions = |length: usize| {
        let rules = (1..length).map(|i| format!("z{i}(x) := z{}(x)\n", i - 1)).collect::<String>();
        format!("z0(x) := x\n{rules}out := z{}(true)", length - 1)
    };
    for (rego, want) in [
        (chain(31), "accepted"),
        (functions(31), "accepted"),
        (functions(40), "is in a chain of more than 32 rules"),
        (chain(40), "is in a chain of more than 32 rules"),
        (chain(3_000), "is in a chain of more than 32 rules"),
        (functions(3_000), "is in a chain of more than 32 rules"),
    ] {
        let source = source(&rego);
        let message = message(&source, Builtins::Standard);
        assert!(message.contains(want), "{}\n{message}", rego.len());
        if let Ok(policy) = compile(&source) {
            assert_eq!(policy.evaluate(input()), Outcome::Allowed(Verdict::default()));
        }
    }
}

#[test]
fn lengths_are_limited_as_configured() {
    let long = format!("out if input.s == \"{}\"", "x".repeat(2_000));
    let source = source(&long);
    assert_eq!(message(&source, Builtins::Standard), "accepted");
    for (limits, want) in [
        (Limits { policy_columns: NonZeroU32::new(1_000).unwrap(), ..limits() }, "policy_columns"),
        (Limits { policy_bytes: NonZeroUsize::new(1_000).unwrap(), ..limits() }, "policy_bytes"),
        (Limits { policy_lines: NonZeroUsize::new(2).unwrap(), ..limits() }, "policy_lines"),
    ] {
        let error = Policy::compile(&source, Builtins::Standard, &limits).map(|_| ()).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(&format!("raise `limits.{want}`")), "{message}");
    }
}

#[test]
fn hostile_texts_are_refused_without_a_panic() {
    for rego in [
        "",
        "\u{feff}package p",
        "package",
        "package p\r\rx := 1",
        "package p\nx := \"",
        "package p\nx := `",
        "package p\nx := \"\\ud800\"",
        "package p\nx := 1e999999999",
        "package p\nx := ü",
        "package p\nx := {",
        "package p\nout := )",
        "package p\nimport data.p.out as out\nout := out",
        "package p\nout[x][y] := z if some x, y, z in input",
        "package p[\"a b\"]\nout := true",
        "package p\nout(x) := x",
        "package p\n\u{202e}out := true",
    ] {
        let message = message(&sources(&[("p.rego", rego)]), Builtins::Standard);
        assert!(!message.is_empty(), "{rego:?}");
        assert_ne!(message, "accepted", "{rego:?}");
    }
    assert_eq!(message(&source("out := true"), Builtins::Standard), "accepted");
}
