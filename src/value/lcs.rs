//! The longest common subsequence of two strings, as STRALGO LCS computes it.
//!
//! Many subsequences may be equally long; a client must get the one that stock Redis gives, with
//! the ranges in the same order. So the table and the walk back through it are the stock ones:
//!
//! ```text
//! L(i, j) = L(i-1, j-1) + 1             where a[i-1] = b[j-1]
//!         = max(L(i-1, j), L(i, j-1))   else; the walk goes up only where the first is larger
//! ```
//!
//! The walk asks the table nothing but "is up larger than left", so one bit a cell and two rows of
//! lengths hold all of it: a 32nd of the memory that stock takes. The refusal is still the stock
//! one, by the size of *its* table: a pair of strings that it rejects for memory would keep this
//! server busy for as long as it takes to fill that many cells.

use crate::ids::Bytes;

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LcsError {
    /// One of the strings has 4 GiB or more.
    TooLong,
    /// The stock table would not fit the memory there is.
    OutOfMemory,
}

/// A run of bytes that both strings share, both ends included, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Match {
    /// First and last byte in the first string.
    pub a: (u32, u32),
    /// First and last byte in the second string.
    pub b: (u32, u32),
}

impl Match {
    /// The length in bytes, at least 1. The name is the reply's.
    #[must_use]
    pub const fn match_len(&self) -> u32 {
        self.a.1 - self.a.0 + 1
    }
}

/// A longest common subsequence.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lcs {
    /// Its bytes.
    pub text: Vec<u8>,
    /// Where they lie, from the end of the strings to their start, as stock replies.
    pub matches: Vec<Match>,
}

/// The length of the longest common subsequence; `memory` is what may be had for the table.
///
/// # Errors
/// [`LcsError`], where stock Redis refuses too.
pub fn length(a: &[u8], b: &[u8], memory: Bytes) -> Result<u32, LcsError> {
    admit(a, b, memory)?;
    let mut row = vec![0; b.len() + 1];
    for &byte in a {
        fill_row(byte, b, &mut row, |_| ());
    }
    Ok(row.last().copied().unwrap_or(0))
}

/// The subsequence itself and where it lies; `memory` is what may be had for the table.
///
/// # Errors
/// [`LcsError`], where stock Redis refuses too.
pub fn longest(a: &[u8], b: &[u8], memory: Bytes) -> Result<Lcs, LcsError> {
    admit(a, b, memory)?;
    let mut ups = Bits::zeroed(a.len(), b.len())?;
    let mut row = vec![0; b.len() + 1];
    for (i, &byte) in a.iter().enumerate() {
        fill_row(byte, b, &mut row, |j| ups.set(i, j));
    }
    Ok(walk(a, b, &ups))
}

/// The limits of stock: lengths below `u32::MAX - 1`, and a table of one `u32` a cell.
fn admit(a: &[u8], b: &[u8], memory: Bytes) -> Result<(), LcsError> {
    const LEN_END: usize = u32::MAX as usize - 1;
    if a.len() >= LEN_END || b.len() >= LEN_END {
        return Err(LcsError::TooLong);
    }
    let cells = (a.len() as u128 + 1) * (b.len() as u128 + 1);
    if cells * size_of::<u32>() as u128 > u128::from(memory.0) {
        return Err(LcsError::OutOfMemory);
    }
    Ok(())
}

/// Turns the lengths of row `i - 1` into those of row `i`, whose byte is `byte`; names each cell
/// without a match whose upper neighbour is larger than its left one.
fn fill_row(byte: u8, b: &[u8], row: &mut [u32], mut up_is_larger: impl FnMut(usize)) {
    let (mut diagonal, mut left) = (0, 0);
    for (j, (&other, cell)) in b.iter().zip(row.iter_mut().skip(1)).enumerate() {
        let up = *cell;
        let here = if byte == other {
            diagonal + 1
        } else {
            if up > left {
                up_is_larger(j);
            }
            up.max(left)
        };
        *cell = here;
        (diagonal, left) = (up, here);
    }
}

