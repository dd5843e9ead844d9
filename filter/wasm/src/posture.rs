//! A look at the kubelet every now and then.
//!
//! Every worker looks for itself. Its policy and its remembered decisions are its own, so it has to hear of
//! another verdict in any case, and one small request a minute costs less than knowing how old somebody
//! else's verdict is. What isn't answered before the next look is no answer: no verdict gets older than
//! two intervals.

use std::time::Duration;

use gatelet_core::posture::{News, Overall, Verdict};

use crate::{host::Host, root::Shared};

/// The question that is under way.
#[derive(Debug, Default)]
pub(crate) struct Looking {
    asked: Option<u32>,
}

/// Until the first look: a configuration can't ask while it is being read.
const SOON: Duration = Duration::from_millis(100);

/// Until the next look after one that failed, and what an answer may take.
const SHORTLY: Duration = Duration::from_secs(5);

/// A kubelet's own is some 5 KB.
const LONGEST_ANSWER: usize = 256 << 10;

/// Has Envoy call [`Looking::tick`], if the configuration says so.
pub(crate) fn begin(host: &impl Host, shared: &Shared) -> Result<(), String> {
    if shared.gate.config().posture.is_none() {
        return Ok(());
    }
    host.tick_every(SOON).map_err(|status| format!("asking for ticks: {status:?}"))
}

impl Looking {
    /// Asks the kubelet.
    pub(crate) fn tick(&mut self, host: &impl Host, shared: &Shared) {
        let Some(watch) = &shared.gate.config().posture else { return };
        if self.asked.take().is_some() {
            judge(host, shared, Err("no answer so far".to_owned()));
        }
        let authority = shared.gate.config().node.name.as_deref().unwrap_or("kubelet");
        let headers = [
            (":method", "GET"),
            (":path", "/configz"),
            (":authority", authority),
            ("accept", "application/json"),
        ];
        let patience = watch.interval().min(SHORTLY);
        match host.call(&watch.cluster, &headers, patience) {
            Ok(token) => self.asked = Some(token),
            Err(status) => {
                judge(host, shared, Err(format!("asking `{}`: {status:?}", watch.cluster)))
            }
        }
        next_look(host, watch.interval());
    }

    /// Takes the answer.
    pub(crate) fn answered(
        &mut self,
        host: &impl Host,
        shared: &Shared,
        token: u32,
        headers: usize,
        size: usize,
    ) {
        if self.asked != Some(token) {
            return;
        }
        self.asked = None;
        let answer = read(host, headers, size);
        judge(host, shared, answer.as_deref().map_err(Clone::clone));
    }
}

fn read(host: &impl Host, headers: usize, size: usize) -> Result<Vec<u8>, String> {
    if headers == 0 {
        return Err("the kubelet can't be reached".to_owned());
    }
    let failed = |status| format!("reading the answer: {status:?}");
    let lines = host.answer_headers().map_err(failed)?;
    let status =
        lines.iter().find(|(name, _)| name == ":status").map(|(_, value)| value.as_slice());
    if status != Some(b"200") {
        let status = String::from_utf8_lossy(status.unwrap_or(b"nothing")).into_owned();
        return Err(format!("the kubelet answers {status}"));
    }
    if size > LONGEST_ANSWER {
        return Err(format!("the kubelet's answer has {size} bytes"));
    }
    host.answer_body(size).map_err(failed)?.ok_or_else(|| "the answer has no body".to_owned())
}

fn judge(host: &impl Host, shared: &Shared, answer: Result<&[u8], String>) {
    let Some(news) = shared.gate.judge(answer) else { return };
    if shared.metrics.looked(host, &news.verdict).is_err() {
        shared.metrics.failed(host);
    }
    let News { verdict, why, .. } = &news;
    if let (Some(_), Some(watch)) = (why, &shared.gate.config().posture) {
        next_look(host, watch.interval().min(SHORTLY));
    }
    let text = describe(verdict, why.as_deref());
    // Each worker sees the same; the log has it once.
    match host.exchange_shared("gatelet.posture", &text) {
        Ok(true) if verdict.status == Overall::Pass => log::info!("{text}"),
        Ok(true) => log::warn!("{text}"),
        Ok(false) => {}
        Err(_) => shared.metrics.failed(host),
    }
}

fn next_look(host: &impl Host, after: Duration) {
    if let Err(status) = host.tick_every(after) {
        log::error!("asking for ticks: {status:?}");
    }
}

