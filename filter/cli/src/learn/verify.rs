//! Whether the policy does what it is said to do: it is put to the gate itself.

use anyhow::bail;
use gatelet_core::{Gate, Reason, Recorded, recorded::InvalidRecord};
use serde::Serialize;
use serde_json::Value;

use super::{asked::Asked, grants::Grants, neighbours, seen::Seen};

/// How many requests were put to the policy.
#[derive(Debug, Default, Serialize)]
pub(super) struct Verified {
    /// Of the log, which are allowed.
    pub(super) seen: u64,
    /// Of the log, which stay denied.
    pub(super) kept_out: u64,
    /// Beside those of the log, which nobody sent; but for what is generalised, they are denied.
    pub(super) neighbours: u64,
}

/// Puts everything that was seen to the gate, and what is beside it.
///
/// # Errors
/// When an answer is another one than was said: then something is wrong in this command.
pub(super) fn verify(
    gate: &Gate,
    seen: &Seen,
    grants: &Grants,
    any_lines: bool,
) -> anyhow::Result<Verified> {
    let mut verified = Verified::default();
    for input in &seen.allowed {
        ask(gate, input, true)?;
        verified.seen += 1;
    }
    for input in &seen.kept_out {
        // What has no reading is denied before any policy is asked.
        if Recorded::parse(input).is_ok() {
            ask(gate, input, is_allowed(grants, input, any_lines))?;
            verified.kept_out += 1;
        }
    }
    for (asked, evidence) in &seen.learned {
        let document: Value = serde_json::from_str(&evidence.input)?;
        for patch in neighbours::of(asked, &document) {
            let mut neighbour = document.clone();
            json_patch::merge(&mut neighbour, &patch);
            let input = neighbour.to_string();
            ask(gate, &input, is_allowed(grants, &input, any_lines))?;
            verified.neighbours += 1;
        }
    }
    Ok(verified)
}

/// Whether a request is allowed, by what the report says.
pub(super) fn is_allowed(grants: &Grants, input: &str, any_lines: bool) -> bool {
    Asked::read(input, any_lines).is_ok_and(|asked| grants.cover(&asked))
}

fn ask(gate: &Gate, input: &str, is_expected: bool) -> anyhow::Result<()> {
    let recorded = Recorded::parse(input).map_err(|why: InvalidRecord| bug(input, &why))?;
    let judgement = gate.decide_recorded(&recorded).map_err(|why| bug(input, &why))?;
    if judgement.reason == Reason::Budget {
        bail!(
            "nothing is written: so much was seen that a policy of it takes more than the {} instructions \
             that a decision may take\n\
             help: learn less of it, by `--generalize` and `--without`, and use presets for what varies",
            gate.config().limits.instructions
        );
    }
    if (judgement.reason == Reason::Allowed) != is_expected {
        let said = judgement.reason.as_str();
        let expected = if is_expected { "allowed" } else { "denied" };
        bail!(bug(input, &format!("it has to be {expected}, and the policy says `{said}`")));
    }
    Ok(())
}

fn bug(input: &str, why: &dyn std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!(
        "nothing is written, as the learned policy isn't what was seen: {why}\n\
         This is a bug in gatelet; please report it with this request: {input}"
    )
}
