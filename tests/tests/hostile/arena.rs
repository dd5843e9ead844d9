//! Where cases are tried: a gate in one mode, a kubelet behind it, and an attacker in front with the
//! certificate of the API server.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, future, stream};
use gatelet_certs::Persona;
use gatelet_core::Reason;
use gatelet_core::config::{SourceAddress, Written, WrittenPolicy};
use gatelet_tests::client::{Dialer, RawClient, Response};
use gatelet_tests::envoy::project;
use gatelet_tests::gate::{Gate, Options, Profile, cluster};
use gatelet_tests::kubelet::{Recorded, StandInKubelet};
use gatelet_tests::policy;
use serde::Deserialize as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::case::{Case, Outcome, Why};
use crate::mode::Mode;

/// Sent on a connection that is still open after a case: if bytes of the case were left over, or
/// made a request more, this would not get its answer as the next.
const CANARY: &str = "/healthz/log";

/// Connections at the same time.
const AT_ONCE: usize = 64;

pub(crate) struct Arena {
    pub(crate) gate: Gate,
    pub(crate) kubelet: StandInKubelet,
    pub(crate) attacker: Dialer,
    mode: Mode,
    _scratch: TempDir,
}

impl Arena {
    /// With the policy in `tests/hostile`.
    pub(crate) async fn start(mode: Mode) -> anyhow::Result<Self> {
        let rego = fs::read_to_string(project().join("tests/hostile/policy.rego"))?;
        Self::start_with(mode, &rego).await
    }

    /// With this policy.
    pub(crate) async fn start_with(mode: Mode, rego: &str) -> anyhow::Result<Self> {
        let scratch = tempfile::tempdir()?;
        let cluster = cluster()?;
        let kubelet = StandInKubelet::start(Profile::Owned.kubelet(&cluster, scratch.path())?)?;
        let modules = [("policy.rego".to_owned(), rego.to_owned())].into();
        let policy = policy::extension_config(&Written {
            policy: WrittenPolicy { modules, ..WrittenPolicy::default() },
            // By its address, the log tells whose a decision is.
            source_address: SourceAddress::Connection,
            ..Written::default()
        })?;
        let options =
            Options { change: mode.change(), ..Options::new(&cluster, kubelet.address(), &policy) };
        let gate = Gate::start(options).await?;
        let attacker =
            gate.dialer(Some(&cluster.issue(Persona::ApiserverKubeletClient)?.into()))?;
        Ok(Self { gate, kubelet, attacker, mode, _scratch: scratch })
    }

    /// Tries all cases, and tells what is wrong, by their names.
    ///
    /// Those of which nothing must arrive are tried at once: Envoy takes a second to close a
    /// connection. Then the others, one by one, so that what arrives is known to be theirs.
    pub(crate) async fn try_all(&self, cases: &[Case]) -> anyhow::Result<Vec<String>> {
        let (harmless, refused): (Vec<_>, Vec<_>) = cases
            .iter()
            .enumerate()
            .partition(|(_, case)| case.want(self.mode).iter().any(Outcome::is_allowed));
        let mut wrong: Vec<_> = stream::iter(refused)
            .map(|(number, case)| async move { case.blame(self.is_answered(number, case).await) })
            .buffer_unordered(AT_ONCE)
            .filter_map(future::ready)
            .collect()
            .await;
        let arrived = self.arrived_from(0);
        wrong.extend(arrived.iter().map(|it| format!("refused, but arrived: {}", it.target())));
        for (number, case) in harmless {
            wrong.extend(case.blame(self.is_answered_and_arrives(number, case).await));
        }
        let records = self.records(cases.len()).await?;
        for (number, case) in cases.iter().enumerate() {
            wrong.extend(case.blame(self.is_on_record(number, case, &records)));
        }
        Ok(wrong.into_iter().map(|wrong| format!("{:?}: {wrong}", self.mode)).collect())
    }

