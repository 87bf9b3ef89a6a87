//! `make bench`: how fast the pool is beside jemalloc, mimalloc and the C library, on the same
//! streams in one run.
//!
//! The allocators take turns, in another order each round, so that a machine that is busy with
//! something else is busy for all of them; a figure is the median of the rounds. Harnesses that
//! measure one subject after the other were rejected for that reason: on a shared machine their
//! ratios are those of the neighbours. `ROUNDS` is the number of rounds.

use pool_bench::heap::{Glibc, Heap, Jemalloc, Mimalloc, Pool};
use pool_bench::streams::{batch, pair, Crowd, Sizes, BATCH, LIVE};
use std::time::Instant;

/// What it does, and how many operations a round has.
type Stream = (&'static str, usize);

const STREAMS: [Stream; 4] = [
    ("64 B, one at a time", 400_000),
    ("64 B, batches of 256", 256 * 1500),
    ("random replace, 1,000,000 of 16-512 B", 100_000),
    ("random replace, 250,000 of ETC's sizes", 100_000),
];

/// An allocator with its streams.
struct Rival {
    name: &'static str,
    streams: [Box<dyn FnMut(usize)>; STREAMS.len()],
}

fn rival<H: Heap + 'static>(heap: H) -> Rival {
    let mut uniform = Crowd::new(heap, Sizes::Uniform, LIVE);
    let mut etc = Crowd::new(heap, Sizes::Etc, LIVE / 4);
    let mut held = Vec::with_capacity(BATCH);
    Rival {
        name: H::NAME,
        streams: [
            Box::new(move |n| pair(heap, n)),
            Box::new(move |n| batch(heap, &mut held, n)),
            Box::new(move |n| uniform.replace(n)),
            Box::new(move |n| etc.replace(n)),
        ],
    }
}

fn rivals() -> Vec<Rival> {
    vec![
        rival(Pool::new()),
        #[cfg(redis_jemalloc)]
        rival(pool_bench::heap::RedisJemalloc),
        rival(Jemalloc),
        rival(Mimalloc),
        rival(Glibc),
    ]
}

/// Median ns an operation of one stream, a figure a rival.
fn measure(rivals: &mut [Rival], stream: usize, operations: usize, rounds: usize) -> Vec<f64> {
    let count = rivals.len();
    let mut times = vec![Vec::with_capacity(rounds); count];
    for turn in 0..rounds * count {
        let at = (turn + turn / count) % count;
        let begun = Instant::now();
        (rivals[at].streams[stream])(operations);
        times[at].push(begun.elapsed().as_nanos() as f64 / operations as f64);
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    times.into_iter().map(median).collect()
}

fn main() {
    let rounds = std::env::var("ROUNDS").ok();
    let rounds = rounds.and_then(|text| text.parse().ok()).unwrap_or(41);
    let mut rivals = rivals();
    print!(
        "ns an allocation and its free, median of {rounds} interleaved rounds\n{:40}",
        ""
    );
    rivals.iter().for_each(|rival| print!("{:>14}", rival.name));
    println!();
    for (stream, (name, operations)) in STREAMS.into_iter().enumerate() {
        let medians = measure(&mut rivals, stream, operations, rounds);
        print!("{name:40}");
        medians.iter().for_each(|ns| print!("{ns:14.2}"));
        print!("\n{:40}", "  the pool's share of it");
        medians
            .iter()
            .for_each(|ns| print!("{:14.2}", medians[0] / ns));
        println!();
    }
}
