//! Where cases are tried: a gate in one mode, a kubelet behind it, and an attacker in front with the
//! certificate of the API server.

use std::fs;
use std::net::IpAddr;

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, future, stream};
use gatelet_certs::Persona;
use gatelet_core::config::{SourceAddress, Written, WrittenPolicy};
use gatelet_tests::client::{Dialer, RawClient, Response};
use gatelet_tests::envoy::project;
use gatelet_tests::gate::{Gate, Options, Profile, cluster};
use gatelet_tests::kubelet::{Recorded, StandInKubelet};
use gatelet_tests::policy;
use tempfile::TempDir;

use crate::arrival::is_plain;
use crate::case::{Case, Outcome};
use crate::log::Log;
use crate::mode::Mode;

/// Sent on a connection that is still open after a case: if bytes of the case were left over, or
/// made a request more, this would not get its answer as the next.
const CANARY: &str = "/healthz/log";

/// Connections at the same time.
const AT_ONCE: usize = 64;

pub(crate) struct Arena {
    gate: Gate,
    kubelet: StandInKubelet,
    attacker: Dialer,
    mode: Mode,
    _scratch: TempDir,
}

impl Arena {
    /// With the policy in `tests/hostile`.
    pub(crate) async fn start(mode: Mode) -> anyhow::Result<Self> {
        let rego = fs::read_to_string(project().join("tests/hostile/policy.rego"))?;
        let scratch = tempfile::tempdir()?;
        let cluster = cluster()?;
        let kubelet = StandInKubelet::start(Profile::Owned.kubelet(&cluster, scratch.path())?)?;
        let modules = [("policy.rego".to_owned(), rego)].into();
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
        let log = self.log(cases.len()).await?;
        for (number, case) in cases.iter().enumerate() {
            wrong.extend(case.blame(log.has(address(number), case.want(self.mode))));
        }
        let wanted =
            cases.iter().flat_map(|case| case.want(self.mode)).filter(|it| it.is_allowed());
        let (wanted, arrived) = (wanted.count(), self.arrived_from(0).len());
        if arrived != wanted {
            wrong.push(format!("the kubelet saw {arrived} requests, not {wanted}"));
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

    /// The log, when it has the records of so many cases.
    async fn log(&self, cases: usize) -> anyhow::Result<Log> {
        let mut last = RawClient::connect(&self.attacker.from(address(cases))).await?;
        last.send_request("GET", CANARY).await?;
        last.response().await?;
        let log = Log::read_up_to(address(cases), self.gate.decisions()).await?;
        Ok(log.without(CANARY))
    }
}

/// Each case has an address of its own; the whole of 127/8 is this machine.
fn address(number: usize) -> IpAddr {
    let [.., high, low] = number.to_be_bytes();
    IpAddr::from([127, 1, high, low])
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
