//! The kubelet's settings that requirements look at: how they are written, and what holds where
//! they aren't.
//!
//! The defaults are those of `SetDefaults_KubeletConfiguration` in Kubernetes'
//! `pkg/kubelet/apis/config/v1beta1/defaults.go`, and for a kubelet without a configuration file those of
//! `applyLegacyDefaults` in `cmd/kubelet/app/options/options.go`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::config::unique;

/// Settings by their path in a KubeletConfiguration, or by another name for what isn't in there.
pub type Settings = BTreeMap<String, Found>;

/// What was found of a setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its value, if it can be read.
    pub reading: Reading,
    /// Where it is from, for people: a file, a flag, a default.
    pub from: String,
}

/// A value, or what stands in its place.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// It can be read.
    Value(Value),
    /// It can't be read, and why or what it is.
    Unreadable(String),
}

/// A setting of the kubelet's.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its path in a KubeletConfiguration.
    pub path: &'static str,
    /// The flag that sets it; for a feature gate, one of several in it.
    pub flag: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What holds if neither a file nor a flag says it.
    pub default: Constant,
    /// What holds instead if there is no configuration file at all.
    pub legacy: Option<Constant>,
    /// Whether `/configz` leaves it out where it is false, zero or empty. Any other is always in there.
    pub omitted_if_zero: bool,
}

/// What a setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Number,
    /// A text.
    Text,
    /// A time as Go writes it, such as `4h0m0s`.
    Duration,
    /// A list of texts.
    List,
}

/// A value that is known in advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constant {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Number(i64),
    /// A text, or a time.
    Text(&'static str),
    /// A list without elements.
    EmptyList,
}

/// A key that differs from the right one by case. Which of the kubelet's readers take it for the right
/// one is not to be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misspelt(pub String);

/// All settings that are looked at.
pub const SETTINGS: [Setting; 18] = [
    always("address", "address", Kind::Text, Constant::Text("0.0.0.0")),
    always("port", "port", Kind::Number, Constant::Number(10250)),
    Setting {
        legacy: Some(Constant::Number(10255)),
        ..omitted("readOnlyPort", "read-only-port", Kind::Number, Constant::Number(0))
    },
    Setting {
        legacy: Some(Constant::Boolean(true)),
        ..always(
            "authentication.anonymous.enabled",
            "anonymous-auth",
            Kind::Boolean,
            Constant::Boolean(false),
        )
    },
    Setting {
        legacy: Some(Constant::Boolean(false)),
        ..always(
            "authentication.webhook.enabled",
            "authentication-token-webhook",
            Kind::Boolean,
            Constant::Boolean(true),
        )
    },
    omitted("authentication.x509.clientCAFile", "client-ca-file", Kind::Text, Constant::Text("")),
    Setting {
        legacy: Some(Constant::Text("AlwaysAllow")),
        ..always("authorization.mode", "authorization-mode", Kind::Text, Constant::Text("Webhook"))
    },
    always(
        "streamingConnectionIdleTimeout",
        "streaming-connection-idle-timeout",
        Kind::Duration,
        Constant::Text("4h0m0s"),
    ),
    always(
        "makeIPTablesUtilChains",
        "make-iptables-util-chains",
        Kind::Boolean,
        Constant::Boolean(true),
    ),
    always("eventRecordQPS", "event-qps", Kind::Number, Constant::Number(50)),
    omitted("tlsCertFile", "tls-cert-file", Kind::Text, Constant::Text("")),
    omitted("tlsPrivateKeyFile", "tls-private-key-file", Kind::Text, Constant::Text("")),
    omitted("tlsCipherSuites", "tls-cipher-suites", Kind::List, Constant::EmptyList),
    omitted("rotateCertificates", "rotate-certificates", Kind::Boolean, Constant::Boolean(false)),
    omitted(
        "serverTLSBootstrap",
        "rotate-server-certificates",
        Kind::Boolean,
        Constant::Boolean(false),
    ),
    Setting {
        omitted_if_zero: false,
        ..omitted(ROTATION, "feature-gates", Kind::Boolean, Constant::Boolean(true))
    },
    always("podPidsLimit", "pod-max-pids", Kind::Number, Constant::Number(-1)),
    always("seccompDefault", "seccomp-default", Kind::Boolean, Constant::Boolean(false)),
];

/// A feature gate in beta, so `AllBeta` is its default where that is set.
const ROTATION: &str = "featureGates.RotateKubeletServerCertificate";

const fn always(path: &'static str, flag: &'static str, kind: Kind, default: Constant) -> Setting {
    Setting { path, flag, kind, default, legacy: None, omitted_if_zero: false }
}

