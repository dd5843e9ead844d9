//! The kubelet's policy of this repository, by its text.
//!
//! What regorus' register VM allows by it, the interpreter is tested to allow, whatever the request
//! (`tests/agreement.rs`); so there is no need to ask both about every request. A policy with one byte
//! more, one module more or one less is another policy, and both are asked. So they are with data of
//! another shape: iterating over a number is undefined to the register VM, as in OPA, and an error to
//! the interpreter.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Source;

/// A policy: its modules, the rule that decides, and the shape of its data.
struct Policy {
    modules: &'static [&'static str],
    entrypoint: &'static str,
    data: Shape,
}

/// What a value has to be, if it is there.
enum Shape {
    Any,
    List(&'static Shape),
    /// The fields with a shape; others may have any.
    Object(&'static [(&'static str, Shape)]),
}

const LIST: Shape = Shape::List(&Shape::Any);

const SHIPPED: Policy = Policy {
    modules: &[
        include_str!("../../../../rego/kubelet/authz/authz.rego"),
        include_str!("../../../../rego/kubelet/authz/lint/lint.rego"),
        include_str!("../../../../rego/kubelet/authz/peers/peers.rego"),
        include_str!("../../../../rego/kubelet/authz/presets/closed/closed.rego"),
        include_str!("../../../../rego/kubelet/authz/presets/logs/logs.rego"),
        include_str!("../../../../rego/kubelet/authz/presets/observe/observe.rego"),
        include_str!("../../../../rego/kubelet/authz/presets/operate/operate.rego"),
        include_str!("../../../../rego/kubelet/authz/presets/scrape/scrape.rego"),
    ],
    entrypoint: "data.kubelet.authz.decision",
    data: Shape::Object(&[(
        "kubelet",
        Shape::Object(&[
            ("peers", Shape::List(&Shape::Object(&[("presets", LIST)]))),
            ("denied_certificates", LIST),
            ("logs", Shape::Object(&[("namespaces", LIST)])),
            ("scrape", Shape::Object(&[("endpoints", LIST)])),
            (
                "operate",
                Shape::List(&Shape::Object(&[
                    ("namespaces", LIST),
                    ("pods", LIST),
                    ("pod_prefixes", LIST),
                    ("containers", LIST),
                    ("exec", Shape::List(&Shape::Object(&[]))),
                    ("attach", Shape::Object(&[])),
                ])),
            ),
        ]),
    )]),
};

/// Whether it is the shipped policy, byte for byte, with data of the documented shape. The names of its
/// files are no matter.
pub(super) fn is(source: &Source) -> bool {
    let modules: BTreeSet<&str> = source.policy_modules().map(|(_, text)| text.as_str()).collect();
    let count = source.policy_modules().count();
    source.entrypoint == SHIPPED.entrypoint
        && count == SHIPPED.modules.len()
        && SHIPPED.modules.iter().all(|module| modules.contains(module))
        && SHIPPED.data.fits_object(&source.data)
}

impl Shape {
    fn fits(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Any, _) => true,
            (Self::List(item), Value::Array(items)) => items.iter().all(|it| item.fits(it)),
            (Self::Object(_), Value::Object(object)) => self.fits_object(object),
            (Self::List(_) | Self::Object(_), _) => false,
        }
    }

    fn fits_object(&self, object: &serde_json::Map<String, Value>) -> bool {
        let Self::Object(fields) = self else { return false };
        fields.iter().all(|(name, shape)| object.get(*name).is_none_or(|value| shape.fits(value)))
    }
}
