//! Every target on its seeds, and on so many mutations of them, always the same.

use fastrand::Rng;
use gatelet_fuzz::{TARGETS, mutate, seeds};

#[test]
fn no_promise_is_broken() {
    let seeds = seeds::all().unwrap();
    for target in TARGETS {
        let seeds = &seeds[target.name];
        assert!(!seeds.is_empty(), "no seeds for {}", target.name);
        for seed in seeds {
            (target.run)(seed);
        }
        let mut rng = Rng::with_seed(1);
        for _ in 0..target.mutations {
            let seed = rng.choice(seeds).unwrap();
            let data = mutate::mutated(seed, seeds, &mut rng);
            (target.run)(&data);
        }
    }
}
