//! Which records a person wants to see.

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use clap::ValueEnum;
use gatelet_core::Reason;
use regex::Regex;

use crate::{
    decision_log::{About, Decision, Record, Refused, time},
    exit::Exit,
};

/// What a person asks for. Regular expressions are to match the whole of a name.
#[derive(clap::Args)]
pub(crate) struct Wanted {
    /// Only this endpoint, such as `exec`; repeat it for more
    #[arg(long, value_name = "NAME")]
    endpoint: Vec<String>,
    /// Only what was allowed, denied, or refused by Envoy
    #[arg(long, value_name = "RESULT")]
    result: Option<Answer>,
    /// Only this reason, such as `malformed`; repeat it for more
    #[arg(long, value_name = "REASON", value_parser = reason)]
    reason: Vec<Reason>,
    /// Only decisions by this rule
    #[arg(long, value_name = "REGEX")]
    rule: Option<String>,
    /// Only callers with this common name, organization, or first URI or DNS name
    #[arg(long, value_name = "REGEX")]
    peer: Option<String>,
    /// Only this namespace
    #[arg(long, short, value_name = "REGEX")]
    namespace: Option<String>,
    /// Only this pod
    #[arg(long, value_name = "REGEX")]
    pod: Option<String>,
    /// Only this run of kubectl, or the decision with this identifier
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Only from then on: RFC 3339, a day, or how long ago, such as `90s`, `10m`, `2h`, `7d`
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only up to then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Answer {
    /// The policy said yes.
    Allowed,
    /// It said no, or wasn't asked; also what a dry run let through.
    Denied,
    /// It never came to a decision.
    Refused,
}

/// The same, ready for use.
pub(crate) struct Filter {
    endpoints: Vec<String>,
    result: Option<Answer>,
    reasons: Vec<Reason>,
    rule: Option<Regex>,
    peer: Option<Regex>,
    namespace: Option<Regex>,
    pod: Option<Regex>,
    session: Option<String>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
}

impl Filter {
    /// Reads the options.
    ///
    /// # Errors
    /// When one of them is no regular expression, or no time.
    pub(crate) fn new(wanted: &Wanted) -> anyhow::Result<Self> {
        let Wanted { endpoint, result, reason, rule, peer, namespace, pod, session, since, until } =
            wanted;
        let now = Utc::now();
        Ok(Self {
            endpoints: endpoint.clone(),
            result: *result,
            reasons: reason.clone(),
            rule: whole("--rule", rule.as_deref())?,
            peer: whole("--peer", peer.as_deref())?,
            namespace: whole("--namespace", namespace.as_deref())?,
            pod: whole("--pod", pod.as_deref())?,
            session: session.clone(),
            since: since.as_deref().map(|text| read_time("--since", text, now)).transpose()?,
            until: until.as_deref().map(|text| read_time("--until", text, now)).transpose()?,
        })
    }

    /// Whether a record is one of them.
    pub(crate) fn wants(&self, record: &Record<'_>) -> bool {
        match record {
            Record::Decision(decision, _) => self.wants_decision(decision),
            Record::Refused(refused) => self.wants_refused(refused),
            Record::Failed(failed, _) => {
                self.wants_time(&failed.timestamp)
                    && !self.is_about_decisions()
                    && self.result.is_none()
                    && self.peer.is_none()
            }
        }
    }

    fn wants_decision(&self, decision: &Decision<'_>) -> bool {
        let about = About::read(decision.input.get()).unwrap_or_default();
        let is_result = match self.result {
            None => true,
            Some(Answer::Allowed) => decision.result,
            Some(Answer::Denied) => !decision.result,
            Some(Answer::Refused) => false,
        };
        let is_session = |session: &String| {
            decision.kubectl_session.as_ref() == Some(&session.as_str().into())
                || decision.decision_id == *session
        };
        is_result
            && self.wants_time(&decision.timestamp)
            && (self.endpoints.is_empty()
                || about.endpoint.as_ref().is_some_and(|is| self.endpoints.iter().any(|e| e == is)))
            && (self.reasons.is_empty() || self.reasons.contains(&decision.reason))
            && fits(self.rule.as_ref(), decision.rule.as_deref())
            && fits(self.namespace.as_ref(), about.namespace.as_deref())
            && fits(self.pod.as_ref(), about.pod.as_deref())
            && self.session.as_ref().is_none_or(is_session)
            && self.peer.as_ref().is_none_or(|peer| {
                about.peer.as_ref().is_some_and(|is| is.names().any(|name| peer.is_match(name)))
            })
    }

    fn wants_refused(&self, refused: &Refused<'_>) -> bool {
        self.wants_time(&refused.timestamp)
            && !self.is_about_decisions()
            && self.result.is_none_or(|result| result == Answer::Refused)
            && fits(self.peer.as_ref(), refused.subject.as_deref())
    }

    /// Whether it asks for what only a decision has.
    fn is_about_decisions(&self) -> bool {
        !self.endpoints.is_empty()
            || !self.reasons.is_empty()
            || self.rule.is_some()
            || self.namespace.is_some()
            || self.pod.is_some()
            || self.session.is_some()
    }

    fn wants_time(&self, timestamp: &str) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        time(timestamp).is_some_and(|time| {
            self.since.is_none_or(|since| since <= time)
                && self.until.is_none_or(|until| time <= until)
        })
    }
}

fn fits(wanted: Option<&Regex>, name: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| name.is_some_and(|name| wanted.is_match(name)))
}

fn whole(option: &str, regex: Option<&str>) -> anyhow::Result<Option<Regex>> {
    let regex = regex.map(|regex| Regex::new(&format!("^(?:{regex})$"))).transpose();
    regex.map_err(|error| Exit::Usage.because(format!("{option}: {error}")))
}

/// A time, or how long before `now` it is.
fn read_time(option: &str, text: &str, now: DateTime<Utc>) -> anyhow::Result<DateTime<Utc>> {
    let ago = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let number = number.parse().ok()?;
        let ago = match unit {
            "s" => TimeDelta::try_seconds(number),
            "m" => TimeDelta::try_minutes(number),
            "h" => TimeDelta::try_hours(number),
            "d" => TimeDelta::try_days(number),
            _ => None,
        };
        now.checked_sub_signed(ago?)
    };
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc());
    time(text).or_else(day).or_else(ago).with_context(|| format!("`{text}` is no time")).map_err(
        |error| {
            Exit::Usage.because(format!(
                "{option}: {error}\nhelp: write `2026-11-20T15:20:00Z`, `2026-11-20` or `10m`"
            ))
        },
    )
}

fn reason(name: &str) -> Result<Reason, String> {
    Reason::ALL.into_iter().find(|reason| reason.as_str() == name).ok_or_else(|| {
        let names = Reason::ALL.map(Reason::as_str);
        format!("the reasons are {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_three_ways() {
        let now = time("2026-11-20T15:20:00Z").unwrap();
        for (text, want) in [
            ("2026-11-20T16:00:00+01:00", "2026-11-20T15:00:00Z"),
            ("2026-11-19", "2026-11-19T00:00:00Z"),
            ("90s", "2026-11-20T15:18:30Z"),
            ("10m", "2026-11-20T15:10:00Z"),
            ("2h", "2026-11-20T13:20:00Z"),
            ("1d", "2026-11-19T15:20:00Z"),
        ] {
            assert_eq!(read_time("--since", text, now).unwrap(), time(want).unwrap(), "{text}");
        }
        for text in ["", "m", "10", "10w", "yesterday", "\u{f6}"] {
            assert!(read_time("--since", text, now).is_err(), "{text}");
        }
    }
}