    async fn is_answered(&self, number: usize, case: &Case) -> anyhow::Result<()> {
        let got = self.answers(number, case).await?;
        let want = case.want(self.mode).iter().filter_map(Outcome::answer);
        let want: Vec<_> = want.collect();
        ensure!(got == want, "answered {got:?}, not {want:?}");
        Ok(())
    }

    async fn is_answered_and_arrives(&self, number: usize, case: &Case) -> anyhow::Result<()> {
        let before = self.kubelet.requests().len();
        let answered = self.is_answered(number, case).await;
        let arrived = self.arrived_from(before);
        let seen = arrived.iter().map(|it| format!("{} {}", it.method, it.target()));
        let seen: Vec<_> = seen.collect();
        answered.with_context(|| format!("the kubelet saw {seen:?}"))?;
        let want = case.want(self.mode).iter().filter_map(|outcome| outcome.arrives.clone());
        let want: Vec<_> = want.collect();
        ensure!(seen == want, "the kubelet saw {seen:?}, not {want:?}");
        arrived.iter().try_for_each(is_plain)
    }

    /// What has reached the kubelet since it had seen so many requests, without the canary.
    fn arrived_from(&self, before: usize) -> Vec<Recorded> {
        let mut arrived = self.kubelet.requests().split_off(before);
        arrived.retain(|request| request.target() != CANARY);
        arrived
    }

    /// The statuses of the answers, until the connection is closed, is a tunnel, or has answered
    /// the canary.
    async fn answers(&self, number: usize, case: &Case) -> anyhow::Result<Vec<u16>> {
        let mut client = RawClient::connect(&self.attacker.from(address(number))).await?;
        client.send(&case.send).await?;
        let mut then = case.then.as_deref();
        let mut canary = Some(format!("GET {CANARY} HTTP/1.1\r\nHost: n\r\n\r\n"));
        let want = case.want(self.mode).iter().filter_map(Outcome::answer).count();
        let mut got = Vec::new();
        loop {
            if !got.is_empty()
                && let Some(then) = then.take()
            {
                // Fails where the first answer has closed the connection.
                client.send(then).await.ok();
            }
            if got.len() == want
                && let Some(canary) = canary.take()
            {
                client.send(canary.as_bytes()).await.ok();
            }
            let Some(head) = client.next_head().await? else { return Ok(got) };
            match head.status {
                100 => {}
                101 => {
                    got.push(101);
                    return is_tunnel(&mut client, &head).await.map(|()| got);
                }
                status if got.is_empty() && case.send.starts_with(b"HEAD ") => got.push(status),
                status => {
                    let answer = client.body(head).await?;
                    if canary.is_none() && got.len() == want {
                        ensure!(
                            (status, &*answer.text()) == (200, "ok"),
                            "a further answer: {answer:?}"
                        );
                        return Ok(got);
                    }
                    got.push(status);
                }
            }
        }
    }

    /// The log, by where requests came from, when those of the cases are written.
    async fn records(&self, cases: usize) -> anyhow::Result<HashMap<IpAddr, Vec<Value>>> {
        let mut last = RawClient::connect(&self.attacker.from(address(cases))).await?;
        last.send_request("GET", CANARY).await?;
        last.response().await?;
        let log = self.gate.decisions();
        log.wait_for("the last record", |record| source(record) == Some(address(cases))).await?;
        // In a terminal, a byte of a caller's could be a command.
        let text = fs::read(log.path())?;
        let odd = text.iter().find(|byte| !matches!(byte, b'\n' | b' '..=b'~'));
        ensure!(odd.is_none(), "byte {odd:?} in the log");
        let mut by_source: HashMap<_, Vec<_>> = HashMap::new();
        for record in log.records()? {
            let source = source(&record).with_context(|| format!("whose is {record}?"))?;
            if path(&record) != CANARY {
                by_source.entry(source).or_default().push(record);
            }
        }
        Ok(by_source)
    }

