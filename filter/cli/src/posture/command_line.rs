//! The kubelet's flags, which win over its files, from what starts the kubelet or from its own account.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::{Context as _, bail};
use gatelet_core::posture::{Found, Kind, Reading, SETTINGS, Setting, Settings};
use serde_json::{Value, json};

use crate::document;

/// Flags as they are given, or as `/flagz` shows them.
#[derive(Debug, Default)]
pub(super) struct CommandLine {
    flags: BTreeMap<String, Vec<Flag>>,
    /// `IPAddressDeny` of the unit, if there is a unit.
    ip_address_deny: Option<String>,
    /// Whether a flag that isn't here is not given: there is a whole command line.
    is_whole: bool,
    /// Whether flags are shown that were not given, with what they would be.
    shows_all: bool,
}

#[derive(Clone, Debug)]
struct Flag {
    /// `None` for `--flag` alone.
    value: Option<String>,
    file: String,
}

/// What is in no configuration file.
const HOSTNAME_OVERRIDE: &str = "hostname-override";

/// The end of the first line of an answer to `/flagz`, behind the component's name.
const FLAGZ: &str = " flagz";

/// The flags that say where the configuration is.
const FILES: [&str; 2] = ["config", "config-dir"];

impl CommandLine {
    /// Reads all files together: variables of one are used in another.
    ///
    /// # Errors
    /// When one can't be read, or uses a variable that none of them sets.
    pub(super) fn read(files: &[PathBuf]) -> anyhow::Result<Self> {
        let mut read = Self::default();
        let mut variables = BTreeMap::new();
        let mut commands = Vec::new();
        for file in files {
            let (name, text) = (file.display().to_string(), document::text(file)?);
            let in_file = || name.clone();
            if is_flagz(&text) {
                read.take_flagz(&text, &name);
            } else if is_unit(&text) {
                read.take_unit(&text, &name, &mut variables, &mut commands)
                    .with_context(in_file)?;
            } else {
                take_environment(&text, &name, &mut variables).with_context(in_file)?;
            }
        }
        if commands.is_empty() {
            // Without a command, a variable of flags is taken to be used.
            commands.extend(
                variables.iter().map(|(name, (_, file))| (format!("${name}"), file.clone())),
            );
        } else {
            read.is_whole = true;
        }
        for (command, file) in commands {
            let words = words(&command, &file, &variables)?;
            read.take_words(words);
        }
        Ok(read)
    }

    /// An answer to `/flagz`.
    pub(super) fn of_flagz(text: &str, name: &str) -> Self {
        let mut read = Self::default();
        read.take_flagz(text, name);
        read
    }

