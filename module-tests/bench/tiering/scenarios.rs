//! The loads, and the line that each prints.

use crate::rivals::{self, Rival};
use crate::trace;
use crate::Settings;
use redis_numa::ids::{Bytes, SlotIndex};
use redis_numa::strategy::sim::load::{best_static, shuffled, Random, Zipf};
use redis_numa::strategy::sim::{runner, Figures, Sim, MOVE_NS};
use redis_numa::strategy::{BenefitCost, Runner};
use std::time::Instant;

const SIZE: u64 = 128;
const EXPONENT: f64 = 0.99;
/// Requests for each key before the figures of a steady load are taken, and while they are.
const WARM_UP: f64 = 10.0;
const MEASURED: f64 = 5.0;

type Load = (&'static str, fn(&Settings));

/// Runs what is wanted.
pub(crate) fn run(settings: &Settings) -> Result<(), String> {
    println!(
        "{} keys, seed {}, {} requests a second, a near hit saves {} ns, a move takes {MOVE_NS} ns",
        settings.keys, settings.seed, settings.rate, settings.saved_ns
    );
    println!(
        "{:<38} {:>7} {:>8} {:>8} {:>8} {:>8}",
        "", "hits", "oracle", "moves", "work ns", "G ns"
    );
    let loads: [Load; 6] = [
        ("zipf", zipf),
        ("shift", shift),
        ("scan", scan),
        ("uniform", uniform),
        ("sizes", sizes),
        ("forty", forty),
    ];
    for (name, load) in loads {
        if settings.wants(name) {
            let begun = Instant::now();
            load(settings);
            println!("    {name} took {:.1} s", begun.elapsed().as_secs_f64());
        }
    }
    if settings.wants("trace") {
        for path in &settings.traces {
            traced(settings, path)?;
        }
    }
    Ok(())
}

impl Settings {
    /// The slots as the module fills them, slot 1 with the strategy that was asked for.
    fn slots(&self) -> Runner {
        let mut runner = runner();
        if self.by_benefit {
            let replaced = runner.replace(SlotIndex::AUTOMATIC, Box::new(BenefitCost::new()));
            assert!(replaced.is_ok(), "slot 1 takes any strategy");
        }
        runner
    }
}

/// The simulated server and its strategies.
struct Bench<'s> {
    settings: &'s Settings,
    sizes: Vec<u64>,
    near: Bytes,
    sim: Sim,
    runner: Runner,
}

impl<'s> Bench<'s> {
    fn new(settings: &'s Settings, sizes: Vec<u64>, near_percent: f64) -> Self {
        let total: u64 = sizes.iter().sum();
        let near = Bytes((total as f64 * near_percent / 100.0) as u64);
        let mut sim = Sim::new(&sizes, near);
        sim.set_rate(settings.rate);
        Self {
            settings,
            sizes,
            near,
            sim,
            runner: settings.slots(),
        }
    }

    fn equal(settings: &'s Settings, near_percent: f64) -> Self {
        Self::new(settings, vec![SIZE; settings.keys], near_percent)
    }

    /// Serves that many requests for each key.
    fn serve(&mut self, per_key: f64, next: &mut dyn FnMut() -> usize) -> Figures {
        let requests = (self.sizes.len() as f64 * per_key) as u64;
        self.sim.serve(&mut self.runner, requests, next);
        self.sim.take_figures()
    }

    fn oracle(&self, shares: &[f64]) -> f64 {
        best_static(shares, &self.sizes, self.near)
    }

    fn print(&self, what: &str, figures: Figures, oracle: f64) {
        let (hits, work) = (figures.hits(), figures.work_ns());
        row(what, hits, oracle, figures.moves(), work, self.settings);
    }

    /// What the rivals do with the same requests, drawn anew.
    fn print_rivals(
        &self,
        oracle: f64,
        (warm_up, measured): (u64, u64),
        next: &mut dyn FnMut() -> Box<dyn FnMut() -> usize>,
    ) {
        if !self.settings.rivals {
            return;
        }
        for mut rival in rivals::all(&self.sizes, self.near.0) {
            let mut next = next();
            serve_rival(rival.as_mut(), warm_up, &mut next);
            let (hits, moves) = serve_rival(rival.as_mut(), measured, &mut next);
            let moves = moves * 1000.0;
            let work = moves / 1000.0 * MOVE_NS as f64;
            let name = format!("    {}", rival.name());
            row(&name, hits, oracle, moves, work, self.settings);
        }
    }
}

