//! ZUNION, ZINTER, ZDIFF, and the three that store what they find.
//!
//! Sums depend on the order in which they are made, so it is the stock one: from the smallest input
//! to the largest, inputs of one size in the order of the words.

use super::super::args::{integer, is};
use super::super::{Call, Done, Fail};
use super::sources::Source;
use crate::redis::raw::{Event, KeyKind, Mode, ZsetEvent};
use crate::value::{double, NumaZset, Value};
use std::cmp::Ordering;
use std::collections::HashMap;

/// Members with their scores.
pub(super) type Found = Vec<(f64, Vec<u8>)>;

/// What is done with the inputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// How the scores of one member are put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn named(word: &[u8]) -> Result<Self, Fail> {
        match word {
            word if is(word, "SUM") => Ok(Self::Sum),
            word if is(word, "MIN") => Ok(Self::Min),
            word if is(word, "MAX") => Ok(Self::Max),
            _ => Err(Fail::Syntax),
        }
    }

    /// Two infinities of different sign have the sum 0, as in stock.
    fn of(self, sum: f64, score: f64) -> f64 {
        match self {
            Self::Sum => number(sum + score),
            Self::Min if score < sum => score,
            Self::Max if score > sum => score,
            Self::Min | Self::Max => sum,
        }
    }
}

/// What is no number, such as nothing times infinity, is 0.
fn number(score: f64) -> f64 {
    if score.is_nan() {
        0.0
    } else {
        score
    }
}

/// An input with its weight.
struct Input<'c> {
    source: Source<'c>,
    weight: f64,
}

/// The words of a call.
struct Asked<'c> {
    inputs: Vec<Input<'c>>,
    aggregate: Aggregate,
    with_scores: bool,
}

pub(super) fn zunion(call: &Call<'_>) -> Done {
    show(call, Operation::Union, "numa.zunion")
}

pub(super) fn zinter(call: &Call<'_>) -> Done {
    show(call, Operation::Inter, "numa.zinter")
}

pub(super) fn zdiff(call: &Call<'_>) -> Done {
    show(call, Operation::Diff, "numa.zdiff")
}

pub(super) fn zunionstore(call: &Call<'_>) -> Done {
    store(call, Operation::Union, "numa.zunionstore")
}

pub(super) fn zinterstore(call: &Call<'_>) -> Done {
    store(call, Operation::Inter, "numa.zinterstore")
}

pub(super) fn zdiffstore(call: &Call<'_>) -> Done {
    store(call, Operation::Diff, "numa.zdiffstore")
}

fn show(call: &Call<'_>, operation: Operation, command: &str) -> Done {
    if call.ctx.wants_key_positions() {
        return key_positions(call, 1);
    }
    let asked = Asked::parse(call, operation, command, 1)?;
    let found = asked.found(operation);
    let mut shape = call.scored(asked.with_scores);
    shape.head(found.len());
    for (score, member) in &found {
        shape.element(member, *score);
    }
    Ok(())
}

fn store(call: &Call<'_>, operation: Operation, command: &str) -> Done {
    if call.ctx.wants_key_positions() {
        key_positions(call, 2)?;
        call.key_at(1);
        return Ok(());
    }
    let asked = Asked::parse(call, operation, command, 2)?;
    let found = asked.found(operation);
    // The inputs are closed before the target, which may be one of them, is replaced.
    drop(asked);
    call.store_zset(
        1,
        &found,
        match operation {
            Operation::Union => ZsetEvent::UnionStore,
            Operation::Inter => ZsetEvent::InterStore,
            Operation::Diff => ZsetEvent::DiffStore,
        },
    )
}

/// The keys that the number at `at` counts, where they are all there.
fn key_positions(call: &Call<'_>, at: usize) -> Done {
    let count = integer(call.word(at)?)?;
    let count = usize::try_from(count).map_err(|_| Fail::Syntax)?;
    if count <= call.args.len().saturating_sub(at + 1) {
        (at + 1..=at + count).for_each(|index| call.key_at(index));
    }
    Ok(())
}

impl<'c> Asked<'c> {
    /// Reads the words from the number of inputs, at `at`, on.
    fn parse(
        call: &Call<'c>,
        operation: Operation,
        command: &str,
        at: usize,
    ) -> Result<Self, Fail> {
        let count = integer(call.word(at)?)?;
        let count = usize::try_from(count).ok().filter(|count| *count > 0);
        let count = count
            .ok_or_else(|| Fail::text(format!("at least 1 input key is needed for {command}")))?;
        if count > call.args.len() - at - 1 {
            return Err(Fail::Syntax);
        }
        let stores = at == 2;
        let mode = if stores { Mode::Write } else { Mode::Read };
        let names = call.args.names_from(at + 1).take(count);
        let input = |name| {
            call.zset_source(name, mode).map(|source| Input {
                source,
                weight: 1.0,
            })
        };
        let mut asked = Self {
            inputs: names.map(input).collect::<Result<_, _>>()?,
            aggregate: Aggregate::Sum,
            with_scores: false,
        };
        asked.parse_options(call, operation, at + 1 + count, stores)?;
        Ok(asked)
    }

