//! Decisions that need not be made again.
//!
//! An entry is found by a hash, and taken only if its question equals the one that is asked, field
//! by field: a collision is a miss. What is kept is what the policy said, not what became of it; the
//! peers, the denied certificates and the mode of the configuration are looked at every time.
//!
//! Callers such as Prometheus send the same bytes again and again. What came twice is remembered by its
//! header lines as well, byte for byte, and isn't even read any more: equal lines of equal peers are
//! equal questions.
//!
//! There are two generations. New entries go into the younger; when it is full it becomes the older,
//! and what was the older is dropped. An entry that is used moves on to the younger one.

use std::{cell::RefCell, collections::HashMap, hash::BuildHasher, rc::Rc};

use foldhash::quality::RandomState;

use crate::{headers::Headers, log::Written, peer::Peer, policy::Outcome, question::Question};

/// The decisions of one policy. It belongs to one thread, and goes with its policy.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    hasher: RandomState,
    decided: RefCell<Generations<Decided>>,
    seen: RefCell<Generations<Seen>>,
}

/// A decision, and what the log says of it each time.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) question: Question,
    pub(crate) outcome: Outcome,
    pub(crate) written: Written,
}

/// A request as it arrived. Its question is a function of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Arrival<'a> {
    pub(crate) headers: Headers<'a>,
    pub(crate) end_of_stream: bool,
    pub(crate) peer: &'a Peer,
}

/// A request that was decided.
#[derive(Debug)]
struct Seen {
    lines: Vec<(String, Vec<u8>)>,
    end_of_stream: bool,
    decided: Rc<Decided>,
}

#[derive(Debug)]
struct Generations<T> {
    young: Entries<T>,
    old: Entries<T>,
    /// The size of the younger one.
    bytes: usize,
}

type Entries<T> = HashMap<u64, Rc<T>, foldhash::fast::RandomState>;

/// What generations are made of.
trait Entry {
    /// The most bytes of a generation.
    const MOST_BYTES: usize;

    /// About the bytes that it takes.
    fn size(&self) -> usize;
}

/// Of each generation.
const MOST_ENTRIES: usize = 1024;

/// Of an entry. Whatever makes a record this long isn't asked often.
const LONGEST: usize = 16 << 10;

/// What an entry takes beside its texts.
const OVERHEAD: usize = 1024;

/// What a header line takes beside its texts.
const LINE: usize = 64;

impl Cache {
    /// Where a question's decision is found, and remembered.
    pub(crate) fn hash(&self, question: &Question) -> u64 {
        self.hasher.hash_one(question)
    }

    /// The decision on this question, if it is remembered.
    pub(crate) fn get(&self, hash: u64, question: &Question) -> Option<Rc<Decided>> {
        self.decided.borrow_mut().get(hash, |decided| decided.question == *question)
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.decided.take();
        self.seen.take();
    }

    /// Remembers a decision, unless another evaluation could come to another one, or it is too large.
    pub(crate) fn insert(&self, hash: u64, decided: &Rc<Decided>) {
        let is_settled = match &decided.outcome {
            Outcome::Allowed(_)
            | Outcome::Denied(_)
            | Outcome::Undefined
            | Outcome::NotBoolean
            | Outcome::UnknownKey => true,
            // A busy machine spends budgets.
            Outcome::Budget | Outcome::Failed(_) => false,
        };
        if is_settled && decided.written.len() <= LONGEST {
            self.decided.borrow_mut().insert(hash, Rc::clone(decided));
        }
    }

    /// The decision on the same bytes of the same peer, if they are remembered.
    pub(crate) fn get_arrival(&self, arrival: &Arrival<'_>) -> Option<Rc<Decided>> {
        let hash = self.hasher.hash_one(arrival);
        let seen = self.seen.borrow_mut().get(hash, |seen| seen.is(arrival))?;
        Some(Rc::clone(&seen.decided))
    }

