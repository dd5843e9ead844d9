//! A Prometheus that scrapes every second.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};
use gatelet_certs::{Ca, Cluster, Persona, publish};
use gatelet_tests::deadline::eventually;
use gatelet_tests::gate::NODE;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::alerts::rules;

/// A running Prometheus. Dropping it stops it.
pub(crate) struct Prometheus {
    process: Child,
    address: String,
    _folder: TempDir,
}

/// A value at each time, in seconds since 1970.
pub(crate) type Points = Vec<(f64, f64)>;

/// A series: its labels, and its points.
pub(crate) type Series = (BTreeMap<String, String>, Points);

impl Prometheus {
    /// Scrapes a gate and an approver, and evaluates the rules.
    pub(crate) async fn start(
        cluster: &Cluster,
        gate: SocketAddr,
        approver: SocketAddr,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path();
        publish(&path.join("certs"), &cluster.issue(Persona::Prometheus)?)?;
        fs::write(path.join("ca.crt"), cluster.authority(Ca::Cluster).certificate())?;
        fs::write(path.join("rules.yaml"), rules()?.to_string())?;
        let targets = |address: SocketAddr| json!([{"targets": [address.to_string()]}]);
        let configuration = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [
                {
                    "job_name": "gatelet",
                    "scheme": "https",
                    "tls_config": {
                        "ca_file": "ca.crt",
                        "cert_file": "certs/tls.crt",
                        "key_file": "certs/tls.key",
                        "server_name": NODE,
                    },
                    "static_configs": targets(gate),
                },
                {"job_name": "gatelet-approver", "static_configs": targets(approver)},
            ],
        });
        fs::write(path.join("prometheus.yaml"), configuration.to_string())?;
        let log = path.join("log");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "prometheus", "--config.file=prometheus.yaml"])
            .args(["--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0"])
            .current_dir(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .context("these tests need prometheus (Debian: apt-get install prometheus)")?;
        let mut prometheus = Self { process: child, address: String::new(), _folder: folder };
        prometheus.address = eventually("Prometheus to listen", async || listening(&log)).await?;
        Ok(prometheus)
    }

    /// What a query gives, every second from one time to another.
    pub(crate) fn range(&self, query: &str, from: f64, to: f64) -> anyhow::Result<Vec<Series>> {
        let [query, from, to] =
            [format!("query={query}"), format!("start={from}"), format!("end={to}")];
        let answer = self.ask("query_range", &[&query, &from, &to, "step=1"])?;
        let result = answer["result"].as_array().context("a result")?;
        result.iter().map(series).collect()
    }

    /// The state of its rules.
    pub(crate) fn rules(&self) -> anyhow::Result<Value> {
        self.ask("rules", &[])
    }

    fn ask(&self, path: &str, parameters: &[&str]) -> anyhow::Result<Value> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--get"]);
        for parameter in parameters {
            curl.args(["--data-urlencode", parameter]);
        }
        let output = curl.arg(format!("http://{}/api/v1/{path}", self.address)).output()?;
        let mut answer: Value = serde_json::from_slice(&output.stdout).context("Prometheus")?;
        ensure!(answer["status"] == "success", "{parameters:?}: {answer}");
        Ok(answer["data"].take())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended.
        let _killed = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Its address, once its log has it.
fn listening(log: &Path) -> anyhow::Result<Option<String>> {
    let log = fs::read_to_string(log)?;
    let line = log.lines().find(|line| line.contains("Listening on"));
    let address = line.and_then(|line| line.split("address=").nth(1));
    let ready = log.contains("Server is ready to receive web requests");
    Ok(address.filter(|_| ready).map(|address| address.trim().to_owned()))
}

fn series(one: &Value) -> anyhow::Result<Series> {
    let labels = serde_json::from_value(one["metric"].clone())?;
    let values = one["values"].as_array().context("values")?;
    let points = values.iter().map(|point| {
        let value = point[1].as_str().context("a value")?.parse()?;
        Ok((point[0].as_f64().context("a time")?, value))
    });
    Ok((labels, points.collect::<anyhow::Result<_>>()?))
}
