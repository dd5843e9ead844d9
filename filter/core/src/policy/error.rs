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
    /// Not Rego, or longer or deeper than the limits.
    #[error("{0}")]
    Syntax(Diagnostic),
    /// Rego that the register VM can't evaluate, or evaluates to something else.
    #[error("{0}")]
    Unsupported(Diagnostic),
    /// Two values for one rule, function or key are possible.
    #[error("{0}")]
    Conflict(Diagnostic),
    /// A rule and another rule, a default or the data claim the same path.
    #[error("{0}")]
    Overlap(Diagnostic),
    /// A call of a function that does not exist, or of one with other parameters.
    #[error("{0}")]
    Function(Diagnostic),
    /// A builtin function that the target module does not have.
    #[error("{0}")]
    Builtin(Diagnostic),
    /// Rules that depend on themselves, or on too many others in a row.
    #[error("{0}")]
    Recursion(Diagnostic),
    /// There is no such entry point, or it can't decide.
    #[error("{0}")]
    Entrypoint(Diagnostic),
    /// Not a policy that the adapter for kubelet-tls-proxy can take.
    #[error("{0}")]
    Adapter(Diagnostic),
    /// What regorus' compiler says beyond all that.
    #[error("{0}")]
    Compile(Diagnostic),
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

impl PolicyError {
    /// The message with its places, where there are any.
    #[must_use]
    pub fn diagnostic(&self) -> Option<&Diagnostic> {
        match self {
            Self::Syntax(diagnostic)
            | Self::Unsupported(diagnostic)
            | Self::Conflict(diagnostic)
            | Self::Overlap(diagnostic)
            | Self::Function(diagnostic)
            | Self::Builtin(diagnostic)
            | Self::Recursion(diagnostic)
            | Self::Entrypoint(diagnostic)
            | Self::Adapter(diagnostic)
            | Self::Compile(diagnostic) => Some(diagnostic),
            Self::Empty | Self::Digest { .. } => None,
        }
    }
}
