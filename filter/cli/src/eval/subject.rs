//! What is asked about: a request of the command line, of the corpus, or of the log.

use std::path::Path;

use anyhow::Context as _;
use gatelet_core::{
    Config,
    config::PolicyConfig,
    corpus::{Case, Corpus},
    kubelet,
};

use super::Arguments;
use crate::{
    decision_log::Record,
    document,
    exit::Exit,
    request::{Question, Request},
};

/// A request to decide.
pub(super) struct Subject {
    pub(super) question: Question,
    /// As it was written, if a person wrote it.
    pub(super) request: Option<Request>,
    /// Where it is from.
    pub(super) note: Option<String>,
    /// Pointers of the input document that the log doesn't show.
    pub(super) hidden: Vec<String>,
}

impl Subject {
    /// Reads what the command line names. A case brings its file's data if the policy has none, and its
    /// file's configuration if that has one.
    pub(super) fn new(arguments: &Arguments, config: &mut Config) -> anyhow::Result<Self> {
        if let Some(case) = &arguments.case {
            return Self::of_case(case, config);
        }
        if let Some(file) = &arguments.log {
            return Self::of_log(file, config);
        }
        let mut request = Request::parse(arguments.request.as_deref().unwrap_or_default())?;
        for header in &arguments.headers {
            request.add_header(header)?;
        }
        if !arguments.as_is && config.profile == gatelet_core::config::Profile::Kubelet {
            request = request.with_upgrade();
        }
        let caller = arguments.caller.caller(config)?;
        let question = request.from(caller.peer(config));
        Ok(Self { question, request: Some(request), note: None, hidden: Vec::new() })
    }

    fn of_case(name: &str, config: &mut Config) -> anyhow::Result<Self> {
        let usage = |message: String| Exit::Usage.because(message);
        let (file, name) = name.split_once('#').ok_or_else(|| {
            usage(format!("`{name}` names no case\nhelp: write FILE#NOTE or FILE#NUMBER"))
        })?;
        let corpus =
            Corpus::parse(&document::text(Path::new(file))?).with_context(|| file.to_owned())?;
        let number: Option<usize> = name.parse().ok();
        let case = corpus
            .cases
            .iter()
            .zip(1..)
            .find(|(case, index)| case.note == name || number == Some(*index))
            .map(|(case, _)| case)
            .ok_or_else(|| usage(no_case(file, name, &corpus)))?;
        if let Some(written) = &corpus.configuration {
            *config = written.clone().try_into()?;
        }
        let (PolicyConfig::Rego(source) | PolicyConfig::KubeletTlsProxy(source)) =
            &mut config.policy;
        if source.data.is_empty() {
            source.data.clone_from(&corpus.data);
        }
        Ok(Self {
            question: Question { lines: case.lines(), ends: case.ends(), peer: corpus.peer(case) },
            request: None,
            note: Some(wanted(file, case)),
            hidden: Vec::new(),
        })
    }

    /// A decision of the log, of its own node.
    fn of_log(file: &Path, config: &mut Config) -> anyhow::Result<Self> {
        #[derive(serde::Deserialize)]
        struct Document {
            node: kubelet::Node,
        }

        let unjudged = |message: String| Exit::Unjudged.because(message);
        let text = text_of(file)?;
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return Err(Exit::Usage.because(format!(
                "{} is not one line\nhelp: choose one, as `grep DECISION_ID {0} | head -1` does",
                file.display()
            )));
        };
        let decision = match Record::parse(line.as_bytes()) {
            Ok(Record::Decision(decision, _)) => decision,
            Ok(_) => {
                return Err(unjudged("that line is about no decision of the filter's".to_owned()));
            }
            Err(error) => return Err(unjudged(error.to_string())),
        };
        // Masked values are asked about as they are, and the report says so.
        let recorded = decision.question(true).map_err(|error| unjudged(error.to_string()))?;
        config.node = serde_json::from_str::<Document>(decision.input.get())
            .map_err(|error| unjudged(format!("the input document: {error}")))?
            .node;
        let rule = decision.rule.as_ref().map(|rule| format!(" by {rule}")).unwrap_or_default();
        let note = format!(
            "{} of {}, then `{}`{rule}",
            decision.decision_id,
            decision.timestamp,
            decision.reason.as_str()
        );
        let peer = Ok(recorded.peer().clone());
        Ok(Self {
            question: Question { lines: recorded.lines(), ends: recorded.ends(), peer },
            request: None,
            note: Some(note),
            hidden: decision.hidden().map(str::to_owned).collect(),
        })
    }
}

/// A file, or the standard input for `-`.
fn text_of(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        return Ok(std::io::read_to_string(std::io::stdin())?);
    }
    document::text(file)
}

fn wanted(file: &str, case: &Case) -> String {
    let rule = case.rule.as_ref().map(|rule| format!(" by {rule}")).unwrap_or_default();
    format!("{} in {file}, which wants `{}`{rule}", case.note, case.want.as_str())
}

fn no_case(file: &str, name: &str, corpus: &Corpus) -> String {
    let notes = corpus.cases.iter().map(|case| format!("\n  {}", case.note)).collect::<String>();
    format!("{file} has no case `{name}`\nhelp: it has these:{notes}")
}
