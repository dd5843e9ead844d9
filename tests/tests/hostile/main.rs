//! Requests of an attacker, as bytes, through real Envoy: `tests/hostile` has them, with what each
//! comes to by the shipped configuration and where paths are normalised, as Istio does it.
//!
//! ```text
//! case      the files      request -> outcomes, by mode
//! mode      Envoy's path normalisation: off as shipped, or one of istiod's three
//! arena     a gate, a kubelet and an attacker: sends cases, and compares answers
//! arrival   what a request may look like at the kubelet
//! log       what was decided
//! big       what is too large for a file
//! stranger  what is logged of a failed handshake
//! ```

mod arena;
mod arrival;
mod big;
mod case;
mod log;
mod mode;
mod stranger;

use std::collections::HashSet;

use futures_util::future::try_join_all;

use crate::arena::Arena;
use crate::case::Case;
use crate::mode::Mode;

#[tokio::test]
async fn every_request_comes_to_what_it_must_in_every_mode() -> anyhow::Result<()> {
    let cases = Case::all()?;
    assert!(!cases.is_empty(), "no cases found");
    let mut arenas = Vec::new();
    for mode in Mode::ALL {
        arenas.push(Arena::start(mode).await?);
    }
    let wrong = try_join_all(arenas.iter().map(|arena| arena.try_all(&cases))).await?.concat();
    assert!(wrong.is_empty(), "of {} requests:\n{}", cases.len(), wrong.join("\n"));
    Ok(())
}

#[test]
fn the_requests_are_many_and_distinct() -> anyhow::Result<()> {
    let cases = Case::all()?;
    let requests: HashSet<_> = cases.iter().map(|case| (&case.send, &case.then)).collect();
    let names: HashSet<_> = cases.iter().map(|case| &case.name).collect();
    assert_eq!((requests.len(), names.len()), (cases.len(), cases.len()), "distinct");
    assert!(cases.len() >= 300, "{} requests", cases.len());
    for mode in Mode::ALL {
        let allowed = cases.iter().flat_map(|case| case.want(mode)).filter(|it| it.is_allowed());
        assert!(allowed.count() > 0, "{mode:?}: nothing is allowed");
    }
    Ok(())
}
