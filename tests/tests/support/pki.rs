//! Throw-away certificates: a CA, and identities that it issues.

use gatelet_tests::tls::Identity;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};

/// A certificate authority that lives as long as its test.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    pub(crate) fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    pub(crate) fn server(&self, name: &str) -> anyhow::Result<Identity> {
        self.issue(name, ExtendedKeyUsagePurpose::ServerAuth)
    }

    pub(crate) fn client(&self, common_name: &str) -> anyhow::Result<Identity> {
        self.issue(common_name, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> anyhow::Result<Identity> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        Ok(Identity {
            certificate: certificate.pem().into_bytes(),
            key: key.serialize_pem().into_bytes(),
        })
    }
}
