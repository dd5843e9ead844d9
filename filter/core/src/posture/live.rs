//! The posture of a kubelet that is being watched.

use std::{cell::RefCell, num::NonZeroU32, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Posture, Profile, Verdict};
use crate::policy::PolicyError;

/// How a kubelet is watched.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// What is required of it.
    pub profile: Profile,
    /// Envoy's cluster that leads to it, with a certificate that may read `/configz`.
    #[serde(default = "cluster")]
    pub cluster: String,
    /// Between two looks, in seconds.
    #[serde(default = "interval")]
    pub interval_s: NonZeroU32,
}

/// What came of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// What holds from now on.
    pub verdict: Verdict,
    /// Whether something else held before.
    pub is_other: bool,
    /// Why there is no verdict, if there is none.
    pub why: Option<String>,
}

/// The requirements, and the last verdict on them.
#[derive(Debug)]
pub(crate) struct Live {
    posture: Posture,
    verdict: RefCell<Verdict>,
}

impl Watch {
    /// The usual one of a profile.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self { profile, cluster: cluster(), interval_s: interval() }
    }

    /// What is known before the first look, as a policy reads it.
    #[must_use]
    pub fn beginning(&self) -> Value {
        Verdict::unknown(self.profile).document()
    }

    /// Between two looks.
    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_secs(self.interval_s.get().into())
    }
}

impl Live {
    /// Compiles the requirements. Nothing is known yet.
    pub(crate) fn new(profile: Profile) -> Result<Self, PolicyError> {
        let verdict = RefCell::new(Verdict::unknown(profile));
        Ok(Self { posture: Posture::new(profile)?, verdict })
    }

    /// What is known, as a policy reads it.
    pub(crate) fn document(&self) -> Value {
        self.verdict.borrow().document()
    }

    /// Judges an answer to `/configz`, or that there is none.
    pub(crate) fn take(&self, configz: Result<&[u8], String>) -> News {
        let judged = configz.and_then(|body| self.posture.verdict(body));
        let (verdict, why) = match judged {
            Ok(verdict) => (verdict, None),
            Err(why) => (Verdict::unknown(self.posture.profile()), Some(why)),
        };
        let before = self.verdict.replace(verdict.clone());
        News { is_other: before != verdict, verdict, why }
    }
}

/// The kubelet's in the shipped configuration of Envoy.
fn cluster() -> String {
    "kubelet".to_owned()
}

fn interval() -> NonZeroU32 {
    const MINUTE: NonZeroU32 = NonZeroU32::new(60).unwrap();

    MINUTE
}
