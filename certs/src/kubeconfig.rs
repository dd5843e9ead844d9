//! Kubeconfigs as kubeadm writes them, with everything inside.

use std::net::{IpAddr, SocketAddr};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::Pair;

/// The port on which kubeadm's API server listens.
const PORT: u16 = 6443;

/// A kubeconfig with which `user` talks to the API server at `address`.
pub(crate) fn kubeconfig(user: &str, address: IpAddr, pair: &Pair) -> String {
    let server = SocketAddr::new(address, PORT);
    let [ca, certificate, key] =
        [&pair.ca, &pair.certificate, &pair.key].map(|pem| BASE64_STANDARD.encode(pem));
    format!(
        "\
apiVersion: v1
kind: Config
clusters:
- name: kubernetes
  cluster:
    server: https://{server}
    certificate-authority-data: {ca}
contexts:
- name: {user}@kubernetes
  context:
    cluster: kubernetes
    user: {user}
current-context: {user}@kubernetes
users:
- name: {user}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
"
    )
}
