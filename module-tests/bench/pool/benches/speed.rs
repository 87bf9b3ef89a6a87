//! `make bench`: how fast the pool is beside jemalloc, mimalloc and the C library, on the same
//! streams in one run.
//!
//! The allocators take turns, in another order each round, so that a machine that is busy with
//! something else is busy for all of them, and a figure is the thread's own time on a processor,
//! not the time that passes: the median of the rounds, and beside it the least. Harnesses that
//! measure one subject after the other were rejected for that reason: on a shared machine their
//! ratios are those of the neighbours. `ROUNDS` is the number of rounds, `ONLY` a part of the name
//! of the streams to run.

use pool_bench::heap::{Glibc, Heap, Jemalloc, Mimalloc, Pool};
use pool_bench::streams::{batch, pair, Crowd, Sizes, BATCH, LIVE};

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

/// A crowd that is made when it is first needed.
fn crowd<H: Heap + 'static>(heap: H, sizes: Sizes, count: usize) -> Box<dyn FnMut(usize)> {
    let mut crowd = None;
    Box::new(move |n| {
        crowd
            .get_or_insert_with(|| Crowd::new(heap, sizes, count))
            .replace(n);
    })
}

fn rival<H: Heap + 'static>(heap: H) -> Rival {
    let mut held = Vec::with_capacity(BATCH);
    Rival {
        name: H::NAME,
        streams: [
            Box::new(move |n| pair(heap, n)),
            Box::new(move |n| batch(heap, &mut held, n)),
            crowd(heap, Sizes::Uniform, LIVE),
            crowd(heap, Sizes::Etc, LIVE / 4),
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

/// Nanoseconds that this thread has had a processor for.
fn thread_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes the time there.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Ns an operation of one stream, for each rival: median and least of the rounds.
fn measure(rivals: &mut [Rival], stream: usize, operations: usize, rounds: usize) -> Vec<[f64; 2]> {
    let count = rivals.len();
    let mut times = vec![Vec::with_capacity(rounds); count];
    for rival in rivals.iter_mut() {
        (rival.streams[stream])(operations);
    }
    for turn in 0..rounds * count {
        let at = (turn + turn / count) % count;
        let begun = thread_ns();
        (rivals[at].streams[stream])(operations);
        times[at].push((thread_ns() - begun) as f64 / operations as f64);
    }
    let sum_up = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        [times[times.len() / 2], times[0]]
    };
    times.into_iter().map(sum_up).collect()
}

fn print_stream(name: &str, figures: &[[f64; 2]]) {
    for (at, label) in [(0, name), (1, "  the least")] {
        print!("{label:40}");
        figures.iter().for_each(|ns| print!("{:14.2}", ns[at]));
        print!("\n{:40}", "    the pool's share of it");
        let share = |ns: &[f64; 2]| print!("{:14.2}", figures[0][at] / ns[at]);
        figures.iter().for_each(share);
        println!();
    }
}

fn main() {
    let rounds = std::env::var("ROUNDS").ok();
    let rounds = rounds.and_then(|text| text.parse().ok()).unwrap_or(41);
    let only = std::env::var("ONLY").unwrap_or_default();
    let mut rivals = rivals();
    print!(
        "ns an allocation and its free, median and least of {rounds} interleaved rounds\n{:40}",
        ""
    );
    rivals.iter().for_each(|rival| print!("{:>14}", rival.name));
    println!();
    for (stream, (name, operations)) in STREAMS.into_iter().enumerate() {
        if name.contains(&only) {
            print_stream(name, &measure(&mut rivals, stream, operations, rounds));
        }
    }
}
