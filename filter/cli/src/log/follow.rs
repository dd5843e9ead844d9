//! A log that grows, and is rotated.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::Context as _;

/// A log that is read as it is written.
pub(crate) enum Followed {
    /// Ends when its writer ends.
    Input(io::StdinLock<'static>, Vec<u8>),
    File(Rotated),
}

/// A file, and the ones that take its place.
pub(crate) struct Rotated {
    path: PathBuf,
    file: BufReader<File>,
    line: Vec<u8>,
    /// Whether another file has its name: this one gets no more lines.
    is_last: bool,
}

/// How often a file is looked at.
const PAUSE: Duration = Duration::from_millis(200);

impl Followed {
    /// Opens a log; `-` is the standard input.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub(crate) fn open(log: &Path) -> anyhow::Result<Self> {
        if log == Path::new("-") {
            return Ok(Self::Input(io::stdin().lock(), Vec::new()));
        }
        let file = File::open(log).with_context(|| super::cannot_read(log))?;
        Ok(Self::File(Rotated {
            path: log.to_owned(),
            file: BufReader::new(file),
            line: Vec::new(),
            is_last: false,
        }))
    }

    /// Waits for the next line that is whole and not empty.
    ///
    /// # Errors
    /// When the log can't be read.
    pub(crate) fn line(&mut self) -> io::Result<Option<&[u8]>> {
        let line = match self {
            Self::Input(input, line) => {
                line.clear();
                if input.read_until(b'\n', line)? == 0 {
                    return Ok(None);
                }
                line
            }
            Self::File(file) => {
                file.next()?;
                &mut file.line
            }
        };
        Ok(Some(line.trim_ascii()))
    }
}

impl Rotated {
    fn next(&mut self) -> io::Result<()> {
        self.line.clear();
        loop {
            self.file.read_until(b'\n', &mut self.line)?;
            if self.line.ends_with(b"\n") {
                return Ok(());
            }
            if self.is_last {
                self.open_next()?;
                if !self.line.is_empty() {
                    // Nobody will write its end.
                    return Ok(());
                }
            } else if self.has_ended()? {
                // What was written before the other file got the name is read first.
                self.is_last = true;
            } else {
                thread::sleep(PAUSE);
            }
        }
    }

    /// Whether another file has the name, or this one was emptied.
    fn has_ended(&mut self) -> io::Result<bool> {
        let named = match self.path.metadata() {
            Ok(named) => named,
            // It was moved away, and the new one isn't there yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let open = self.file.get_ref().metadata()?;
        let position = io::Seek::stream_position(&mut self.file)?;
        Ok((named.dev(), named.ino()) != (open.dev(), open.ino()) || named.len() < position)
    }

    fn open_next(&mut self) -> io::Result<()> {
        self.file = BufReader::new(File::open(&self.path)?);
        self.is_last = false;
        Ok(())
    }
}