/// Hits and moves for one request.
fn serve_rival(
    rival: &mut dyn Rival,
    requests: u64,
    next: &mut dyn FnMut() -> usize,
) -> (f64, f64) {
    let (mut hits, mut moves) = (0, 0);
    for _ in 0..requests {
        let (hit, moved) = rival.access(next());
        hits += u64::from(hit);
        moves += moved;
    }
    let share = |count: u64| count as f64 / requests.max(1) as f64;
    (share(hits), share(moves))
}

fn row(what: &str, hits: f64, oracle: f64, moves: f64, work_ns: f64, settings: &Settings) {
    let gain = hits * settings.saved_ns - work_ns;
    println!(
        "{what:<38} {hits:>7.4} {:>8.4} {moves:>8.2} {work_ns:>8.1} {gain:>8.1}",
        hits / oracle
    );
}

fn zipf(settings: &Settings) {
    for near in [12.5, 25.0, 50.0, 55.0] {
        let mut bench = Bench::equal(settings, near);
        let draw = || Zipf::new(settings.keys, EXPONENT, settings.seed);
        let mut load = draw();
        let oracle = bench.oracle(&load.shares());
        let mut next = || load.next_key();
        let warming = bench.serve(WARM_UP, &mut next);
        bench.print(
            &format!("zipf {EXPONENT} near {near} %, warming up"),
            warming,
            oracle,
        );
        let steady = bench.serve(MEASURED, &mut next);
        bench.print(&format!("zipf {EXPONENT} near {near} %"), steady, oracle);
        if near < 20.0 {
            let requests = |per_key: f64| (settings.keys as f64 * per_key) as u64;
            let spans = (requests(WARM_UP / 2.0), requests(MEASURED / 2.0));
            bench.print_rivals(oracle, spans, &mut || {
                let mut load = draw();
                Box::new(move || load.next_key())
            });
        }
    }
}

/// Every rank gets another key at once; then windows of half a request a key.
fn shift(settings: &Settings) {
    let mut bench = Bench::equal(settings, 12.5);
    let mut load = Zipf::new(settings.keys, EXPONENT, settings.seed);
    let oracle = bench.oracle(&load.shares());
    bench.serve(WARM_UP, &mut || load.next_key());
    let steady = bench.serve(1.0, &mut || load.next_key());
    bench.print("shift: before it", steady, oracle);
    load.reshuffle();
    for window in 1..=8 {
        let figures = bench.serve(0.5, &mut || load.next_key());
        let after = f64::from(window) * 0.5;
        bench.print(&format!("shift: up to {after} n after it"), figures, oracle);
    }
    let figures = bench.serve(WARM_UP, &mut || load.next_key());
    bench.print("shift: the ten n after that", figures, oracle);
}

/// Zipf with a walk over all keys woven in, one request of two; its own requests alone count.
fn scan(settings: &Settings) {
    let mut bench = Bench::equal(settings, 12.5);
    let mut load = Zipf::new(settings.keys, EXPONENT, settings.seed);
    let oracle = bench.oracle(&load.shares());
    bench.serve(WARM_UP, &mut || load.next_key());
    let steady = bench.serve(1.0, &mut || load.next_key());
    bench.print("scan: before it", steady, oracle);
    let order = shuffled(settings.keys, &mut Random::new(settings.seed + 1));
    let mut walk = order.into_iter();
    let (mut turn, mut scanned_near) = (false, 0_u64);
    let mut worn = Figures::default();
    while walk.len() > 0 {
        turn = !turn;
        if turn {
            bench.serve_one(&mut worn, &mut || load.next_key());
        } else if let Some(key) = walk.next() {
            let mut scan = Figures::default();
            bench.serve_one(&mut scan, &mut || key as usize);
            scanned_near += scan.near_hits;
            worn.moves += scan.moves;
            worn.worked_ns += scan.worked_ns;
        }
    }
    bench.print("scan: zipf during a pass over all", worn, oracle);
    let after = bench.serve(0.5, &mut || load.next_key());
    bench.print("scan: the half n after it", after, oracle);
    println!("    of the pass itself {scanned_near} keys were near");
}

impl Bench<'_> {
    fn serve_one(&mut self, sum: &mut Figures, next: &mut dyn FnMut() -> usize) {
        self.sim.serve(&mut self.runner, 1, next);
        let one = self.sim.take_figures();
        sum.requests += one.requests;
        sum.near_hits += one.near_hits;
        sum.moves += one.moves;
        sum.worked_ns += one.worked_ns;
    }
}

