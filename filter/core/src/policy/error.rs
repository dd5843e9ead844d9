//! Why a policy is refused, told to its author.

use crate::diagnostic::Diagnostic;

/// A policy that can't be used. The text is complete: what, where, and the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// There is no module but tests.
    #[error(
        "the policy has no modules\nhelp: add at least one `.rego` file; `*_test.rego` does not count"
    )]
    Empty,
    /// Not Rego, too long, or more than regorus can compile.
    #[error("{0}")]
    Rego(Diagnostic),
    /// The digest is not the expected one.
    #[error(
        "the policy's SHA-256 is {actual}, the configuration expects {expected}\nhelp: render the configuration again"
    )]
    Digest {
        /// The digest that the configuration names.
        expected: String,
        /// The digest of the policy.
        actual: String,
    },
}