    /// Remembers a decision, which is remembered already, by the request as it arrived.
    pub(crate) fn insert_arrival(&self, arrival: &Arrival<'_>, decided: &Rc<Decided>) {
        let seen = Seen {
            lines: arrival.headers.lines().to_vec(),
            end_of_stream: arrival.end_of_stream,
            decided: Rc::clone(decided),
        };
        if seen.size() <= LONGEST {
            let hash = self.hasher.hash_one(arrival);
            self.seen.borrow_mut().insert(hash, Rc::new(seen));
        }
    }
}

impl Seen {
    fn is(&self, arrival: &Arrival<'_>) -> bool {
        let known = Arrival {
            headers: Headers::new(&self.lines),
            end_of_stream: self.end_of_stream,
            peer: &self.decided.question.peer,
        };
        known == *arrival
    }
}

impl<T: Entry> Generations<T> {
    fn get(&mut self, hash: u64, is_meant: impl Fn(&T) -> bool) -> Option<Rc<T>> {
        if let Some(entry) = self.young.get(&hash) {
            return is_meant(entry).then(|| Rc::clone(entry));
        }
        let entry = self.old.remove(&hash)?;
        if !is_meant(&entry) {
            return None;
        }
        self.insert(hash, Rc::clone(&entry));
        Some(entry)
    }

    fn insert(&mut self, hash: u64, entry: Rc<T>) {
        let bytes = entry.size();
        if self.young.len() >= MOST_ENTRIES || self.bytes + bytes > T::MOST_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.young.insert(hash, entry);
    }
}

impl<T> Default for Generations<T> {
    fn default() -> Self {
        Self { young: Entries::default(), old: Entries::default(), bytes: 0 }
    }
}

impl Entry for Decided {
    const MOST_BYTES: usize = 4 << 20;

    /// A question has the texts of its document, in pieces.
    fn size(&self) -> usize {
        2 * self.written.len() + OVERHEAD
    }
}

impl Entry for Seen {
    const MOST_BYTES: usize = 1 << 20;

    /// With the decision, which it keeps when nothing else does.
    fn size(&self) -> usize {
        let lines = self.lines.iter().map(|(name, value)| name.len() + value.len() + LINE);
        lines.sum::<usize>() + self.decided.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kubelet::{Node, Request as KubeletRequest},
        log::Ruled,
        policy::Verdict,
        question::Request,
    };

    fn written(input: &impl serde::Serialize) -> Written {
        let labels = std::collections::BTreeMap::new();
        let ruled = Ruled {
            path: "kubelet/authz/decision",
            result: false,
            rule: None,
            message: None,
            policy_sha256: "",
            labels: &labels,
        };
        Written::unmasked(&ruled, input).unwrap()
    }

    fn decided(pod: &str, outcome: Outcome) -> Rc<Decided> {
        let target = format!("/containerLogs/default/{pod}/app");
        let lines = [(":method", "GET"), (":path", &target), (":authority", "worker-1")]
            .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        let request = KubeletRequest::parse(Headers::new(&lines), true).unwrap();
        let question = Question {
            request: Request::Kubelet(request),
            peer: Peer::default(),
            bearer_token: false,
        };
        let written = written(&question.input(&Node::default()));
        Rc::new(Decided { question, outcome, written })
    }

    fn get(cache: &Cache, question: &Question) -> Option<Rc<Decided>> {
        cache.get(cache.hash(question), question)
    }

    fn insert(cache: &Cache, decided: &Rc<Decided>) {
        cache.insert(cache.hash(&decided.question), decided);
    }

    fn denied(pod: &str) -> Rc<Decided> {
        decided(pod, Outcome::Denied(Verdict::default()))
    }

    #[test]
    fn what_is_remembered_is_found_and_nothing_else() {
        let cache = Cache::default();
        let (web, db) = (denied("web-0"), denied("db-0"));
        assert!(get(&cache, &web.question).is_none());
        insert(&cache, &web);
        assert!(get(&cache, &web.question).is_some_and(|found| Rc::ptr_eq(&found, &web)));
        assert!(get(&cache, &db.question).is_none());
    }

