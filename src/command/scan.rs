//! What SCAN commands of every type share: the cursor, COUNT, MATCH, the reply.

use super::args::{integer, is};
use super::{Call, Fail};
use crate::migrate::glob;

/// Pages that one call looks at at most, for each element that was asked for.
const LOOKS_AN_ELEMENT: u64 = 10;
const COUNT_DEFAULT: u64 = 10;

/// The options of a call.
pub(super) struct ScanOptions<'c> {
    count: u64,
    pattern: Option<&'c [u8]>,
}

impl<'c> ScanOptions<'c> {
    /// Reads a cursor as the C library's `strtoul` does: a sign, then digits, up to a NUL byte.
    pub(super) fn cursor(word: &[u8]) -> Result<u64, Fail> {
        let text = word.split(|byte| *byte == 0).next().unwrap_or(word);
        let (negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            [b'+', digits @ ..] => (false, digits),
            digits => (false, digits),
        };
        let add = |sum: u64, digit: &u8| {
            let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
            sum.checked_mul(10)?.checked_add(digit)
        };
        let number = digits.iter().try_fold(0, add);
        let number = number.filter(|_| !digits.is_empty() || text.is_empty());
        let number = number.ok_or_else(|| Fail::text("invalid cursor"))?;
        Ok(if negative {
            number.wrapping_neg()
        } else {
            number
        })
    }

    /// How many elements are asked for.
    pub(super) fn count(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }

    /// Reads the words from `at` on.
    pub(super) fn parse(call: &Call<'c>, at: usize) -> Result<Self, Fail> {
        let (mut count, mut pattern, mut at) = (COUNT_DEFAULT, None, at);
        while let Some(word) = call.args.bytes(at) {
            let value = call.args.bytes(at + 1).ok_or(Fail::Syntax)?;
            if is(word, "COUNT") {
                let number = integer(value)?;
                let number = u64::try_from(number).ok().filter(|number| *number > 0);
                count = number.ok_or(Fail::Syntax)?;
            } else if is(word, "MATCH") {
                // Alone it matches the empty name too, which the pattern matcher's does not.
                pattern = Some(value).filter(|pattern| *pattern != b"*");
            } else {
                return Err(Fail::Syntax);
            }
            at += 2;
        }
        Ok(Self { count, pattern })
    }
}

/// What one call answers.
pub(super) struct Page {
    cursor: u64,
    words: Vec<Vec<u8>>,
    seen: u64,
}

impl Page {
    /// Nothing yet, from that cursor on.
    pub(super) fn at(cursor: u64) -> Self {
        Self {
            cursor,
            words: Vec::new(),
            seen: 0,
        }
    }

    /// Takes steps until enough elements were seen or the walk has ended. A step shows some
    /// elements from a cursor on, and answers the next one.
    pub(super) fn fill(
        &mut self,
        options: &ScanOptions<'_>,
        mut step: impl FnMut(u64, &mut Self) -> u64,
    ) {
        let mut looks = options.count.saturating_mul(LOOKS_AN_ELEMENT);
        loop {
            self.cursor = step(self.cursor, self);
            looks = looks.saturating_sub(1);
            if self.cursor == 0 || looks == 0 || self.seen >= options.count {
                return;
            }
        }
    }

    /// Notes that an element was seen; whether it is answered.
    pub(super) fn takes(&mut self, options: &ScanOptions<'_>, name: &[u8]) -> bool {
        self.seen += 1;
        options
            .pattern
            .is_none_or(|pattern| glob::matches(pattern, name))
    }

    /// Adds a word to the answer.
    pub(super) fn add(&mut self, word: Vec<u8>) {
        self.words.push(word);
    }

    /// Replies cursor and words.
    pub(super) fn reply(&self, call: &Call<'_>) {
        call.ctx.reply_array(2);
        call.ctx.reply_bulk(self.cursor.to_string().as_bytes());
        call.ctx.reply_array(self.words.len());
        let mut replies = call.ctx.replies();
        self.words.iter().for_each(|word| replies.bulk(word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_as_stock_reads_them() {
        for (word, cursor) in [
            (&b"0"[..], 0),
            (b"17", 17),
            (b"+17", 17),
            (b"-1", u64::MAX),
            (b"18446744073709551615", u64::MAX),
            (b"", 0),
            (b"5\0x", 5),
            (b"007", 7),
        ] {
            assert_eq!(ScanOptions::cursor(word), Ok(cursor), "{word:?}");
        }
        for word in [
            &b"18446744073709551616"[..],
            b"x",
            b"1x",
            b" 1",
            b"-",
            b"+",
            b"0x1",
        ] {
            assert!(ScanOptions::cursor(word).is_err(), "{word:?}");
        }
    }
}