    /// The last value of a flag.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.flags.get(name)?.last()?.value.as_deref()
    }

    /// Puts what the flags say over what the files say.
    pub(super) fn override_in(&self, settings: &mut Settings) {
        for setting in &SETTINGS {
            let Some(found) = self.found(setting) else { continue };
            let below = settings.get(setting.path);
            let is_default = found.reading == Reading::Value(setting.default(false));
            let same = below.is_some_and(|below| below.reading == found.reading);
            if self.shows_all && is_default {
                if !same {
                    let what = "`/flagz` doesn't tell whether the flag is given; judge the unit, or `/configz`";
                    let reading = Reading::Unreadable(what.to_owned());
                    settings.insert(setting.path.to_owned(), Found { reading, ..found });
                }
            } else {
                settings.insert(setting.path.to_owned(), found);
            }
        }
    }

    /// Adds what only a command line or a unit shows.
    pub(super) fn add_what_is_in_no_file(&self, settings: &mut Settings) {
        let name = format!("--{HOSTNAME_OVERRIDE}");
        if let Some(flag) = self.flags.get(HOSTNAME_OVERRIDE).and_then(|flags| flags.last()) {
            let reading = Reading::Value(json!(flag.value.as_deref().unwrap_or_default()));
            settings.insert(name, Found { reading, from: flag.from(HOSTNAME_OVERRIDE) });
        } else if self.is_whole {
            let reading = Reading::Value(json!(""));
            settings.insert(name, Found { reading, from: "default".to_owned() });
        }
        if let Some(value) = &self.ip_address_deny {
            let found = Found { reading: Reading::Value(json!(value)), from: "unit".to_owned() };
            settings.insert("IPAddressDeny".to_owned(), found);
        }
    }

    /// The flags that nothing looks at.
    pub(super) fn notes(&self) -> Vec<String> {
        let looked_at = |name: &str| {
            name == HOSTNAME_OVERRIDE
                || FILES.contains(&name)
                || SETTINGS.iter().any(|setting| setting.flag == name)
        };
        let others: Vec<_> = self
            .flags
            .keys()
            .filter(|name| !looked_at(name))
            .map(|name| format!("--{name}"))
            .collect();
        if others.is_empty() || self.shows_all {
            return Vec::new();
        }
        vec![format!("no requirement looks at {}", others.join(", "))]
    }

    fn found(&self, setting: &Setting) -> Option<Found> {
        let flags = self.flags.get(setting.flag)?;
        let last = flags.last()?;
        let reading = match setting.path.strip_prefix("featureGates.") {
            Some(gate) => gate_in(flags, gate)?,
            None if setting.kind == Kind::List => list(flags),
            None => value(setting.kind, last.value.as_deref()),
        };
        Some(Found { reading, from: last.from(setting.flag) })
    }

    /// One line a flag, whatever stands between name and value.
    fn take_flagz(&mut self, text: &str, file: &str) {
        (self.is_whole, self.shows_all) = (true, true);
        let is_flag = |line: &&str| line.starts_with(|c: char| c.is_ascii_lowercase());
        for line in text.lines().filter(is_flag).filter(|line| !line.ends_with(FLAGZ)) {
            let end = line.find([':', '=', ' ']).unwrap_or(line.len());
            let (name, rest) = line.split_at_checked(end).unwrap_or((line, ""));
            let value = rest.strip_prefix([':', '=']).unwrap_or(rest).trim();
            self.take(name, Some(value.to_owned()), file);
        }
    }

    fn take_unit(
        &mut self,
        text: &str,
        file: &str,
        variables: &mut BTreeMap<String, (String, String)>,
        commands: &mut Vec<(String, String)>,
    ) -> anyhow::Result<()> {
        let deny = self.ip_address_deny.get_or_insert_default();
        // A line goes on behind a backslash.
        for line in text.replace("\\\n", " ").lines() {
            let Some((key, value)) = line.trim().split_once('=') else { continue };
            match (key.trim(), value.trim()) {
                // As systemd has it, an empty one takes back those before.
                ("ExecStart", "") => commands.clear(),
                ("ExecStart", command) => commands.push((command.to_owned(), file.to_owned())),
                ("IPAddressDeny", value) => value.clone_into(deny),
                ("Environment", assignments) => {
                    for assignment in split(assignments)? {
                        let (name, value) =
                            assignment.split_once('=').context("`Environment` assigns nothing")?;
                        variables.insert(name.to_owned(), (value.to_owned(), file.to_owned()));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn take_words(&mut self, words: Vec<(String, String)>) {
        let mut words = words.into_iter().peekable();
        while let Some((word, file)) = words.next() {
            let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
                // The program.
                continue;
            };
            if let Some((name, value)) = flag.split_once('=') {
                self.take(name, Some(value.to_owned()), &file);
            } else if is_boolean(flag) {
                self.take(flag, None, &file);
            } else {
                // The kubelet takes no arguments, so it is the flag's.
                let value = words.next_if(|(next, _)| !next.starts_with('-'));
                self.take(flag, value.map(|(value, _)| value), &file);
            }
        }
    }

    fn take(&mut self, name: &str, value: Option<String>, file: &str) {
        // The kubelet takes `--anonymous_auth` for the same.
        let name = name.replace('_', "-");
        self.flags.entry(name).or_default().push(Flag { value, file: file.to_owned() });
    }
}

impl Flag {
    fn from(&self, name: &str) -> String {
        format!("--{name} in {}", self.file)
    }
}

fn is_boolean(flag: &str) -> bool {
    let flag = flag.replace('_', "-");
    SETTINGS.iter().any(|setting| {
        setting.flag == flag && setting.kind == Kind::Boolean && setting.flag != "feature-gates"
    })
}

/// Reads a value as Kubernetes' flags do.
fn value(kind: Kind, text: Option<&str>) -> Reading {
    let read = match (kind, text) {
        (Kind::Boolean, None | Some("1" | "t" | "T" | "true" | "TRUE" | "True")) => {
            Some(json!(true))
        }
        (Kind::Boolean, Some("0" | "f" | "F" | "false" | "FALSE" | "False")) => Some(json!(false)),
        (Kind::Number, Some(text)) => text.parse::<i64>().ok().map(Value::from),
        (Kind::Text | Kind::Duration, Some(text)) => Some(json!(text)),
        _ => None,
    };
    read.map_or_else(|| Reading::Unreadable(text.unwrap_or("no value").to_owned()), Reading::Value)
}

/// All values of a list, whose elements have commas between them. `/flagz` has brackets around.
fn list(flags: &[Flag]) -> Reading {
    let texts = flags.iter().map(|flag| flag.value.as_deref().unwrap_or_default());
    let bare = texts
        .map(|text| text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text));
    let elements = bare.flat_map(|text| text.split(',')).filter(|element| !element.is_empty());
    Reading::Value(elements.collect())
}

/// A feature gate, by the last flag that sets it, or `AllBeta`.
fn gate_in(flags: &[Flag], gate: &str) -> Option<Reading> {
    let pairs: Vec<_> = flags
        .iter()
        .flat_map(|flag| flag.value.as_deref().unwrap_or_default().split(','))
        .filter_map(|pair| pair.split_once('='))
        .collect();
    let set = |name: &str| pairs.iter().rfind(|(found, _)| found.trim() == name);
    let (_, text) = set(gate).or_else(|| set("AllBeta"))?;
    Some(value(Kind::Boolean, Some(text.trim())))
}

fn is_flagz(text: &str) -> bool {
    text.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| line.ends_with(FLAGZ))
}

fn is_unit(text: &str) -> bool {
    text.lines().any(|line| matches!(line.trim(), "[Unit]" | "[Service]" | "[Install]"))
}

/// Reads lines `NAME="value"`.
fn take_environment(
    text: &str,
    file: &str,
    variables: &mut BTreeMap<String, (String, String)>,
) -> anyhow::Result<()> {
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with(['#', ';']) {
            continue;
        }
        let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let Some((name, value)) = line.split_once('=').filter(|(name, _)| is_name(name)) else {
            bail!(
                "neither a unit, nor variables, nor an answer to /flagz as text\n\
                 help: variables stand one a line, as in KUBELET_EXTRA_ARGS=\"--v=2\""
            );
        };
        let value = split(value)?.join(" ");
        variables.insert(name.to_owned(), (value, file.to_owned()));
    }
    Ok(())
}

