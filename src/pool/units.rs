//! A bit for each unit of a region, and runs of set bits in it.
//!
//! A run is found word by word: the ones at the end of the words before join the ones at the start
//! of the next, and within one word a few shifts leave a bit wherever enough ones follow. So a
//! region of 256 MiB, 256 words, is searched in a microsecond or two at the worst, whatever its
//! holes look like. Freed runs need no merging: side by side in the bitmap they are one run.
//!
//! Rejected: a tree of free runs by length. It is a second structure to keep in step, and it has to
//! allocate while memory is given back.

use super::OutOfMemory;
use std::ops::Range;

const WORD: usize = 64;

/// So many bits.
#[derive(Default)]
pub(super) struct Units {
    words: Vec<u64>,
    len: usize,
}

/// The lowest `count` bits of a word, or all.
const fn low_ones(count: usize) -> u64 {
    if count >= WORD {
        u64::MAX
    } else {
        (1 << count) - 1
    }
}

/// The bits at which `count` ones in a row start, `count` less than a word.
const fn starts(mut word: u64, count: usize) -> u64 {
    let mut width = 1;
    while width < count {
        let left = count - width;
        let step = if left < width { left } else { width };
        word &= word >> step;
        width += step;
    }
    word
}

/// The words that a range of bits touches, each with its bits of the range.
fn pieces(range: Range<usize>) -> impl Iterator<Item = (usize, u64)> {
    let Range { start, end } = range;
    (start / WORD..end.div_ceil(WORD)).map(move |index| {
        let first = index * WORD;
        let below = low_ones(start.saturating_sub(first));
        (index, low_ones(end - first) & !below)
    })
}

impl Units {
    /// `len` bits, all set or none.
    pub(super) fn new(len: usize, set: bool) -> Result<Self, OutOfMemory> {
        let count = len.div_ceil(WORD);
        let mut words = Vec::new();
        words.try_reserve_exact(count)?;
        words.resize(count, 0);
        let mut units = Self { words, len };
        if set {
            units.set(0..len);
        }
        Ok(units)
    }

    /// How many bits there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The bits, 64 a word; those beyond the last are never set.
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Sets the bits.
    pub(super) fn set(&mut self, range: Range<usize>) {
        for (index, mask) in pieces(range) {
            if let Some(word) = self.words.get_mut(index) {
                *word |= mask;
            }
        }
    }

    /// Clears the bits.
    pub(super) fn clear(&mut self, range: Range<usize>) {
        for (index, mask) in pieces(range) {
            if let Some(word) = self.words.get_mut(index) {
                *word &= !mask;
            }
        }
    }

    /// Whether all those bits are set, and there are so many.
    pub(super) fn all_set(&self, range: Range<usize>) -> bool {
        pieces(range).all(|(index, mask)| self.word(index) & mask == mask)
    }

    /// Whether none of those bits is set.
    pub(super) fn none_set(&self, range: Range<usize>) -> bool {
        pieces(range).all(|(index, mask)| self.word(index) & mask == 0)
    }

    /// How many bits are set.
    pub(super) fn count(&self) -> usize {
        let ones = self.words.iter().map(|word| word.count_ones() as usize);
        ones.sum()
    }

    /// The lowest `count` set bits in a row, none of them in a word before `from`.
    pub(super) fn find_run(&self, count: usize, from: usize) -> Option<usize> {
        let mut open = 0;
        for (index, &word) in self.words.iter().enumerate().skip(from) {
            if open + word.trailing_ones() as usize >= count {
                return Some(index * WORD - open);
            }
            if word == u64::MAX {
                open += WORD;
                continue;
            }
            if count < WORD {
                let within = starts(word, count);
                if within != 0 {
                    return Some(index * WORD + within.trailing_zeros() as usize);
                }
            }
            open = word.leading_ones() as usize;
        }
        None
    }

    /// The first run of set bits.
    pub(super) fn first_run(&self) -> Option<Range<usize>> {
        let start = self.find_run(1, 0)?;
        Some(start..self.end_of_run(start))
    }

