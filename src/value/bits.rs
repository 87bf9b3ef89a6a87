//! Strings as rows of bits, as the stock bit commands see them.
//!
//! Bit 0 is the most significant one of the first byte, so a field that begins and ends on bytes is
//! a big-endian number. Beyond its end a string is zeros for ever: reading there is no error, and
//! only writing makes a string longer.
//!
//! A field is at most 64 bits, so it touches at most nine bytes: [`Field::window`] names them, and
//! what is read and written is a copy of those nine. Rejected: a loop over the bits as in stock,
//! which costs 64 rounds for what two shifts do.

use std::ops::Range;

/// Bytes that a field may touch: 64 bits that begin inside a byte.
pub const WINDOW: usize = 9;

/// The byte that holds bit `at`, and the bit within it.
#[must_use]
pub const fn place(at: u64) -> (usize, u8) {
    ((at >> 3) as usize, 0x80 >> (at & 7))
}

/// Whether bit `at` is set.
#[must_use]
pub fn bit(bytes: &[u8], at: u64) -> bool {
    let (byte, mask) = place(at);
    bytes.get(byte).is_some_and(|byte| byte & mask != 0)
}

/// How many bits are set.
#[must_use]
pub fn count_ones(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(8);
    let whole: u64 = words.by_ref().map(ones).sum();
    whole + ones(words.remainder())
}

fn ones(bytes: &[u8]) -> u64 {
    u64::from(word_of(bytes).count_ones())
}

/// Up to eight bytes as a number, the first one the most significant, zeros behind them.
fn word_of(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(word)
}

/// The first bit that is set, or that is clear. With no clear one it is the first behind the end,
/// where the zeros begin.
#[must_use]
pub fn first(bytes: &[u8], set: bool) -> Option<u64> {
    let skipped = if set { 0 } else { u64::MAX };
    let words = bytes.chunks(8).map(word_of).enumerate();
    let mut found = words.filter(|(_, word)| *word != skipped);
    let Some((number, word)) = found.next() else {
        return (!set).then_some(bytes.len() as u64 * 8);
    };
    let wanted = if set { word } else { !word };
    Some(number as u64 * 64 + u64::from(wanted.leading_zeros()))
}

/// What BITOP does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Bits set in all inputs.
    And,
    /// Bits set in any input.
    Or,
    /// Bits set in an odd number of inputs.
    Xor,
    /// Bits clear in the one input.
    Not,
}

/// An operation on inputs that come one after the other, so that none need be kept: the result is
/// as long as the longest of them, and a shorter one ends in zeros.
#[derive(Debug)]
pub struct Combination {
    operation: Operation,
    result: Option<Vec<u8>>,
}

impl Combination {
    /// The operation, on nothing yet.
    #[must_use]
    pub const fn new(operation: Operation) -> Self {
        Self {
            operation,
            result: None,
        }
    }

    /// Takes the next input.
    pub fn add(&mut self, input: &[u8]) {
        match &mut self.result {
            Some(result) => {
                result.resize(result.len().max(input.len()), 0);
                fold(self.operation, result, input);
            }
            None if self.operation == Operation::Not => {
                self.result = Some(input.iter().map(|byte| !byte).collect());
            }
            None => self.result = Some(input.to_vec()),
        }
    }

    /// The result on what was taken.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.result.unwrap_or_default()
    }
}

fn fold(operation: Operation, result: &mut [u8], input: &[u8]) {
    let pairs = result.iter_mut().zip(input);
    match operation {
        Operation::And => {
            pairs.for_each(|(to, from)| *to &= from);
            // Behind its end the input is zeros.
            let rest = result.get_mut(input.len()..);
            rest.unwrap_or_default().fill(0);
        }
        Operation::Or => pairs.for_each(|(to, from)| *to |= from),
        Operation::Xor => pairs.for_each(|(to, from)| *to ^= from),
        Operation::Not => {}
    }
}

/// What becomes of a number that does not fit its field.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Overflow {
    /// Its low bits are kept.
    #[default]
    Wrap,
    /// It becomes the largest or the smallest that fits.
    Saturate,
    /// Nothing is written.
    Fail,
}

/// A number of some bits within a string.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// Its first bit.
    pub at: u64,
    /// Whether its first bit is a sign.
    pub signed: bool,
    /// How many bits it has: 1 to 64, or to 63 without a sign.
    pub bits: u32,
}

