//! ZRANDMEMBER.
//!
//! Every element is found by its number in a logarithmic number of steps, so a random one is a
//! random number, and different ones are a random set of numbers (Floyd's way: no try is lost).

use super::super::args::is;
use super::super::sample::{Amount, COUNT_MAX};
use super::super::{Call, Done, Fail};
use super::scored::Scored;
use crate::redis::raw::Mode;
use std::collections::hash_map::RandomState;
use std::collections::BTreeSet;
use std::hash::BuildHasher;

/// A random number below `end`, which is not 0.
fn below(end: u64) -> u64 {
    let random = RandomState::new().hash_one(0_u8);
    ((u128::from(random) * u128::from(end)) >> u64::BITS) as u64
}

/// `count` different numbers below `end`, every set of them as likely as any other.
fn different(count: u64, end: u64) -> BTreeSet<u64> {
    let mut chosen = BTreeSet::new();
    for top in end.saturating_sub(count)..end {
        let number = below(top + 1);
        if !chosen.insert(number) {
            chosen.insert(top);
        }
    }
    chosen
}

pub(super) fn zrandmember(call: &Call<'_>) -> Done {
    if call.args.len() > 2 {
        return several(call);
    }
    let key = call.zset(1, Mode::Read)?;
    let replied = key.read(|set| {
        if let Some((member, _)) = set.at(below(set.len().max(1))) {
            call.ctx.reply_bulk(member);
        }
    });
    if replied.is_none() {
        call.ctx.reply_null();
    }
    Ok(())
}

/// How many are asked for, and whether scores are wanted.
fn parse(call: &Call<'_>) -> Result<(Amount, bool), Fail> {
    let amount = Amount::parse(call.word(2)?)?;
    let with_scores = match call.args.len() {
        3 => false,
        4 if is(call.word(3)?, "WITHSCORES") => true,
        _ => return Err(Fail::Syntax),
    };
    if with_scores && amount.asked > COUNT_MAX / 2 {
        return Err(Fail::text("value is out of range"));
    }
    amount.check().map(|()| (amount, with_scores))
}

fn several(call: &Call<'_>) -> Done {
    let (amount, with_scores) = parse(call)?;
    let key = call.zset(1, Mode::Read)?;
    let replied = key.read(|set| {
        let len = set.len();
        let mut shape = call.scored(with_scores);
        let reply = |shape: &mut Scored<'_>, rank| {
            let (member, score) = set.at(rank).unwrap_or((&[], 0.0));
            shape.element(member, score);
        };
        if amount.repeats {
            shape.head(amount.asked as usize);
            (0..amount.asked).for_each(|_| reply(&mut shape, below(len)));
        } else {
            let chosen = different(amount.asked.min(len), len);
            shape.head(chosen.len());
            chosen.into_iter().for_each(|rank| reply(&mut shape, rank));
        }
    });
    if replied.is_none() {
        call.ctx.reply_array(0);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_numbers_are_different_and_all_come() {
        for (count, end) in [(0, 0), (0, 5), (5, 5), (3, 7), (1, 1)] {
            let chosen = different(count, end);
            assert_eq!(chosen.len() as u64, count);
            assert!(chosen.iter().all(|number| *number < end));
        }
        let mut seen = [0_u32; 8];
        for _ in 0..4000 {
            different(2, 8).iter().for_each(|n| seen[*n as usize] += 1);
        }
        // A thousand each is expected; seven deviations of 27 is never.
        assert!(
            seen.iter().all(|count| count.abs_diff(1000) < 200),
            "{seen:?}"
        );
    }
}
