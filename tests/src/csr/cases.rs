//! The table. `A`, `D` and `L` are approve, deny and leave, by rubber-stamp, strict and inventory; then
//! comes the rule that denies or leaves, and the one of rubber-stamp if that is another.

use std::net::{IpAddr, Ipv6Addr};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use serde_json::{Value, json};

use super::der::{
    Attribute, BASIC_CONSTRAINTS, Name, Request, SUBJECT_ALT_NAME, alternative_names, nested, pem,
};
use super::{Case, Corpus, KUBELET_CLIENT, KUBELET_SERVING, Kubelet, Want};

/// Makes everything anew: the keys, and so the signatures, are others each time.
///
/// # Errors
/// When a request can't be made.
pub fn corpus() -> anyhow::Result<Corpus> {
    let address = |kind: &str, address: &str| (kind.to_owned(), address.to_owned());
    let worker_1 = vec![
        address("InternalIP", "10.0.0.11"),
        address("InternalIP", "fd00::11"),
        address("Hostname", "worker-1"),
        address("InternalDNS", "worker-1.example.internal"),
    ];
    let worker_2 = vec![address("InternalIP", "10.0.0.12"), address("Hostname", "worker-2")];
    Ok(Corpus {
        nodes: [("worker-1".to_owned(), worker_1), ("worker-2".to_owned(), worker_2)].into(),
        inventory: json!({
            "worker-1": {
                "dns": ["worker-1", "worker-1.example.internal"], "ip": ["10.0.0.11", "fd00::11"],
            },
        }),
        cases: cases()?,
    })
}

