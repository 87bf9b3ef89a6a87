//! Ranges as clients write them: `(1.5`, `+inf`, `[a`, `-`. A range comes down to two numbers, how
//! many elements lie before its first one and how many up to its last.

use super::super::Fail;
use crate::value::zset::Bound;
use crate::value::{double, NumaZset};
use std::ops::Range;

/// A range of scores.
#[derive(Clone, Copy)]
pub(super) struct Scores {
    from: Bound<'static>,
    to: Bound<'static>,
}

impl Scores {
    /// Reads the two ends.
    pub(super) fn parse(min: &[u8], max: &[u8]) -> Result<Self, Fail> {
        let wrong = || Fail::text("min or max is not a float");
        let (min, min_open) = end(min).ok_or_else(wrong)?;
        let (max, max_open) = end(max).ok_or_else(wrong)?;
        Ok(Self {
            from: if min_open {
                Bound::Above(min)
            } else {
                Bound::Below(min)
            },
            to: if max_open {
                Bound::Below(max)
            } else {
                Bound::Above(max)
            },
        })
    }

    /// The numbers of the elements in the range.
    pub(super) fn of(&self, set: &NumaZset) -> Range<u64> {
        ordered(set.before(&self.from), set.before(&self.to))
    }
}

/// The number of an end, and whether the end itself is left out.
fn end(word: &[u8]) -> Option<(f64, bool)> {
    match word.strip_prefix(b"(") {
        Some(word) => Some((double::parse_bound(word)?, true)),
        None => Some((double::parse_bound(word)?, false)),
    }
}

fn ordered(from: u64, to: u64) -> Range<u64> {
    from..to.max(from)
}

/// An end of a range of members.
#[derive(Clone, Copy)]
enum MemberEnd<'c> {
    First,
    Last,
    Before(&'c [u8]),
    Behind(&'c [u8]),
}

impl<'c> MemberEnd<'c> {
    fn parse(word: &'c [u8], is_max: bool) -> Option<Self> {
        // Stock takes the words of the two ends of all members for C strings.
        let ends = |word: &[u8]| word.get(1).is_none_or(|byte| *byte == 0);
        match word {
            [b'-', ..] if ends(word) => Some(Self::First),
            [b'+', ..] if ends(word) => Some(Self::Last),
            [b'(', member @ ..] if is_max => Some(Self::Before(member)),
            [b'(', member @ ..] => Some(Self::Behind(member)),
            [b'[', member @ ..] if is_max => Some(Self::Behind(member)),
            [b'[', member @ ..] => Some(Self::Before(member)),
            _ => None,
        }
    }

    fn number(self, set: &NumaZset) -> u64 {
        match self {
            Self::First => 0,
            Self::Last => set.len(),
            Self::Before(member) => set.before(&Bound::BelowMember(member)),
            Self::Behind(member) => set.before(&Bound::AboveMember(member)),
        }
    }
}

/// A range of members, for sets whose elements have all one score.
#[derive(Clone, Copy)]
pub(super) struct Members<'c> {
    from: MemberEnd<'c>,
    to: MemberEnd<'c>,
}

impl<'c> Members<'c> {
    /// Reads the two ends.
    pub(super) fn parse(min: &'c [u8], max: &'c [u8]) -> Result<Self, Fail> {
        let wrong = || Fail::text("min or max not valid string range item");
        Ok(Self {
            from: MemberEnd::parse(min, false).ok_or_else(wrong)?,
            to: MemberEnd::parse(max, true).ok_or_else(wrong)?,
        })
    }

    /// The numbers of the elements in the range.
    pub(super) fn of(&self, set: &NumaZset) -> Range<u64> {
        ordered(self.from.number(set), self.to.number(set))
    }
}
