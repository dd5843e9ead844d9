//! Errors and warnings for a person, on stderr.

use std::io;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use gatelet_core::{
    diagnostic::{Diagnostic, Place},
    policy::PolicyError,
};

use crate::style::{DOUBTFUL, paint};

/// Prints an error: its sources, each once, and the line that it is about.
pub(crate) fn error(error: &anyhow::Error) {
    if is_closed_pipe(error) {
        return;
    }
    let (text, places) = match located(error) {
        Some((context, Diagnostic { message, places, help })) => {
            let help = help.as_ref().map_or_else(String::new, |help| format!("\nhelp: {help}"));
            (format!("{context}{message}{help}"), places.as_slice())
        }
        None => (format!("{error:#}"), [].as_slice()),
    };
    let (message, help) = match text.split_once("\nhelp: ") {
        Some((message, help)) => (message, Some(help)),
        None => (text.as_str(), None),
    };
    let title = Level::ERROR.with_name("gatelet").primary_title(message);
    let report = [Group::with_title(title).elements(places.iter().map(snippet))];
    anstream::eprintln!("{}", Renderer::styled().render(&report));
    if let Some(help) = help {
        let help = [Group::with_title(Level::HELP.primary_title(help))];
        anstream::eprintln!("{}", Renderer::styled().render(&help));
    }
}

/// Prints what is probably not meant.
pub(crate) fn warning(message: &str) {
    anstream::eprintln!("{} {message}", paint(DOUBTFUL, "warning:"));
}

/// The reader of the output wants no more of it, as `head` does.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let is = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|source| source.downcast_ref().is_some_and(is))
}

/// The source of an error that knows its place, and what the sources before it say.
fn located(error: &anyhow::Error) -> Option<(String, &Diagnostic)> {
    let mut context = String::new();
    for source in error.chain() {
        let policy = || source.downcast_ref::<PolicyError>().and_then(PolicyError::diagnostic);
        if let Some(diagnostic) = source.downcast_ref().or_else(policy) {
            return Some((context, diagnostic));
        }
        context += &format!("{source}: ");
    }
    None
}

/// The line of a place, with a caret under its character.
fn snippet(place: &Place) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
    let Place { file, line, column, text } = place;
    let mut characters = text.char_indices().map(|(at, character)| at..at + character.len_utf8());
    let caret = characters.nth(column - 1).unwrap_or(text.len()..text.len());
    Snippet::source(text.as_str())
        .path(file)
        .line_start(*line)
        .annotation(AnnotationKind::Primary.span(caret))
}