fn cases() -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    let mut add = |note: &str, want: &str, change: fn(&mut Draft) -> anyhow::Result<()>| {
        let mut draft = Draft::new()?;
        change(&mut draft)?;
        cases.push(draft.case(note, want)?);
        anyhow::Ok(())
    };

    // What kubelets send.
    add("as a kubelet asks", "A A A", |_| Ok(()))?;
    add("encoded by hand", "A A A", Draft::by_hand)?;
    add("an RSA key, which also encrypts", "A A A", |draft| {
        draft.openssl(include_str!("openssl/rsa-2048.pem"));
        draft.usages.insert(1, "key encipherment");
        Ok(())
    })?;
    add("an RSA key of 4096 bits", "A A A", |draft| {
        draft.openssl(include_str!("openssl/rsa-4096.pem"));
        Ok(())
    })?;
    add("a P-384 key", "A A A", |draft| {
        draft.key(KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?)
    })?;
    add("an Ed25519 key", "A A A", |draft| draft.key(KeyPair::generate_for(&PKCS_ED25519)?))?;
    add("every address that the node has", "A A A", |draft| {
        draft.kubelet.dns.push("worker-1.example.internal".to_owned());
        draft.kubelet.ip.push(IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x11)));
        draft.asked()
    })?;
    add("DNS names only", "L A A both-kinds-of-names", |draft| {
        draft.kubelet.ip.clear();
        draft.asked()
    })?;
    add("IP addresses only", "L A A both-kinds-of-names", |draft| {
        draft.kubelet.dns.clear();
        draft.asked()
    })?;
    add("for a day", "A A A", |draft| {
        draft.expiration_seconds = Some(86_400);
        Ok(())
    })?;

    // Organization.
    add("no organization", "L D D subject organization", |draft| {
        draft.subject(&["system:node:worker-1"], &[])
    })?;
    add("another organization", "L D D organization", |draft| {
        draft.subject(&["system:node:worker-1"], &["system:masters"])
    })?;
    add("a second organization", "L D D subject organization", |draft| {
        draft.subject(&["system:node:worker-1"], &["system:nodes", "system:masters"])
    })?;

    // Common name and user.
    add("a common name that is no node's", "L D D common-name", |draft| {
        draft.subject(&["worker-1"], NODES)
    })?;
    add("no common name", "L D D subject common-name", |draft| draft.subject(&[], NODES))?;
    add("two common names", "L D D subject common-name", |draft| {
        draft.subject(&["system:node:worker-2", "system:node:worker-1"], NODES)
    })?;
    add("the common name of another node", "L D D username", |draft| {
        draft.subject(&["system:node:worker-2"], NODES)
    })?;
    add("a common name without a node", "L D D common-name", |draft| {
        draft.username = "system:node:".to_owned();
        draft.subject(&["system:node:"], NODES)
    })?;
    add("a common name in UTF-16", "L D D malformed", |draft| {
        draft.request.subject = vec![
            Attribute::Organization("system:nodes".to_owned()),
            Attribute::WideCommonName("system:node:worker-1".to_owned()),
        ];
        draft.by_hand()
    })?;
    add("a common name with NUL in it", "L D D common-name", |draft| {
        draft.subject(&["system:node:worker-1\0.example"], NODES)
    })?;
    add("an organizational unit as well", "A D D subject", |draft| {
        draft.request.subject.push(Attribute::Unit("admins".to_owned()));
        draft.by_hand()
    })?;
    add("all attributes in one relative name", "A A A", |draft| {
        draft.request.joined = true;
        draft.by_hand()
    })?;
    add("asked by another node", "L D D username", |draft| {
        draft.username = "system:node:worker-2".to_owned();
        Ok(())
    })?;
    add("asked by a person", "L D D username", |draft| {
        draft.username = "alice".to_owned();
        draft.groups = vec!["developers"];
        Ok(())
    })?;
    add("asked by somebody who only is called like a node", "L D D groups access", |draft| {
        draft.groups = vec!["system:authenticated"];
        Ok(())
    })?;

    // Usages.
    add("for a client", "L D D usages", |draft| {
        draft.usages = vec!["digital signature", "client auth"];
        Ok(())
    })?;
    add("for a client as well", "L D D usages", |draft| {
        draft.usages.push("client auth");
        Ok(())
    })?;
    add("not for a server", "L D D usages", |draft| {
        draft.usages = vec!["digital signature"];
        Ok(())
    })?;
    add("not to sign with", "L D D usages", |draft| {
        draft.usages = vec!["key encipherment", "server auth"];
        Ok(())
    })?;
    add("for no use", "L D D usages", |draft| {
        draft.usages.clear();
        Ok(())
    })?;
    add("to sign certificates with", "L D D usages", |draft| {
        draft.usages.push("cert sign");
        Ok(())
    })?;

    // Alternative names.
    add("no names at all", "L D D names-present both-kinds-of-names", |draft| draft.names(&[]))?;
    add("an address of electronic mail", "A D D name-kinds", |draft| {
        draft.also(Name::Email("root@example.com".to_owned()))
    })?;
    add("a URI", "A D D name-kinds", |draft| {
        draft.also(Name::Uri("spiffe://cluster/admin".to_owned()))
    })?;
    add("a name of an unknown kind", "A D D name-kinds", |draft| draft.also(Name::Other))?;
    add("the name of another node as well", "A L D names", |draft| draft.also(dns("worker-2")))?;
    add("the address of another node as well", "A L D names", |draft| {
        draft.also(Name::Ip(vec![10, 0, 0, 12]))
    })?;
    add("the API server's name", "A D D api-server-names", |draft| draft.also(dns("kubernetes")))?;
    add("the API server's full name", "A D D api-server-names", |draft| {
        draft.also(dns("kubernetes.default.svc.cluster.local"))
    })?;
    add("the API server's service address", "A L D names", |draft| {
        draft.also(Name::Ip(vec![10, 96, 0, 1]))
    })?;
    add("localhost", "A D D api-server-names", |draft| draft.also(dns("localhost")))?;
    add("the loopback address", "A D D api-server-names", |draft| {
        draft.also(Name::Ip(vec![127, 0, 0, 1]))
    })?;
    add("every address", "A D D plain-names", |draft| draft.also(Name::Ip(vec![0, 0, 0, 0])))?;
    add("a wildcard", "A D D plain-names", |draft| draft.also(dns("*.example.internal")))?;
    add("a name with a dot at its end", "A D D plain-names", |draft| draft.also(dns("worker-1.")))?;
    add("the node's name in capitals", "A A A", |draft| {
        draft.names(&[dns("WORKER-1"), Name::Ip(vec![10, 0, 0, 11])])
    })?;
    add("a name with NUL in it", "A D D plain-names", |draft| {
        draft.also(dns("worker-1\0.example.com"))
    })?;
    add("an empty name", "A D D plain-names", |draft| draft.also(dns("")))?;
    add("the node's address as IPv4 in IPv6", "A D D plain-names", |draft| {
        draft.also(Name::Ip([vec![0; 10], vec![0xff, 0xff, 10, 0, 0, 11]].concat()))
    })?;

    // Who is not there, and how long.
    add("a node that does not exist", "A L L node", |draft| {
        draft.kubelet.node = "worker-9".to_owned();
        draft.kubelet.dns = vec!["worker-9".to_owned()];
        draft.username = draft.kubelet.user();
        draft.asked()
    })?;
    add("for ten years", "A D D expiration", |draft| {
        draft.expiration_seconds = Some(10 * 365 * 86_400);
        Ok(())
    })?;

    // Keys.
    add("an RSA key of 1024 bits", "A D D key", |draft| {
        draft.openssl(include_str!("openssl/rsa-1024.pem"));
        Ok(())
    })?;
    add("signed with SHA-1", "L D D malformed", |draft| {
        draft.openssl(include_str!("openssl/rsa-2048-sha1.pem"));
        Ok(())
    })?;
    add("signed with RSA-PSS", "L D D malformed", |draft| {
        draft.openssl(include_str!("openssl/rsa-pss.pem"));
        Ok(())
    })?;
    add("a key on another curve", "L D D malformed", |draft| {
        draft.openssl(include_str!("openssl/secp256k1.pem"));
        Ok(())
    })?;
    add("a key on a curve that it describes itself", "L D D malformed", |draft| {
        draft.openssl(include_str!("openssl/explicit-curve.pem"));
        Ok(())
    })?;

    // Client certificates.
    add("for a client, as a kubelet renews it", "A A A", Draft::client)?;
    add("for a client, with a bootstrap token", "A A A", |draft| {
        draft.username = "system:bootstrap:abcdef".to_owned();
        draft.groups = vec!["system:bootstrappers:kubeadm:default-node-token"];
        draft.client()
    })?;
    add("for the client of another node", "L L L client-access", |draft| {
        draft.username = "system:node:worker-2".to_owned();
        draft.client()
    })?;
    add("for a client with a name", "L D D no-names", |draft| {
        draft.client()?;
        draft.also(dns("worker-1"))
    })?;
    add("for a client that serves as well", "L D D client-usages", |draft| {
        draft.client()?;
        draft.usages.push("server auth");
        Ok(())
    })?;
    add("for a client of an organizational unit", "A D D subject", |draft| {
        draft.request.subject.push(Attribute::Unit("admins".to_owned()));
        draft.client()
    })?;
    add("for a client that is an authority", "A D D extensions", |draft| {
        let authority = vec![0x30, 0x03, 0x01, 0x01, 0xff];
        draft.request.extensions.push((BASIC_CONSTRAINTS, true, authority));
        draft.client()
    })?;
    add("for a client for ten years", "A D D expiration", |draft| {
        draft.expiration_seconds = Some(10 * 365 * 86_400);
        draft.client()
    })?;

    // Extensions.
    add("a certificate authority", "A D D extensions", |draft| {
        let authority = vec![0x30, 0x03, 0x01, 0x01, 0xff];
        draft.request.extensions.push((BASIC_CONSTRAINTS, true, authority));
        draft.by_hand()
    })?;
    add("alternative names twice", "L D D malformed", |draft| {
        let other = alternative_names(&[dns("kubernetes")]);
        draft.request.extensions.push((SUBJECT_ALT_NAME, false, other));
        draft.by_hand()
    })?;
    add("extensions in two attributes", "L D D malformed", |draft| {
        draft.request.requests = 2;
        draft.by_hand()
    })?;
    add("alternative names of no length", "L D D malformed", |draft| {
        draft.request.names.clear();
        draft.request.extensions.push((SUBJECT_ALT_NAME, false, Vec::new()));
        draft.by_hand()
    })?;
    add(
        "an empty list of alternative names",
        "L D D names-present both-kinds-of-names",
        |draft| {
            draft.request.names.clear();
            draft.request.extensions.push((SUBJECT_ALT_NAME, false, vec![0x30, 0x00]));
            draft.by_hand()
        },
    )?;
    add("an address of five bytes", "L D D malformed", |draft| {
        draft.also(Name::Ip(vec![10, 0, 0, 11, 0]))
    })?;
    add("a thousand names", "L D D malformed", |draft| {
        let names: Vec<_> = (0..1_000).map(|number| dns(&format!("n{number}.example"))).collect();
        draft.names(&names)
    })?;

    // What is none.
    add("signed by another key", "L D D malformed", |draft| {
        let der = draft.request.sign(&KeyPair::generate()?, &KeyPair::generate()?)?;
        draft.pem = pem(LABEL, &der).into_bytes();
        Ok(())
    })?;
    add("changed after it was signed", "L D D malformed", |draft| {
        let key = KeyPair::generate()?;
        let der = draft.request.sign(&key, &key)?;
        let text = b"system:node:worker-1";
        let at = der.windows(text.len()).position(|window| window == text).unwrap_or_default();
        let changed = der.iter().enumerate();
        let changed: Vec<u8> = changed
            .map(|(index, byte)| if index == at + text.len() - 1 { b'2' } else { *byte })
            .collect();
        draft.username = "system:node:worker-2".to_owned();
        draft.pem = pem(LABEL, &changed).into_bytes();
        Ok(())
    })?;
    add("version 2", "L D D malformed", |draft| {
        draft.request.version = 1;
        draft.by_hand()
    })?;
    add("two blocks", "L D D malformed", |draft| {
        draft.pem = [draft.pem.clone(), draft.pem.clone()].concat();
        Ok(())
    })?;
    add("text after the block", "L D D malformed", |draft| {
        draft.pem.extend(b"and more\n");
        Ok(())
    })?;
    add("text before the block", "L D D malformed", |draft| {
        draft.pem = [b"Subject: worker-1\n".to_vec(), draft.pem.clone()].concat();
        Ok(())
    })?;
    add("headers in the block", "L D D malformed", |draft| {
        draft.replace(
            "-----BEGIN CERTIFICATE REQUEST-----\n",
            "-----BEGIN CERTIFICATE REQUEST-----\nName: worker-2\n\n",
        )
    })?;
    add("a block with the old name", "L D D malformed", |draft| {
        draft.replace(LABEL, "NEW CERTIFICATE REQUEST")
    })?;
    add("a certificate", "L D D malformed", |draft| draft.replace(LABEL, "CERTIFICATE"))?;
    add("bytes after the request", "L D D malformed", |draft| {
        let key = KeyPair::generate()?;
        let der = [draft.request.sign(&key, &key)?, vec![0x05, 0x00]].concat();
        draft.pem = pem(LABEL, &der).into_bytes();
        Ok(())
    })?;
    add("half a request", "L D D malformed", |draft| {
        let key = KeyPair::generate()?;
        let mut der = draft.request.sign(&key, &key)?;
        der.truncate(der.len() / 2);
        draft.pem = pem(LABEL, &der).into_bytes();
        Ok(())
    })?;
    add("a length that is not there", "L D D malformed", |draft| {
        draft.pem = pem(LABEL, &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x00]).into_bytes();
        Ok(())
    })?;
    add("ten thousand sequences in one another", "L D D malformed", |draft| {
        draft.pem = pem(LABEL, &nested(10_000)).into_bytes();
        Ok(())
    })?;
    add("alternative names a thousand deep", "L D D malformed", |draft| {
        draft.request.names.clear();
        draft.request.extensions.push((SUBJECT_ALT_NAME, false, nested(1_000)));
        draft.by_hand()
    })?;
    add("nothing", "L D D malformed", |draft| {
        draft.pem.clear();
        Ok(())
    })?;
    add("garbage", "L D D malformed", |draft| {
        draft.pem = vec![0xff, 0x00, 0xfe, 0x80];
        Ok(())
    })?;
    Ok(cases)
}

