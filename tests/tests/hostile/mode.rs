//! Envoy's path normalisation, as gatelet ships it and as Istio configures it.

use serde_json::{Map, Value, json};

/// Off, or what istiod makes of `meshConfig.pathNormalization.normalization`
/// (`pilot/pkg/networking/core/listener.go`). Each normalises more than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    /// As shipped.
    Off,
    /// Istio's default: dot segments, needless escapes, backslashes.
    Base,
    /// And repeated slashes.
    MergeSlashes,
    /// And escaped slashes.
    DecodeAndMergeSlashes,
}

impl Mode {
    pub(crate) const ALL: [Self; 4] =
        [Self::Off, Self::Base, Self::MergeSlashes, Self::DecodeAndMergeSlashes];

    /// Changes the shipped configuration to this mode.
    pub(crate) fn change(self) -> fn(&mut Value) {
        match self {
            Self::Off => |_| {},
            Self::Base => |shipped| normalise(shipped, false, "KEEP_UNCHANGED"),
            Self::MergeSlashes => |shipped| normalise(shipped, true, "KEEP_UNCHANGED"),
            Self::DecodeAndMergeSlashes => {
                |shipped| normalise(shipped, true, "UNESCAPE_AND_FORWARD")
            }
        }
    }
}

#[expect(clippy::expect_used, reason = "a test says what is wrong by panicking")]
fn normalise(shipped: &mut Value, merge_slashes: bool, escaped_slashes: &str) {
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let manager = shipped.pointer_mut(manager).and_then(Value::as_object_mut);
    let manager = manager.expect("the connection manager of the first listener");
    let replace = |manager: &mut Map<String, Value>, key: &str, value| {
        assert!(manager.insert(key.to_owned(), value).is_some(), "{key} is not shipped");
    };
    replace(manager, "normalize_path", json!(true));
    replace(manager, "merge_slashes", json!(merge_slashes));
    replace(manager, "path_with_escaped_slashes_action", json!(escaped_slashes));
}
