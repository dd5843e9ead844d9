//! The certificate signing requests of `tests/csrs.json`.
//!
//! `UPDATE_CSRS=1 cargo test --package gatelet-tests --test csr_corpus` makes them anew.

use std::fs;
use std::panic::catch_unwind;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use gatelet_core::csr::{Malformed, Request};
use gatelet_tests::csr::{Corpus, corpus};
use gatelet_tests::envoy::project;
use serde_json::Value;

/// The signatures differ each time they are made; everything else has to be what the table says.
#[test]
fn the_file_has_what_the_table_says() -> anyhow::Result<()> {
    let made = corpus()?;
    if std::env::var_os("UPDATE_CSRS").is_some() {
        let text = format!("{}\n", serde_json::to_string_pretty(&made)?);
        fs::write(project().join(Corpus::PATH), text)?;
        return Ok(());
    }
    let kept = Corpus::read()?;
    assert_eq!(comparable(kept)?, comparable(made)?, "set UPDATE_CSRS=1 to write it anew");
    Ok(())
}

/// What signed requests say is true of them, however they are bent: a mutation either changes nothing
/// that was signed, or is found out.
#[test]
fn mutated_requests_are_refused_and_break_nothing() -> anyhow::Result<()> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut read, mut refused) = (0, 0);
    for case in Corpus::read()?.cases {
        let request = case.spec["request"].as_str().unwrap_or_default();
        let request = BASE64_STANDARD.decode(request)?;
        for round in 0..100 {
            let mutated = mutate(&request, &mut random);
            let result = catch_unwind(|| Request::from_pem(&mutated));
            let Ok(result) = result else {
                panic!("{} {round}: a panic at {}", case.note, BASE64_STANDARD.encode(&mutated))
            };
            match result {
                Ok(mutant) => {
                    // Of one that can't be read, the mutation may have been the cure.
                    if let Ok(original) = Request::from_pem(&request) {
                        assert_eq!(mutant, original, "{} {round}: a second reading", case.note);
                    }
                    read += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 5_000, "{refused} refused, {read} read");
    Ok(())
}

#[test]
fn unmutated_requests_of_kubelets_are_read() -> anyhow::Result<()> {
    for case in Corpus::read()?.cases.iter().filter(|case| case.want.strict.starts_with("approve"))
    {
        let request = case.spec["request"].as_str().unwrap_or_default();
        let request: Result<Request, Malformed> =
            Request::from_pem(&BASE64_STANDARD.decode(request)?);
        assert!(request.is_ok(), "{}: {request:?}", case.note);
    }
    Ok(())
}

/// Bends a request once or a few times: in its DER and wrapped again, or in its PEM.
fn mutate(request: &[u8], random: &mut Random) -> Vec<u8> {
    let parsed = pem::parse(request).ok().filter(|_| random.below(4) > 0);
    let mut bytes = parsed.as_ref().map_or(request, pem::Pem::contents).to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.byte()),
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 => {
                let end = (at + random.below(64)).min(bytes.len());
                let copy = bytes.get(at..end).unwrap_or_default().to_vec();
                bytes.splice(at..at, copy);
            }
            4 => bytes.extend((0..random.below(32)).map(|_| random.byte())),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    match parsed {
        Some(parsed) => pem::encode(&pem::Pem::new(parsed.tag(), bytes)).into_bytes(),
        None => bytes,
    }
}

/// xorshift64: the same mutations in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below this one; 0 below 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next()).unwrap_or_default().checked_rem(end).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes().first().copied().unwrap_or_default()
    }
}

fn comparable(corpus: Corpus) -> anyhow::Result<Value> {
    let mut corpus = serde_json::to_value(corpus)?;
    let cases = corpus.get_mut("cases").and_then(Value::as_array_mut);
    for case in cases.into_iter().flatten() {
        case.pointer_mut("/spec/request").map(Value::take);
    }
    Ok(corpus)
}
