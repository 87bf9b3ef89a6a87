//! ZRANGE with all it can, its older kin, and ZRANGESTORE.
//!
//! Whatever the client asks for, by rank, score or member, forwards or backwards, it comes down to
//! the numbers of a run of elements; a logarithmic step finds where it begins.

use super::super::args::{integer, is};
use super::super::span::span;
use super::super::{Call, Done, Fail};
use super::bounds::{Members, Scores};
use crate::redis::raw::{Mode, ZsetEvent};
use crate::value::NumaZset;
use std::ops::Range;

/// What the two ends of a range are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum By {
    Rank,
    Score,
    Lex,
}

/// How a command of the family reads its words: what it fixes, options cannot change.
#[derive(Clone, Copy, Default)]
struct Fixed {
    by: Option<By>,
    reverse: Option<bool>,
    store: bool,
}

/// The options of a call.
#[derive(Clone, Copy)]
struct Options {
    by: By,
    reverse: bool,
    with_scores: bool,
    offset: i64,
    limit: i64,
}

impl Options {
    /// Reads the words from `at` on.
    fn parse(call: &Call<'_>, fixed: Fixed, at: usize) -> Result<Self, Fail> {
        let (mut by, mut reverse, mut with_scores) = (fixed.by, fixed.reverse, false);
        let (mut offset, mut limit, mut at) = (0, -1, at);
        while let Some(word) = call.args.bytes(at) {
            let left = call.args.len() - at - 1;
            if !fixed.store && is(word, "WITHSCORES") {
                with_scores = true;
            } else if is(word, "LIMIT") && left >= 2 {
                offset = integer(call.word(at + 1)?)?;
                limit = integer(call.word(at + 2)?)?;
                at += 2;
            } else if reverse.is_none() && is(word, "REV") {
                reverse = Some(true);
            } else if by.is_none() && is(word, "BYLEX") {
                by = Some(By::Lex);
            } else if by.is_none() && is(word, "BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(Fail::Syntax);
            }
            at += 1;
        }
        let options = Self {
            by: by.unwrap_or(By::Rank),
            reverse: reverse.unwrap_or(false),
            with_scores,
            offset,
            limit,
        };
        options.check().map(|()| options)
    }

    fn check(&self) -> Done {
        if self.limit != -1 && self.by == By::Rank {
            return Err(Fail::text(
                "syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if self.with_scores && self.by == By::Lex {
            return Err(Fail::text(
                "syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        Ok(())
    }
}

/// The two ends, read.
enum Ends<'c> {
    Rank(i64, i64),
    Score(Scores),
    Lex(Members<'c>),
}

impl<'c> Ends<'c> {
    /// Reads the two words from `at` on; backwards, the larger of scores and members comes first.
    fn parse(call: &Call<'c>, options: &Options, at: usize) -> Result<Self, Fail> {
        let (first, second) = (call.word(at)?, call.word(at + 1)?);
        let (min, max) = match options.reverse {
            true => (second, first),
            false => (first, second),
        };
        Ok(match options.by {
            By::Rank => Self::Rank(integer(first)?, integer(second)?),
            By::Score => Self::Score(Scores::parse(min, max)?),
            By::Lex => Self::Lex(Members::parse(min, max)?),
        })
    }

    /// The numbers of the elements, counted from the lowest.
    fn of(&self, set: &NumaZset, options: &Options) -> Range<u64> {
        let range = match self {
            Self::Rank(start, end) => {
                let (len, range) = (set.len(), span(set.len(), *start, *end));
                return match options.reverse {
                    true => len - range.end..len - range.start,
                    false => range,
                };
            }
            Self::Score(scores) => scores.of(set),
            Self::Lex(members) => members.of(set),
        };
        limited(range, options)
    }
}

/// What offset and limit leave of a range; a negative offset leaves nothing, a negative limit all.
fn limited(range: Range<u64>, options: &Options) -> Range<u64> {
    let len = range.end - range.start;
    let skipped = u64::try_from(options.offset).unwrap_or(u64::MAX).min(len);
    let count = u64::try_from(options.limit)
        .unwrap_or(u64::MAX)
        .min(len - skipped);
    match options.reverse {
        true => range.end - skipped - count..range.end - skipped,
        false => range.start + skipped..range.start + skipped + count,
    }
}

/// Shows the elements of those numbers, in the order that was asked for.
fn each<'z>(
    set: &'z NumaZset,
    range: Range<u64>,
    reverse: bool,
    mut visit: impl FnMut(&'z [u8], f64),
) {
    let mut left = range.end - range.start;
    if left == 0 {
        return;
    }
    let show = |member, score| {
        visit(member, score);
        left -= 1;
        left > 0
    };
    match reverse {
        true => set.each_back_from(range.end - 1, show),
        false => set.each_from(range.start, show),
    }
}

pub(super) fn zrange(call: &Call<'_>) -> Done {
    show(call, Fixed::default())
}

pub(super) fn zrevrange(call: &Call<'_>) -> Done {
    fixed(call, By::Rank, true)
}

pub(super) fn zrangebyscore(call: &Call<'_>) -> Done {
    fixed(call, By::Score, false)
}

pub(super) fn zrevrangebyscore(call: &Call<'_>) -> Done {
    fixed(call, By::Score, true)
}

pub(super) fn zrangebylex(call: &Call<'_>) -> Done {
    fixed(call, By::Lex, false)
}

pub(super) fn zrevrangebylex(call: &Call<'_>) -> Done {
    fixed(call, By::Lex, true)
}

fn fixed(call: &Call<'_>, by: By, reverse: bool) -> Done {
    let fixed = Fixed {
        by: Some(by),
        reverse: Some(reverse),
        store: false,
    };
    show(call, fixed)
}

fn show(call: &Call<'_>, fixed: Fixed) -> Done {
    let options = Options::parse(call, fixed, 4)?;
    let ends = Ends::parse(call, &options, 2)?;
    let key = call.zset(1, Mode::Read)?;
    let shown = key.read(|set| {
        let range = ends.of(set, &options);
        let mut shape = call.scored(options.with_scores);
        shape.head((range.end - range.start) as usize);
        each(set, range, options.reverse, |member, score| {
            shape.element(member, score);
        });
    });
    if shown.is_none() {
        call.ctx.reply_array(0);
    }
    Ok(())
}

pub(super) fn zrangestore(call: &Call<'_>) -> Done {
    let fixed = Fixed {
        store: true,
        ..Fixed::default()
    };
    let options = Options::parse(call, fixed, 5)?;
    let ends = Ends::parse(call, &options, 3)?;
    let source = call.zset(2, Mode::Write)?;
    let found = source.read(|set| {
        let mut found = Vec::new();
        each(set, ends.of(set, &options), false, |member, score| {
            found.push((score, member.to_vec()));
        });
        found
    });
    drop(source);
    call.store_zset(1, &found.unwrap_or_default(), ZsetEvent::RangeStore)
}
