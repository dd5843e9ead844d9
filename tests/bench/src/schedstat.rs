//! How long a process was on a CPU, as the kernel's scheduler counts it.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// The time that all threads of a process have spent on a CPU: the first field of
/// `/proc/PID/task/TID/schedstat`, in nanoseconds. Time spent waiting for a CPU isn't in it, so other
/// work on the machine disturbs it little.
///
/// # Errors
/// When there is no such process.
pub(crate) fn on_cpu(process: u32) -> anyhow::Result<Duration> {
    let folder = format!("/proc/{process}/task");
    let mut nanoseconds = 0;
    for task in fs::read_dir(&folder).with_context(|| folder.clone())? {
        let file = task?.path().join("schedstat");
        // A thread may have ended since.
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let first = text.split(' ').next().and_then(|field| field.parse::<u64>().ok());
        nanoseconds += first.with_context(|| format!("unreadable {}", file.display()))?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// The resident memory of a process, in bytes.
///
/// # Errors
/// When there is no such process.
pub(crate) fn resident(process: u32) -> anyhow::Result<u64> {
    let file = format!("/proc/{process}/status");
    let text = fs::read_to_string(&file).with_context(|| file.clone())?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no VmRSS")?;
    Ok(kilobytes.trim().parse::<u64>()? * 1024)
}
