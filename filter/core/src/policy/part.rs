//! Which part of the input document a policy can read.

use regorus::Value;

use super::rules::{Root, Rules, each_reference};

/// A part of a document: the whole, or some fields of an object. What isn't in it, a policy doesn't
/// see, so a document need not be made with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// These fields and no others. An array among them is whole.
    Fields(Vec<Field>),
}

/// A field of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    name: String,
    /// The name as a value, made once.
    key: Value,
    part: Part,
}

impl Part {
    /// No field at all.
    pub const NOTHING: Self = Self::Fields(Vec::new());

    /// What the rules read of `input`. A name that isn't written out, as in `input[x]`, may be any.
    pub(super) fn read_by(rules: &Rules<'_>) -> Self {
        let mut part = Self::NOTHING;
        for definition in rules.definitions() {
            each_reference(definition.rule, &mut |reference, scope| {
                if reference.root == "input" {
                    part.add(reference.steps.iter().map_while(|step| step.name()));
                } else if let Root::Input = rules.root(reference.root, definition, scope) {
                    // By an import.
                    part = Self::Whole;
                }
            });
        }
        part
    }

    /// The same part, and what a JSON pointer names.
    #[must_use]
    pub fn with_pointer(mut self, pointer: &str) -> Self {
        let names: Vec<_> = pointer
            .split('/')
            .skip(1)
            .map(|name| name.replace("~1", "/").replace("~0", "~"))
            .collect();
        self.add(names.iter().map(String::as_str));
        self
    }

    /// A field's name as a value and its part, if it is in this one.
    pub(super) fn field(&self, name: &str) -> Option<(Value, &Self)> {
        match self {
            Self::Whole => Some((Value::from(name), self)),
            Self::Fields(fields) => {
                let field = fields.iter().find(|field| field.name == name)?;
                Some((field.key.clone(), &field.part))
            }
        }
    }

    fn add<'n>(&mut self, mut path: impl Iterator<Item = &'n str>) {
        let Self::Fields(fields) = self else { return };
        let Some(name) = path.next() else {
            *self = Self::Whole;
            return;
        };
        let mut field = match fields.iter().position(|field| field.name == name) {
            Some(known) => fields.swap_remove(known),
            None => Field { name: name.to_owned(), key: Value::from(name), part: Self::NOTHING },
        };
        field.part.add(path);
        fields.push(field);
    }
}

#[cfg(test)]
mod tests {
    use regorus::Engine;
    use serde_json::json;

    use super::*;
    use crate::policy::value::{part_to_value, to_value};

    /// What a policy with this body sees of a document.
    fn seen(module: &str) -> Value {
        let mut engine = Engine::new();
        engine.add_policy("a.rego".to_owned(), module.to_owned()).unwrap();
        let modules = engine.get_modules().clone();
        let part = Part::read_by(&Rules::collect(modules.iter().map(AsRef::as_ref)).unwrap());
        part_to_value(&document(), &part).unwrap()
    }

    fn document() -> serde_json::Value {
        json!({"a": {"b": {"c": 1}, "d": [{"e": 2}]}, "f": 3, "g": {"h": null}})
    }

    #[test]
    fn a_policy_sees_what_it_names_and_nothing_else() {
        for (body, want) in [
            ("x if true", json!({})),
            ("x if input.f == 3", json!({"f": 3})),
            ("x if input.a.b.c == 1", json!({"a": {"b": {"c": 1}}})),
            ("x if input[\"a\"][\"b\"]", json!({"a": {"b": {"c": 1}}})),
            ("x if {\n\tinput.a.b.c\n\tinput.a.b\n}", json!({"a": {"b": {"c": 1}}})),
            ("x if {\n\tinput.a\n\tinput.a.b.c\n}", json!({"a": document()["a"]})),
            ("x if input.a.d[0].e == 2", json!({"a": {"d": [{"e": 2}]}})),
            ("x if input.a.d[_].e == 2", json!({"a": {"d": [{"e": 2}]}})),
            (
                "x := input.f if input.g.h == null else := input.absent",
                json!({"f": 3, "g": {"h": null}}),
            ),
            ("x contains input.f", json!({"f": 3})),
            ("x[input.f] := input.g", json!({"f": 3, "g": {"h": null}})),
            ("x(y) := y + input.f", json!({"f": 3})),
            ("x if not input.f", json!({"f": 3})),
            (
                "x if every v in input.a.d {\n\tv.e == input.f\n}",
                json!({"a": {"d": [{"e": 2}]}, "f": 3}),
            ),
            ("x := [y | y := input.f]", json!({"f": 3})),
            ("x if data.y[input.f]", json!({"f": 3})),
        ] {
            let module = format!("package a\n\n{body}\n");
            assert_eq!(seen(&module), to_value(&want).unwrap(), "{body}");
        }
    }

    #[test]
    fn a_policy_that_may_name_anything_sees_everything() {
        for module in [
            "package a\n\nx := input",
            "package a\n\nx if y(input)\n\ny(z) if z.f == 3",
            "package a\n\nx if object.get(input, \"f\", 0) == 3",
            "package a\n\nx if input[y] == 3\n\ny := \"f\"",
            "package a\n\nx if input[_] == 3",
            "package a\n\nx if some k, v in input",
            "package a\n\nx if {\n\ty := input\n\ty.f == 3\n}",
            "package a\n\nx if count({k | input[k]}) == 3",
            "package a\n\nx if every k, v in input {\n\tk != v\n}",
            "package a\n\nimport input.a as b\n\nx if b.b.c == 1",
            "package a\n\nx if walk(input, [_, 3])",
            "package a\n\nx if input.f == 3\n\ny if input == {}",
        ] {
            assert_eq!(seen(module), to_value(&document()).unwrap(), "{module}");
        }
    }

    #[test]
    fn what_a_pointer_names_is_in_the_part() {
        let document = json!({"a/b": {"~": 1, "c": 2}, "d": [1]});
        for (pointer, want) in [
            ("/a~1b/~0", json!({"a/b": {"~": 1}})),
            ("/d/0", json!({"d": [1]})),
            ("/x", json!({})),
            ("", document.clone()),
        ] {
            let part = Part::NOTHING.with_pointer(pointer);
            let value = part_to_value(&document, &part).unwrap();
            assert_eq!(value, to_value(&want).unwrap(), "{pointer}");
        }
    }
}