/// The words of a command with its variables, each with the file that it is in.
fn words(
    command: &str,
    file: &str,
    variables: &BTreeMap<String, (String, String)>,
) -> anyhow::Result<Vec<(String, String)>> {
    let mut words = Vec::new();
    for word in split(command)? {
        let Some(name) = word.strip_prefix('$').filter(|name| !name.starts_with('{')) else {
            words.push((inlined(word, variables)?, file.to_owned()));
            continue;
        };
        let (value, file) = variable(name, variables)?;
        words.extend(split(value)?.into_iter().map(|word| (word, file.clone())));
    }
    Ok(words)
}

/// A word with its `${NAME}`s replaced.
fn inlined(word: String, variables: &BTreeMap<String, (String, String)>) -> anyhow::Result<String> {
    let mut known = BTreeSet::new();
    let mut text = word;
    while let Some((before, rest)) = text.split_once("${") {
        let (name, after) = rest.split_once('}').context("a `${` without `}`")?;
        if !known.insert(name.to_owned()) {
            bail!("`${{{name}}}` stands for itself");
        }
        let (value, _) = variable(name, variables)?;
        text = format!("{before}{value}{after}");
    }
    Ok(text)
}

fn variable<'a>(
    name: &str,
    variables: &'a BTreeMap<String, (String, String)>,
) -> anyhow::Result<&'a (String, String)> {
    variables.get(name).with_context(|| {
        format!(
            "the kubelet's command has `${name}`, which is in none of the files\n\
             help: give the unit's EnvironmentFile with `--flags` too, or a file with `{name}=` if it has none"
        )
    })
}

/// Splits as a shell does, which is how systemd does it too.
fn split(text: &str) -> anyhow::Result<Vec<String>> {
    shlex::split(text).with_context(|| format!("a quote has no end: {text}"))
}
