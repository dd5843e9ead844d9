//! A whole cluster: its CAs, and whatever they sign.

use std::path::Path;
use std::time::SystemTime;

use clap::ValueEnum;
use rcgen::{ExtendedKeyUsagePurpose, KeyPair};
use time::OffsetDateTime;

use crate::authority::{Authority, Leaf, Pair, Subject, Validity};
use crate::files::{create_folder, publish, write_public, write_secret};
use crate::kubeconfig::kubeconfig;
use crate::{Ca, Error, Files, Flaw, Options, Persona, Signer};

/// A cluster's CAs and what its certificates are made of. It lives in memory until it is written.
pub struct Cluster {
    options: Options,
    now: OffsetDateTime,
    cluster: Authority,
    etcd: Authority,
    front_proxy: Authority,
    gate: Authority,
}

impl Cluster {
    /// Creates the CAs. Every certificate is valid from shortly before `now`.
    pub fn new(options: Options, now: SystemTime) -> Result<Self, Error> {
        let now = OffsetDateTime::from(now);
        let create = |ca: Ca| Authority::create(ca.identity().common_name, now, options.ca_days);
        Ok(Self {
            cluster: create(Ca::Cluster)?,
            etcd: create(Ca::Etcd)?,
            front_proxy: create(Ca::FrontProxy)?,
            gate: create(Ca::Gate)?,
            options,
            now,
        })
    }

    /// One of the CAs.
    pub fn authority(&self, ca: Ca) -> &Authority {
        match ca {
            Ca::Cluster => &self.cluster,
            Ca::Etcd => &self.etcd,
            Ca::FrontProxy => &self.front_proxy,
            Ca::Gate => &self.gate,
        }
    }

    /// Issues a fresh pair for a persona; every call makes a new key.
    pub fn issue(&self, persona: Persona) -> Result<Pair, Error> {
        let identity = persona.identity();
        self.authority(identity.ca).issue(&identity.leaf(&self.options, self.now)?)
    }

    /// Issues a persona's pair with one thing wrong.
    pub fn flawed(&self, persona: Persona, flaw: Flaw) -> Result<Pair, Error> {
        let identity = persona.identity();
        flaw.issue(&identity, self.authority(identity.ca), &self.options, self.now)
    }

    /// Issues a client of the cluster CA with any subject, in whatever characters.
    pub fn client(&self, subject: Subject) -> Result<Pair, Error> {
        self.cluster.issue(&Leaf {
            subject,
            names: Vec::new(),
            purposes: vec![ExtendedKeyUsagePurpose::ClientAuth],
            validity: Validity::starting(self.now, self.options.leaf_days)?,
        })
    }

    /// The cluster CA as a signer of certificate signing requests.
    pub fn signer(&self) -> Result<Signer, Error> {
        Signer::new(&self.cluster)
    }

    /// Writes the given CAs and whatever they sign into `folder`, which must be empty or not exist
    /// yet. Either everything is there afterwards or nothing. Returns the paths below `folder`.
    pub fn write(&self, folder: &Path, cas: &[Ca]) -> Result<Vec<String>, Error> {
        create_folder(folder, |folder| {
            let mut written = Vec::new();
            for ca in Ca::value_variants().iter().filter(|ca| cas.contains(ca)) {
                let (authority, stem) = (self.authority(*ca), ca.identity().stem);
                write_pair(&folder.join(stem), authority.certificate(), &authority.key())?;
                written.push(Files::Pair(stem).to_string());
            }
            for persona in Persona::value_variants() {
                if cas.contains(&persona.identity().ca) {
                    self.write_persona(folder, *persona)?;
                    written.push(persona.identity().files.to_string());
                }
            }
            if cas.contains(&Ca::Cluster) {
                let key = KeyPair::generate()?;
                write_secret(&folder.join("pki/sa.key"), &key.serialize_pem())?;
                write_public(&folder.join("pki/sa.pub"), &key.public_key_pem())?;
                written.push("pki/sa.{key,pub}".into());
            }
            Ok(written)
        })
    }

    fn write_persona(&self, folder: &Path, persona: Persona) -> Result<(), Error> {
        let identity = persona.identity();
        let pair = self.issue(persona)?;
        match identity.files {
            Files::Pair(stem) => write_pair(&folder.join(stem), &pair.certificate, &pair.key),
            Files::Kubeconfig(path) => {
                let user = identity.leaf(&self.options, self.now)?.subject.common_name;
                let text = kubeconfig(&user, self.options.apiserver_address, &pair);
                write_secret(&folder.join(path), &text)
            }
            Files::Watched(path) => publish(&folder.join(path), &pair),
        }
    }
}

/// Issues a fresh pair for a persona from the CA that signs it, read from a folder in kubeadm's
/// layout: one that [`Cluster::write`] made, or `/etc/kubernetes`.
pub fn issue_from(
    folder: &Path,
    persona: Persona,
    options: &Options,
    now: SystemTime,
) -> Result<Pair, Error> {
    let identity = persona.identity();
    let authority = Authority::read(&folder.join(identity.ca.identity().stem))?;
    authority.issue(&identity.leaf(options, now.into())?)
}

fn write_pair(stem: &Path, certificate: &str, key: &str) -> Result<(), Error> {
    write_public(&stem.with_added_extension("crt"), certificate)?;
    write_secret(&stem.with_added_extension("key"), key)
}
