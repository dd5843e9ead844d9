//! A service in the mesh: what its callers get, and what arrives.

use gatelet_tests::deadline::eventually;
use gatelet_tests::module::Module;
use hyper::{Method, Version};
use serde_json::{Value, json};

use crate::caller::Asking;
use crate::control_plane::Istio;
use crate::manifest::Variable;
use crate::mesh::{Mesh, OTHER, WEB, peers, plugin};

const ALLOWED: &str = "/api/catalogue/7?lang=de";

#[tokio::test]
async fn an_identity_of_the_mesh_gets_what_its_entry_names() -> anyhow::Result<()> {
    for istio in Istio::ALL {
        let mesh = Mesh::with(istio, &plugin(&peers())?, |_| {}).await?;
        for version in [Version::HTTP_11, Version::HTTP_2] {
            for (id, method, target, status, said) in [
                (WEB, Method::GET, ALLOWED, 200, "hello"),
                (WEB, Method::GET, "/api/orders", 403, "Denied by policy"),
                (WEB, Method::DELETE, ALLOWED, 403, "Denied by policy"),
                (OTHER, Method::GET, ALLOWED, 403, "Denied by policy"),
                (WEB, Method::GET, "/api/catalogue;v=1/7", 400, "Malformed request"),
            ] {
                let row = format!("{istio:?} {version:?} {id} {method} {target}");
                let asking = Asking { version, method, ..Asking::get(target) };
                let answer = asking.to(&mesh.caller(id)?).await?;
                assert_eq!((answer.status, &*answer.body), (status, said.as_bytes()), "{row}");
                let asked = mesh.service.asked();
                let seen: Vec<_> = asked.iter().map(|it| (it.version, &*it.target)).collect();
                let want = if status == 200 { vec![(version, target)] } else { vec![] };
                assert_eq!(seen, want, "{row}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn bodies_and_trailers_of_a_grpc_call_go_both_ways() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let call = Asking {
        method: Method::POST,
        headers: &[("content-type", "application/grpc"), ("te", "trailers")],
        body: "\0\0\0\0\u{1}x",
        trailers: &[("x-checksum", "1")],
        ..Asking::get("/shop.Catalogue/List")
    };
    let answer = call.to(&mesh.caller(WEB)?).await?;
    assert_eq!((answer.status, &*answer.body), (200, &b"hello"[..]));
    assert_eq!(answer.trailers["grpc-status"], "0");
    let asked = mesh.service.asked();
    let [asked] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((asked.version, &*asked.body), (Version::HTTP_2, call.body.as_bytes()));
    assert_eq!(asked.trailers["x-checksum"], "1");

    // gRPC has its own way to say no.
    let denied = call.to(&mesh.caller(OTHER)?).await?;
    assert_eq!((denied.status, &*denied.body), (200, &b""[..]));
    assert_eq!(denied.headers["grpc-status"], "7", "PERMISSION_DENIED");
    assert_eq!(mesh.service.targets(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn an_authorization_policy_still_denies_what_the_filter_allows() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let web = mesh.caller(WEB)?;
    let answer = Asking::get("/api/catalogue/hidden").to(&web).await?;
    assert_eq!((answer.status, &*answer.body), (403, &b"RBAC: access denied"[..]));
    // And what the filter denies never comes to it.
    let answer = Asking::get("/api/catalogue/hidden").to(&mesh.caller(OTHER)?).await?;
    assert_eq!((answer.status, &*answer.body), (403, &b"Denied by policy"[..]));
    assert_eq!(mesh.service.targets(), Vec::<String>::new());
    assert_eq!(Asking::get(ALLOWED).to(&web).await?.status, 200);
    Ok(())
}

/// Who has no certificate is nobody: by TLS there is no connection, and where PERMISSIVE lets plain
/// text in, the policy knows no name.
#[tokio::test]
async fn a_caller_without_an_identity_gets_nothing() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let answer = Asking::get(ALLOWED).to(&mesh.nobody()?).await;
    assert!(answer.is_err(), "{answer:?}");
    let plain = format!("http://{}{ALLOWED}", mesh.proxy.address());
    assert_eq!(crate::caller::plain(&plain).await?, 403);
    assert_eq!(mesh.service.targets(), Vec::<String>::new());
    assert_eq!(Asking::get(ALLOWED).to(&mesh.caller(WEB)?).await?.status, 200);
    Ok(())
}

/// A sidecar takes the caller's address from `X-Forwarded-For`, which the caller writes; certificates'
/// facts in a header are of the caller's making, too.
#[tokio::test]
async fn nobody_is_known_by_a_header() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let claim = format!("By=x;Hash=0;Subject=\"\";URI={WEB}");
    let claims = [("x-forwarded-client-cert", &*claim), ("x-forwarded-for", "10.0.0.1")];
    let asking = Asking { headers: &claims, ..Asking::get(ALLOWED) };
    assert_eq!(asking.to(&mesh.caller(OTHER)?).await?.status, 403);
    assert_eq!(asking.to(&mesh.caller(WEB)?).await?.status, 200);
    // The service gets what Istio gives it: the claim, and the truth behind it.
    let asked = mesh.service.asked();
    let [asked] = &asked[..] else { panic!("{asked:?}") };
    let details = asked.headers["x-forwarded-client-cert"].to_str()?;
    assert!(details.ends_with(&format!("URI={WEB}")) && details.len() > claim.len(), "{details}");
    let [decision] = &decisions(&mesh, "allowed").await?[..] else { panic!("not one decision") };
    assert_eq!(decision["input"]["peer"]["address"], Value::Null, "{decision}");
    assert_eq!(decision["input"]["peer"]["uri_san"], WEB, "{decision}");
    Ok(())
}

#[tokio::test]
async fn decisions_are_in_the_access_log_and_counted() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let web = mesh.caller(WEB)?;
    assert_eq!(Asking::get(ALLOWED).to(&web).await?.status, 200);
    assert_eq!(Asking::get("/api/orders").to(&web).await?.status, 403);
    let [allowed] = &decisions(&mesh, "allowed").await?[..] else { panic!("not one decision") };
    assert_eq!(allowed["rule"], "web-reads-catalogue", "{allowed}");
    let [denied] = &decisions(&mesh, "denied").await?[..] else { panic!("not one denial") };
    assert_eq!(denied["input"]["path"], "/api/orders", "{denied}");
    // Istio keeps most statistics back, but not those that begin with `wasm`.
    let admin = mesh.proxy.admin();
    assert_eq!(admin.stat("wasmcustom.gatelet_decisions.http.allowed").await?, 1);
    assert_eq!(admin.stat("wasmcustom.gatelet_decisions.http.denied").await?, 1);
    assert_ne!(admin.stat("wasmcustom.gatelet_policy_loaded").await?, 0);
    assert_eq!(
        admin.stat("extension_config_discovery.http_filter.gatelet.update_success").await?,
        0
    );
    Ok(())
}

#[tokio::test]
async fn a_new_plugin_config_replaces_the_old_one() -> anyhow::Result<()> {
    let mesh = Mesh::start().await?;
    let web = mesh.caller(WEB)?;
    assert_eq!(Asking::get(ALLOWED).to(&web).await?.status, 200);
    let module = Module::Shipped.path()?;
    let nobody = plugin(&json!({"http": {"peers": []}}))?;
    for (plugin, status) in [(nobody, 403), (plugin(&peers())?, 200)] {
        mesh.proxy.update(&Istio::V1_30.fetched(&plugin, &module))?;
        eventually("the new policy", async || {
            Ok((Asking::get(ALLOWED).to(&web).await?.status == status).then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// `vmConfig.env` reaches the module's process, whose configuration it is not.
#[tokio::test]
async fn variables_of_the_vm_change_nothing() -> anyhow::Result<()> {
    let mut plugin = plugin(&peers())?;
    let variable = |name: &str, value: &str| Variable { name: name.into(), value: value.into() };
    plugin.spec.vm_config.env =
        vec![variable("POD_NAME", "catalogue-0"), variable("mode", "dry_run")];
    let mesh = Mesh::with(Istio::V1_30, &plugin, |_| {}).await?;
    assert_eq!(Asking::get(ALLOWED).to(&mesh.caller(WEB)?).await?.status, 200);
    assert_eq!(Asking::get(ALLOWED).to(&mesh.caller(OTHER)?).await?.status, 403);
    Ok(())
}

/// The decisions for this reason in the access log, as soon as there is one.
async fn decisions(mesh: &Mesh, reason: &str) -> anyhow::Result<Vec<Value>> {
    let log = mesh.proxy.folder().join("access.log");
    eventually("a decision in the access log", async || {
        let text = std::fs::read_to_string(&log)?;
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let of_it =
            lines.map(|mut line| line["decision"].take()).filter(|it| it["reason"] == reason);
        Ok(Some(of_it.collect::<Vec<_>>()).filter(|found| !found.is_empty()))
    })
    .await
}