impl Field {
    /// Reads a type as BITFIELD writes it: `i` or `u`, and how many bits. Stock takes the word for
    /// a C string, so what follows a NUL byte does not count.
    #[must_use]
    pub fn parse_type(word: &[u8]) -> Option<(bool, u32)> {
        let word = word.split(|byte| *byte == 0).next().unwrap_or(word);
        let (sign, digits) = word.split_first()?;
        let most = match sign {
            b'i' => 64,
            b'u' => 63,
            _ => return None,
        };
        let bits = super::number::parse_integer(digits)?;
        (1..=most)
            .contains(&bits)
            .then_some((*sign == b'i', bits as u32))
    }

    /// The last bit of it.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.at + self.bits as u64 - 1
    }

    /// The bytes of the string that it touches.
    #[must_use]
    pub const fn window(&self) -> Range<usize> {
        (self.at >> 3) as usize..(self.last() >> 3) as usize + 1
    }

    /// Bits behind the field in its window of nine bytes.
    const fn behind(&self) -> u32 {
        WINDOW as u32 * 8 - (self.at & 7) as u32 - self.bits
    }

    const fn mask(&self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    /// Its number in the whole string, as a reply shows it.
    #[must_use]
    pub fn get(&self, bytes: &[u8]) -> i64 {
        let window = window_of(bytes.get(self.window().start..).unwrap_or(&[]));
        self.extended((window >> self.behind()) as u64)
    }

    /// The number whose low bits these are.
    const fn extended(&self, raw: u64) -> i64 {
        let unused = 64 - self.bits;
        if self.signed {
            (raw << unused) as i64 >> unused
        } else {
            (raw & self.mask()) as i64
        }
    }

    /// The bytes of its window, of a string that reaches to its end, with `number` written.
    #[must_use]
    pub fn written(&self, bytes: &[u8], number: i64) -> Vec<u8> {
        let range = self.window();
        let window = window_of(bytes.get(range.start..).unwrap_or(&[]));
        let mask = u128::from(self.mask()) << self.behind();
        let value = u128::from(number as u64 & self.mask()) << self.behind();
        let window = (window & !mask) | value;
        let len = range.len();
        let all = window.to_be_bytes();
        all.iter()
            .skip(size_of::<u128>() - WINDOW)
            .take(len)
            .copied()
            .collect()
    }

    /// What is written for the sum of `value`, which the field need not hold, and `more`; nothing
    /// where [`Overflow::Fail`] forbids it. Without a sign both are bits that may stand for more
    /// than an `i64` holds, and they are compared as stock compares them.
    #[must_use]
    pub fn sum(&self, value: i64, more: i64, overflow: Overflow) -> Option<i64> {
        let sum = value.wrapping_add(more);
        let Some(limit) = self.passed(value, more) else {
            return Some(sum);
        };
        match overflow {
            Overflow::Wrap => Some(self.extended(sum as u64)),
            Overflow::Saturate => Some(limit),
            Overflow::Fail => None,
        }
    }

    /// The bound that the sum passes, if it passes one.
    fn passed(&self, value: i64, more: i64) -> Option<i64> {
        if self.signed {
            let max = (self.mask() >> 1) as i64;
            let sum = i128::from(value) + i128::from(more);
            return passed(sum, (-max - 1).into(), max.into());
        }
        let (max, raw) = (self.mask(), value as u64);
        if raw > max || (more > 0 && more > max.wrapping_sub(raw) as i64) {
            return Some(max as i64);
        }
        (more < 0 && more < (raw as i64).wrapping_neg()).then_some(0)
    }
}

fn passed(sum: i128, min: i128, max: i128) -> Option<i64> {
    if sum > max {
        Some(max as i64)
    } else {
        (sum < min).then_some(min as i64)
    }
}

