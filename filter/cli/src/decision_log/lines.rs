//! The lines of a log, a mouthful at a time.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use anyhow::Context as _;

/// Reads a log in batches of whole lines.
pub(crate) struct Lines {
    reader: BufReader<Box<dyn Read + Send>>,
    /// Of the next line.
    number: u64,
}

/// Lines that stand together.
pub(crate) struct Batch {
    bytes: Vec<u8>,
    first: u64,
}

/// How many bytes a batch has, or a line more.
const BATCH: usize = 1 << 20;

impl Lines {
    /// Opens a log; `-` is the standard input.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub(crate) fn open(file: &Path) -> anyhow::Result<Self> {
        let reader: Box<dyn Read + Send> = if file == Path::new("-") {
            Box::new(io::stdin())
        } else {
            let name = || format!("cannot read {}", file.display());
            Box::new(File::open(file).with_context(name)?)
        };
        Ok(Self { reader: BufReader::with_capacity(1 << 16, reader), number: 1 })
    }

    fn batch(&mut self) -> io::Result<Batch> {
        let mut batch = Batch { bytes: Vec::with_capacity(BATCH), first: self.number };
        (&mut self.reader).take(BATCH as u64).read_to_end(&mut batch.bytes)?;
        self.reader.read_until(b'\n', &mut batch.bytes)?;
        let ends = batch.bytes.iter().filter(|&&byte| byte == b'\n').count();
        self.number += u64::try_from(ends).unwrap_or(u64::MAX);
        Ok(batch)
    }
}

impl Iterator for Lines {
    type Item = io::Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.batch().map(|batch| (!batch.bytes.is_empty()).then_some(batch)).transpose()
    }
}

impl Batch {
    /// The lines with their numbers, without the empty ones.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let lines = self.bytes.split(|&byte| byte == b'\n');
        (self.first..).zip(lines).filter(|(_, line)| !line.trim_ascii().is_empty())
    }

    /// How many bytes they are.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}