fn describe(verdict: &Verdict, why: Option<&str>) -> String {
    let list = |name, ids: &[String]| match ids {
        [] => String::new(),
        ids => format!("; {name} {}", ids.join(", ")),
    };
    let status = match verdict.status {
        Overall::Pass => "passes",
        Overall::Fail => "fails",
        Overall::Unknown => "is unknown",
    };
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let failed = list("failed", &verdict.failed);
    format!("the kubelet's posture {status}{why}{failed}{}", list("warned", &verdict.warned))
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use gatelet_core::{Config, Gate, policy::Builtins};
    use serde_json::json;

    use super::*;
    use crate::fake::Fake;

    fn shared(interval: u32) -> Rc<Shared> {
        let config = json!({
            "policy": {"modules": {"a.rego": "package kubelet.authz\n\ndecision if data.posture.status == \"pass\""}},
            "posture": {"profile": "cis", "interval_s": interval},
            "node": {"name": "worker-1"},
        });
        let config = Config::from_json(config.to_string().as_bytes()).unwrap();
        Rc::new(Shared::new(Gate::new(config, Builtins::Standard).unwrap()))
    }

    const SOUND: &str = r#"{"kubeletconfig": {
        "address": "0.0.0.0", "port": 10250,
        "authentication": {"x509": {"clientCAFile": "/ca.crt"}, "webhook": {"enabled": true}, "anonymous": {"enabled": false}},
        "authorization": {"mode": "Webhook"}, "streamingConnectionIdleTimeout": "4h0m0s",
        "makeIPTablesUtilChains": true, "eventRecordQPS": 50, "rotateCertificates": true,
        "podPidsLimit": -1, "seccompDefault": false
    }}"#;

    /// What there is after one look that is answered so.
    fn after(answer: Option<(&str, &str)>) -> (Fake, Rc<Shared>) {
        let (mut fake, shared) = (Fake::default(), shared(60));
        if let Some((status, body)) = answer {
            fake.answer = Some((vec![(":status".to_owned(), status.into())], body.into()));
        }
        let mut looking = Looking::default();
        looking.tick(&&fake, &shared);
        let (headers, size) =
            fake.answer.as_ref().map_or((0, 0), |(lines, body)| (lines.len(), body.len()));
        looking.answered(&&fake, &shared, 1, headers, size);
        (fake, shared)
    }

    #[test]
    fn the_kubelet_is_asked_with_the_nodes_name_and_once_in_a_while() {
        let (fake, shared) = after(Some(("200", SOUND)));
        assert_eq!(
            *fake.calls.borrow(),
            [("kubelet".to_owned(), "GET /configz worker-1".to_owned(), Duration::from_secs(5))]
        );
        assert_eq!(*fake.ticks.borrow(), [Duration::from_secs(60)]);
        begin(&&fake, &shared).unwrap();
        assert_eq!(fake.ticks.borrow().last(), Some(&SOON));
    }

    #[test]
    fn nobody_looks_without_being_asked_to() {
        let rego = "package kubelet.authz\n\ndecision := true";
        let config = json!({"policy": {"modules": {"a.rego": rego}}}).to_string();
        let gate = Gate::new(Config::from_json(config.as_bytes()).unwrap(), Builtins::Standard);
        let (fake, shared) = (Fake::default(), Shared::new(gate.unwrap()));
        begin(&&fake, &shared).unwrap();
        Looking::default().tick(&&fake, &shared);
        assert_eq!((fake.ticks.borrow().len(), fake.calls.borrow().len()), (0, 0));
    }

    #[test]
    fn what_is_no_answer_is_counted_said_and_asked_for_again_soon() {
        let long = " ".repeat(LONGEST_ANSWER + 1);
        for (answer, says) in [
            (None, "the kubelet can't be reached"),
            (Some(("403", SOUND)), "the kubelet answers 403"),
            (Some(("200", "")), "EOF"),
            (Some(("200", "{}")), "there is no `kubeletconfig`"),
            (Some(("200", long.as_str())), "the kubelet's answer has 262145 bytes"),
        ] {
            let (fake, _) = after(answer);
            assert_eq!(fake.metric("gatelet_posture_known"), Some(0), "{says}");
            assert_eq!(fake.metric("gatelet_posture_looks.failed"), Some(1), "{says}");
            assert_eq!(fake.ticks.borrow().last(), Some(&SHORTLY), "{says}");
            let said = fake.shared.borrow()["gatelet.posture"].clone();
            assert!(said.starts_with("the kubelet's posture is unknown: "), "{said}");
            assert!(said.contains(says), "{said}");
        }
        let (fake, _) = after(Some(("200", SOUND)));
        assert_eq!(fake.metric("gatelet_posture_known"), Some(1));
        assert_eq!(fake.metric("gatelet_posture_failed"), Some(0));
        assert_eq!(fake.metric("gatelet_posture_looks.answered"), Some(1));
    }

    #[test]
    fn every_call_that_fails_is_no_answer() {
        for call in ["call", "answer_headers", "answer_body"] {
            let (mut fake, shared) = (Fake::default(), shared(60));
            fake.answer = Some((vec![(":status".to_owned(), b"200".to_vec())], SOUND.into()));
            fake.failing = vec![call];
            let mut looking = Looking::default();
            looking.tick(&&fake, &shared);
            looking.answered(&&fake, &shared, 1, 1, SOUND.len());
            assert_eq!(fake.metric("gatelet_posture_known"), Some(0), "{call}");
        }
    }

    #[test]
    fn a_late_answer_is_nobodys_and_the_next_look_says_unknown() {
        let (mut fake, shared) = (Fake::default(), shared(1));
        fake.answer = Some((vec![(":status".to_owned(), b"200".to_vec())], SOUND.into()));
        let mut looking = Looking::default();
        looking.tick(&&fake, &shared);
        looking.tick(&&fake, &shared);
        assert_eq!(fake.metric("gatelet_posture_known"), Some(0));
        looking.answered(&&fake, &shared, 1, 1, SOUND.len());
        assert_eq!(fake.metric("gatelet_posture_known"), Some(0));
        looking.answered(&&fake, &shared, 2, 1, SOUND.len());
        assert_eq!(fake.metric("gatelet_posture_known"), Some(1));
        assert_eq!(fake.calls.borrow().last().unwrap().2, Duration::from_secs(1));
    }

    #[test]
    fn failures_are_counted_and_named() {
        let open = SOUND.replace(r#""enabled": false"#, r#""enabled": true"#);
        let (fake, _) = after(Some(("200", &open)));
        assert_eq!(fake.metric("gatelet_posture_failed"), Some(1));
        assert_eq!(fake.metric("gatelet_posture_known"), Some(1));
        assert_eq!(
            fake.shared.borrow()["gatelet.posture"],
            "the kubelet's posture fails; failed 4.2.1; warned 4.2.9, 4.2.12, 4.2.13, 4.2.14"
        );
    }
}
