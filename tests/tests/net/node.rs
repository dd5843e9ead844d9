//! A kubelet that stays where it is, and the gate that captures what is for it.

use std::fs;
use std::net::SocketAddr;

use gatelet_certs::{Ca, Cluster, Persona};
use gatelet_tests::envoy::project;
use gatelet_tests::gate::cluster;
use gatelet_tests::kubelet::StandInKubelet;
use gatelet_tests::net::node::{CapturingGate, KUBELET, capture, get, kubelet};
use gatelet_tests::net::{Host, Namespace, Network};
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
    async fn ask(&self, from: &Host, to: SocketAddr, target: &str) -> anyhow::Result<String> {
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
    async fn is_open(&self, from: &Host, to: SocketAddr) -> bool {
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
async fn a_caller_on_a_link_of_its_own_meets_the_gate() -> anyhow::Result<()> {
    let node = Node::start().await?;
    let host = &node.network.node;
    // No bridge is between them, as with most other hosts and with pods of some networks.
    let far = Namespace::create("far")?;
    host.namespace.ip(&format!("link add far type veth peer name eth0 netns {}", far.name()))?;
    host.namespace.ip("link set far up")?;
    far.ip("link set eth0 up")?;
    host.namespace.ip("address add 10.8.0.1/24 dev far")?;
    host.namespace.ip("address add fd08::1/64 dev far nodad")?;
    far.ip("address add 10.8.0.2/24 dev eth0")?;
    far.ip("address add fd08::2/64 dev eth0 nodad")?;
    for address in ["10.8.0.1", "fd08::1"] {
        let address = SocketAddr::new(address.parse()?, KUBELET);
        let persona = Persona::ApiserverKubeletClient;
        let answer = get(&far, address, &node.cluster, persona, Ca::Cluster, LOG).await?;
        assert!(answer.starts_with("HTTP/1.1 200"), "{address}: {answer}");
        let around = get(&far, address, &node.cluster, Persona::GateClientOwned, Ca::Gate, LOG);
        assert!(around.await.is_err(), "{address}");
    }
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
async fn ipvs_does_not_lead_around_the_gate() -> anyhow::Result<()> {
    let node = Node::start().await?;
    let Network { web, outsider, node: host, .. } = &node.network;
    // Where IPVS translates, in a chain of filters.
    host.namespace.nft(&format!(
        "add table inet ipvs; \
         add chain inet ipvs input {{ type filter hook input priority 99; }}; \
         add rule inet ipvs input tcp dport 443 tcp dport set {KUBELET}; \
         add chain inet ipvs output {{ type filter hook output priority 99; }}; \
         add rule inet ipvs output tcp sport {KUBELET} tcp dport != {KUBELET} tcp sport set 443"
    ))?;
    for from in [web, outsider] {
        for address in host.both(443) {
            assert!(!node.is_open(from, address).await, "{address}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_rule_that_somebody_changed_is_noticed_and_loaded_again() -> anyhow::Result<()> {
    let node = Node::start().await?;
    let Network { outsider, node: host, .. } = &node.network;
    for change in [
        "flush ruleset",
        "insert rule inet gatelet_kubelet guard return",
        "add table inet gatelet_kubelet { flags dormant; }",
        "flush chain inet gatelet_kubelet guard; add rule inet gatelet_kubelet guard accept; \
         add rule inet gatelet_kubelet guard accept; add rule inet gatelet_kubelet guard accept; \
         add rule inet gatelet_kubelet guard accept",
    ] {
        capture(&host.namespace, "check")?;
        host.namespace.nft(change)?;
        assert!(capture(&host.namespace, "check").is_err(), "{change}");
        // What the timer starts.
        let unit = unit("gatelet-capture-check.service")?;
        let command = values(&unit, "ExecStart")
            .concat()
            .replace("/usr/lib/gatelet", &project().join("envoy/kubelet").to_string_lossy());
        let command = command.strip_prefix("/bin/sh -c ").unwrap().trim_matches('\'');
        assert!(host.namespace.command("sh").args(["-c", command]).status()?.success(), "{change}");
        assert!(!node.is_open(outsider, host.v4(KUBELET)).await, "{change}");
    }
    capture(&host.namespace, "check")?;
    assert_eq!(node.ask(outsider, host.v4(KUBELET), LOG).await?, "200");
    Ok(())
}

#[test]
fn the_units_order_rules_gate_and_kubelet() -> anyhow::Result<()> {
    let capture = unit("gatelet-capture.service")?;
    let drop_in = unit("gatelet.service.d/capture.conf")?;
    let timer = unit("gatelet-capture-check.timer")?;
    for (unit, key, value) in [
        (&capture, "Before", "network-pre.target"),
        (&capture, "Before", "kubelet.service"),
        (&capture, "RequiredBy", "kubelet.service"),
        // Whose start, reload and stop flush all rules.
        (&capture, "After", "nftables.service"),
        (&capture, "After", "firewalld.service"),
        (&capture, "PartOf", "nftables.service"),
        (&capture, "ReloadPropagatedFrom", "nftables.service"),
        (&capture, "ReloadPropagatedFrom", "firewalld.service"),
        (&capture, "ExecReload", "/usr/lib/gatelet/capture up"),
        (&capture, "Also", "gatelet-capture-check.timer"),
        (&timer, "WantedBy", "gatelet-capture.service"),
        (&timer, "OnUnitActiveSec", "10s"),
        (&drop_in, "Requires", "gatelet-capture.service"),
        (&drop_in, "After", "gatelet-capture.service"),
    ] {
        let found = values(unit, key);
        assert!(
            found.iter().any(|line| *line == value || line.split(' ').any(|word| word == value)),
            "{key}={value}: {found:?}"
        );
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

fn unit(name: &str) -> anyhow::Result<String> {
    Ok(fs::read_to_string(project().join("envoy/kubelet/systemd").join(name))?)
}

/// What a unit says to a key, line by line.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}
