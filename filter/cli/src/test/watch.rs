//! Running the tests again whenever a file changes.

use std::{
    io::{IsTerminal as _, Write as _},
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::{Arguments, once};
use crate::{exit::Exit, report};

/// An editor writes several times; all of it is one change.
const SETTLED: Duration = Duration::from_millis(100);

/// Runs until the process is ended, or the files can no longer be watched.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let (changed, changes) = mpsc::sync_channel(1);
    let mut watcher: RecommendedWatcher =
        notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| matters(event.kind)) {
                // One that waits already stands for this one, too.
                changed.try_send(()).ok();
            }
        })?;
    for (path, mode) in watched(arguments) {
        watcher.watch(path, mode)?;
    }
    loop {
        clear()?;
        // A file that is half-written is no reason to end.
        if let Err(error) = once(arguments) {
            report::error(&error);
        }
        if changes.recv().is_err() {
            return Ok(Exit::Unjudged);
        }
        loop {
            match changes.recv_timeout(SETTLED) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return Ok(Exit::Unjudged),
            }
        }
    }
}

fn watched(arguments: &Arguments) -> impl Iterator<Item = (&Path, RecursiveMode)> {
    let files = &arguments.policy.files;
    // An editor may put another file in its place: the folder knows.
    let data = files.data.iter().filter_map(|file| file.parent());
    let data = data.map(|folder| if folder == Path::new("") { Path::new(".") } else { folder });
    let corpus = arguments.corpus.as_deref();
    [files.folder.as_path()]
        .into_iter()
        .chain(corpus)
        .map(|path| (path, RecursiveMode::Recursive))
        .chain(data.map(|path| (path, RecursiveMode::NonRecursive)))
}

/// Reading a file is an event too, and this command reads.
fn matters(kind: EventKind) -> bool {
    matches!(kind, EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_))
}

/// Begins a new page on a terminal.
fn clear() -> std::io::Result<()> {
    let mut out = anstream::stdout();
    if std::io::stdout().is_terminal() {
        write!(out, "\u{1b}[2J\u{1b}[H")?;
    }
    out.flush()
}
