//! Every certificate as a peer would judge it, every file as it lies on disk, every message.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod command;
mod files;
mod issuing;

use std::net::IpAddr;
use std::time::SystemTime;

use gatelet_certs::{Cluster, Options};

fn options() -> Options {
    let address: IpAddr = "10.0.0.5".parse().unwrap();
    Options { node_addresses: vec![address], ..Options::new("worker-1".parse().unwrap()) }
}

fn cluster() -> Cluster {
    Cluster::new(options(), SystemTime::now()).unwrap()
}
