//! A host that plays Envoy's part in native tests: it plays what it was given, can fail on demand,
//! and remembers what was asked of it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    time::{Duration, SystemTime},
};

use proxy_wasm::types::{MetricType, Status};

use crate::host::Host;

type Lines = Vec<(String, Vec<u8>)>;

/// See the module. A call named in `failing` returns an internal failure.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    pub(crate) lines: Vec<(String, Vec<u8>)>,
    pub(crate) properties: HashMap<String, Vec<u8>>,
    pub(crate) failing: Vec<&'static str>,
    pub(crate) replies: RefCell<Vec<(u32, String)>>,
    pub(crate) removed: RefCell<Vec<String>>,
    pub(crate) records: RefCell<Vec<serde_json::Value>>,
    pub(crate) property_reads: Cell<usize>,
    pub(crate) shared: RefCell<HashMap<String, String>>,
    pub(crate) names: RefCell<Vec<String>>,
    pub(crate) metrics: RefCell<HashMap<String, u64>>,
    /// Cluster, request line and host, and timeout of each call.
    pub(crate) calls: RefCell<Vec<(String, String, Duration)>>,
    /// The header lines and the body of what is called.
    pub(crate) answer: Option<(Lines, Vec<u8>)>,
    pub(crate) ticks: RefCell<Vec<Duration>>,
}

impl Fake {
    /// A request on a connection with this client certificate.
    pub(crate) fn new(lines: Vec<(String, Vec<u8>)>, subject: Option<&str>) -> Self {
        let mut fake = Self { lines, ..Self::default() };
        fake.set("connection_id", 7_u64.to_le_bytes());
        fake.set("connection.mtls", [u8::from(subject.is_some())]);
        if let Some(subject) = subject {
            // An SVID of the corpus has no subject, which to Envoy is no such property.
            let svid = subject.starts_with("spiffe://");
            let name = if svid { "uri_san" } else { "subject" };
            fake.set(&format!("connection.{name}_peer_certificate"), subject);
            fake.set("connection.sha256_peer_certificate_digest", [b'0'; 64]);
        }
        fake
    }

    pub(crate) fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.properties.insert(name.to_owned(), value.as_ref().to_vec());
    }

    pub(crate) fn metric(&self, name: &str) -> Option<u64> {
        self.metrics.borrow().get(name).copied()
    }

    /// The name of a metric; one that another fake host defined has none here.
    fn name(&self, id: u32) -> String {
        self.names.borrow().get(id as usize).cloned().unwrap_or_default()
    }

    fn check(&self, call: &'static str) -> Result<(), Status> {
        if self.failing.contains(&call) { Err(Status::InternalFailure) } else { Ok(()) }
    }
}

impl Host for &Fake {
    fn request_headers(&self) -> Result<Vec<(String, Vec<u8>)>, Status> {
        self.check("request_headers").map(|()| self.lines.clone())
    }

    fn property(&self, path: &[&str]) -> Result<Option<Vec<u8>>, Status> {
        self.property_reads.set(self.property_reads.get() + 1);
        self.check("property").map(|()| self.properties.get(&path.join(".")).cloned())
    }

    fn now(&self) -> Result<SystemTime, Status> {
        // 2026-01-01T00:00:00Z
        self.check("now").map(|()| SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600))
    }

    fn remove_request_header(&self, name: &str) -> Result<(), Status> {
        self.check("remove_request_header")?;
        self.removed.borrow_mut().push(name.to_owned());
        Ok(())
    }

    fn set_record(&self, record: &str) -> Result<(), Status> {
        self.check("set_record")?;
        self.records.borrow_mut().push(serde_json::from_str(record).expect("the record is JSON"));
        Ok(())
    }

    fn reply(&self, status: u32, body: &str) -> Result<(), Status> {
        self.check("reply")?;
        self.replies.borrow_mut().push((status, body.to_owned()));
        Ok(())
    }

    fn define_metric(&self, _kind: MetricType, name: &str) -> Result<u32, Status> {
        self.check("define_metric")?;
        let mut names = self.names.borrow_mut();
        names.push(name.to_owned());
        Ok(u32::try_from(names.len() - 1).expect("few metrics"))
    }

    fn increment_metric(&self, id: u32) -> Result<(), Status> {
        self.check("increment_metric")?;
        self.metrics.borrow_mut().entry(self.name(id)).and_modify(|n| *n += 1).or_insert(1);
        Ok(())
    }

    fn record_metric(&self, id: u32, value: u64) -> Result<(), Status> {
        self.check("record_metric")?;
        self.metrics.borrow_mut().insert(self.name(id), value);
        Ok(())
    }

    fn exchange_shared(&self, key: &str, value: &str) -> Result<bool, Status> {
        self.check("exchange_shared")?;
        let old = self.shared.borrow_mut().insert(key.to_owned(), value.to_owned());
        Ok(old.as_deref() != Some(value))
    }

    fn tick_every(&self, period: Duration) -> Result<(), Status> {
        self.check("tick_every")?;
        self.ticks.borrow_mut().push(period);
        Ok(())
    }

    /// The token of a call is its number, from 1.
    fn call(
        &self,
        cluster: &str,
        headers: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<u32, Status> {
        self.check("call")?;
        let values: Vec<_> = headers.iter().take(3).map(|(_, value)| *value).collect();
        let mut calls = self.calls.borrow_mut();
        calls.push((cluster.to_owned(), values.join(" "), timeout));
        Ok(u32::try_from(calls.len()).expect("few calls"))
    }

    fn answer_headers(&self) -> Result<Vec<(String, Vec<u8>)>, Status> {
        self.check("answer_headers")?;
        Ok(self.answer.clone().map(|(lines, _)| lines).unwrap_or_default())
    }

    fn answer_body(&self, _size: usize) -> Result<Option<Vec<u8>>, Status> {
        self.check("answer_body")?;
        Ok(self.answer.clone().map(|(_, body)| body))
    }
}
