//! Going through a log on all cores.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    io::{self, IsTerminal as _},
    num::NonZero,
    path::Path,
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use anyhow::{Context as _, anyhow};
use gatelet_core::{Config, Gate, Judgement, Reason, Recorded, policy::Builtins};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Compared, Comparison, Said};
use crate::{
    decision_log::{About, Batch, Decision, Lines, NoQuestion, Record, Unreadable},
    exit::Exit,
};

/// How a log is gone through.
pub(crate) struct Go<'a> {
    pub(crate) log: &'a Path,
    /// What is compared with the decisions on record, or the second with the first.
    pub(crate) policies: &'a [Config],
    pub(crate) builtins: Builtins,
    /// Whether masked values are taken for the policy's input.
    pub(crate) allow_masked: bool,
}

/// Compares every decision of a log.
///
/// # Errors
/// When the log can't be read, a policy doesn't compile, or a schema isn't known.
pub(crate) fn go_through(go: &Go<'_>) -> anyhow::Result<Comparison> {
    let lines = Lines::open(go.log)?;
    let progress = progress(go.log);
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let seen = Seen::default();
    let (to_workers, batches) = sync_channel(2 * threads);
    let batches = Arc::new(Mutex::new(batches));
    let comparison = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let batches = Arc::clone(&batches);
                let (seen, progress) = (&seen, &progress);
                scope.spawn(move || work(go, &batches, seen, progress))
            })
            .collect();
        drop(batches);
        let read = feed(lines, &to_workers);
        drop(to_workers);
        let mut comparison = Comparison::default();
        for worker in workers {
            let done = worker.join().map_err(|_| anyhow!("a thread has panicked"))?;
            comparison.merge(done?);
        }
        read.with_context(|| format!("cannot read {}", go.log.display()))?;
        anyhow::Ok(comparison)
    })?;
    progress.finish_and_clear();
    Ok(comparison)
}

/// Hands the lines out, until there are no more of them or nobody takes them.
fn feed(lines: Lines, to_workers: &SyncSender<Batch>) -> io::Result<()> {
    for batch in lines {
        if to_workers.send(batch?).is_err() {
            break;
        }
    }
    Ok(())
}

fn work(
    go: &Go<'_>,
    batches: &Mutex<Receiver<Batch>>,
    seen: &Seen,
    progress: &ProgressBar,
) -> anyhow::Result<Comparison> {
    let mut worker = Worker::new(go, seen)?;
    loop {
        let batch = batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = batch else { return Ok(worker.comparison) };
        for (number, line) in batch.lines() {
            worker.compare(number, line)?;
        }
        progress.inc(u64::try_from(batch.len())?);
    }
}

/// A thread's own policies, and what they said.
struct Worker<'a> {
    go: &'a Go<'a>,
    gates: Vec<Gate>,
    remembers: bool,
    memory: HashMap<Box<str>, Rc<[Judgement]>>,
    /// The size of what is remembered.
    bytes: usize,
    seen: &'a Seen,
    comparison: Comparison,
}

/// How much text of input documents a thread remembers, in bytes.
const MEMORY: usize = 64 << 20;

impl<'a> Worker<'a> {
    fn new(go: &'a Go<'a>, seen: &'a Seen) -> anyhow::Result<Self> {
        let gates: Vec<_> = go
            .policies
            .iter()
            .map(|config| Gate::new(config.clone(), go.builtins))
            .collect::<Result<_, _>>()?;
        let remembers = gates.iter().all(Gate::is_pure);
        let (memory, comparison) = (HashMap::new(), Comparison::default());
        Ok(Self { go, gates, remembers, memory, bytes: 0, seen, comparison })
    }

    fn compare(&mut self, number: u64, line: &[u8]) -> anyhow::Result<()> {
        let decision = match Record::parse(line) {
            Ok(Record::Decision(decision, _)) => decision,
            Ok(Record::Refused(_) | Record::Failed(..)) => {
                self.comparison.counts.other_records += 1;
                return Ok(());
            }
            Err(why @ Unreadable::Schema(_)) => {
                let text = format!("{}:{number}: {why}", self.go.log.display());
                return Err(Exit::Unjudged.because(text));
            }
            Err(why) => {
                self.comparison.not_judged(why.to_string(), number, None);
                return Ok(());
            }
        };
        if !self.seen.is_new(&decision) {
            return Ok(());
        }
        match self.judge(&decision) {
            Ok(judgements) => self.settle(&decision, &judgements),
            Err(NoJudgement::NotAsked) => self.comparison.not_asked(),
            Err(NoJudgement::Why(why)) => {
                self.comparison.not_judged(why, number, Some(&decision.decision_id));
            }
        }
        Ok(())
    }

