//! A line for a person.

use std::{
    borrow::Cow,
    io::{self, Write},
    time::Duration,
};

use anstyle::Style;
use gatelet_core::Reason;
use indicatif::{FormattedDuration, HumanBytes};

use crate::{
    comparison::printable,
    decision_log::{About, Decision, Envoy, Failed, Record, Refused},
    style::{BAD, DOUBTFUL, GOOD},
};

/// What is told of a decision, or of what never came to one.
pub(crate) struct Entry {
    /// RFC 3339.
    timestamp: String,
    word: &'static str,
    style: Style,
    /// What was asked for.
    what: String,
    caller: Option<String>,
    /// The rule, or else why.
    why: Option<String>,
    /// The run of kubectl.
    pub(crate) session: Option<String>,
    is_allowed: bool,
    /// Whether it was seen to end.
    has_ended: bool,
    is_tunnel: bool,
    response_code: Option<u16>,
    duration: Duration,
    bytes_sent: u64,
    bytes_received: u64,
    failure: Option<String>,
}

/// What takes longer has its duration shown.
const LASTING: Duration = Duration::from_secs(1);

const FAINT: Style = Style::new().dimmed();

impl Entry {
    /// Tells of a record.
    pub(crate) fn new(record: &Record<'_>) -> Self {
        match record {
            Record::Decision(decision, envoy) => Self::of_decision(decision, envoy),
            Record::Refused(refused) => Self::of_refused(refused),
            Record::Failed(failed, envoy) => {
                let mut entry = Self::empty(&failed.timestamp, "failed", BAD);
                entry.fails(failed, envoy);
                entry
            }
        }
    }

    /// Tells of the end of a decision's session that was told of before.
    pub(crate) fn end(record: &Record<'_>) -> Self {
        Self { word: "ended", style: FAINT, why: None, session: None, ..Self::new(record) }
    }

    /// Takes what a later record of the same decision says.
    pub(crate) fn goes_on(&mut self, envoy: &Envoy<'_>) {
        self.has_ended |= !envoy.goes_on();
        self.is_tunnel |= envoy.response_code == Some(101);
        self.response_code = envoy.response_code.or(self.response_code);
        let duration = Duration::from_millis(envoy.duration_ms.unwrap_or_default());
        self.duration = self.duration.max(duration);
        self.bytes_sent = self.bytes_sent.max(envoy.bytes_sent.unwrap_or_default());
        self.bytes_received = self.bytes_received.max(envoy.bytes_received.unwrap_or_default());
    }

    /// Takes why it came to nothing.
    pub(crate) fn fails(&mut self, failed: &Failed<'_>, envoy: &Envoy<'_>) {
        let reason = failed.reason.as_deref().unwrap_or("for no reason that Envoy gives");
        let flags = envoy.response_flags.as_deref().filter(|flags| *flags != "-");
        let flags = flags.map_or_else(String::new, |flags| format!(" ({flags})"));
        self.failure = Some(printable(&format!("{reason}{flags}")));
    }

    fn of_decision(decision: &Decision<'_>, envoy: &Envoy<'_>) -> Self {
        let about = About::read(decision.input.get()).unwrap_or_default();
        let style = match decision.reason {
            Reason::Allowed => GOOD,
            Reason::WouldDeny => DOUBTFUL,
            Reason::Malformed
            | Reason::UnknownEndpoint
            | Reason::Method
            | Reason::Undefined
            | Reason::NotBoolean
            | Reason::UnknownKey
            | Reason::Budget
            | Reason::Denied => BAD,
        };
        let why = match (&decision.rule, &decision.message) {
            (Some(rule), None) => Some(format!("rule {rule}")),
            (Some(rule), Some(message)) => Some(format!("rule {rule}: {message}")),
            (None, message) => message.as_ref().map(ToString::to_string),
        };
        let mut entry = Self {
            has_ended: false,
            what: what(&about),
            caller: Some(printable(&about.caller())),
            why: why.as_deref().map(printable),
            session: decision.kubectl_session.as_ref().map(ToString::to_string),
            is_allowed: decision.result || decision.reason == Reason::WouldDeny,
            ..Self::empty(&decision.timestamp, decision.reason.as_str(), style)
        };
        entry.goes_on(envoy);
        entry
    }

