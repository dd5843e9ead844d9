//! A compiled policy without what is only there for tools.
//!
//! Whenever a rule is named, the register VM copies the rule's description, with all names and marks in
//! it, even if the rule's value is known already. Nothing of that is read while a policy is evaluated,
//! and what isn't there needs no copy.

use std::sync::Arc;

use regorus::rvm::program::{Program, RuleInfo};

/// The same program, without names, empty marks, and places in the text.
pub(super) fn lean(program: Arc<Program>) -> Arc<Program> {
    let mut program = Arc::unwrap_or_clone(program);
    program.sources = Vec::new();
    program.instruction_spans = Vec::new();
    program.rule_infos.iter_mut().for_each(reduce);
    Arc::new(program)
}

fn reduce(rule: &mut RuleInfo) {
    rule.name = String::new();
    if let Some(function) = &mut rule.function_info {
        function.param_names = Vec::new();
    }
    // Absent marks are read as `None` and `false`.
    if rule.destructuring_blocks.iter().all(Option::is_none) {
        rule.destructuring_blocks = Vec::new();
    }
    if !rule.else_bodies.iter().flatten().any(|&is_else| is_else) {
        rule.else_bodies = Vec::new();
    }
}
