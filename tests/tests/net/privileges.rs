//! What Envoy may do, and what it need not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::support::Pods;

#[tokio::test]
async fn envoy_is_a_user_of_its_own_with_raw_sockets_and_nothing_else() -> anyhow::Result<()> {
    let mut pods = Pods::start().await?;
    // Capability 13 is CAP_NET_RAW.
    const NET_RAW: &str = "0000000000002000";
    let status = fs::read_to_string(format!("/proc/{}/status", pods.db.envoy().id()))?;
    let value = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.map(|line| line.trim_start_matches(':').split_whitespace().collect::<Vec<_>>())
    };
    for key in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(value(key), Some(vec![NET_RAW]), "{key}");
    }
    for key in ["Uid", "Gid"] {
        assert_eq!(value(key), Some(vec!["1337"; 4]), "{key}");
    }
    assert_eq!(value("Groups"), Some(vec![]));
    assert_eq!(value("NoNewPrivs"), Some(vec!["1"]));
    // With no more than that, all of it works.
    pods.all_is_well().await
}

#[tokio::test]
async fn a_key_that_only_root_can_read_is_refused_by_name() -> anyhow::Result<()> {
    let Pods { db, network, .. } = Pods::start().await?;
    fs::set_permissions(db.certificates().join("tls.key"), Permissions::from_mode(0o400))?;
    let said = format!("{:#}", db.crash().restart(&network.db.namespace).await.unwrap_err());
    assert!(said.contains("cannot read certs/tls.key"), "{said}");
    Ok(())
}
