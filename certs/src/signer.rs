//! Signing requests, as kube-controller-manager does for kubelets.

use std::time::SystemTime;

use rcgen::{
    CertificateSigningRequestParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use crate::Error;
use crate::authority::{Authority, BACKDATE};

/// A CA's key and certificate, apart from the cluster that they came from.
pub struct Signer {
    issuer: Issuer<'static, KeyPair>,
    not_after: OffsetDateTime,
}

impl Signer {
    pub(crate) fn new(authority: &Authority) -> Result<Self, Error> {
        let key = KeyPair::from_pem(&authority.key())?;
        let issuer = Issuer::from_ca_cert_pem(authority.certificate(), key)?;
        Ok(Self { issuer, not_after: authority.not_after() })
    }

    /// Signs a PKCS #10 request (PEM): subject, names and key are the request's, the usages and the
    /// `seconds` that it lasts are the caller's. It never outlives the CA.
    pub fn sign(
        &self,
        request: &str,
        usages: &[&str],
        now: SystemTime,
        seconds: i64,
    ) -> Result<String, Error> {
        let now = OffsetDateTime::from(now);
        let mut request = CertificateSigningRequestParams::from_pem(request)?;
        let params = &mut request.params;
        params.not_before = now - BACKDATE;
        params.not_after = now.saturating_add(Duration::seconds(seconds)).min(self.not_after);
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages.clear();
        params.extended_key_usages.clear();
        for usage in usages {
            match *usage {
                "digital signature" => params.key_usages.push(KeyUsagePurpose::DigitalSignature),
                "key encipherment" => params.key_usages.push(KeyUsagePurpose::KeyEncipherment),
                "server auth" => {
                    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
                }
                "client auth" => {
                    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
                }
                other => return Err(Error::Usage(other.to_owned())),
            }
        }
        Ok(request.signed_by(&self.issuer)?.pem())
    }
}