    /// The log has the case's reasons, and for what arrived, the path that arrived.
    fn is_on_record(
        &self,
        number: usize,
        case: &Case,
        records: &HashMap<IpAddr, Vec<Value>>,
    ) -> anyhow::Result<()> {
        let mut of_case: Vec<_> = records.get(&address(number)).into_iter().flatten().collect();
        of_case.dedup_by_key(|record| {
            record.pointer("/decision/decision_id").or(record.pointer("/connection_id"))
        });
        let got: Vec<_> = of_case.iter().map(|record| why(record)).collect::<Result<_, _>>()?;
        let want: Vec<_> = case.want(self.mode).iter().map(|it| it.why.clone()).collect();
        ensure!(got == want, "the log has {got:?}, not {want:?}");
        for (record, outcome) in of_case.iter().zip(case.want(self.mode)) {
            ensure!(decides_what_arrives(record, outcome), "{outcome:?}, but decided was {record}");
        }
        Ok(())
    }
}

/// Each case has an address of its own; the whole of 127/8 is this machine.
fn address(number: usize) -> IpAddr {
    let [.., high, low] = number.to_be_bytes();
    IpAddr::from([127, 1, high, low])
}

/// What arrives is what its line says, and carries nothing that the kubelet could read otherwise or
/// take for somebody else's right.
fn is_plain(request: &Recorded) -> anyhow::Result<()> {
    let head = request.head.escape_ascii();
    ensure!(!request.is_malformed(), "the kubelet could not read {head}");
    ensure!(request.body_length == 0, "{} bytes of body came with {head}", request.body_length);
    ensure!(request.header("host").len() == 1, "not one host: {head}");
    for (name, value) in &request.headers {
        let name = name.to_ascii_lowercase();
        let odd = match name.as_str() {
            "authorization" | "proxy-authorization" | "cookie" | "x-forwarded-client-cert" => true,
            "expect" | "trailer" | "transfer-encoding" => true,
            "content-length" => value != b"0",
            name => {
                name.contains('_')
                    || ["impersonate-", "x-remote-"].iter().any(|it| name.starts_with(it))
            }
        };
        ensure!(!odd, "{name} in {head}");
    }
    let lines = request.head.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    for line in lines {
        let text = line.strip_suffix(b"\r");
        ensure!(text.is_some_and(|text| !text.contains(&b'\r')), "a line's end in {head}");
    }
    Ok(())
}

/// Behind a 101 there is no HTTP: what looks like a request comes back as it was sent.
async fn is_tunnel(client: &mut RawClient, head: &Response) -> anyhow::Result<()> {
    if head.header("upgrade").as_deref() == Some("SPDY/3.1") {
        let bytes = format!("GET {CANARY} HTTP/1.1\r\nHost: n\r\n\r\n");
        client.send(bytes.as_bytes()).await?;
        // What the case had behind its head comes back before it.
        let mut echo = Vec::new();
        while !echo.ends_with(bytes.as_bytes()) {
            echo.extend(client.exactly(1).await?);
        }
    }
    Ok(())
}

fn why(record: &Value) -> anyhow::Result<Why> {
    if let Some(reason) = record.pointer("/decision/reason") {
        return Ok(Why::Decided(Reason::deserialize(reason)?));
    }
    let refused = record.pointer("/refused/reason").and_then(Value::as_str);
    Ok(Why::Refused(refused.with_context(|| record.to_string())?.to_owned()))
}

fn decides_what_arrives(record: &Value, outcome: &Outcome) -> bool {
    let Some(arrives) = &outcome.arrives else { return true };
    let path = arrives.split([' ', '?']).nth(1);
    path == Some(self::path(record))
}

fn path(record: &Value) -> &str {
    let path = record.pointer("/decision/input/path").or(record.pointer("/refused/path"));
    path.and_then(Value::as_str).unwrap_or_default()
}

/// Where the request came from.
fn source(record: &Value) -> Option<IpAddr> {
    let decided = record.pointer("/decision/input/peer/address").and_then(Value::as_str);
    let refused = record.pointer("/refused/address").and_then(Value::as_str);
    let refused = refused.and_then(|address| address.rsplit_once(':')).map(|(ip, _)| ip);
    decided.or(refused)?.parse().ok()
}
