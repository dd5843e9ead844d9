//! Istio normalises paths before the filter: what is decided on is what arrives.

use gatelet_tests::client::RawClient;
use gatelet_tests::deadline::eventually;
use serde_json::{Value, json};

use crate::caller::Asking;
use crate::control_plane::Istio;
use crate::mesh::{Mesh, WEB, peers, plugin};

/// `meshConfig.pathNormalization.normalization`.
const MODES: [Mode; 4] = [
    ("NONE", |manager| manager["normalize_path"] = json!(false)),
    ("BASE", |_| {}),
    ("MERGE_SLASHES", |manager| manager["merge_slashes"] = json!(true)),
    ("DECODE_AND_MERGE_SLASHES", |manager| {
        manager["merge_slashes"] = json!(true);
        manager["path_with_escaped_slashes_action"] = json!("UNESCAPE_AND_FORWARD");
    }),
];

/// Its name, and what istiod makes of it (`pilot/pkg/networking/core/listener_builder.go`).
type Mode = (&'static str, fn(&mut Value));

/// What arrives, by mode; where nothing does, the request is refused with this status.
type Outcomes = [Result<&'static str, u16>; 4];

const ITEM: Result<&str, u16> = Ok("/api/catalogue/7");

const REQUESTS: &[(&str, Outcomes)] = &[
    ("/api/catalogue/7", [ITEM, ITEM, ITEM, ITEM]),
    ("/api/%63atalogue/7", [Err(400), ITEM, ITEM, ITEM]),
    ("/api/orders/../catalogue/7", [Err(400), ITEM, ITEM, ITEM]),
    ("/api/catalogue/../orders", [Err(400), Err(403), Err(403), Err(403)]),
    ("/api/catalogue/%2e%2e/orders", [Err(400), Err(403), Err(403), Err(403)]),
    ("/api//catalogue/7", [Err(400), Err(400), ITEM, ITEM]),
    ("/api/catalogue//../../orders", [Err(400), Err(403), Err(403), Err(403)]),
    ("/api/catalogue%2F7", [Err(400), Err(400), Err(400), ITEM]),
    ("/api/catalogue/..%2Forders", [Err(400), Err(400), Err(400), Err(403)]),
    ("/api/catalogue%5C7", [Err(400), Err(400), Err(400), ITEM]),
    ("/api/catalogue/7;a=b", [Err(400), Err(400), Err(400), Err(400)]),
    ("/api/catalogue/%20", [Ok("/api/catalogue/%20"); 4]),
];

#[tokio::test]
async fn what_is_decided_on_is_what_arrives_in_every_mode() -> anyhow::Result<()> {
    let plugin = plugin(&peers())?;
    let mut wrong = Vec::new();
    for (mode, (name, change)) in MODES.into_iter().enumerate() {
        let mesh = Mesh::with(Istio::V1_30, &plugin, change).await?;
        let web = mesh.caller(WEB)?;
        for (target, outcomes) in REQUESTS {
            let status = Asking::get(target).to(&web).await?.status;
            let arrived = mesh.service.targets();
            let got = match (status, &arrived[..]) {
                (200, [arrived]) => Ok(arrived.as_str()),
                (status, []) => Err(status),
                unlikely => panic!("{name} {target}: {unlikely:?}"),
            };
            if got != outcomes[mode] {
                wrong.push(format!("{name} {target}: {got:?}, not {:?}", outcomes[mode]));
            }
            if let Ok(arrived) = got {
                let path = decided(&mesh).await?;
                assert_eq!(path, arrived, "{name} {target}: decided on another path");
            }
            std::fs::write(mesh.proxy.folder().join("access.log"), "")?;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Istio's proxies don't refuse a fragment, which no client sends: they cut it off first.
#[tokio::test]
async fn a_fragment_is_neither_decided_on_nor_passed_on() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    for (target, want) in [
        ("/api/catalogue/7#/../../orders", Ok("/api/catalogue/7")),
        ("/api/orders#/api/catalogue/7", Err(403)),
        ("/api/catalogue/..#/7", Err(403)),
    ] {
        let mut client = RawClient::connect(&mesh.caller(WEB)?).await?;
        let request = format!("GET {target} HTTP/1.1\r\nHost: catalogue.shop\r\n\r\n");
        client.send(request.as_bytes()).await?;
        let status = client.response().await?.status;
        assert_eq!(status, want.err().unwrap_or(200), "{target}");
        assert_eq!(mesh.service.targets(), Vec::from_iter(want.ok()), "{target}");
    }
    Ok(())
}

/// The path of the only allowed decision in the log.
async fn decided(mesh: &Mesh) -> anyhow::Result<String> {
    let log = mesh.proxy.folder().join("access.log");
    eventually("the decision", async || {
        let text = std::fs::read_to_string(&log)?;
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let allowed = lines.find(|line| line["decision"]["reason"] == "allowed");
        Ok(allowed.and_then(|line| line["decision"]["input"]["path"].as_str().map(str::to_owned)))
    })
    .await
}
