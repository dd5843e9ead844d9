//! The configuration: Envoy serves it to the module, from a file that it watches.
//!
//! The configuration of a bootstrap extension can't change while Envoy runs. A route's answer can:
//! so the module asks for it every now and then, with the version that it has.

use chrono::{DateTime, TimeDelta, Utc};
use gatelet_core::csr::{Answer, Config, Controller};

/// Between two questions.
const PERIOD: TimeDelta = TimeDelta::seconds(2);

#[derive(Debug)]
pub(crate) struct Settings {
    version: String,
    next: DateTime<Utc>,
}

/// What came of a question.
pub(crate) enum News {
    /// Nothing new.
    None,
    /// Another configuration.
    Accepted(Box<Controller>),
    /// Another configuration that can't be used. The old one stays.
    Rejected(String),
    /// No answer.
    Unanswered,
}

impl Default for Settings {
    fn default() -> Self {
        Self { version: "none".to_owned(), next: DateTime::UNIX_EPOCH }
    }
}

impl Settings {
    /// The version that is there, if it is time to ask for another.
    pub(crate) fn ask(&mut self, now: DateTime<Utc>) -> Option<&str> {
        if now < self.next {
            return None;
        }
        self.next = now + PERIOD;
        Some(&self.version)
    }

    /// Reads the answer. A configuration that is rejected is not looked at again.
    pub(crate) fn take(&mut self, answer: Answer, version: Option<String>) -> News {
        let (response, version) = match (answer, version) {
            (Ok(response), _) if response.status == 304 => return News::None,
            (Ok(response), Some(version)) if response.status == 200 => (response, version),
            _ => return News::Unanswered,
        };
        if version == self.version {
            return News::None;
        }
        self.version = version;
        let controller = Config::from_json(&response.body)
            .map_err(|error| error.to_string())
            .and_then(|config| Controller::new(config).map_err(|error| error.to_string()));
        match controller {
            Ok(controller) => News::Accepted(Box::new(controller)),
            Err(message) => News::Rejected(message),
        }
    }
}