    /// The whole run of set bits that those belong to.
    pub(super) fn run_around(&self, range: Range<usize>) -> Range<usize> {
        self.start_of_run(range.start)..self.end_of_run(range.end)
    }

    /// The longest run of set bits, counted one by one: for checks.
    pub(super) fn longest_run(&self) -> usize {
        let (mut longest, mut open) = (0, 0);
        for unit in 0..self.len {
            open = if self.all_set(unit..unit + 1) {
                open + 1
            } else {
                0
            };
            longest = longest.max(open);
        }
        longest
    }

    /// The first bit from `at` on that is not set.
    fn end_of_run(&self, at: usize) -> usize {
        let mut end = at;
        loop {
            let bit = end % WORD;
            let ones = (self.word(end / WORD) >> bit).trailing_ones() as usize;
            end += ones;
            if ones == 0 || bit + ones < WORD {
                return end;
            }
        }
    }

    /// The first of the set bits in a row that end before `at`.
    fn start_of_run(&self, at: usize) -> usize {
        let mut start = at;
        while let Some(last) = start.checked_sub(1) {
            let bit = last % WORD;
            let ones = (self.word(last / WORD) << (WORD - 1 - bit)).leading_ones() as usize;
            start -= ones;
            if ones <= bit {
                break;
            }
        }
        start
    }

    fn word(&self, index: usize) -> u64 {
        self.words.get(index).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive_run(bits: &[bool], count: usize) -> Option<usize> {
        (0..bits.len()).find(|&at| {
            let run = bits.get(at..at + count);
            run.is_some_and(|run| run.iter().all(|bit| *bit))
        })
    }

    /// Runs of ones and zeros in turn: long ones, as regions have them.
    fn of_runs(runs: &[usize]) -> Vec<bool> {
        let pieces = runs.iter().enumerate();
        pieces
            .flat_map(|(at, &run)| std::iter::repeat_n(at % 2 == 0, run))
            .collect()
    }

    #[test]
    fn starts_are_where_enough_ones_follow() {
        assert_eq!(starts(0b1011_1011, 1), 0b1011_1011);
        assert_eq!(starts(0b1011_1011, 2), 0b0001_1001);
        assert_eq!(starts(0b1011_1011, 3), 0b0000_1000);
        assert_eq!(starts(u64::MAX, 63), 0b11);
        assert_eq!(starts(u64::MAX >> 1, 63), 0b01);
    }

    #[test]
    fn a_range_may_be_empty_or_end_with_a_word() {
        let mut units = Units::new(130, false).unwrap();
        units.set(64..64);
        assert_eq!(units.count(), 0);
        units.set(0..128);
        assert_eq!((units.count(), units.first_run()), (128, Some(0..128)));
        units.set(128..130);
        assert_eq!(units.run_around(60..61), 0..130);
        assert!(units.all_set(0..130) && !units.all_set(0..131));
        units.clear(0..130);
        assert_eq!((units.first_run(), units.longest_run()), (None, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, ..crate::pool::model::config() })]
        #[test]
        fn runs_are_found_where_a_walk_finds_them(
            runs in prop::collection::vec(1usize..150, 1..12),
            count in 1usize..200,
        ) {
            let bits = of_runs(&runs);
            let mut units = Units::new(bits.len(), true).unwrap();
            for (at, bit) in bits.iter().enumerate() {
                if !bit {
                    units.clear(at..at + 1);
                }
            }
            prop_assert_eq!(units.find_run(count, 0), naive_run(&bits, count));
            prop_assert_eq!(units.longest_run(), runs.iter().step_by(2).copied().max().unwrap());
            let mut start = 0;
            for (at, run) in runs.iter().enumerate() {
                let whole = start..start + run;
                if at % 2 == 0 {
                    let middle = start + run / 2;
                    prop_assert_eq!(units.run_around(middle..middle), whole.clone());
                    prop_assert!(units.all_set(whole));
                } else {
                    prop_assert!(units.none_set(whole));
                }
                start += run;
            }
        }
    }
}