    /// What each policy says.
    fn judge(&mut self, decision: &Decision<'_>) -> Result<Rc<[Judgement]>, NoJudgement> {
        let is_masked = decision.hidden().next().is_some();
        if is_masked && self.go.allow_masked {
            self.comparison.counts.with_masks += 1;
        }
        let input = decision.input.get();
        if let Some(judgements) = self.memory.get(input).filter(|_| !is_masked) {
            return Ok(Rc::clone(judgements));
        }
        let recorded = match decision.question(self.go.allow_masked) {
            Ok(recorded) => recorded,
            Err(NoQuestion::NotAsked) if self.could_be_asked(decision) => {
                let why = "the caller had no certificate, and the log doesn't have the request";
                return Err(NoJudgement::Why(why.to_owned()));
            }
            Err(NoQuestion::NotAsked) => return Err(NoJudgement::NotAsked),
            Err(why) => return Err(NoJudgement::Why(why.to_string())),
        };
        let judgements = self.ask(&recorded)?;
        if self.remembers && !is_masked {
            if self.bytes > MEMORY {
                self.memory.clear();
                self.bytes = 0;
            }
            self.bytes += input.len();
            self.memory.insert(input.into(), Rc::clone(&judgements));
        }
        Ok(judgements)
    }

    fn ask(&self, recorded: &Recorded) -> Result<Rc<[Judgement]>, NoJudgement> {
        let judgements = self.gates.iter().map(|gate| gate.decide_recorded(recorded));
        judgements.collect::<Result<_, _>>().map_err(|why| NoJudgement::Why(why.to_string()))
    }

    /// Whether a caller was turned away whom one of these policies could let in by a token.
    fn could_be_asked(&self, decision: &Decision<'_>) -> bool {
        decision.reason == Reason::Denied
            && self.gates.iter().any(|gate| gate.config().token_cluster.is_some())
    }

    fn settle(&mut self, decision: &Decision<'_>, judgements: &[Judgement]) {
        let (before, after) = match judgements {
            [after] => (Said::on_record(decision), after),
            [before, after] => (Said::from(before), after),
            _ => return,
        };
        let said = Said::from(after);
        if before == said {
            return self.comparison.same();
        }
        let about = About::read(decision.input.get()).unwrap_or_default();
        self.comparison.add(&Compared {
            before: &before,
            after: &said,
            message: after.message.as_deref(),
            about: &about,
            at: &decision.timestamp,
            id: &decision.decision_id,
        });
    }
}

/// Why a decision can't be compared.
enum NoJudgement {
    NotAsked,
    Why(String),
}

/// The decisions that were met: one that lasts is written several times.
struct Seen {
    shards: [Mutex<HashSet<u128>>; 64],
    hasher: (RandomState, RandomState),
}

impl Default for Seen {
    fn default() -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards, hasher: (RandomState::new(), RandomState::new()) }
    }
}

impl Seen {
    /// Whether this is the first record of the decision. Another request under the same name is another
    /// decision: nothing hides behind a name.
    fn is_new(&self, decision: &Decision<'_>) -> bool {
        let what = (&*decision.decision_id, decision.input.get());
        // SipHash twice, with keys that whoever wrote the log couldn't know.
        let high = u128::from(self.hasher.0.hash_one(what));
        let low = u128::from(self.hasher.1.hash_one(what));
        let shard = usize::try_from(low % 64).ok().and_then(|index| self.shards.get(index));
        shard.is_none_or(|shard| {
            shard.lock().unwrap_or_else(PoisonError::into_inner).insert(high << 64 | low)
        })
    }
}

/// On a terminal, how far it is.
fn progress(log: &Path) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let whole = if log == Path::new("-") { None } else { log.metadata().ok() };
    let (bar, template) = match whole {
        Some(whole) => (ProgressBar::new(whole.len()), "{wide_bar} {percent}%, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} read"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
