//! Requests for the simulator: even numbers from a seed, Zipf's law, and what shifts and scans.

use crate::ids::Bytes;

/// Even 64-bit numbers: xorshift64*, the same for the same seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers of that seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Zero is the one state that a xorshift never leaves; near seeds are spread apart.
        Self((seed.wrapping_add(1)).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// The next number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.roll()) * bound as u128) >> 64) as usize
    }
}

/// Numbers below `count` in an even order.
#[must_use]
pub fn shuffled(count: usize, random: &mut Random) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    for last in (1..count).rev() {
        order.swap(last, random.below(last + 1));
    }
    order
}

/// Requests by Zipf's law: the key of rank r is asked for in proportion to `r^-exponent`; exponent
/// 0 is a uniform load. A request is drawn from a table of aliases (Vose), two reads whatever the
/// number of keys.
#[derive(Debug)]
pub struct Zipf {
    weights: Vec<f64>,
    keep: Vec<u64>,
    alias: Vec<u32>,
    by_rank: Vec<u32>,
    random: Random,
}

impl Zipf {
    /// The law over that many keys, ranks dealt to keys by the seed.
    #[must_use]
    pub fn new(keys: usize, exponent: f64, seed: u64) -> Self {
        let sum: f64 = (1..=keys).map(|rank| (rank as f64).powf(-exponent)).sum();
        let weight = |rank: usize| (rank as f64).powf(-exponent) / sum;
        let weights: Vec<f64> = (1..=keys).map(weight).collect();
        let (keep, alias) = aliases(&weights);
        let mut random = Random::new(seed);
        let by_rank = shuffled(keys, &mut random);
        Self {
            weights,
            keep,
            alias,
            by_rank,
            random,
        }
    }

    /// Gives every rank another key: a complete change of the hot set.
    pub fn reshuffle(&mut self) {
        self.by_rank = shuffled(self.by_rank.len(), &mut self.random);
    }

    /// The next key.
    pub fn next_key(&mut self) -> usize {
        let column = self.random.below(self.keep.len());
        let kept = self.random.roll() <= self.keep[column];
        let rank = if kept {
            column
        } else {
            self.alias[column] as usize
        };
        self.by_rank[rank] as usize
    }

    /// How often each key is asked for, as a share of all requests.
    #[must_use]
    pub fn shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.weights.len()];
        for (rank, &key) in self.by_rank.iter().enumerate() {
            shares[key as usize] = self.weights[rank];
        }
        shares
    }
}

/// Vose's tables: a column is left for its alias when a roll is above what it keeps.
fn aliases(weights: &[f64]) -> (Vec<u64>, Vec<u32>) {
    let count = weights.len();
    let mut scaled: Vec<f64> = weights.iter().map(|weight| weight * count as f64).collect();
    let mut keep = vec![u64::MAX; count];
    let mut alias = vec![0; count];
    let (mut small, mut large): (Vec<usize>, Vec<usize>) =
        (0..count).partition(|&at| scaled[at] < 1.0);
    while let (Some(less), Some(&more)) = (small.pop(), large.last()) {
        keep[less] = (scaled[less] * u64::MAX as f64) as u64;
        alias[less] = more as u32;
        scaled[more] -= 1.0 - scaled[less];
        if scaled[more] < 1.0 {
            large.pop();
            small.push(more);
        }
    }
    (keep, alias)
}

/// The share of requests that the best static placement serves near: the keys of most requests a
/// byte, as many as fit. What of the last key does not fit counts in part, so no placement of
/// whole keys is better.
#[must_use]
pub fn best_static(shares: &[f64], sizes: &[u64], near: Bytes) -> f64 {
    let mut order: Vec<u32> = (0..shares.len() as u32).collect();
    let dense = |key: &u32| shares[*key as usize] / sizes[*key as usize] as f64;
    order.sort_by(|a, b| dense(b).total_cmp(&dense(a)));
    let (mut left, mut hits) = (near.0, 0.0);
    for key in order.into_iter().map(|key| key as usize) {
        let fits = sizes[key].min(left);
        hits += shares[key] * fits as f64 / sizes[key] as f64;
        left -= fits;
    }
    hits
}
