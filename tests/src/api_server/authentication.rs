//! Who asks: a client certificate's subject, or the owner of a bearer token.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::parse_x509_certificate;

use super::Credential;

/// Everybody who was authenticated is in this group.
const AUTHENTICATED: &str = "system:authenticated";

/// Somebody, as RBAC sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// `system:serviceaccount:<namespace>:<name>`, or a certificate's common name.
    pub name: String,
    /// A certificate's organizations, or what a token's issuer says.
    pub groups: Vec<String>,
}

impl User {
    /// A user with these groups, and that of everybody who was authenticated.
    pub fn new(name: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().chain(&[AUTHENTICATED]).map(|group| (*group).to_owned());
        Self { name: name.to_owned(), groups: groups.collect() }
    }

    /// A ServiceAccount.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self::new(
            &format!("system:serviceaccount:{namespace}:{name}"),
            &["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}")],
        )
    }

    /// The subject of a client certificate that was verified.
    fn of_certificate(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = parse_x509_certificate(certificate).ok()?;
        let subject = parsed.subject();
        let name = subject.iter_common_name().next()?.as_str().ok()?;
        let groups = subject.iter_organization().map(|organization| organization.as_str());
        Some(Self::new(name, &groups.collect::<Result<Vec<_>, _>>().ok()?))
    }
}

/// Who asks, and how that is known.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) user: User,
    pub(super) credential: Credential,
}

impl Caller {
    pub(super) fn of_certificate(certificate: &CertificateDer<'_>) -> Option<Self> {
        let digest = Sha256::digest(certificate).iter().map(|byte| format!("{byte:02x}")).collect();
        let credential = Credential::Certificate(digest);
        Some(Self { user: User::of_certificate(certificate)?, credential })
    }

    pub(super) fn of_token(token: &str, tokens: &Tokens) -> Option<Self> {
        let credential = Credential::Token(token.to_owned());
        Some(Self { user: tokens.user(token)?, credential })
    }
}

/// The tokens that are good at this moment.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<BTreeMap<String, User>>);

impl Tokens {
    pub(super) fn accept(&self, token: &str, user: User) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, known| *known != user);
        tokens.insert(token.to_owned(), user);
    }

    fn user(&self, token: &str) -> Option<User> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }
}
