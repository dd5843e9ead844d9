//! A host that plays Envoy's part in native tests: it remembers the calls, and delivers the answers that
//! a test gives.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    time::{Duration, SystemTime},
};

use proxy_wasm::types::{MetricType, Status};

use crate::host::Host;

/// See the module. A call named in `failing` returns an internal failure.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    pub(crate) failing: RefCell<Vec<&'static str>>,
    pub(crate) calls: RefCell<Vec<Called>>,
    pub(crate) headers: RefCell<Vec<(String, Vec<u8>)>>,
    pub(crate) body: RefCell<Vec<u8>>,
    pub(crate) bodies_read: Cell<usize>,
    pub(crate) metrics: RefCell<HashMap<String, u64>>,
    names: RefCell<Vec<String>>,
    time: Cell<Duration>,
}

/// A call, and its token is its place among all.
#[derive(Clone, Debug)]
pub(crate) struct Called {
    pub(crate) cluster: String,
    pub(crate) headers: HashMap<String, String>,
}

impl Fake {
    pub(crate) fn pass(&self, time: Duration) {
        self.time.set(self.time.get() + time);
    }

    pub(crate) fn metric(&self, name: &str) -> Option<u64> {
        self.metrics.borrow().get(name).copied()
    }

    /// The tokens of all calls to a cluster.
    pub(crate) fn tokens(&self, cluster: &str) -> Vec<u32> {
        let calls = self.calls.borrow();
        let to_it = calls.iter().zip(0_u32..).filter(|(call, _)| call.cluster == cluster);
        to_it.map(|(_, token)| token).collect()
    }

    fn check(&self, call: &'static str) -> Result<(), Status> {
        let fails = self.failing.borrow().contains(&call);
        if fails { Err(Status::InternalFailure) } else { Ok(()) }
    }
}

impl Host for &Fake {
    fn now(&self) -> Result<SystemTime, Status> {
        // 2026-01-01T00:00:00Z
        let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        self.check("now").map(|()| begin + self.time.get())
    }

    fn tick_every(&self, _period: Duration) -> Result<(), Status> {
        self.check("tick_every")
    }

    fn call(
        &self,
        cluster: &str,
        headers: &[(&str, &str)],
        _body: Option<&[u8]>,
        _timeout: Duration,
    ) -> Result<u32, Status> {
        self.check("call")?;
        let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let headers = headers.iter().map(text).collect();
        let mut calls = self.calls.borrow_mut();
        calls.push(Called { cluster: cluster.to_owned(), headers });
        Ok(u32::try_from(calls.len() - 1).expect("few calls"))
    }

    fn answer_headers(&self) -> Result<Vec<(String, Vec<u8>)>, Status> {
        self.check("answer_headers").map(|()| self.headers.borrow().clone())
    }

    fn answer_body(&self, _size: usize) -> Result<Option<Vec<u8>>, Status> {
        self.bodies_read.set(self.bodies_read.get() + 1);
        self.check("answer_body").map(|()| Some(self.body.borrow().clone()))
    }

    fn define_metric(&self, _kind: MetricType, name: &str) -> Result<u32, Status> {
        self.check("define_metric")?;
        let mut names = self.names.borrow_mut();
        names.push(name.to_owned());
        self.metrics.borrow_mut().insert(name.to_owned(), 0);
        Ok(u32::try_from(names.len() - 1).expect("few metrics"))
    }

    fn increment_metric(&self, id: u32) -> Result<(), Status> {
        self.check("increment_metric")?;
        let name = self.names.borrow()[id as usize].clone();
        *self.metrics.borrow_mut().entry(name).or_default() += 1;
        Ok(())
    }

    fn record_metric(&self, id: u32, value: u64) -> Result<(), Status> {
        self.check("record_metric")?;
        self.metrics.borrow_mut().insert(self.names.borrow()[id as usize].clone(), value);
        Ok(())
    }
}
