//! kube-rs against a kubelet, or the gate in front of one: a client that knows nothing of this project.

use anyhow::Context as _;
use futures_util::AsyncReadExt as _;
use gatelet_tests::deadline::within;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Client;
use kube::api::{AttachParams, LogParams};
use kube::core::kubelet_debug::KubeletDebugParams;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(crate) use self::kube_client::client;

#[path = "kube_client.rs"]
mod kube_client;

const POD: KubeletDebugParams<'static> =
    KubeletDebugParams { name: "web-0", namespace: "default", pod_uid: None };
const CONTAINER: &str = "app";

/// The last lines of the log of `default/web-0/app`.
pub(crate) async fn logs(client: &Client, tail_lines: i64) -> anyhow::Result<String> {
    let params = LogParams { tail_lines: Some(tail_lines), ..LogParams::default() };
    let mut log = String::new();
    within("the log", async {
        let mut reader = std::pin::pin!(client.kubelet_node_logs(&POD, CONTAINER, &params).await?);
        reader.read_to_string(&mut log).await?;
        anyhow::Ok(())
    })
    .await??;
    Ok(log)
}

/// Runs a command in `default/web-0/app` with this input, and returns its output and status.
pub(crate) async fn exec(
    client: &Client,
    command: &[&str],
    input: &[u8],
) -> anyhow::Result<(String, Status)> {
    let params = AttachParams::default().stdin(true).stderr(false);
    within("the command", async {
        let mut process =
            client.kubelet_node_exec(&POD, CONTAINER, command.iter().copied(), &params).await?;
        let status = process.take_status().context("no status to wait for")?;
        let mut stdin = process.stdin().context("no stdin")?;
        let mut stdout = process.stdout().context("no stdout")?;
        stdin.write_all(input).await?;
        stdin.shutdown().await?;
        let mut output = String::new();
        stdout.read_to_string(&mut output).await?;
        Ok((output, status.await.context("no status")?))
    })
    .await?
}
