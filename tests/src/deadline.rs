//! One bound for everything that a test or the demo waits for.

use std::future::Future;
use std::time::Duration;

use anyhow::Context as _;

/// Long enough for a loaded machine, short enough to notice.
pub const DEADLINE: Duration = Duration::from_secs(30);

const PERIOD: Duration = Duration::from_millis(10);

/// Waits for `future`, but at most [`DEADLINE`].
///
/// # Errors
/// When the time is over; the error names `what` was waited for.
pub async fn within<F: Future>(what: &str, future: F) -> anyhow::Result<F::Output> {
    tokio::time::timeout(DEADLINE, future)
        .await
        .with_context(|| format!("waited {DEADLINE:?} for {what}"))
}

/// Looks again and again until there is something to see, but at most for [`DEADLINE`].
///
/// For what nobody announces; where something can be awaited, [`within`] is better.
///
/// # Errors
/// When the time is over, or looking fails; the error names `what` was waited for.
pub async fn eventually<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    within(what, async {
        let mut ticks = tokio::time::interval(PERIOD);
        loop {
            ticks.tick().await;
            if let Some(seen) = look().await? {
                return Ok(seen);
            }
        }
    })
    .await?
}
