//! The cut: the heat by the byte at which near room would be full, were every key in its place.
//!
//! ```text
//!   bytes of keys of that density
//!     |.                                 the keys above the cut take `share` of all bytes:
//!     |::.                               what home may hold, of what there is
//!     |:::::.   .  cut
//!     |::::::::::::|##.                  near, if all were in place
//!     +----------------------- density
//! ```
//!
//! The survey enters each key that it passes. A walk goes by the hash of the names, so each
//! stretch of it is an even sample, and a few thousand keys tell a quantile to half a percent: the
//! table halves after so many entries and so follows the traffic in seconds, however many keys
//! there are. Rejected: the coldest near key known as the bar. It is the luckiest guess of many,
//! and where most near keys are cold it lets everything in.

use super::density::Density;
use crate::heat::Score;
use crate::ids::Bytes;

/// Width of a row: an eighth of an octave.
const WIDTH: i32 = Score::OCTAVE as i32 / 8;
/// The density of the lowest row; a value of 256 MiB that nobody asks for lies above it.
const LOWEST: i32 = -28 * Score::OCTAVE as i32;
const ROWS: usize = 512;

/// Entries after which the table halves, at most.
const MEMORY_MAX: u32 = 8192;
/// And at least.
const MEMORY_MIN: u32 = 256;

/// Bytes by density.
#[derive(Debug)]
pub(super) struct Census {
    rows: Vec<f32>,
    /// Entries since the table was halved.
    entries: u32,
    /// Entries since the walk began anew, and what they were in the last whole one.
    walked: u32,
    whole: Option<u32>,
    filled: bool,
}

impl Census {
    /// Nothing entered.
    pub(super) fn new() -> Self {
        Self {
            rows: vec![0.0; ROWS],
            entries: 0,
            walked: 0,
            whole: None,
            filled: false,
        }
    }

    /// Enters a key.
    pub(super) fn note(&mut self, density: Density, bytes: Bytes) {
        if let Some(row) = self.rows.get_mut(row_of(density)) {
            *row += bytes.0 as f32;
        }
        self.entries += 1;
        self.walked = self.walked.saturating_add(1);
        let memory = self.whole.unwrap_or(MEMORY_MAX).saturating_mul(2);
        self.filled |= self.entries >= MEMORY_MIN;
        if self.entries >= memory.clamp(MEMORY_MIN, MEMORY_MAX) {
            self.entries = 0;
            self.rows.iter_mut().for_each(|row| *row /= 2.0);
        }
    }

    /// The walk has reached its end.
    pub(super) fn finish_walk(&mut self) {
        self.whole = Some(self.walked);
        self.walked = 0;
        self.filled = true;
    }

    /// Whether the walk has seen every key once.
    pub(super) const fn is_whole(&self) -> bool {
        self.whole.is_some()
    }

    /// Where the keys that make up `share` of all bytes begin; nothing until enough was seen.
    pub(super) fn cut(&self, share: f64) -> Option<Density> {
        if !self.filled {
            return None;
        }
        let total: f64 = self.rows.iter().map(|row| f64::from(*row)).sum();
        let mut wanted = total * share.min(1.0);
        for (at, &bytes) in self.rows.iter().enumerate().rev() {
            let bytes = f64::from(bytes);
            if bytes > 0.0 && bytes >= wanted {
                let above = (wanted / bytes * f64::from(WIDTH)) as i32;
                return Some(Density::of_steps(LOWEST + (at as i32 + 1) * WIDTH - above));
            }
            wanted -= bytes;
        }
        Some(Density::of_steps(LOWEST))
    }
}

fn row_of(density: Density) -> usize {
    let at = (density.steps() - LOWEST) / WIDTH;
    usize::try_from(at).unwrap_or(0).min(ROWS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: i32) -> Census {
        let mut census = Census::new();
        for number in 0..count {
            census.note(Density::of_steps(number), Bytes(100));
        }
        census.finish_walk();
        census
    }

    #[test]
    fn the_cut_is_the_quantile() {
        let census = filled(1000);
        for share in [0.01, 0.125, 0.5, 0.9] {
            let cut = census.cut(share).unwrap().steps();
            let truth = (1000.0 * (1.0 - share)) as i32;
            assert!((cut - truth).abs() <= WIDTH, "{share}: {cut}, {truth}");
        }
        assert!(census.cut(1.0).unwrap().steps() <= WIDTH);
    }

    #[test]
    fn nothing_is_said_before_enough_was_seen() {
        let mut census = Census::new();
        assert_eq!(census.cut(0.5), None);
        census.note(Density::of_steps(5), Bytes(100));
        assert_eq!(census.cut(0.5), None);
        census.finish_walk();
        assert!(census.cut(0.5).is_some());
        let mut census = Census::new();
        for _ in 0..MEMORY_MIN {
            census.note(Density::of_steps(5), Bytes(100));
        }
        assert!(census.cut(0.5).is_some(), "a long walk need not end first");
    }

    #[test]
    fn what_is_entered_last_counts_most() {
        let mut census = filled(1000);
        for _ in 0..10 * MEMORY_MAX {
            census.note(Density::of_steps(3000), Bytes(100));
        }
        assert!(census.cut(0.9).unwrap().steps() > 2900);
    }

    #[test]
    fn the_extremes_have_a_row() {
        let mut census = Census::new();
        census.note(Density::of_steps(i32::MIN / 2), Bytes(1));
        census.note(Density::of_steps(i32::MAX / 2), Bytes(1));
        census.finish_walk();
        assert!(census.cut(0.0).is_some() && census.cut(1.0).is_some());
    }
}
