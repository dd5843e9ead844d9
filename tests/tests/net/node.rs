//! A kubelet that stays where it is, and the gate that captures what is for it.

use gatelet_certs::{Ca, Cluster, Persona};
use gatelet_tests::gate::cluster;
use gatelet_tests::kubelet::StandInKubelet;
use gatelet_tests::net::node::{CapturingGate, KUBELET, capture, get, kubelet};
use gatelet_tests::net::{Host, Network};
use gatelet_tests::policy;
use tempfile::TempDir;

const LOG: &str = "/containerLogs/default/web-0/app?tailLines=1";

const LOGS: &str = r#"
package kubelet.authz

default decision := false

decision := {"allow": true, "rule": "logs"} if input.endpoint == "containerLogs"
"#;

/// A node with its kubelet, captured.
struct Node {
    gate: CapturingGate,
    kubelet: StandInKubelet,
    cluster: Cluster,
    network: Network,
    _scratch: TempDir,
}

impl Node {
    async fn start() -> anyhow::Result<Self> {
        let network = Network::create()?;
        let cluster = cluster()?;
        let scratch = tempfile::tempdir()?;
        capture(&network.node.namespace, "up")?;
        let kubelet = kubelet(&network.node.namespace, &cluster, scratch.path().into()).await?;
        let gate = CapturingGate::start(&network.node, &cluster, &policy::rego(LOGS)?).await?;
        Ok(Self { gate, kubelet, cluster, network, _scratch: scratch })
    }

    /// The status of the gate's answer.
    async fn ask(
        &self,
        from: &Host,
        to: std::net::SocketAddr,
        target: &str,
    ) -> anyhow::Result<String> {
        let answer = get(
            &from.namespace,
            to,
            &self.cluster,
            Persona::ApiserverKubeletClient,
            Ca::Cluster,
            target,
        )
        .await?;
        Ok(answer.chars().skip("HTTP/1.1 ".len()).take(3).collect())
    }

    /// Whether the kubelet itself answers, who is known by the gate's CA.
    async fn is_open(&self, from: &Host, to: std::net::SocketAddr) -> bool {
        get(&from.namespace, to, &self.cluster, Persona::GateClientOwned, Ca::Gate, "/metrics")
            .await
            .is_ok()
    }
}

#[tokio::test]
async fn whoever_dials_the_nodes_addresses_meets_the_gate() -> anyhow::Result<()> {
    let node = Node::start().await?;
    let Network { web, outsider, node: host, .. } = &node.network;
    // Pods, others, and the node itself.
    for from in [web, outsider, host] {
        for address in host.both(KUBELET) {
            assert_eq!(node.ask(from, address, LOG).await?, "200", "{address}");
            assert_eq!(node.ask(from, address, "/metrics").await?, "403", "{address}");
            assert!(!node.is_open(from, address).await, "{address}");
        }
    }
    let reached: Vec<_> =
        node.kubelet.requests().iter().map(|request| request.target().into_owned()).collect();
    assert_eq!(reached, [LOG; 6]);
    Ok(())
}

#[tokio::test]
async fn localhost_is_not_captured() -> anyhow::Result<()> {
    let node = Node::start().await?;
    let host = &node.network.node;
    for address in [([127, 0, 0, 1], KUBELET).into(), ([0, 0, 0, 0, 0, 0, 0, 1], KUBELET).into()] {
        assert!(node.is_open(host, address).await, "{address}");
    }
    Ok(())
}

#[tokio::test]
async fn with_the_gate_down_everybody_is_refused() -> anyhow::Result<()> {
    let node = Node::start().await?;
    let Node { gate, network, kubelet: _kubelet, .. } = node;
    gate.crash();
    for from in [&network.web, &network.outsider, &network.node] {
        for address in network.node.both(KUBELET) {
            let error = from.namespace.dial(address).await.expect_err("the gate is down");
            assert!(format!("{error:#}").contains("refused"), "{error:#}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn no_chain_is_the_only_one_before_the_kubelet() -> anyhow::Result<()> {
    let node = Node::start().await?;
    let Network { outsider, node: host, .. } = &node.network;
    for chain in ["bridged", "prerouting", "kubelet", "input", "guard"] {
        for address in host.both(KUBELET) {
            host.namespace.nft(&format!("flush chain inet gatelet_kubelet {chain}"))?;
            assert!(capture(&host.namespace, "check").is_err(), "{chain} is not missed");
            for from in [outsider, host] {
                assert!(!node.is_open(from, address).await, "{chain}: {address}");
            }
            capture(&host.namespace, "up")?;
        }
    }
    assert_eq!(node.kubelet.requests().len(), 0);
    assert_eq!(node.ask(outsider, host.v4(KUBELET), LOG).await?, "200");
    Ok(())
}

#[tokio::test]
async fn a_service_does_not_lead_around_the_gate() -> anyhow::Result<()> {
    let node = Node::start().await?;
    let Network { web, node: host, .. } = &node.network;
    // As kube-proxy writes it, for pods and for the node itself.
    for hook in ["prerouting", "output"] {
        host.namespace.nft(&format!(
            "add table ip proxy; add chain ip proxy {hook} {{ type nat hook {hook} priority -100; }}; \
             add rule ip proxy {hook} ip daddr 10.96.0.7 tcp dport 443 dnat to 10.9.0.1:{KUBELET}"
        ))?;
    }
    // Only so that it has somewhere to go before it is translated.
    host.namespace.ip("route add 10.96.0.0/16 via 10.9.0.2")?;
    let service = ([10, 96, 0, 7], 443).into();
    assert_eq!(node.ask(host, service, LOG).await?, "200");
    for from in [web, host] {
        assert!(!node.is_open(from, service).await);
    }
    Ok(())
}

#[tokio::test]
async fn from_boot_on_there_is_no_open_moment() -> anyhow::Result<()> {
    let network = Network::create()?;
    let cluster = cluster()?;
    let scratch = tempfile::tempdir()?;
    let host = &network.node;
    // The order of the units: rules, then whatever comes first of kubelet and gate.
    capture(&host.namespace, "up")?;
    let _kubelet = kubelet(&host.namespace, &cluster, scratch.path().into()).await?;
    assert!(network.outsider.namespace.dial(host.v4(KUBELET)).await.is_err());
    // Loaded again, while it is open to nobody.
    capture(&host.namespace, "up")?;
    assert!(network.outsider.namespace.dial(host.v4(KUBELET)).await.is_err());
    capture(&host.namespace, "down")?;
    network.outsider.namespace.dial(host.v4(KUBELET)).await?;
    assert_eq!(host.namespace.nft("list ruleset")?, "");
    Ok(())
}