/// The organization of every node.
const NODES: &[&str] = &["system:nodes"];
const LABEL: &str = "CERTIFICATE REQUEST";

/// A case in the making: what worker-1's kubelet asks for, until something is changed.
struct Draft {
    kubelet: Kubelet,
    request: Request,
    pem: Vec<u8>,
    signer: &'static str,
    username: String,
    groups: Vec<&'static str>,
    usages: Vec<&'static str>,
    expiration_seconds: Option<i64>,
}

impl Draft {
    fn new() -> anyhow::Result<Self> {
        let kubelet = Kubelet {
            node: "worker-1".to_owned(),
            dns: vec!["worker-1".to_owned()],
            ip: vec![[10, 0, 0, 11].into()],
        };
        let mut draft = Self {
            username: kubelet.user(),
            kubelet,
            request: Request::of_a_kubelet(),
            pem: Vec::new(),
            signer: KUBELET_SERVING,
            groups: vec!["system:nodes", "system:authenticated"],
            usages: vec!["digital signature", "server auth"],
            expiration_seconds: None,
        };
        draft.asked()?;
        Ok(draft)
    }

    /// By rcgen.
    fn asked(&mut self) -> anyhow::Result<()> {
        let spec = self.kubelet.request()?.spec;
        let request = spec.get("request").and_then(Value::as_str).unwrap_or_default();
        self.pem = BASE64_STANDARD.decode(request)?;
        Ok(())
    }

