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
        loop {
            if let Some(seen) = look().await? {
                return Ok(seen);
            }
            // Not by an interval: where looking takes longer than a period, its next tick is there at
            // once, and nobody else on this thread gets a turn for the next hundred looks.
            tokio::time::sleep(PERIOD).await;
        }
    })
    .await?
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn a_slow_look_leaves_others_their_turn() -> anyhow::Result<()> {
        let (tell, mut told) = tokio::sync::oneshot::channel();
        let mut tell = Some(tell);
        let mut looks = 0;
        eventually("the other task", async || {
            if let Some(tell) = tell.take() {
                tokio::spawn(async {
                    for _ in 0..5 {
                        tokio::task::yield_now().await;
                    }
                    tell.send(())
                });
            }
            looks += 1;
            let begin = Instant::now();
            while begin.elapsed() < 2 * PERIOD {}
            Ok(told.try_recv().ok())
        })
        .await?;
        assert_eq!(looks, 2);
        Ok(())
    }
}