    fn of_refused(refused: &Refused<'_>) -> Self {
        let Refused { timestamp, reason, address, subject, method, path } = refused;
        let text = |text: &Option<Cow<'_, str>>| text.as_deref().map(printable);
        let what = match (text(method), text(path)) {
            (Some(method), Some(path)) => format!("{method} {path}"),
            _ => "a connection".to_owned(),
        };
        let address = text(address).unwrap_or_default();
        let caller = match text(subject) {
            Some(subject) => format!("{subject} at {address}"),
            None => address,
        };
        Self {
            what,
            caller: Some(caller),
            why: text(reason),
            ..Self::empty(timestamp, "refused", BAD)
        }
    }

    fn empty(timestamp: &str, word: &'static str, style: Style) -> Self {
        Self {
            timestamp: timestamp.to_owned(),
            word,
            style,
            what: String::new(),
            caller: None,
            why: None,
            session: None,
            is_allowed: false,
            has_ended: true,
            is_tunnel: false,
            response_code: None,
            duration: Duration::ZERO,
            bytes_sent: 0,
            bytes_received: 0,
            failure: None,
        }
    }

    /// The time of day, to the millisecond.
    pub(crate) fn clock(&self) -> String {
        let time = crate::decision_log::time(&self.timestamp);
        time.map_or_else(String::new, |time| time.format("%H:%M:%S%.3f").to_string())
    }

    /// Prints the line. `first` is the time of the same kubectl's first decision; `is_next` is whether
    /// the line above is about it too.
    ///
    /// # Errors
    /// When it can't be printed.
    pub(crate) fn print(
        &self,
        first: Option<&str>,
        is_next: bool,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let Self { word, style, what, .. } = self;
        let time = crate::decision_log::time(&self.timestamp);
        let day = time.map(|time| time.format("%Y-%m-%d").to_string()).unwrap_or_default();
        let mark = if first.is_some() { '+' } else { ' ' };
        write!(out, "{FAINT}{day}{FAINT:#} {} {mark} {style}{word:<10}{style:#}", self.clock())?;
        if !what.is_empty() {
            write!(out, " {what}")?;
        }
        if let Some(caller) = &self.caller {
            write!(out, " {FAINT}by{FAINT:#} {caller}")?;
        }
        for note in self.notes() {
            write!(out, "{FAINT};{FAINT:#} {note}")?;
        }
        if let Some(failure) = &self.failure {
            write!(out, "{FAINT};{FAINT:#} {BAD}failed{BAD:#} {failure}")?;
        }
        if let Some(first) = first.filter(|_| !is_next) {
            write!(out, "{FAINT}; same kubectl as {first}{FAINT:#}")?;
        }
        writeln!(out)
    }

    /// The rule, and what came of the request.
    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<_> = self.why.iter().cloned().collect();
        if !self.is_allowed {
            return notes;
        }
        if let Some(code) = self.response_code.filter(|code| ![101, 200].contains(code)) {
            notes.push(format!("status {code}"));
        }
        if !self.has_ended {
            notes.push("open".to_owned());
        }
        if self.has_ended && self.is_tunnel || self.duration >= LASTING {
            let (sent, received) = (HumanBytes(self.bytes_sent), HumanBytes(self.bytes_received));
            let duration = if self.duration < LASTING {
                format!("{} ms", self.duration.as_millis())
            } else {
                FormattedDuration(self.duration).to_string()
            };
            notes.push(format!("{duration}, {sent} out, {received} in"));
        }
        notes
    }
}

/// What was asked for, in a few words.
fn what(about: &About<'_>) -> String {
    let mut what = match (&about.endpoint, &about.namespace, &about.pod) {
        (Some(endpoint), Some(namespace), Some(pod)) => {
            let container =
                about.container.iter().map(|name| format!("/{name}")).collect::<String>();
            format!("{endpoint} {namespace}/{pod}{container}")
        }
        _ => {
            let authority = about.authority.as_deref().unwrap_or_default();
            format!("{} {authority}{}", about.method, about.path)
        }
    };
    if let Some(command) = about.command().and_then(|command| serde_json::to_string(command).ok()) {
        what += &format!(" {command}");
    }
    if let Some(upgrade) = &about.upgrade {
        what += &format!(" over {upgrade}");
    }
    printable(&what)
}
