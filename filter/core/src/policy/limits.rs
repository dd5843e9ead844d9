//! What a policy may cost, to read and to evaluate.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use regorus::PolicyLengthConfig;
use regorus::utils::limits::ExecutionTimerConfig;

/// The limits of one policy. None of them can be switched off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Instructions of the register VM for one decision.
    pub instructions: NonZeroUsize,
    /// Wall-clock time for one decision. Not enforced on `wasm32-unknown-unknown`, which has no
    /// clock.
    pub time: Duration,
    /// Bytes of one module.
    pub policy_bytes: NonZeroUsize,
    /// Columns of one line of a module.
    pub policy_columns: NonZeroU32,
    /// Lines of one module.
    pub policy_lines: NonZeroUsize,
}

impl Limits {
    /// About 2.5 ms of work; the shipped policies need a few hundred instructions.
    pub const INSTRUCTIONS: NonZeroUsize = NonZeroUsize::new(25_000).unwrap();
    /// Instructions bound the work; this bounds builtins on large values. It is well above the
    /// work of 25,000 instructions, because a busy or throttled host stalls a worker for some
    /// 10 ms, and that must not deny.
    pub const TIME: Duration = Duration::from_millis(100);
    /// A megabyte of policy is generated, not written; it belongs into data.
    pub const POLICY_BYTES: NonZeroUsize = NonZeroUsize::new(1 << 20).unwrap();
    /// Generated policies put long lists on one line; regorus' own 1024 has refused real ones.
    pub const POLICY_COLUMNS: NonZeroU32 = NonZeroU32::new(16_384).unwrap();
    /// As regorus has it.
    pub const POLICY_LINES: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();

    pub(super) fn timer(&self) -> Option<ExecutionTimerConfig> {
        // In Envoy, a reading of the clock costs as much as several instructions. The shipped policy is
        // done before the first.
        const CHECK_INTERVAL: NonZeroU32 = NonZeroU32::new(512).unwrap();

        let has_clock = !cfg!(all(target_arch = "wasm32", target_os = "unknown"));
        has_clock
            .then_some(ExecutionTimerConfig { limit: self.time, check_interval: CHECK_INTERVAL })
    }

    pub(super) fn lengths(&self) -> PolicyLengthConfig {
        PolicyLengthConfig {
            max_col: self.policy_columns,
            max_file_bytes: self.policy_bytes,
            max_lines: self.policy_lines,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            instructions: Self::INSTRUCTIONS,
            time: Self::TIME,
            policy_bytes: Self::POLICY_BYTES,
            policy_columns: Self::POLICY_COLUMNS,
            policy_lines: Self::POLICY_LINES,
        }
    }
}
