//! The script `rules`: what it refuses, and what it leaves behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use gatelet_tests::net::{Namespace, Rules};

use crate::support::db_mesh;

#[test]
fn loading_again_changes_nothing() -> anyhow::Result<()> {
    let pod = Namespace::create("rules")?;
    let rules = Rules::new(&pod, &db_mesh())?;
    rules.up()?;
    let loaded = everything(&pod)?;
    rules.up()?;
    assert_eq!(everything(&pod)?, loaded);
    rules.check()?;
    Ok(())
}

#[test]
fn down_removes_all_of_it_and_nothing_else() -> anyhow::Result<()> {
    let pod = Namespace::create("rules")?;
    pod.nft("add table inet somebody")?;
    pod.ip("rule add fwmark 0x1 lookup 200 priority 200")?;
    let before = everything(&pod)?;
    let rules = Rules::new(&pod, &db_mesh())?;
    rules.up()?;
    assert_ne!(everything(&pod)?, before);
    rules.down()?;
    assert_eq!(everything(&pod)?, before);
    assert!(rules.check().is_err());
    // Once more does no harm.
    rules.down()?;
    assert_eq!(everything(&pod)?, before);
    Ok(())
}

#[test]
fn what_is_in_the_way_is_named_before_anything_is_loaded() -> anyhow::Result<()> {
    const CHAIN: &str = "chain c { type filter hook output priority 0;";
    for (what, named) in [
        ("ip rule add fwmark 0x1000000/0xf000000 lookup 7 priority 70", "ip -4 rule: 70:"),
        ("ip rule add fwmark 0x4000000 lookup 7 priority 71", "ip -4 rule: 71:"),
        ("ip -6 rule add fwmark 0x0/0x8000000 lookup 7 priority 72", "ip -6 rule: 72:"),
        ("ip rule add from 10.0.0.0/8 lookup 15001 priority 73", "ip -4 rule: 73:"),
        ("ip rule add from all lookup 99 priority 100", "ip -4 rule: 100:"),
        ("ip -6 rule add from all lookup 99 priority 100", "ip -6 rule: 100:"),
        ("ip route add blackhole 10.0.0.0/8 table 15001", "ip -4 route, table 15001: blackhole"),
        ("ip -6 route add blackhole fd00::/8 table 15001", "ip -6 route, table 15001: blackhole"),
        (
            &format!("nft add table ip mesh {{ {CHAIN} meta mark set 0x1000000; }}; }}"),
            "table ip mesh sets marks",
        ),
        (
            &format!(
                "nft add table ip mesh {{ {CHAIN} meta mark set meta mark | 0x8000000; }}; }}"
            ),
            "table ip mesh sets marks",
        ),
        (
            &format!("nft add table ip mesh {{ {CHAIN} meta mark set 0x539; }}; }}"),
            "table ip mesh sets marks",
        ),
        (
            &format!("nft add table ip mesh {{ {CHAIN} ct mark set meta mark; }}; }}"),
            "table ip mesh sets marks",
        ),
        (
            "nft add table ip nat { chain c { type nat hook output priority -100; tcp dport 80 redirect to :15001; }; }",
            "table ip nat captures connections",
        ),
        (
            "nft add table ip mesh { chain c { type filter hook prerouting priority -150; meta l4proto tcp tproxy to :15006; }; }",
            "table ip mesh captures connections",
        ),
    ] {
        let pod = Namespace::create("rules")?;
        let (tool, words) = what.split_once(' ').unwrap();
        if tool == "ip" {
            pod.ip(words)?
        } else {
            pod.nft(words)?
        };
        let before = everything(&pod)?;
        let said = format!("{:#}", Rules::new(&pod, &db_mesh())?.up().expect_err(what));
        assert!(said.contains(named), "{what}: {said}");
        assert_eq!(everything(&pod)?, before, "{what}");
    }
    Ok(())
}

#[test]
fn what_only_looks_alike_is_in_nobodys_way() -> anyhow::Result<()> {
    for what in [
        "ip rule add fwmark 0x80/0x80 lookup 7 priority 70",
        "ip rule add fwmark 0x539 lookup 7 priority 71",
        "nft add table ip mesh { chain c { type filter hook output priority 0; meta mark set meta mark & 0xffffff00 | 0x80; }; }",
        "nft add table ip mesh { chain c { type filter hook output priority 0; meta mark 0x1000000 accept; }; }",
    ] {
        let pod = Namespace::create("rules")?;
        let (tool, words) = what.split_once(' ').unwrap();
        if tool == "ip" {
            pod.ip(words)?
        } else {
            pod.nft(words)?
        };
        Rules::new(&pod, &db_mesh())?.up()?;
    }
    Ok(())
}

#[test]
fn a_kernel_without_tproxy_is_refused_by_name() -> anyhow::Result<()> {
    let pod = Namespace::create("rules")?;
    // Such a kernel refuses what has the expression, and only that.
    let folder = tempfile::tempdir()?;
    let nft = folder.path().join("nft");
    fs::write(
        &nft,
        "#!/bin/sh\nif [ \"$1\" = --check ]; then\n  grep -q tproxy && { echo 'Error: Could not process rule: No such file or directory' >&2; exit 1; }\n  exit 0\nfi\nPATH=${PATH#*:} exec nft \"$@\"\n",
    )?;
    fs::set_permissions(&nft, fs::Permissions::from_mode(0o755))?;
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH")?);
    let rules = Rules::new(&pod, &db_mesh())?;
    let output = rules.command("up").env("PATH", path).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("nft_tproxy"), "{said}");
    assert_eq!(pod.nft("list ruleset")?, "");
    rules.up()?;
    Ok(())
}

