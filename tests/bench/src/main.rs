//! What the filter costs in Envoy, beside its peers. `make bench` runs it.
//!
//! ```text
//! rows.rs ── site.rs (an Envoy) ── variant.rs (its filters)
//!    │           └── process.rs: authorizer.rs, upstream.rs
//!    ├── cost.rs  on-CPU time of a request, latency      ─┐
//!    ├── bulk.rs  streams, first byte                     ├─ report.rs
//!    ├── module.rs  a decision inside V8                  │
//!    └── soak.rs  sessions, updates, slow clients        ─┘
//! ```

mod authorizer;
mod bulk;
mod cost;
mod load;
mod module;
mod process;
mod report;
mod requests;
mod rows;
mod run;
mod schedstat;
mod site;
mod soak;
mod upstream;
mod variant;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Measures the gate beside its peers.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Everything that is measured, as Markdown and SVG.
    Run {
        /// Rounds over all variants; of each figure the least and the median are shown.
        #[arg(long, default_value_t = 7)]
        rounds: usize,
        /// Requests of each kind and variant in a round.
        #[arg(long, default_value_t = 2000)]
        requests: usize,
        /// Where the results go.
        #[arg(long)]
        to: PathBuf,
    },
    /// Many open sessions, short requests, slow clients and policy updates at once.
    Soak {
        #[arg(long, default_value_t = 9_000)]
        sessions: usize,
        /// Short requests a second.
        #[arg(long, default_value_t = 1_000)]
        rate: u32,
        #[arg(long, default_value_t = 500)]
        slow_clients: usize,
        #[arg(long, default_value_t = 200)]
        updates: usize,
    },
    /// An external authorizer, for the variants that ask one.
    #[command(hide = true)]
    Authorizer {
        #[arg(long)]
        regorus: bool,
    },
    /// A kubelet that sends.
    #[command(hide = true)]
    Upstream,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().part {
        Part::Run { rounds, requests, to } => run::run(rounds, requests, &to).await,
        Part::Soak { sessions, rate, slow_clients, updates } => {
            soak::run(sessions, rate, slow_clients, updates).await
        }
        Part::Authorizer { regorus } => authorizer::serve(regorus).await,
        Part::Upstream => upstream::serve().await,
    }
}
