//! The engine as a whole, on small machines: figures that must not get worse.

use super::load::{best_static, Random, Zipf};
use super::*;

const KEYS: usize = 20_000;
const NEAR: Bytes = Bytes(128 * KEYS as u64 / 8);

fn machine() -> (Sim, Runner) {
    (Sim::new(&vec![128; KEYS], NEAR), runner())
}

/// Serves rounds of that many requests and prints the figures of each; returns the last ones: near
/// hits as a share of the oracle's, moves for 1,000 requests.
fn rounds(
    what: &str,
    (sim, runner): (&mut Sim, &mut Runner),
    (count, requests): (usize, u64),
    zipf: &mut Zipf,
) -> (f64, f64) {
    let oracle = best_static(&zipf.shares(), &vec![128; KEYS], NEAR);
    let mut last = (0.0, 0.0);
    for round in 1..=count {
        sim.serve(runner, requests, &mut || zipf.next_key());
        let figures = sim.take_figures();
        last = (figures.hits() / oracle, figures.moves());
        println!(
            "{what} {round}: near hits {:.4}, of the oracle {:.4}, moves/1000 {:.2}",
            figures.hits(),
            last.0,
            last.1
        );
    }
    sim.check();
    last
}

#[test]
fn zipf_comes_near_the_oracle_with_few_moves() {
    let (mut sim, mut runner) = machine();
    let mut zipf = Zipf::new(KEYS, 0.99, 7);
    let (share, moves) = rounds("zipf", (&mut sim, &mut runner), (8, 100_000), &mut zipf);
    assert!(share >= 0.97, "{share}");
    assert!(moves <= 15.0, "{moves}");
}

#[test]
fn a_new_hot_set_is_followed() {
    let (mut sim, mut runner) = machine();
    let mut zipf = Zipf::new(KEYS, 0.99, 8);
    rounds("settled", (&mut sim, &mut runner), (5, 100_000), &mut zipf);
    zipf.reshuffle();
    let (share, _) = rounds("shifted", (&mut sim, &mut runner), (6, 100_000), &mut zipf);
    assert!(share >= 0.95, "{share}");
}

#[test]
fn uniform_load_stops_the_moves() {
    let (mut sim, mut runner) = machine();
    let mut even = Zipf::new(KEYS, 0.0, 9);
    let (_, moves) = rounds("uniform", (&mut sim, &mut runner), (8, 100_000), &mut even);
    assert!(moves <= 1.0, "{moves}");
}

/// A small set of keys is in use at a time, each for a while, as on real traces.
#[test]
fn a_wandering_set_is_kept_near() {
    let (mut sim, mut runner) = machine();
    let mut within = Zipf::new(1000, 0.8, 10);
    let mut served = 0_usize;
    let mut next = || {
        served += 1;
        (KEYS / 2 + served / 300 + within.next_key()) % KEYS
    };
    let mut last = Figures::default();
    for round in 1..=6 {
        sim.serve(&mut runner, 100_000, &mut next);
        last = sim.take_figures();
        println!(
            "wandering {round}: near hits {:.4}, moves/1000 {:.2}",
            last.hits(),
            last.moves()
        );
    }
    assert!(last.hits() >= 0.8, "{last:?}");
    assert!(last.moves() <= 30.0, "{last:?}");
}

#[test]
fn zipf_draws_by_its_law() {
    let mut zipf = Zipf::new(100, 0.99, 5);
    let shares = zipf.shares();
    let mut counts = vec![0_u32; 100];
    (0..200_000).for_each(|_| counts[zipf.next_key()] += 1);
    for (key, share) in shares.iter().enumerate() {
        let expected = share * 200_000.0;
        let off = f64::from(counts[key]) - expected;
        assert!(off.abs() < 6.0 * expected.sqrt() + 3.0, "key {key}");
    }
    let mut random = Random::new(0);
    assert!((0..1000).all(|_| random.below(7) < 7));
}

#[test]
fn the_best_placement_is_the_knapsack_of_hits_a_byte() {
    let (shares, sizes) = ([0.5, 0.3, 0.2], [100, 10, 10]);
    assert!((best_static(&shares, &sizes, Bytes(20)) - 0.5).abs() < 1e-9);
    assert!((best_static(&shares, &sizes, Bytes(70)) - 0.75).abs() < 1e-9);
    assert!((best_static(&shares, &sizes, Bytes(500)) - 1.0).abs() < 1e-9);
}