/// The first nine bytes as a number, zeros behind what there is.
fn window_of(bytes: &[u8]) -> u128 {
    let mut window = [0; size_of::<u128>()];
    let places = window.iter_mut().skip(size_of::<u128>() - WINDOW);
    places.zip(bytes).for_each(|(to, from)| *to = *from);
    u128::from_be_bytes(window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A field read bit by bit, as stock reads it.
    fn slow_get(bytes: &[u8], at: u64, bits: u32) -> u64 {
        let bit_at = |at| u64::from(bit(bytes, at));
        (0..u64::from(bits)).fold(0, |value, j| (value << 1) | bit_at(at + j))
    }

    fn slow_first(bytes: &[u8], set: bool) -> Option<u64> {
        let mut all = 0..bytes.len() as u64 * 8 + u64::from(!set);
        all.find(|at| bit(bytes, *at) == set)
    }

    #[test]
    fn types_as_stock_reads_them() {
        for (word, wanted) in [
            (&b"i64"[..], Some((true, 64))),
            (b"u63", Some((false, 63))),
            (b"i1", Some((true, 1))),
            (b"u8\0junk", Some((false, 8))),
            (b"u64", None),
            (b"i65", None),
            (b"u0", None),
            (b"i-1", None),
            (b"i08", None),
            (b"I8", None),
            (b"u", None),
            (b"8", None),
            (b"", None),
        ] {
            assert_eq!(Field::parse_type(word), wanted, "{word:?}");
        }
    }

    #[test]
    fn sums_wrap_saturate_and_fail_as_in_stock() {
        let field = |signed, bits| Field {
            at: 0,
            signed,
            bits,
        };
        // From the stock suite and by hand: field, old value, increment, wrapped, saturated.
        let overflowing = [
            (field(false, 8), 255, 1, 0, 255),
            (field(false, 8), 0, -1, 255, 0),
            (field(false, 8), 100, 257, 101, 255),
            (field(true, 8), 127, 1, -128, 127),
            (field(true, 8), -128, -1, 127, -128),
            (field(true, 64), i64::MAX, 1, i64::MIN, i64::MAX),
            (field(true, 64), i64::MIN, -1, i64::MAX, i64::MIN),
            (field(false, 63), i64::MAX, 1, 0, i64::MAX),
            (field(false, 8), 300, 0, 44, 255),
            (field(true, 8), 300, 0, 44, 127),
            (field(true, 8), -300, 0, -44, -128),
            (field(false, 8), -1, 0, 255, 255),
        ];
        for (field, value, more, wrapped, saturated) in overflowing {
            let what = format!("{field:?} {value} {more}");
            let sum = |overflow| field.sum(value, more, overflow);
            assert_eq!(sum(Overflow::Wrap), Some(wrapped), "{what}");
            assert_eq!(sum(Overflow::Saturate), Some(saturated), "{what}");
            assert_eq!(sum(Overflow::Fail), None, "{what}");
        }
        for overflow in [Overflow::Wrap, Overflow::Saturate, Overflow::Fail] {
            assert_eq!(field(true, 64).sum(-5, 3, overflow), Some(-2));
            assert_eq!(field(false, 4).sum(7, 8, overflow), Some(15));
        }
    }

    fn combined(operation: Operation, inputs: &[&[u8]]) -> Vec<u8> {
        let mut combination = Combination::new(operation);
        inputs.iter().for_each(|input| combination.add(input));
        combination.finish()
    }

    #[test]
    fn shorter_inputs_end_in_zeros() {
        let (a, b): (&[u8], &[u8]) = (b"\xff\x0f", b"\xf0");
        assert_eq!(combined(Operation::And, &[a, b]), b"\xf0\x00");
        assert_eq!(combined(Operation::Or, &[b, a]), b"\xff\x0f");
        assert_eq!(combined(Operation::Xor, &[a, b, b]), a);
        assert_eq!(combined(Operation::Not, &[a]), b"\x00\xf0");
        assert_eq!(combined(Operation::And, &[b"", a]), b"\x00\x00");
        assert_eq!(combined(Operation::Or, &[b"", b""]), b"");
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn fields_are_what_their_bits_are(
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
            at in 0_u64..300,
            bits in 1_u32..=64,
            number in any::<i64>(),
        ) {
            let field = Field { at, signed: false, bits };
            prop_assert_eq!(field.get(&bytes) as u64, slow_get(&bytes, at, bits));
            let signed = Field { signed: true, ..field };
            let sign_bits = 64 - bits;
            let raw = slow_get(&bytes, at, bits);
            prop_assert_eq!(signed.get(&bytes), (raw << sign_bits) as i64 >> sign_bits);

            let mut grown = bytes.clone();
            let window = field.window();
            grown.resize(grown.len().max(window.end), 0);
            let written = field.written(&grown, number);
            prop_assert_eq!(written.len(), window.len());
            let mut after = grown.clone();
            after[window].copy_from_slice(&written);
            for j in 0..after.len() as u64 * 8 {
                if j < at || j > field.last() {
                    prop_assert_eq!(bit(&after, j), bit(&grown, j));
                }
            }
            prop_assert_eq!(slow_get(&after, at, bits), number as u64 & field.mask());
        }

        #[test]
        fn counts_and_first_bits_are_those_of_a_slow_walk(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..50),
            same in 0_usize..60,
            filler in prop_oneof![Just(0_u8), Just(255), any::<u8>()],
        ) {
            let ones = bytes.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
            prop_assert_eq!(count_ones(&bytes), ones);
            bytes.iter_mut().take(same).for_each(|byte| *byte = filler);
            prop_assert_eq!(first(&bytes, true), slow_first(&bytes, true));
            prop_assert_eq!(first(&bytes, false), slow_first(&bytes, false));
        }
    }
}