    fn parse_options(
        &mut self,
        call: &Call<'c>,
        operation: Operation,
        mut at: usize,
        stores: bool,
    ) -> Done {
        let weighs = operation != Operation::Diff;
        while let Some(word) = call.args.bytes(at) {
            let left = call.args.len() - at;
            if weighs && left > self.inputs.len() && is(word, "WEIGHTS") {
                for (index, input) in self.inputs.iter_mut().enumerate() {
                    input.weight = double::parse(call.word(at + 1 + index)?)
                        .ok_or_else(|| Fail::text("weight value is not a float"))?;
                }
                at += 1 + self.inputs.len();
            } else if weighs && left >= 2 && is(word, "AGGREGATE") {
                self.aggregate = Aggregate::named(call.word(at + 1)?)?;
                at += 2;
            } else if !stores && is(word, "WITHSCORES") {
                self.with_scores = true;
                at += 1;
            } else {
                return Err(Fail::Syntax);
            }
        }
        Ok(())
    }

    /// The members that are asked for, in order.
    fn found(&self, operation: Operation) -> Found {
        let mut by_size: Vec<&Input<'_>> = self.inputs.iter().collect();
        if operation != Operation::Diff {
            by_size.sort_by_key(|input| input.source.len());
        }
        let mut found = match operation {
            Operation::Union => union(&by_size, self.aggregate),
            Operation::Inter => inter(&by_size, self.aggregate),
            Operation::Diff => diff(&by_size),
        };
        found.sort_unstable_by(|a, b| {
            // Not the total order of floats: -0 and 0 are one score.
            let scores = a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal);
            scores.then_with(|| a.1.cmp(&b.1))
        });
        found
    }
}

fn union(inputs: &[&Input<'_>], aggregate: Aggregate) -> Found {
    let mut sums: HashMap<Vec<u8>, f64> = HashMap::new();
    for input in inputs {
        input.source.each(|member, score| {
            let score = number(input.weight * score);
            match sums.get_mut(member) {
                Some(sum) => *sum = aggregate.of(*sum, score),
                None => drop(sums.insert(member.to_vec(), score)),
            }
        });
    }
    sums.into_iter()
        .map(|(member, score)| (score, member))
        .collect()
}

fn inter(inputs: &[&Input<'_>], aggregate: Aggregate) -> Found {
    let mut found = Vec::new();
    let Some((smallest, others)) = inputs.split_first() else {
        return found;
    };
    smallest.source.each(|member, score| {
        let first = number(smallest.weight * score);
        let sum = others.iter().try_fold(first, |sum, other| {
            let score = other.source.score(member)?;
            Some(aggregate.of(sum, score * other.weight))
        });
        if let Some(sum) = sum {
            found.push((sum, member.to_vec()));
        }
    });
    found
}

fn diff(inputs: &[&Input<'_>]) -> Found {
    let mut found = Vec::new();
    let Some((first, others)) = inputs.split_first() else {
        return found;
    };
    first.source.each(|member, score| {
        let is_there = |other: &&Input<'_>| other.source.score(member).is_some();
        if !others.iter().any(is_there) {
            found.push((score, member.to_vec()));
        }
    });
    found
}

impl Call<'_> {
    /// Makes the key at a word a sorted set of those elements, whatever lies there, and replies how
    /// many there are; without any the key goes.
    pub(super) fn store_zset(&self, index: usize, found: &Found, event: ZsetEvent) -> Done {
        let name = self.name(index)?;
        let key = self.open::<NumaZset>(name, Mode::Write);
        if found.is_empty() {
            let was = key.any().kind() != KeyKind::Empty && key.key().delete();
            drop(key);
            if was {
                self.ctx.signal_modified(name);
                self.ctx.notify(Event::Del, name);
                self.replicate_verbatim();
            }
        } else {
            let size = found.iter().map(|(_, member)| member.len() + 16).sum();
            let pool = self.server.pool;
            let made = key.make(size, None, |order, heat| {
                let mut made = NumaZset::empty(pool, order, heat)?;
                for (score, member) in found {
                    made.set(member, *score, order)?;
                }
                Ok(made)
            })?;
            key.adopt(made)?;
            drop(key);
            self.ctx.signal_modified(name);
            self.ctx.notify(Event::Zset(event), name);
            self.replicate_verbatim();
        }
        self.ctx.reply_count(found.len());
        Ok(())
    }
}