    fn key(&mut self, key: KeyPair) -> anyhow::Result<()> {
        let params = self.kubelet.params()?;
        self.pem = params.serialize_request(&key)?.pem()?.into_bytes();
        Ok(())
    }

    fn by_hand(&mut self) -> anyhow::Result<()> {
        let key = KeyPair::generate()?;
        self.pem = pem(LABEL, &self.request.sign(&key, &key)?).into_bytes();
        Ok(())
    }

    fn openssl(&mut self, pem: &str) {
        self.pem = pem.as_bytes().to_vec();
    }

    fn subject(&mut self, common_names: &[&str], organizations: &[&str]) -> anyhow::Result<()> {
        let organizations =
            organizations.iter().map(|name| Attribute::Organization((*name).to_owned()));
        let common_names =
            common_names.iter().map(|name| Attribute::CommonName((*name).to_owned()));
        self.request.subject = organizations.chain(common_names).collect();
        self.by_hand()
    }

    fn names(&mut self, names: &[Name]) -> anyhow::Result<()> {
        self.request.names = names.to_vec();
        self.by_hand()
    }

    fn also(&mut self, name: Name) -> anyhow::Result<()> {
        self.request.names.push(name);
        self.by_hand()
    }

    /// What the same kubelet calls the API server with.
    fn client(&mut self) -> anyhow::Result<()> {
        self.signer = KUBELET_CLIENT;
        self.usages = vec!["digital signature", "client auth"];
        self.names(&[])
    }

