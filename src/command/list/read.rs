//! LLEN, LINDEX, LRANGE, LPOS.

use super::super::args::{integer, is, positive};
use super::super::span::{number, span};
use super::super::{Call, Done, Fail};
use crate::redis::raw::Mode;
use crate::value::NumaList;

pub(super) fn llen(call: &Call<'_>) -> Done {
    let key = call.list(1, Mode::Read)?;
    call.ctx.reply_count(key.read(NumaList::len).unwrap_or(0));
    Ok(())
}

pub(super) fn lindex(call: &Call<'_>) -> Done {
    let key = call.list(1, Mode::Read)?;
    let replied = key.read(|list| {
        let index = number(list.len(), integer(call.word(2)?)?);
        match index.and_then(|index| list.get(index)) {
            Some(element) => call.ctx.reply_bulk(element),
            None => call.ctx.reply_null(),
        }
        Ok(())
    });
    replied.unwrap_or_else(|| {
        call.ctx.reply_null();
        Ok(())
    })
}

pub(super) fn lrange(call: &Call<'_>) -> Done {
    let (start, end) = (integer(call.word(2)?)?, integer(call.word(3)?)?);
    let key = call.list(1, Mode::Read)?;
    let replied = key.read(|list| {
        let range = span(list.len(), start, end);
        let mut left = range.end - range.start;
        let mut replies = call.ctx.replies();
        replies.array(left as usize);
        if left == 0 {
            return;
        }
        list.each_from(range.start, |element| {
            replies.bulk(element);
            left -= 1;
            left > 0
        });
    });
    if replied.is_none() {
        call.ctx.reply_array(0);
    }
    Ok(())
}

/// The options of LPOS.
struct Search {
    /// Which match is the first to be answered.
    rank: u64,
    backwards: bool,
    /// How many are answered: all for 0; no array where there is no count.
    count: Option<u64>,
    /// How many elements are looked at: all for 0.
    most: u64,
}

impl Search {
    fn parse(call: &Call<'_>) -> Result<Self, Fail> {
        let (mut rank, mut count, mut most) = (1, None, 0);
        let mut at = 3;
        while let Some(word) = call.args.bytes(at) {
            let value = call.args.bytes(at + 1).ok_or(Fail::Syntax);
            if is(word, "RANK") {
                rank = rank_of(value?)?;
            } else if is(word, "COUNT") {
                count = Some(positive(value?, "COUNT can't be negative")?);
            } else if is(word, "MAXLEN") {
                most = positive(value?, "MAXLEN can't be negative")?;
            } else {
                return Err(Fail::Syntax);
            }
            at += 2;
        }
        // The smallest rank has no opposite: stock then takes every match for one that comes late
        // enough, and never has enough of them.
        let none = rank == i64::MIN;
        Ok(Self {
            rank: if none { 1 } else { rank.unsigned_abs() },
            backwards: rank < 0,
            count: count.map(|count| if none { 0 } else { count }),
            most,
        })
    }

    /// The numbers of the matches that are answered.
    fn matches(&self, list: &NumaList, wanted: &[u8]) -> Vec<u64> {
        let wanted_matches = match self.count {
            None => 1,
            Some(0) => u64::MAX,
            Some(count) => count,
        };
        let (mut found, mut seen, mut rank) = (Vec::new(), 0, 0);
        let last = list.len().saturating_sub(1);
        let mut note = |element: &[u8]| {
            if element == wanted {
                rank += 1;
                if rank >= self.rank {
                    found.push(if self.backwards { last - seen } else { seen });
                }
            }
            seen += 1;
            (found.len() as u64) < wanted_matches && (self.most == 0 || seen < self.most)
        };
        match self.backwards {
            true => list.each_back_from(last, &mut note),
            false => list.each_from(0, &mut note),
        }
        found
    }
}

fn rank_of(word: &[u8]) -> Result<i64, Fail> {
    match integer(word)? {
        0 => Err(Fail::text(
            "RANK can't be zero: use 1 to start from the first match, 2 from the second, ...",
        )),
        rank => Ok(rank),
    }
}

pub(super) fn lpos(call: &Call<'_>) -> Done {
    let wanted = call.element(2)?;
    let search = Search::parse(call)?;
    let key = call.list(1, Mode::Read)?;
    let found = key.read(|list| search.matches(list, wanted));
    let found = found.unwrap_or_default();
    if search.count.is_some() {
        let mut replies = call.ctx.replies();
        replies.array(found.len());
        found.iter().for_each(|index| replies.int(*index as i64));
    } else if let Some(index) = found.first() {
        call.ctx.reply_count(*index);
    } else {
        call.ctx.reply_null();
    }
    Ok(())
}
