//! Records as a person reads them: what belongs together is together.

use std::{
    collections::HashMap,
    io::{self, Write},
    mem,
};

use super::entry::Entry;
use crate::decision_log::Record;

/// Entries on their way to a person: all at once, or each as it comes.
pub(crate) struct Journal {
    /// Whether nobody waits for an end.
    at_once: bool,
    entries: Vec<Entry>,
    /// The entry of a decision, while it may go on.
    decisions: HashMap<String, usize>,
    /// The last entry of a connection.
    connections: HashMap<u64, usize>,
    /// The time of a kubectl's first decision.
    sessions: HashMap<String, String>,
    /// The kubectl of the last line.
    last_session: Option<String>,
}

impl Journal {
    /// An empty one.
    pub(crate) fn new(at_once: bool) -> Self {
        Self {
            at_once,
            entries: Vec::new(),
            decisions: HashMap::new(),
            connections: HashMap::new(),
            sessions: HashMap::new(),
            last_session: None,
        }
    }

    /// Takes a record. One that isn't wanted may still say how another one ended.
    ///
    /// # Errors
    /// When it is printed, and can't be.
    pub(crate) fn add(
        &mut self,
        record: &Record<'_>,
        wanted: bool,
        out: &mut impl Write,
    ) -> io::Result<()> {
        match record {
            _ if self.at_once => return if wanted { self.tell(record, out) } else { Ok(()) },
            Record::Decision(..) if !wanted => {}
            Record::Decision(decision, envoy) => {
                let id = decision.decision_id.as_ref();
                let index = match self.decisions.get(id) {
                    Some(&index) => index,
                    None => {
                        self.entries.push(Entry::new(record));
                        self.decisions.insert(id.to_owned(), self.entries.len() - 1);
                        self.entries.len() - 1
                    }
                };
                if let Some(entry) = self.entries.get_mut(index) {
                    entry.goes_on(envoy);
                }
                if let Some(connection) = envoy.connection_id {
                    self.connections.insert(connection, index);
                }
            }
            Record::Failed(failed, envoy) => {
                let index = envoy.connection_id.and_then(|id| self.connections.get(&id));
                match index.and_then(|&index| self.entries.get_mut(index)) {
                    Some(entry) => entry.fails(failed, envoy),
                    None if wanted => self.entries.push(Entry::new(record)),
                    None => {}
                }
            }
            Record::Refused(_) if wanted => self.entries.push(Entry::new(record)),
            Record::Refused(_) => {}
        }
        Ok(())
    }

    /// Prints a record, unless it says only that a session goes on.
    fn tell(&mut self, record: &Record<'_>, out: &mut impl Write) -> io::Result<()> {
        let Record::Decision(decision, envoy) = record else {
            return self.line(&Entry::new(record), out);
        };
        let id = decision.decision_id.as_ref();
        let goes_on = envoy.goes_on();
        match (self.decisions.remove(id), goes_on) {
            (Some(_), false) => self.line(&Entry::end(record), out),
            (known, _) => {
                if goes_on {
                    self.decisions.insert(id.to_owned(), 0);
                }
                if known.is_none() { self.line(&Entry::new(record), out) } else { Ok(()) }
            }
        }
    }

    /// Prints what is there.
    ///
    /// # Errors
    /// When it can't be printed.
    pub(crate) fn print(&mut self, out: &mut impl Write) -> io::Result<()> {
        for entry in mem::take(&mut self.entries) {
            self.line(&entry, out)?;
        }
        out.flush()
    }

    fn line(&mut self, entry: &Entry, out: &mut impl Write) -> io::Result<()> {
        let session = entry.session.clone();
        let first = session.as_ref().and_then(|session| self.sessions.get(session));
        let is_next = session.is_some() && session == self.last_session;
        entry.print(first.map(String::as_str), is_next, out)?;
        if let Some(session) = &session {
            self.sessions.entry(session.clone()).or_insert_with(|| entry.clock());
        }
        self.last_session = session;
        Ok(())
    }
}
