//! The files in `tests/hostile`: a request as bytes, and what it comes to in each mode.

use std::collections::BTreeMap;
use std::fs;
use std::str::FromStr;

use anyhow::{Context as _, ensure};
use gatelet_core::Reason;
use gatelet_tests::envoy::project;
use serde::Deserialize;
use serde::de::IntoDeserializer as _;
use serde::de::value::Error;

use crate::mode::Mode;

/// What is sent on one connection.
#[derive(Debug)]
pub(crate) struct Case {
    /// The file and what is odd about it.
    pub(crate) name: String,
    /// The bytes.
    pub(crate) send: Vec<u8>,
    /// More bytes, sent when the first answer has arrived.
    pub(crate) then: Option<Vec<u8>>,
    want: Vec<(Mode, Vec<Outcome>)>,
}

/// What becomes of one request.
///
/// Written `400 malformed`, or `200 allowed GET /pods` where the request reaches the kubelet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The status of the answer; 0 where the connection is closed without one.
    status: u16,
    /// Why, as the log says.
    pub(crate) why: Why,
    /// What the kubelet sees of it: method and target.
    pub(crate) arrives: Option<String>,
}

/// Who decided, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The filter.
    Decided(Reason),
    /// Envoy, by its own word for it; a case has several where its versions have.
    Refused(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// What the file shows, in a sentence.
    #[serde(rename = "about")]
    _about: String,
    /// Text that stands in requests as `<name>`.
    #[serde(default)]
    parts: BTreeMap<String, String>,
    cases: Vec<Written>,
}

/// A case as it is written. Each character of a request is one byte, its Latin-1 code.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    send: String,
    #[serde(default)]
    then: Option<String>,
    /// Outcomes in the order of the answers. What a mode has none of its own for, it does as the
    /// one before it.
    want: Vec<String>,
    #[serde(default)]
    base: Option<Vec<String>>,
    #[serde(default)]
    merge_slashes: Option<Vec<String>>,
    #[serde(default)]
    decode_and_merge_slashes: Option<Vec<String>>,
}

impl Case {
    /// The cases of all files.
    pub(crate) fn all() -> anyhow::Result<Vec<Self>> {
        let mut files = fs::read_dir(project().join("tests/hostile"))?
            .map(|entry| Ok(entry?.path()))
            .collect::<anyhow::Result<Vec<_>>>()?;
        files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        let mut cases = Vec::new();
        for path in files {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let file: File = serde_json::from_str(&fs::read_to_string(&path)?)
                .with_context(|| path.display().to_string())?;
            for case in file.cases {
                let name = format!("{stem}: {}", case.name);
                cases.push(case.read(&file.parts, name.clone()).context(name)?);
            }
        }
        Ok(cases)
    }

    /// What it comes to, one outcome an answer.
    pub(crate) fn want(&self, mode: Mode) -> &[Outcome] {
        let own = self.want.iter().rev().find(|(of, _)| *of <= mode);
        own.map_or(&[], |(_, outcomes)| outcomes)
    }

    /// What is wrong, by the case's name.
    pub(crate) fn blame(&self, result: anyhow::Result<()>) -> Option<String> {
        result.err().map(|error| format!("{}: {error:#}", self.name))
    }
}

impl Written {
    fn read(self, parts: &BTreeMap<String, String>, name: String) -> anyhow::Result<Case> {
        let by_mode =
            [Some(self.want), self.base, self.merge_slashes, self.decode_and_merge_slashes];
        let mut want = Vec::new();
        for (mode, outcomes) in Mode::ALL.into_iter().zip(by_mode) {
            let Some(outcomes) = outcomes else { continue };
            let outcomes = outcomes.iter().map(|outcome| outcome.parse());
            want.push((mode, outcomes.collect::<anyhow::Result<_>>()?));
        }
        let then = self.then.map(|then| bytes(&then, parts)).transpose()?;
        Ok(Case { name, send: bytes(&self.send, parts)?, then, want })
    }
}

fn bytes(text: &str, parts: &BTreeMap<String, String>) -> anyhow::Result<Vec<u8>> {
    let text = parts
        .iter()
        .fold(text.to_owned(), |text, (name, part)| text.replace(&format!("<{name}>"), part));
    let bytes = text.chars().map(u8::try_from).collect::<Result<_, _>>();
    bytes.context("a character that is not a byte in Latin-1")
}

impl Outcome {
    /// The status of the answer, if there is one.
    pub(crate) fn answer(&self) -> Option<u16> {
        (self.status != 0).then_some(self.status)
    }

    /// Whether the request goes on to the kubelet.
    pub(crate) fn is_allowed(&self) -> bool {
        self.arrives.is_some()
    }

    /// Whether this is how it came about.
    pub(crate) fn is_by(&self, why: &Why) -> bool {
        match (&self.why, why) {
            (Why::Refused(words), Why::Refused(word)) => words.split('|').any(|it| it == word),
            (one, other) => one == other,
        }
    }

    /// The path that the kubelet sees.
    pub(crate) fn path(&self) -> Option<&str> {
        self.arrives.as_ref()?.split([' ', '?']).nth(1)
    }
}

impl FromStr for Outcome {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut words = text.splitn(3, ' ');
        let status = words.next().unwrap_or_default().parse().context("no status")?;
        let why = words.next().context("no reason")?;
        let why = match Reason::deserialize(why.into_deserializer()) {
            Ok(reason) => Why::Decided(reason),
            Err::<_, Error>(_) => Why::Refused(why.to_owned()),
        };
        let arrives = words.next().map(str::to_owned);
        ensure!(
            arrives.is_some() == (why == Why::Decided(Reason::Allowed)),
            "`{text}`: what is allowed arrives, and nothing else"
        );
        Ok(Self { status, why, arrives })
    }
}
