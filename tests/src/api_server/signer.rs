//! The signers of kube-controller-manager: they sign what was approved, if it is what they sign.

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::options::TEN_YEARS;
use super::resources::{now, text};
use super::store::{REQUESTS, Store, set};

/// Signs with the cluster's CA.
pub(super) struct Signer(gatelet_certs::Signer);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    pub(super) fn new(signer: gatelet_certs::Signer) -> Self {
        Self(signer)
    }

    /// Adds the certificate to a request that was approved, or the reason why there is none.
    pub(super) fn sign(&self, store: &Store, decided: &Arc<Value>) {
        let conditions = decided.pointer("/status/conditions").and_then(Value::as_array);
        let approved = |condition: &Value| condition.get("type") == Some(&json!("Approved"));
        if !conditions.is_some_and(|conditions| conditions.iter().any(approved)) {
            return;
        }
        let mut signed = Value::clone(decided);
        match self.certificate(decided) {
            Ok(certificate) => {
                let certificate = BASE64_STANDARD.encode(certificate);
                set(&mut signed, &["status", "certificate"], json!(certificate));
            }
            Err(error) => {
                let failed = json!({
                    "type": "Failed", "status": "True", "reason": "SignerValidationFailure",
                    "message": format!("{error:#}"), "lastUpdateTime": now(),
                });
                if let Some(conditions) =
                    signed.pointer_mut("/status/conditions").and_then(Value::as_array_mut)
                {
                    conditions.push(failed);
                }
            }
        }
        store.put(REQUESTS, signed);
    }

    fn certificate(&self, request: &Value) -> anyhow::Result<String> {
        let pem = text(request, "/spec/request").unwrap_or_default();
        let pem = String::from_utf8(BASE64_STANDARD.decode(pem)?)?;
        let usages: Vec<&str> = request
            .pointer("/spec/usages")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let seconds = request.pointer("/spec/expirationSeconds").and_then(Value::as_i64);
        let seconds = seconds.unwrap_or(TEN_YEARS);
        Ok(self.0.sign(&pem, &usages, SystemTime::now(), seconds)?)
    }
}