#[test]
fn a_wrong_line_of_mesh_conf_is_named() -> anyhow::Result<()> {
    let pod = Namespace::create("rules")?;
    for (line, named) in [
        ("mode strict", "`mode` is strict, permissive or audit, once"),
        ("destination 10.0.0.0/8", "needs a range and a SPIFFE ID"),
        ("destination 10.0.0.0 spiffe://a/b", "`10.0.0.0` is no range"),
        ("destination 10.0.0.0/33 spiffe://a/b", "`10.0.0.0/33` is no range"),
        ("destination 10.0.0.0/8 spiffe://a/", "`spiffe://a/` is no range"),
        ("destination 10.0.0.0/8 spiffe://a/b\"}", "is no range"),
        ("peer web", "`peer` is one SPIFFE ID"),
        ("probe 70000", "`70000` is no port"),
        ("node 1.2.3", "`1.2.3` is no address"),
        // nftables would read it as octal.
        ("destination 010.0.0.0/8 spiffe://a/b", "`010.0.0.0/8` is no range"),
        ("node 10.0.0.010", "`10.0.0.010` is no address"),
        ("prob 8080", "there is no `prob`"),
        ("resumption off", "`resumption` stands alone"),
        ("pass ipv5", "`pass` is ipv4 or ipv6"),
    ] {
        let mesh = format!("{}{line}\n", db_mesh());
        let said = format!("{:#}", Rules::new(&pod, &mesh)?.up().expect_err(line));
        assert!(said.contains("line 5: ") && said.contains(named), "{line}: {said}");
    }
    for (mesh, named) in [("mode strict\n", "no `peer` may call"), ("", "`mode` is missing")] {
        let said = format!("{:#}", Rules::new(&pod, mesh)?.up().expect_err(mesh));
        assert!(said.contains(named), "{said}");
    }
    assert_eq!(pod.nft("list ruleset")?, "");
    Ok(())
}

#[test]
fn every_range_of_mesh_conf_is_in_a_set() -> anyhow::Result<()> {
    let pod = Namespace::create("rules")?;
    for range in ["::/0", "::1/128", "fd00::/8", "2001:db8::/32", "0.0.0.0/0", "192.0.2.0/24"] {
        let set = if range.contains(':') { 6 } else { 4 };
        Rules::new(&pod, &format!("{}destination {range} spiffe://a/b\n", db_mesh()))?.up()?;
        let elements = pod.nft(&format!("list set inet gatelet mesh{set}"))?;
        let listed = range.trim_end_matches("/128");
        assert!(elements.contains(&format!("{{ {listed} }}")), "{range}: {elements}");
        Rules::new(&pod, &format!("{}node {range}\n", db_mesh()))?.up()?;
        let elements = pod.nft(&format!("list set inet gatelet nodes{set}"))?;
        assert!(elements.contains(listed), "node {range}: {elements}");
    }
    Ok(())
}

#[test]
fn whatever_is_not_as_loaded_is_noticed() -> anyhow::Result<()> {
    let pod = Namespace::create("rules")?;
    let mesh = format!("{}destination 192.0.2.0/24 spiffe://a/b\n", db_mesh());
    let rules = Rules::new(&pod, &mesh)?;
    for change in [
        "delete element inet gatelet mesh4 { 192.0.2.0/24 }",
        "add element inet gatelet probed { 22 }",
        "insert rule inet gatelet arriving return",
        "flush chain inet gatelet prerouting; add rule inet gatelet prerouting accept; \
         add rule inet gatelet prerouting accept",
        "add table inet gatelet { flags dormant; }",
    ] {
        rules.up()?;
        rules.check()?;
        pod.nft(change)?;
        assert!(rules.check().is_err(), "{change}");
    }
    rules.up()?;
    assert!(Rules::new(&pod, &db_mesh())?.check().is_err(), "another mesh.conf");
    assert_eq!(pod.nft("list tables")?, "table inet gatelet\n");
    Ok(())
}

#[test]
fn without_ipv6_there_are_no_routes_of_it() -> anyhow::Result<()> {
    let pod = Namespace::create("rules")?;
    let disabled = pod
        .command("sysctl")
        .args(["-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.lo.disable_ipv6=1"])
        .status()?;
    assert!(disabled.success());
    let rules = Rules::new(&pod, &db_mesh())?;
    rules.up()?;
    rules.check()?;
    rules.down()?;
    assert_eq!(pod.nft("list ruleset")?, "");
    Ok(())
}

#[test]
fn without_its_routes_nothing_is_loaded() -> anyhow::Result<()> {
    let pod = Namespace::create("rules")?;
    let before = everything(&pod)?;
    let folder = tempfile::tempdir()?;
    let ip = folder.path().join("ip");
    fs::write(
        &ip,
        "#!/bin/sh\ncase $* in '-6 route replace'*) exit 2 ;; esac\nexec $(PATH=${PATH#*:} command -v ip) \"$@\"\n",
    )?;
    fs::set_permissions(&ip, fs::Permissions::from_mode(0o755))?;
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH")?);
    let output = Rules::new(&pod, &db_mesh())?.command("up").env("PATH", path).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("the routes of IPv6"), "{said}");
    assert_eq!(everything(&pod)?, before);
    Ok(())
}

/// Rules, policy routing and all routes.
fn everything(pod: &Namespace) -> anyhow::Result<String> {
    let mut all = pod.nft("list ruleset")?;
    for family in ["-4", "-6"] {
        all += &pod.ip(&format!("{family} rule show"))?;
        all += &pod.ip(&format!("{family} route show table all"))?;
    }
    Ok(all)
}