const fn omitted(path: &'static str, flag: &'static str, kind: Kind, default: Constant) -> Setting {
    Setting { omitted_if_zero: true, ..always(path, flag, kind, default) }
}

impl Setting {
    /// What a KubeletConfiguration says of it; `None` if it says nothing.
    #[must_use]
    pub fn of(&self, configuration: &Map<String, Value>) -> Option<Reading> {
        match lookup(configuration, self.path) {
            Ok(Some(value)) => Some(self.kind.read(value)),
            Ok(None) if self.path == ROTATION => match lookup(configuration, ALL_BETA) {
                Ok(value) => value.map(|value| self.kind.read(value)),
                Err(misspelt) => Some(misspelt.into()),
            },
            Ok(None) => None,
            Err(misspelt) => Some(misspelt.into()),
        }
    }

    /// What holds if nothing says it.
    #[must_use]
    pub fn default(&self, has_file: bool) -> Value {
        self.legacy.filter(|_| !has_file).unwrap_or(self.default).value()
    }
}

const ALL_BETA: &str = "featureGates.AllBeta";

impl Kind {
    /// Reads a value of a file or an answer.
    #[must_use]
    pub fn read(self, value: &Value) -> Reading {
        let fits = match (self, value) {
            (Self::Boolean, Value::Bool(_)) | (Self::Text | Self::Duration, Value::String(_)) => {
                true
            }
            (Self::Number, Value::Number(number)) => number.is_i64(),
            (Self::List, Value::Array(items)) => items.iter().all(Value::is_string),
            _ => false,
        };
        if fits { Reading::Value(value.clone()) } else { Reading::Unreadable(value.to_string()) }
    }

    /// What `/configz` leaves out.
    fn zero(self) -> Value {
        match self {
            Self::Boolean => false.into(),
            Self::Number => 0.into(),
            Self::Text | Self::Duration => "".into(),
            Self::List => Value::Array(Vec::new()),
        }
    }
}

impl Constant {
    /// The value.
    #[must_use]
    pub fn value(self) -> Value {
        match self {
            Self::Boolean(value) => value.into(),
            Self::Number(value) => value.into(),
            Self::Text(value) => value.into(),
            Self::EmptyList => Value::Array(Vec::new()),
        }
    }
}

impl Reading {
    /// As the requirements read it.
    pub(super) fn input(&self) -> Value {
        let (name, value) = match self {
            Self::Value(value) => ("value", value.clone()),
            Self::Unreadable(what) => ("unreadable", Value::String(what.clone())),
        };
        let mut object = Map::new();
        object.insert(name.to_owned(), value);
        Value::Object(object)
    }
}

impl From<Misspelt> for Reading {
    fn from(Misspelt(key): Misspelt) -> Self {
        Self::Unreadable(format!("the key `{key}`"))
    }
}

/// Reads an answer to `/configz`, which is the configuration in force.
pub(super) fn of_configz(body: &[u8]) -> Result<Settings, String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    unique::check(text).map_err(|error| error.to_string())?;
    let answer: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    let Some(Value::Object(configuration)) = answer.get("kubeletconfig") else {
        return Err("there is no `kubeletconfig`".to_owned());
    };
    let mut settings = Settings::new();
    for setting in &SETTINGS {
        let reading = match setting.of(configuration) {
            Some(reading) => reading,
            None if setting.path == ROTATION => Reading::Value(setting.default(true)),
            None if setting.omitted_if_zero => Reading::Value(setting.kind.zero()),
            None => Reading::Unreadable("missing".to_owned()),
        };
        let found = Found { reading, from: "/configz".to_owned() };
        settings.insert(setting.path.to_owned(), found);
    }
    Ok(settings)
}

/// The value at a path; `null` is none.
fn lookup<'a>(
    configuration: &'a Map<String, Value>,
    path: &str,
) -> Result<Option<&'a Value>, Misspelt> {
    let (key, below) = match path.split_once('.') {
        Some((key, below)) => (key, Some(below)),
        None => (path, None),
    };
    let other = |found: &&String| found.as_str() != key && found.eq_ignore_ascii_case(key);
    if let Some(misspelt) = configuration.keys().find(other) {
        return Err(Misspelt(misspelt.clone()));
    }
    match (configuration.get(key), below) {
        (None | Some(Value::Null), _) => Ok(None),
        (Some(value), None) => Ok(Some(value)),
        (Some(Value::Object(inner)), Some(below)) => lookup(inner, below),
        // Something else stands where an object should; the value itself shows it.
        (Some(value), Some(_)) => Ok(Some(value)),
    }
}
