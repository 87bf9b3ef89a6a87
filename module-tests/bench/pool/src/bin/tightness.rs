//! `make bench-pool`: how tight the pool is beside jemalloc, mimalloc and the C library.
//!
//! Each runs in a process of its own: fills 1,000,000 objects of 16 to 512 bytes and writes them
//! whole, replaces 5 x 1,000,000 random ones, gives a random half back, and compacts where it can.
//! After each step it prints what is resident (`/proc/self/statm`, without what was resident
//! before the first object) for each byte that is live. Live are the bytes asked for; of the pool
//! a second line counts the bytes of its blocks, rounding included, which it charges the server.

use pool_bench::heap::{Glibc, Heap, Jemalloc, Mimalloc, Pool};
use pool_bench::streams::{Crowd, Sizes, LIVE};
use std::hint::black_box;
use std::process::Command;
use std::{env, fs};

const CHURNS: usize = 5;

fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").expect("a Linux");
    let pages = statm
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse::<u64>().ok());
    pages.expect("a number") * 4096
}

/// The ratio after each step, by bytes asked for and by bytes of blocks.
fn measure<H: Heap>(heap: H) -> [Vec<f64>; 2] {
    let before_tables = Crowd::new(heap, Sizes::Uniform, 0);
    let tables = black_box(vec![1_u8; LIVE * size_of::<H::Object>()]);
    let base = resident();
    // The table of the crowd takes the place of this one.
    drop(tables);
    drop(before_tables);
    let mut crowd = Crowd::new(heap, Sizes::Uniform, LIVE);
    let mut ratios = [Vec::new(), Vec::new()];
    let mut note = |crowd: &Crowd<H>| {
        let grown = resident().saturating_sub(base) as f64;
        ratios[0].push(grown / crowd.bytes() as f64);
        ratios[1].extend(heap.block_bytes().map(|bytes| grown / bytes as f64));
    };
    note(&crowd);
    for _ in 0..CHURNS {
        crowd.churn(LIVE);
    }
    note(&crowd);
    crowd.halve();
    note(&crowd);
    heap.compact(crowd.objects());
    note(&crowd);
    ratios
}

fn print_row(name: &str, ratios: &[f64]) {
    print!("{name:24}");
    ratios.iter().for_each(|ratio| print!("{ratio:12.3}"));
    println!();
}

fn row<H: Heap>(heap: H) {
    let [asked, blocks] = measure(heap);
    print_row(H::NAME, &asked);
    if !blocks.is_empty() {
        print_row("  of its blocks' bytes", &blocks);
    }
}

fn run(name: &str) {
    match name {
        "pool" => row(Pool::new()),
        #[cfg(redis_jemalloc)]
        "redis-jemalloc" => row(pool_bench::heap::RedisJemalloc),
        "jemalloc" => row(Jemalloc),
        "mimalloc" => row(Mimalloc),
        _ => row(Glibc),
    }
}

fn main() {
    if let Some(name) = env::args().nth(1) {
        return run(&name);
    }
    println!("resident bytes for each live byte, 1,000,000 objects of 16-512 B");
    print!("{:24}", "");
    ["fresh", "churned", "halved", "compacted"]
        .iter()
        .for_each(|step| print!("{step:>12}"));
    println!();
    let me = env::current_exe().expect("a name");
    let names = ["pool", "redis-jemalloc", "jemalloc", "mimalloc", "glibc"];
    for name in names
        .iter()
        .filter(|name| cfg!(redis_jemalloc) || **name != "redis-jemalloc")
    {
        let ended = Command::new(&me).arg(name).status();
        assert!(
            ended.is_ok_and(|status| status.success()),
            "{name} did not end well"
        );
    }
}