    #[test]
    fn a_collision_is_a_miss() {
        let cache = Cache::default();
        let (web, db) = (denied("web-0"), denied("db-0"));
        let hash = cache.hasher.hash_one(&web.question);
        for generation in 0..2 {
            cache.decided.borrow_mut().young.insert(hash, Rc::clone(&db));
            if generation == 1 {
                let mut generations = cache.decided.borrow_mut();
                generations.old = std::mem::take(&mut generations.young);
            }
            assert!(get(&cache, &web.question).is_none(), "generation {generation}");
        }
    }

    #[test]
    fn only_the_same_lines_of_the_same_peer_are_seen_again() {
        let cache = Cache::default();
        let decided = denied("web-0");
        let [lines, others] = ["/pods", "/pods/"].map(|path| {
            vec![(":method".to_owned(), b"GET".to_vec()), (":path".to_owned(), path.into())]
        });
        let peer = Peer::default();
        let another = Peer { address: Some("10.0.0.1".to_owned()), ..Peer::default() };
        let seen = Arrival { headers: Headers::new(&lines), end_of_stream: true, peer: &peer };
        cache.insert_arrival(&seen, &decided);
        assert!(cache.get_arrival(&seen).is_some_and(|found| Rc::ptr_eq(&found, &decided)));
        for other in [
            Arrival { headers: Headers::new(&others), ..seen },
            Arrival { headers: Headers::new(&lines[..1]), ..seen },
            Arrival { end_of_stream: false, ..seen },
            Arrival { peer: &another, ..seen },
        ] {
            assert!(cache.get_arrival(&other).is_none(), "{other:?}");
            // Not even if their hashes were the same.
            let (hash, same) = (cache.hasher.hash_one(other), cache.hasher.hash_one(seen));
            let entry = cache.seen.borrow().young.get(&same).map(Rc::clone).unwrap();
            cache.seen.borrow_mut().insert(hash, entry);
            assert!(cache.get_arrival(&other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn what_another_evaluation_could_decide_otherwise_is_forgotten() {
        for (outcome, want) in [
            (Outcome::Allowed(Verdict::default()), true),
            (Outcome::Denied(Verdict::default()), true),
            (Outcome::Undefined, true),
            (Outcome::Budget, false),
            (Outcome::Failed("once".to_owned()), false),
        ] {
            let cache = Cache::default();
            let decided = decided("web-0", outcome);
            insert(&cache, &decided);
            assert_eq!(get(&cache, &decided.question).is_some(), want, "{decided:?}");
        }
    }

    #[test]
    fn entries_and_bytes_are_bounded_and_what_is_used_stays() {
        for (pods, prefix) in [(5 * MOST_ENTRIES, "p".to_owned()), (MOST_ENTRIES, "p".repeat(240))]
        {
            let cache = Cache::default();
            let used = denied("used");
            insert(&cache, &used);
            for pod in 0..pods {
                insert(&cache, &denied(&format!("{prefix}{pod}")));
                assert!(get(&cache, &used.question).is_some(), "{pod}");
            }
            let generations = cache.decided.borrow();
            for generation in [&generations.young, &generations.old] {
                assert!(generation.len() <= MOST_ENTRIES, "{}", generation.len());
                let bytes: usize = generation.values().map(|decided| decided.size()).sum();
                assert!(bytes <= Decided::MOST_BYTES, "{bytes}");
            }
        }
    }

    #[test]
    fn a_long_document_is_not_remembered() {
        let cache = Cache::default();
        let web = denied("web-0");
        let long = written(&"x".repeat(LONGEST));
        let long =
            Decided { question: web.question.clone(), outcome: web.outcome.clone(), written: long };
        insert(&cache, &Rc::new(long));
        assert!(get(&cache, &web.question).is_none());
    }
}
