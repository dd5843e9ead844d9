//! X.509-SVIDs, and the files in which a pod finds them.

use std::fs::{self, Permissions};
use std::net::IpAddr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa,
    Issuer as Signer, KeyPair, KeyUsagePurpose, SanType,
};

use crate::tls::{self, Identity};

/// A CA of the mesh.
pub struct Issuer {
    certificate: String,
    signer: Signer<'static, KeyPair>,
}

/// A certificate with a SPIFFE ID, its key, and the CA to trust, all as PEM.
#[derive(Clone, Debug)]
pub struct Svid {
    certificate: String,
    key: String,
    ca: String,
}

impl Issuer {
    /// A CA with a key of its own. Any two have the same name.
    ///
    /// # Errors
    /// When no key can be generated.
    pub fn create() -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { certificate, signer: Signer::new(params, key) })
    }

    /// A certificate for an ID and, where the issuer knows them, the pod's addresses. It has no
    /// subject, like those of Kubernetes.
    ///
    /// # Errors
    /// When the ID is no URI.
    pub fn issue(&self, id: &str, addresses: &[IpAddr]) -> anyhow::Result<Svid> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(id.try_into()?)];
        params.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        Ok(Svid {
            certificate: params.signed_by(&key, &self.signer)?.pem(),
            key: key.serialize_pem(),
            ca: self.certificate.clone(),
        })
    }
}

impl Svid {
    /// Trusts another CA than the one that signed it.
    #[must_use]
    pub fn trusting(self, other: &Issuer) -> Self {
        Self { ca: other.certificate.clone(), ..self }
    }

    /// Puts it into a folder as the kubelet does with projected volumes: all files change in one move.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn project(&self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        let version = tempfile::Builder::new()
            .prefix("..")
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in(folder)?
            .keep();
        for (name, text) in self.files() {
            fs::write(version.join(name), text)?;
            // Only the sidecar has the volume, and its user is not root.
            fs::set_permissions(version.join(name), Permissions::from_mode(0o444))?;
            if !folder.join(name).is_symlink() {
                symlink(Path::new("..data").join(name), folder.join(name))?;
            }
        }
        symlink(version.file_name().unwrap_or_default(), folder.join("..data_tmp"))?;
        fs::rename(folder.join("..data_tmp"), folder.join("..data"))?;
        Ok(())
    }

    /// Writes it over the files in a folder as SPIRE's helper does, and then moves a file there,
    /// which is what the helper has to be told to do.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn overwrite(&self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        for (name, text) in self.files() {
            fs::write(folder.join(name), text)?;
        }
        fs::write(folder.join(".renewed"), "")?;
        fs::rename(folder.join(".renewed"), folder.join("renewed"))?;
        Ok(())
    }

    /// A client that presents it, and trusts its CA.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn client(&self) -> anyhow::Result<Arc<rustls::ClientConfig>> {
        let [certificate, key] = [&self.certificate, &self.key].map(|pem| pem.as_bytes().to_vec());
        tls::client(Some(&Identity { certificate, key }), self.ca.as_bytes())
    }

    /// The serial number, in the digits of Envoy's `/certs`.
    ///
    /// # Errors
    /// When the certificate can't be read.
    pub fn serial(&self) -> anyhow::Result<String> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(self.certificate.as_bytes())?;
        Ok(pem.parse_x509()?.raw_serial_as_string().replace(':', ""))
    }

    fn files(&self) -> [(&str, &str); 3] {
        [("tls.crt", &self.certificate), ("tls.key", &self.key), ("ca.crt", &self.ca)]
    }
}
