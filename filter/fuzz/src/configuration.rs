//! Configurations of the filter.

use gatelet_core::{Config, Gate, config::Written, policy::Builtins};

/// A configuration that is read is read again from what it prints, and compiling its policy ends.
pub fn run(data: &[u8]) {
    let Ok(config) = Config::from_json(data) else { return };
    let written: Written = serde_json::from_slice(data).expect("what is read has a written form");
    let printed = serde_json::to_vec(&written).expect("a written form is JSON");
    let again = Config::from_json(&printed).expect("what is printed is readable");
    assert_eq!(again, config, "printing loses something");
    // Whether it compiles is its author's affair.
    let _ = Gate::new(config, Builtins::Standard);
}
