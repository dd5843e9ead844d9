//! Runs random and mutated requests past the filter and past Go, and stops at a difference.

use std::{
    path::PathBuf,
    sync::mpsc::{self, Receiver},
    thread,
    time::Instant,
};

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use fastrand::Rng;
use gatelet_differential::{
    cases, generate,
    kubelet::{Answer, Kubelet, Mux},
    mutate,
    reading::{self, Reading},
    request::{Request, Written},
    seeds,
    tally::Tally,
};

/// Compares what the filter understands of requests with what Go does.
#[derive(Parser)]
struct Options {
    /// The program built of `tests/differential/go`.
    #[arg(long)]
    reader: PathBuf,
    /// The repository's folder of tests, for its corpora.
    #[arg(long, default_value = "tests")]
    tests: PathBuf,
    /// How many requests.
    #[arg(long, default_value_t = 1_000_000)]
    count: usize,
    /// Where the dice start.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write Go's readings into the recorded cases, and do nothing else.
    #[arg(long)]
    record: bool,
}

/// Requests with the filter's reading.
type Batch = Vec<(Request, Reading)>;

const BATCH: usize = 4096;

/// So many differences are shown.
const SHOWN: usize = 10;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let mut today = Kubelet::start(&options.reader, Mux::Today)?;
    recorded(&options, &mut today)?;
    if options.record {
        return Ok(());
    }
    let mut go121 = Kubelet::start(&options.reader, Mux::Go121)?;
    println!("seed {}, {} requests", options.seed, options.count);
    let begin = Instant::now();
    let batches = batches(&options)?;
    let mut tally = Tally::default();
    let mut shown = 0;
    for batch in batches {
        let batch = batch?;
        let bytes: Vec<_> = batch.iter().map(|(request, _)| request.bytes()).collect();
        let is_handed_on = |reading: &Reading| matches!(reading, Reading::HandedOn { .. });
        let handed_on: Vec<_> = batch
            .iter()
            .zip(&bytes)
            .filter(|((_, reading), _)| is_handed_on(reading))
            .map(|(_, bytes)| bytes.clone())
            .collect();
        let (answers, of_old) = thread::scope(|scope| {
            let of_old = scope.spawn(|| go121.ask(&handed_on));
            (today.ask(&bytes), of_old.join())
        });
        let Ok(of_old) = of_old else { bail!("the reader with the old mux was lost") };
        let mut of_old = of_old?.into_iter();
        for ((request, reading), answer) in batch.iter().zip(answers?) {
            tally.add(reading, &answer);
            let old = if is_handed_on(reading) { of_old.next() } else { None };
            let differs = show("", request, reading, &answer)?
                || old.map_or(Ok(false), |old| show(", old mux", request, reading, &old))?;
            shown += usize::from(differs);
        }
        ensure!(shown < SHOWN, "{shown} counterexamples, with seed {}", options.seed);
    }
    let seconds = begin.elapsed().as_secs_f64();
    print!("{tally}");
    let rate = tally.total() as f64 / seconds;
    println!("{shown} counterexamples in {seconds:.0} s, {rate:.0} requests a second");
    ensure!(shown == 0, "{shown} counterexamples, with seed {}", options.seed);
    match tally.is_vacuous() {
        Some(why) if options.count >= 10_000 => bail!("{why}"),
        _ => Ok(()),
    }
}

/// Prints how a request is read differently; returns whether it is.
fn show(mux: &str, request: &Request, reading: &Reading, answer: &Answer) -> anyhow::Result<bool> {
    let differences = reading.differences(answer);
    if differences.is_empty() {
        return Ok(false);
    }
    println!("{}", serde_json::to_string(&Written::from(request))?);
    for line in differences {
        println!("    {line}{mux}");
    }
    Ok(true)
}

/// Makes and reads the requests beside those that compare them.
fn batches(options: &Options) -> anyhow::Result<Receiver<anyhow::Result<Batch>>> {
    let seeds = seeds::read(&options.tests)?;
    let (count, mut rng) = (options.count, Rng::with_seed(options.seed));
    let (sender, receiver) = mpsc::sync_channel(2);
    thread::spawn(move || {
        let mut rest = count;
        while rest > 0 {
            let size = rest.min(BATCH);
            rest -= size;
            let batch = (0..size).map(|_| {
                let request = request(&seeds, &mut rng);
                let reading = reading::of(&request)?;
                Ok((request, reading))
            });
            if sender.send(batch.collect()).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

fn request(seeds: &[Request], rng: &mut Rng) -> Request {
    match rng.u8(..100) {
        0..45 => generate::valid(rng),
        45..75 => mutate::mutated(generate::valid(rng), rng),
        75..97 => mutate::mutated(rng.choice(seeds).cloned().unwrap_or_default(), rng),
        _ => mutate::noise(rng),
    }
}

/// Asks Go about the recorded cases again: it must still say what was written down.
fn recorded(options: &Options, kubelet: &mut Kubelet) -> anyhow::Result<()> {
    let file = options.tests.join("differential/cases.jsonl");
    let mut cases = cases::read(&file)?;
    let requests: Vec<_> = cases.iter().map(|case| case.request().bytes()).collect();
    for (case, answer) in cases.iter_mut().zip(kubelet.ask(&requests)?) {
        if options.record {
            case.handed_on = matches!(reading::of(&case.request())?, Reading::HandedOn { .. });
            case.kubelet = answer;
        } else {
            ensure!(case.kubelet == answer, "`{}` is {answer:?} by now", case.note);
        }
    }
    if options.record {
        cases::write(&file, &cases).context("the readings are not recorded")?;
    }
    Ok(())
}