fn uniform(settings: &Settings) {
    let mut bench = Bench::equal(settings, 12.5);
    let mut load = Zipf::new(settings.keys, 0.0, settings.seed);
    let oracle = bench.oracle(&load.shares());
    for round in 1..=5 {
        let figures = bench.serve(3.0, &mut || load.next_key());
        bench.print(&format!("uniform: up to {} n", round * 3), figures, oracle);
    }
}

/// Zipf over sizes of 64 bytes to 16 KiB, each octave as frequent as the other.
fn sizes(settings: &Settings) {
    let mut random = Random::new(settings.seed + 2);
    let keys = settings.keys / 5;
    let mut size = || {
        let octave = 6 + random.below(8);
        (1 << octave) + random.below(1 << octave) as u64
    };
    let sizes = (0..keys).map(|_| size()).collect();
    let mut bench = Bench::new(settings, sizes, 12.5);
    let draw = || Zipf::new(keys, EXPONENT, settings.seed);
    let mut load = draw();
    let oracle = bench.oracle(&load.shares());
    bench.serve(WARM_UP, &mut || load.next_key());
    let steady = bench.serve(MEASURED, &mut || load.next_key());
    bench.print(&format!("{keys} keys of mixed sizes"), steady, oracle);
    let requests = |per_key: f64| (keys as f64 * per_key) as u64;
    let spans = (requests(WARM_UP), requests(MEASURED));
    bench.print_rivals(oracle, spans, &mut || {
        let mut load = draw();
        Box::new(move || load.next_key())
    });
}

/// 40 hot keys of 400 and room for 60: 8,000 requests in 10 s, 90 % of them to the hot ones.
fn forty(settings: &Settings) {
    let mut bench = Bench::new(settings, vec![SIZE; 400], 15.0);
    bench.sim.set_rate(800);
    let mut random = Random::new(settings.seed);
    let order = shuffled(400, &mut Random::new(settings.seed + 3));
    let figures = bench.serve(20.0, &mut || {
        let hot = random.below(10) < 9;
        let at = if hot {
            random.below(40)
        } else {
            40 + random.below(360)
        };
        order.get(at).map_or(0, |key| *key as usize)
    });
    let is_near = |bench: &Bench<'_>, key: &u32| bench.sim.node_of(*key as usize) == bench.sim.home;
    let (hot, cold) = order.split_at(40);
    let near_hot = hot.iter().filter(|key| is_near(&bench, key)).count();
    let near_cold = cold.iter().filter(|key| is_near(&bench, key)).count();
    bench.print("forty hot of 400, near for 60", figures, 1.0);
    println!(
        "    {near_hot} of the 40 hot are near, {:.1} % of the others are far",
        (360 - near_cold) as f64 / 3.6
    );
}

fn traced(settings: &Settings, path: &str) -> Result<(), String> {
    let trace = trace::read(path)?;
    let keys = trace.keys;
    // As a client would load them: in no order that the trace knows.
    let order = shuffled(keys, &mut Random::new(settings.seed));
    let requests: Vec<u32> = trace
        .requests
        .iter()
        .filter_map(|key| order.get(*key as usize).copied())
        .collect();
    let mut shares = vec![0.0; keys];
    for (key, share) in trace.shares().into_iter().enumerate() {
        let at = order.get(key).map_or(0, |at| *at as usize);
        if let Some(place) = shares.get_mut(at) {
            *place = share;
        }
    }
    let near = settings.trace_near;
    let mut bench = Bench::new(settings, vec![SIZE; keys], near);
    let oracle = bench.oracle(&shares);
    let per_key = requests.len() as f64 / keys as f64;
    let requests: std::rc::Rc<[u32]> = requests.into();
    let play = |requests: &std::rc::Rc<[u32]>| -> Box<dyn FnMut() -> usize> {
        let (requests, mut at) = (std::rc::Rc::clone(requests), 0);
        Box::new(move || {
            at += 1;
            requests.get(at - 1).map_or(0, |key| *key as usize)
        })
    };
    let figures = bench.serve(per_key, &mut play(&requests));
    let file = path.rsplit('/').next().unwrap_or(path);
    bench.print(&format!("{file} near {near} %"), figures, oracle);
    let spans = (0, requests.len() as u64);
    bench.print_rivals(oracle, spans, &mut || play(&requests));
    Ok(())
}
