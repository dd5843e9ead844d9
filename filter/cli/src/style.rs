//! What colours mean. Write with `anstream`, which has them on a terminal only, and with `NO_COLOR`
//! not at all.

use std::fmt::{self, Display};

use anstyle::{AnsiColor, Style};

/// Passed, allowed.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Failed, newly allowed.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Worth a look.
pub(crate) const DOUBTFUL: Style = AnsiColor::Yellow.on_default().bold();

/// A text in a style.
pub(crate) fn paint(style: Style, text: impl Display) -> impl Display {
    fmt::from_fn(move |to| write!(to, "{style}{text}{style:#}"))
}
