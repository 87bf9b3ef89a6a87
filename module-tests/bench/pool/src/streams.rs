//! What the allocators are made to do. Each stream is told how many operations to make; an
//! operation is one allocation and one free.

use crate::heap::Heap;
use std::hint::black_box;

/// Live objects of the streams that replace.
pub const LIVE: usize = 1_000_000;
/// Blocks of a batch.
pub const BATCH: usize = 256;

/// A small generator (splitmix64), so that every allocator meets the same sizes and victims.
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    #[inline]
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `sides`.
    #[inline]
    pub fn below(&mut self, sides: usize) -> usize {
        ((u128::from(self.next()) * sides as u128) >> 64) as usize
    }

    /// From 0 to 1, both excluded.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }
}

/// Which sizes a stream asks for.
#[derive(Clone, Copy)]
pub enum Sizes {
    /// Each of 16 to 512 bytes alike.
    Uniform,
    /// Values of the pool ETC of Facebook's key-value servers, by the distribution that its trace
    /// was published with (Atikoglu and others, Sigmetrics 2012: generalised Pareto, scale
    /// 214.476, shape 0.348238), and a header of 16 bytes; at most 64 KiB. Traces with sizes that
    /// may be carried along are not to be had.
    Etc,
}

impl Sizes {
    /// Sizes to be used in turn: a million of them costs less to look up than one to compute.
    pub fn table(self, seed: u64) -> Vec<u32> {
        let mut dice = Dice(seed);
        (0..1 << 20).map(|_| self.roll(&mut dice) as u32).collect()
    }

    fn roll(self, dice: &mut Dice) -> usize {
        match self {
            Self::Uniform => 16 + dice.below(497),
            Self::Etc => {
                let (scale, shape) = (214.476, 0.348_238);
                let value = scale / shape * (dice.unit().powf(-shape) - 1.0);
                16 + value.min(65_520.0) as usize
            }
        }
    }
}

/// One block of 64 bytes, again and again.
#[inline(never)]
pub fn pair<H: Heap>(heap: H, operations: usize) {
    let size = black_box(64);
    for _ in 0..operations {
        heap.free(heap.alloc(size));
    }
}

/// 256 blocks of 64 bytes, then all of them back.
#[inline(never)]
pub fn batch<H: Heap>(heap: H, held: &mut Vec<H::Block>, operations: usize) {
    let size = black_box(64);
    for _ in 0..operations / BATCH {
        held.extend((0..BATCH).map(|_| heap.alloc(size)));
        held.drain(..).for_each(|block| heap.free(block));
    }
}

/// Bytes of an object that are written as it is made: a header.
const HEADER: usize = 16;

/// Many live objects, of which a random one is replaced at a time.
pub struct Crowd<H: Heap> {
    heap: H,
    live: Vec<H::Object>,
    sizes: Vec<u32>,
    turn: usize,
    dice: Dice,
}

impl<H: Heap> Crowd<H> {
    /// `count` objects, each written whole.
    pub fn new(heap: H, sizes: Sizes, count: usize) -> Self {
        let mut crowd = Self {
            heap,
            live: Vec::with_capacity(count),
            sizes: sizes.table(1),
            turn: 0,
            dice: Dice(2),
        };
        for _ in 0..count {
            let (mut made, size) = crowd.make();
            H::write(&mut made, size as usize);
            crowd.live.push(H::keep(made, size));
        }
        crowd
    }

    #[inline]
    fn make(&mut self) -> (H::Block, u32) {
        self.turn += 1;
        let size = self.sizes[self.turn % self.sizes.len()];
        (self.heap.alloc(size as usize), size)
    }

    /// Replaces random objects: the new one is made, and its header written, before the old one
    /// goes, as a value is set.
    #[inline(never)]
    pub fn replace(&mut self, operations: usize) {
        for _ in 0..operations {
            let victim = self.dice.below(self.live.len());
            let (mut made, size) = self.make();
            H::write(&mut made, HEADER);
            let old = std::mem::replace(&mut self.live[victim], H::keep(made, size));
            self.heap.free(H::unkeep(old));
        }
    }

    /// The same with each new object written whole: what is resident must have been touched.
    pub fn churn(&mut self, operations: usize) {
        for _ in 0..operations {
            let victim = self.dice.below(self.live.len());
            let (mut made, size) = self.make();
            H::write(&mut made, size as usize);
            let old = std::mem::replace(&mut self.live[victim], H::keep(made, size));
            self.heap.free(H::unkeep(old));
        }
    }

    /// Gives a random half back.
    pub fn halve(&mut self) {
        for _ in 0..self.live.len() / 2 {
            let victim = self.dice.below(self.live.len());
            let old = self.live.swap_remove(victim);
            self.heap.free(H::unkeep(old));
        }
    }

    /// Bytes that were asked for and not given back.
    pub fn bytes(&self) -> u64 {
        self.live
            .iter()
            .map(|object| u64::from(H::size(object)))
            .sum()
    }

    /// The objects, each with its size, for whoever moves them.
    pub fn objects(&mut self) -> &mut [H::Object] {
        &mut self.live
    }
}
