//! The gate's answers, by caller, endpoint and namespace.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use gatelet_core::{Gate, Reason};
use serde::Serialize;
use serde_json::Value;

use super::{
    requests::{Asked, OF_NAMESPACES, OF_THE_NODE, Way},
    sample::{Named, Sample},
};
use crate::exit::Exit;

/// More requests than this are not asked: half a minute's work.
const MOST: usize = 1_000_000;

/// Who may do what.
#[derive(Debug, Serialize)]
pub(super) struct Matrix {
    /// Where the policy is.
    pub(super) policy: String,
    pub(super) policy_sha256: String,
    /// How many requests were asked.
    pub(super) requests: usize,
    /// Until then, what the policy denies is forwarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dry_run_until: Option<DateTime<Utc>>,
    pub(super) callers: usize,
    pub(super) namespaces: Vec<String>,
    pub(super) pods: Vec<String>,
    pub(super) containers: Vec<String>,
    pub(super) commands: Vec<String>,
    /// Callers with the same answers stand together.
    pub(super) sections: Vec<Section>,
}

/// The answers to some callers.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Section {
    pub(super) callers: Vec<String>,
    pub(super) tables: [Table; 2],
    pub(super) notes: Vec<Note>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Table {
    pub(super) title: &'static str,
    pub(super) columns: Vec<String>,
    /// None if nothing is allowed.
    pub(super) rows: Vec<Row>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    pub(super) endpoint: &'static str,
    pub(super) cells: Vec<Cell>,
}

/// The answers to the requests that stand for one endpoint in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(super) enum Cell {
    /// All of them.
    Allowed {
        rules: BTreeSet<String>,
    },
    Denied,
    /// Those in the note.
    Some {
        note: usize,
    },
}

/// What is allowed in a cell.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Note {
    pub(super) number: usize,
    pub(super) allowed: Vec<Allowed>,
    /// How many requests the cell stands for.
    pub(super) requests: usize,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Allowed {
    pub(super) what: String,
    pub(super) rules: BTreeSet<String>,
}

impl Matrix {
    /// Asks about everything.
    pub(super) fn ask(
        gate: &Gate,
        sample: &Sample,
        policy: String,
        dry_run_until: Option<DateTime<Utc>>,
    ) -> anyhow::Result<Self> {
        let ways =
            |ways: &[Way]| ways.iter().map(|way| way.requests(sample, "x").len()).sum::<usize>();
        let of_each = ways(&OF_NAMESPACES) * sample.namespaces.len() + ways(&OF_THE_NODE);
        let requests = of_each * sample.callers.len();
        if requests > MOST {
            return Err(Exit::Unjudged.because(format!(
                "the policy names so much that {requests} requests would have to be asked, \
                 more than {MOST}\nhelp: `gatelet eval` answers a single one"
            )));
        }
        let mut sections: Vec<Section> = Vec::new();
        for caller in &sample.callers {
            let section = Section::ask(gate, sample, caller)?;
            let same = sections
                .iter_mut()
                .find(|other| other.tables == section.tables && other.notes == section.notes);
            match same {
                Some(other) => other.callers.extend(section.callers),
                None => sections.push(section),
            }
        }
        // Who gets nothing stands at the end.
        sections.sort_by_key(|section| section.tables.iter().all(|table| table.rows.is_empty()));
        let shown =
            |names: &[super::sample::Name]| names.iter().map(|name| name.shown.clone()).collect();
        Ok(Self {
            policy,
            policy_sha256: gate.digest().to_owned(),
            requests,
            dry_run_until,
            callers: sample.callers.len(),
            namespaces: shown(&sample.namespaces),
            pods: shown(&sample.pods),
            containers: shown(&sample.containers),
            commands: sample.commands.iter().map(|words| words.join(" ")).collect(),
            sections,
        })
    }
}

impl Section {
    fn ask(gate: &Gate, sample: &Sample, caller: &Named) -> anyhow::Result<Self> {
        let mut notes = Vec::new();
        let mut table = |title, ways: &[Way], columns: &[(&str, &str)]| -> anyhow::Result<Table> {
            let mut rows = Vec::new();
            for way in ways {
                let mut cells = Vec::new();
                for (namespace, _) in columns {
                    let requests = way.requests(sample, namespace);
                    cells.push(cell(gate, caller, &requests, &mut notes)?);
                }
                rows.push(Row { endpoint: way.shown, cells });
            }
            let columns = columns.iter().map(|(_, shown)| (*shown).to_owned()).collect();
            let is_denied = |row: &Row| row.cells.iter().all(|cell| *cell == Cell::Denied);
            if rows.iter().all(is_denied) {
                rows.clear();
            }
            Ok(Table { title, columns, rows })
        };
        let namespaces: Vec<_> = sample
            .namespaces
            .iter()
            .map(|name| (name.asked.as_str(), name.shown.as_str()))
            .collect();
        let tables = [
            table("In a namespace", &OF_NAMESPACES, &namespaces)?,
            table("On the node", &OF_THE_NODE, &[("", "the node")])?,
        ];
        Ok(Self { callers: vec![caller.shown.clone()], tables, notes })
    }
}

fn cell(
    gate: &Gate,
    caller: &Named,
    requests: &[Asked],
    notes: &mut Vec<Note>,
) -> anyhow::Result<Cell> {
    let mut allowed: BTreeMap<&str, (BTreeSet<&str>, BTreeSet<String>)> = BTreeMap::new();
    let mut count = 0;
    for Asked { request, shown } in requests {
        let mut request = request.clone();
        if caller.has_token {
            request.headers.push(("Authorization".to_owned(), "Bearer token".to_owned()));
        }
        let answer = request.from(caller.caller.peer(gate.config())).put_to(gate);
        match answer.reason {
            Reason::Allowed => {}
            // The sample has only what a kubelet understands.
            Reason::Malformed | Reason::UnknownEndpoint | Reason::Method => {
                return Err(Exit::Unjudged.because(format!(
                    "`{} {}` can't be asked: {}",
                    request.method, request.target, answer.record
                )));
            }
            _ => continue,
        }
        count += 1;
        let record: Value = serde_json::from_str(&answer.record)?;
        let (methods, rules) = allowed.entry(shown).or_default();
        methods.insert(if request.method == "POST" { "POST" } else { "GET" });
        rules.extend(record.get("rule").and_then(Value::as_str).map(str::to_owned));
    }
    if count == 0 {
        return Ok(Cell::Denied);
    }
    if count == requests.len() {
        let rules = allowed.into_values().flat_map(|(_, rules)| rules).collect();
        return Ok(Cell::Allowed { rules });
    }
    let asked = |shown: &str| requests.iter().filter(|asked| asked.shown == shown).count();
    let allowed = allowed.into_iter().map(|(shown, (methods, rules))| {
        let methods: Vec<_> =
            if methods.len() < asked(shown) { methods.into_iter().collect() } else { Vec::new() };
        let what = match methods.as_slice() {
            [] => shown.to_owned(),
            methods => format!("{shown} by {}", methods.join(" and ")),
        };
        Allowed { what, rules }
    });
    let allowed: Vec<_> = allowed.collect();
    let same = notes.iter().find(|note| note.allowed == allowed && note.requests == requests.len());
    if let Some(note) = same {
        return Ok(Cell::Some { note: note.number });
    }
    let number = notes.len() + 1;
    notes.push(Note { number, allowed, requests: requests.len() });
    Ok(Cell::Some { note: number })
}
