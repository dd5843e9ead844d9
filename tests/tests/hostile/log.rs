//! The decision log of many cases: whose a record is, is told by the address it came from.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;

use anyhow::{Context as _, ensure};
use gatelet_core::Reason;
use gatelet_tests::envoy::DecisionLog;
use serde::Deserialize as _;
use serde_json::Value;

use crate::case::{Outcome, Why};

/// Records in order, by where the requests came from.
pub(crate) struct Log(HashMap<IpAddr, Vec<Value>>);

impl Log {
    /// Reads the log when it has a record of `last`.
    pub(crate) async fn read_up_to(last: IpAddr, log: &DecisionLog) -> anyhow::Result<Self> {
        log.wait_for("the last record", |record| source(record) == Some(last)).await?;
        // In a terminal, a byte of a caller's could be a command.
        let text = fs::read(log.path())?;
        let odd = text.iter().find(|byte| !matches!(byte, b'\n' | b' '..=b'~'));
        ensure!(odd.is_none(), "byte {odd:?} in the log");
        let mut by_source: HashMap<_, Vec<_>> = HashMap::new();
        for record in log.records()? {
            let source = source(&record).with_context(|| format!("whose is {record}?"))?;
            by_source.entry(source).or_default().push(record);
        }
        Ok(Self(by_source))
    }

    /// The log without the records about a path.
    pub(crate) fn without(mut self, path: &str) -> Self {
        self.0.values_mut().for_each(|records| records.retain(|it| self::path(it) != path));
        self
    }

    /// Whether the outcomes of a case are in it: the reasons, and for what arrived, the path that
    /// arrived.
    pub(crate) fn has(&self, source: IpAddr, want: &[Outcome]) -> anyhow::Result<()> {
        let mut records: Vec<_> = self.0.get(&source).into_iter().flatten().collect();
        // A session has a record at its start and at its end.
        records.dedup_by_key(|record| {
            record.pointer("/decision/decision_id").or(record.pointer("/connection_id"))
        });
        let got: Vec<_> = records.iter().map(|record| why(record)).collect::<Result<_, _>>()?;
        let is_it = want.len() == got.len() && want.iter().zip(&got).all(|(it, why)| it.is_by(why));
        let whys = || want.iter().map(|outcome| &outcome.why).collect::<Vec<_>>();
        ensure!(is_it, "the log has {got:?}, not {:?}", whys());
        for (record, outcome) in records.iter().zip(want) {
            let arrived = outcome.path();
            ensure!(
                arrived.is_none_or(|arrived| arrived == path(record)),
                "{arrived:?} arrived, but decided was {record}"
            );
        }
        Ok(())
    }
}

fn why(record: &Value) -> anyhow::Result<Why> {
    if let Some(reason) = record.pointer("/decision/reason") {
        return Ok(Why::Decided(Reason::deserialize(reason)?));
    }
    let refused = record.pointer("/refused/reason").and_then(Value::as_str);
    Ok(Why::Refused(refused.with_context(|| record.to_string())?.to_owned()))
}

fn path(record: &Value) -> &str {
    let path = record.pointer("/decision/input/path").or(record.pointer("/refused/path"));
    path.and_then(Value::as_str).unwrap_or_default()
}

fn source(record: &Value) -> Option<IpAddr> {
    let decided = record.pointer("/decision/input/peer/address").and_then(Value::as_str);
    let refused = record.pointer("/refused/address").and_then(Value::as_str);
    let refused = refused.and_then(|address| address.rsplit_once(':')).map(|(ip, _)| ip);
    decided.or(refused)?.parse().ok()
}
