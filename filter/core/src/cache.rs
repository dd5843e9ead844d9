//! Decisions that need not be made again.
//!
//! An entry is found by a hash, and taken only if its question equals the one that is asked, field
//! by field: a collision is a miss. What is kept is what the policy said, not what became of it; the
//! peers, the denied certificates and the mode of the configuration are looked at every time.
//!
//! There are two generations. New entries go into the younger; when it is full it becomes the older,
//! and what was the older is dropped. An entry that is used moves on to the younger one.

use std::{cell::RefCell, collections::HashMap, hash::BuildHasher, rc::Rc};

use foldhash::quality::RandomState;

use crate::{log::Document, policy::Outcome, question::Question};

/// The decisions of one policy. It belongs to one thread, and goes with its policy.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    hasher: RandomState,
    generations: RefCell<Generations>,
}

/// A decision, and the document that it was made of.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) question: Question,
    pub(crate) outcome: Outcome,
    pub(crate) document: Document,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<u64, Rc<Decided>>,
    old: HashMap<u64, Rc<Decided>>,
    /// The size of the younger one.
    bytes: usize,
}

/// Of each generation.
const MOST_ENTRIES: usize = 1024;

/// Of each generation.
const MOST_BYTES: usize = 4 << 20;

/// Of an entry. Whatever makes a document this long isn't asked often.
const LONGEST_DOCUMENT: usize = 16 << 10;

impl Cache {
    /// The decision on this question, if it is remembered.
    pub(crate) fn get(&self, question: &Question) -> Option<Rc<Decided>> {
        let hash = self.hasher.hash_one(question);
        let mut generations = self.generations.borrow_mut();
        if let Some(decided) = generations.young.get(&hash) {
            return (decided.question == *question).then(|| Rc::clone(decided));
        }
        let decided = generations.old.remove(&hash)?;
        if decided.question != *question {
            return None;
        }
        generations.insert(hash, Rc::clone(&decided));
        Some(decided)
    }

    /// Remembers a decision, unless another evaluation could come to another one, or it is too large.
    pub(crate) fn insert(&self, decided: &Rc<Decided>) {
        let is_settled = match &decided.outcome {
            Outcome::Allowed(_)
            | Outcome::Denied(_)
            | Outcome::Undefined
            | Outcome::NotBoolean
            | Outcome::UnknownKey => true,
            // A busy machine spends budgets.
            Outcome::Budget | Outcome::Failed(_) => false,
        };
        if is_settled && decided.document.len() <= LONGEST_DOCUMENT {
            let hash = self.hasher.hash_one(&decided.question);
            self.generations.borrow_mut().insert(hash, Rc::clone(decided));
        }
    }
}

impl Generations {
    fn insert(&mut self, hash: u64, decided: Rc<Decided>) {
        let bytes = size(&decided);
        if self.young.len() >= MOST_ENTRIES || self.bytes + bytes > MOST_BYTES {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.young.insert(hash, decided);
    }
}

/// About what an entry takes: a question has the texts of its document, in pieces.
fn size(decided: &Decided) -> usize {
    const OVERHEAD: usize = 1024;

    2 * decided.document.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Headers,
        kubelet::{Node, Request as KubeletRequest},
        peer::Peer,
        policy::Verdict,
        question::Request,
    };

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
        let document = Document::unmasked(&question.input(&Node::default())).unwrap();
        Rc::new(Decided { question, outcome, document })
    }

    fn denied(pod: &str) -> Rc<Decided> {
        decided(pod, Outcome::Denied(Verdict::default()))
    }

    #[test]
    fn what_is_remembered_is_found_and_nothing_else() {
        let cache = Cache::default();
        let (web, db) = (denied("web-0"), denied("db-0"));
        assert!(cache.get(&web.question).is_none());
        cache.insert(&web);
        assert!(cache.get(&web.question).is_some_and(|found| Rc::ptr_eq(&found, &web)));
        assert!(cache.get(&db.question).is_none());
    }

    #[test]
    fn a_collision_is_a_miss() {
        let cache = Cache::default();
        let (web, db) = (denied("web-0"), denied("db-0"));
        let hash = cache.hasher.hash_one(&web.question);
        for generation in 0..2 {
            cache.generations.borrow_mut().young.insert(hash, Rc::clone(&db));
            if generation == 1 {
                let mut generations = cache.generations.borrow_mut();
                generations.old = std::mem::take(&mut generations.young);
            }
            assert!(cache.get(&web.question).is_none(), "generation {generation}");
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
            cache.insert(&decided);
            assert_eq!(cache.get(&decided.question).is_some(), want, "{decided:?}");
        }
    }

    #[test]
    fn entries_and_bytes_are_bounded_and_what_is_used_stays() {
        for (pods, prefix) in [(5 * MOST_ENTRIES, "p".to_owned()), (MOST_ENTRIES, "p".repeat(240))]
        {
            let cache = Cache::default();
            let used = denied("used");
            cache.insert(&used);
            for pod in 0..pods {
                cache.insert(&denied(&format!("{prefix}{pod}")));
                assert!(cache.get(&used.question).is_some(), "{pod}");
            }
            let generations = cache.generations.borrow();
            for generation in [&generations.young, &generations.old] {
                assert!(generation.len() <= MOST_ENTRIES, "{}", generation.len());
                let bytes: usize = generation.values().map(|decided| size(decided)).sum();
                assert!(bytes <= MOST_BYTES, "{bytes}");
            }
        }
    }

    #[test]
    fn a_long_document_is_not_remembered() {
        let cache = Cache::default();
        let web = denied("web-0");
        let long = Document::unmasked(&"x".repeat(LONGEST_DOCUMENT)).unwrap();
        let long = Decided {
            question: web.question.clone(),
            outcome: web.outcome.clone(),
            document: long,
        };
        cache.insert(&Rc::new(long));
        assert!(cache.get(&web.question).is_none());
    }
}
