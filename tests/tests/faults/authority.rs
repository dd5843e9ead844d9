//! A CA of callers that issues what the cluster's can't: by an intermediate, for seconds, with a
//! revocation list.

use std::time::{Duration, SystemTime};

use gatelet_tests::tls::Identity;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber,
};

const HOUR: Duration = Duration::from_secs(3600);

/// A root and the intermediate that signs for it.
pub(crate) struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
    intermediate: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let root = CertifiedIssuer::self_signed(ca("root")?, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let intermediate = CertifiedIssuer::signed_by(ca("intermediate")?, key, &root)?;
        Ok(Self { root, intermediate })
    }

    /// The root, which is what is trusted.
    pub(crate) fn pem(&self) -> String {
        self.root.pem()
    }

    /// A client whose certificate ends after this time.
    pub(crate) fn client(&self, serial: u64, lifetime: Duration) -> anyhow::Result<Identity> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "caller");
        params.serial_number = Some(serial.into());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = (SystemTime::now() - HOUR).into();
        params.not_after = (SystemTime::now() + lifetime).into();
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.intermediate)?;
        let chain = format!("{}{}", certificate.pem(), self.intermediate.pem());
        Ok(Identity { certificate: chain.into_bytes(), key: key.serialize_pem().into_bytes() })
    }

    /// The root's list, which revokes nobody.
    pub(crate) fn list_of_root(&self) -> anyhow::Result<String> {
        list(&self.root, &[], SystemTime::now() + HOUR)
    }

    /// The intermediate's list, up to date until this time.
    pub(crate) fn list(&self, revoked: &[u64], until: SystemTime) -> anyhow::Result<String> {
        list(&self.intermediate, revoked, until)
    }
}

fn ca(name: &str) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn list(
    issuer: &CertifiedIssuer<'static, KeyPair>,
    revoked: &[u64],
    until: SystemTime,
) -> anyhow::Result<String> {
    let revoked = revoked.iter().map(|&serial| RevokedCertParams {
        serial_number: serial.into(),
        revocation_time: (SystemTime::now() - HOUR).into(),
        reason_code: None,
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: (until - 2 * HOUR).into(),
        next_update: until.into(),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    Ok(params.signed_by(issuer)?.pem()?)
}