    fn replace(&mut self, from: &str, to: &str) -> anyhow::Result<()> {
        self.pem = String::from_utf8(self.pem.clone())?.replace(from, to).into_bytes();
        Ok(())
    }

    fn case(self, note: &str, want: &str) -> anyhow::Result<Case> {
        let mut spec = json!({
            "request": BASE64_STANDARD.encode(&self.pem),
            "signerName": self.signer,
            "username": self.username,
            "groups": self.groups,
            "usages": self.usages,
        });
        if let (Some(seconds), Some(spec)) = (self.expiration_seconds, spec.as_object_mut()) {
            spec.insert("expirationSeconds".to_owned(), Value::from(seconds));
        }
        Ok(Case { note: note.to_owned(), spec, want: Want::parse(want)? })
    }
}

impl Want {
    fn parse(row: &str) -> anyhow::Result<Self> {
        let mut words = row.split(' ');
        let mut letter = || words.next().with_context(|| format!("{row:?} is too short"));
        let [first, second, third] = [letter()?, letter()?, letter()?];
        let rule = words.next().unwrap_or_default();
        let rubber_stamp = words.next().unwrap_or(rule);
        let verdict = |letter: &str, preset: &str, rule: &str| match letter {
            "A" => Ok(format!("approve {preset}")),
            "D" => Ok(format!("deny {rule}")),
            "L" => Ok(format!("leave {rule}")),
            _ => bail!("{letter} is no verdict"),
        };
        Ok(Self {
            rubber_stamp: verdict(first, "rubber-stamp", rubber_stamp)?,
            strict: verdict(second, "strict", rule)?,
            inventory: verdict(third, "inventory", rule)?,
        })
    }
}

fn dns(name: &str) -> Name {
    Name::Dns(name.to_owned())
}
