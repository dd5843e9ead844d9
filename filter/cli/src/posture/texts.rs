//! What a person reads of a requirement. The filter judges without it.

use std::collections::BTreeMap;

use anyhow::Context as _;
use gatelet_core::posture::{Check, Profile};
use serde::Deserialize;

/// The texts of one requirement.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Text {
    /// What is so if it is met.
    pub(super) title: String,
    /// What its settings should be.
    pub(super) wanted: String,
    /// How to get there.
    pub(super) fix: String,
}

/// The texts of these requirements. Where profiles differ, a text is the profile's own.
pub(super) fn of(profile: Profile, checks: &[Check]) -> anyhow::Result<Vec<Text>> {
    let mut texts: BTreeMap<String, Text> = serde_json::from_str(include_str!("texts.json"))?;
    let mut text = |check: &Check| {
        let own = format!("{}/{}", check.id, profile.as_str());
        texts.remove(&own).or_else(|| texts.remove(&check.id)).with_context(|| check.id.clone())
    };
    checks.iter().map(&mut text).collect()
}
