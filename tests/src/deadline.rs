//! One bound for everything that a test or the demo waits for.

use std::future::Future;
use std::time::Duration;

use anyhow::Context as _;

/// Long enough for a loaded machine, short enough to notice.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for `future`, but at most [`DEADLINE`].
///
/// # Errors
/// When the time is over; the error names `what` was waited for.
pub async fn within<F: Future>(what: &str, future: F) -> anyhow::Result<F::Output> {
    tokio::time::timeout(DEADLINE, future)
        .await
        .with_context(|| format!("waited {DEADLINE:?} for {what}"))
}