/// Walks from the ends to the starts, collecting bytes and runs.
fn walk(a: &[u8], b: &[u8], ups: &Bits) -> Lcs {
    let mut lcs = Lcs::default();
    let mut run: Option<Match> = None;
    let (mut i, mut j) = (a.len(), b.len());
    while let (Some(&byte), Some(&other)) = (before(a, i), before(b, j)) {
        if byte == other {
            lcs.text.push(byte);
            (i, j) = (i - 1, j - 1);
            match &mut run {
                Some(open) => (open.a.0, open.b.0) = (i as u32, j as u32),
                None => run = Some(single(i as u32, j as u32)),
            }
        } else {
            lcs.matches.extend(run.take());
            if ups.get(i - 1, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
    }
    lcs.matches.extend(run);
    lcs.text.reverse();
    lcs
}

/// The byte that ends at `end`, none at the start of the string.
fn before(bytes: &[u8], end: usize) -> Option<&u8> {
    bytes.get(end.checked_sub(1)?)
}

const fn single(i: u32, j: u32) -> Match {
    Match {
        a: (i, i),
        b: (j, j),
    }
}

/// One bit a cell, rows on whole words.
struct Bits {
    words: Vec<u64>,
    words_a_row: usize,
}

impl Bits {
    fn zeroed(rows: usize, columns: usize) -> Result<Self, LcsError> {
        let words_a_row = columns.div_ceil(u64::BITS as usize);
        let count = rows.checked_mul(words_a_row).ok_or(LcsError::OutOfMemory)?;
        let mut words = Vec::new();
        words
            .try_reserve_exact(count)
            .map_err(|_| LcsError::OutOfMemory)?;
        words.resize(count, 0);
        Ok(Self { words, words_a_row })
    }

    fn place(&self, row: usize, column: usize) -> (usize, u64) {
        let word = row * self.words_a_row + column / u64::BITS as usize;
        (word, 1 << (column % u64::BITS as usize))
    }

    fn set(&mut self, row: usize, column: usize) {
        let (word, bit) = self.place(row, column);
        if let Some(word) = self.words.get_mut(word) {
            *word |= bit;
        }
    }

    fn get(&self, row: usize, column: usize) -> bool {
        let (word, bit) = self.place(row, column);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MEMORY: Bytes = Bytes::mib(64);

    /// The loop of stock's `stralgoLCS`, word for word, with its whole table.
    fn stock(a: &[u8], b: &[u8]) -> Lcs {
        let (alen, blen) = (a.len(), b.len());
        let mut table = vec![vec![0_u32; blen + 1]; alen + 1];
        for i in 1..=alen {
            for j in 1..=blen {
                table[i][j] = if a[i - 1] == b[j - 1] {
                    table[i - 1][j - 1] + 1
                } else {
                    table[i - 1][j].max(table[i][j - 1])
                };
            }
        }
        let mut idx = table[alen][blen] as usize;
        let mut lcs = Lcs {
            text: vec![0; idx],
            matches: Vec::new(),
        };
        let (mut arange_start, mut arange_end) = (alen, 0);
        let (mut brange_start, mut brange_end) = (0, 0);
        let (mut i, mut j) = (alen, blen);
        while i > 0 && j > 0 {
            let mut emit_range = false;
            if a[i - 1] == b[j - 1] {
                lcs.text[idx - 1] = a[i - 1];
                if arange_start == alen {
                    (arange_start, arange_end) = (i - 1, i - 1);
                    (brange_start, brange_end) = (j - 1, j - 1);
                } else if arange_start == i && brange_start == j {
                    arange_start -= 1;
                    brange_start -= 1;
                } else {
                    emit_range = true;
                }
                if arange_start == 0 || brange_start == 0 {
                    emit_range = true;
                }
                (idx, i, j) = (idx - 1, i - 1, j - 1);
            } else {
                if table[i - 1][j] > table[i][j - 1] {
                    i -= 1;
                } else {
                    j -= 1;
                }
                if arange_start != alen {
                    emit_range = true;
                }
            }
            if emit_range {
                lcs.matches.push(Match {
                    a: (arange_start as u32, arange_end as u32),
                    b: (brange_start as u32, brange_end as u32),
                });
                arange_start = alen;
            }
        }
        lcs
    }

    #[test]
    fn example_of_the_manual() {
        let lcs = longest(b"ohmytext", b"mynewtext", MEMORY).unwrap();
        assert_eq!(lcs.text, b"mytext");
        let ends: Vec<_> = lcs
            .matches
            .iter()
            .map(|m| (m.a, m.b, m.match_len()))
            .collect();
        assert_eq!(ends, [((4, 7), (5, 8), 4), ((2, 3), (0, 1), 2)]);
    }

    #[test]
    fn empty_strings_share_nothing() {
        for (a, b) in [("", ""), ("a", ""), ("", "a"), ("abc", "xyz")] {
            let lcs = longest(a.as_bytes(), b.as_bytes(), MEMORY).unwrap();
            assert_eq!(lcs, Lcs::default());
            assert_eq!(length(a.as_bytes(), b.as_bytes(), MEMORY), Ok(0));
        }
    }

    #[test]
    fn refused_where_the_stock_table_does_not_fit() {
        let (a, b) = ([0_u8; 99], [0_u8; 49]);
        let table = Bytes(100 * 50 * 4);
        assert_eq!(length(&a, &b, table), Ok(49));
        assert_eq!(
            length(&a, &b, Bytes(table.0 - 1)),
            Err(LcsError::OutOfMemory)
        );
        assert_eq!(
            longest(&a, &b, Bytes(table.0 - 1)),
            Err(LcsError::OutOfMemory)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn same_as_stock(
            a in proptest::collection::vec(b'a'..b'd', 0..90),
            b in proptest::collection::vec(b'a'..b'd', 0..90),
        ) {
            let truth = stock(&a, &b);
            prop_assert_eq!(length(&a, &b, MEMORY), Ok(truth.text.len() as u32));
            prop_assert_eq!(longest(&a, &b, MEMORY), Ok(truth));
        }
    }
}
