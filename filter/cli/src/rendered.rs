//! Files that `gatelet render` made, and what it would make of a folder.

use anyhow::{Context as _, bail};
use gatelet_core::{Config, csr, extension_config};
use serde_json::Value;

use crate::{document, exit::Exit, policy::PolicyArguments};

/// What a policy is for.
pub(crate) enum Rendered {
    Filter(Box<Config>),
    Approver(Box<csr::Config>),
}

/// The configuration of a policy, be it a folder or a rendered file.
pub(crate) fn configuration(policy: &PolicyArguments) -> anyhow::Result<Rendered> {
    if policy.files.folder.is_file() {
        rendered(policy)
    } else if policy.is_for_the_approver() {
        Ok(Rendered::Approver(Box::new(policy.written_for_the_approver()?.try_into()?)))
    } else {
        Ok(Rendered::Filter(Box::new(policy.written()?.try_into()?)))
    }
}

/// The configuration in a file that `gatelet render` made.
///
/// # Errors
/// When it isn't as `gatelet render` makes it, or there are options that belong there.
pub(crate) fn rendered(policy: &PolicyArguments) -> anyhow::Result<Rendered> {
    let file = &policy.files.folder;
    let name = || file.display().to_string();
    if !policy.is_only_files() {
        return Err(Exit::Usage.because(format!(
            "{} is rendered already\nhelp: give these options to `gatelet render`",
            name()
        )));
    }
    let value: Value = document::read(file)?;
    if let Some(configuration) = csr::route_config::configuration(&value) {
        let config = csr::Config::from_json(configuration.as_bytes()).with_context(name)?;
        return Ok(Rendered::Approver(Box::new(config)));
    }
    let configuration = extension_config::configuration(&value).with_context(|| {
        format!(
            "{} has no configuration as text\n\
             help: `gatelet render` makes such a file; its configuration is a google.protobuf.StringValue, \
             as the filter can't read a Struct",
            name()
        )
    })?;
    if let Some(pointer) = extension_config::difference(&value) {
        bail!(
            "{} isn't as `gatelet render` makes it: {pointer}\n\
             help: render it again, with `--settings` for what the filter has settings for",
            name()
        );
    }
    let config = Config::from_json(configuration.as_bytes()).with_context(name)?;
    Ok(Rendered::Filter(Box::new(config)))
}
