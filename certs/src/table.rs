//! The table of every CA and certificate, as Markdown for the README.

use std::fmt::Write;

use clap::ValueEnum;

use crate::{Ca, Files, Persona, Usage};

/// Every CA, then every certificate: who talks to whom, who signs, which files, and which flags
/// want them on both sides. Paths are relative to the folder given with `--out`.
pub fn table() -> String {
    let mut text = String::from(
        "| CA | subject | files | key held by | trusted by |\n\
         |---|---|---|---|---|\n",
    );
    for ca in Ca::value_variants() {
        let identity = ca.identity();
        row(
            &mut text,
            &[
                &name(ca),
                &format!("`CN={}`", identity.common_name),
                &format!("`{}`", Files::Pair(identity.stem)),
                identity.key_held_by,
                identity.trusted_by,
            ],
        );
    }
    text.push_str(
        "\n| channel | certificate | CA | subject | usages | files | presented by | checked by |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for persona in Persona::value_variants() {
        let identity = persona.identity();
        let organization = identity.organization.map(|name| format!(", O={name}"));
        row(
            &mut text,
            &[
                identity.channel,
                &name(persona),
                &name(&identity.ca),
                &format!("`CN={}{}`", identity.common_name, organization.unwrap_or_default()),
                match identity.usage {
                    Usage::Client => "client",
                    Usage::Server(_) => "server",
                    Usage::ServerAndClient(_) => "server, client",
                },
                &format!("`{}`", identity.files),
                identity.presented_by,
                identity.checked_by,
            ],
        );
    }
    row(
        &mut text,
        &[
            "ServiceAccount tokens",
            "none",
            "none",
            "none",
            "signature",
            "`pki/sa.{key,pub}`",
            "kube-controller-manager `--service-account-private-key-file`, \
         kube-apiserver `--service-account-signing-key-file`",
            "kube-apiserver `--service-account-key-file`",
        ],
    );
    text
}

fn row(text: &mut String, cells: &[&str]) {
    // Writing into a String can't fail.
    let _ok = writeln!(text, "| {} |", cells.join(" | "));
}

/// The name by which the command knows a value.
fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
