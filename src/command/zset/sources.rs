//! What ZUNION, ZINTER and ZDIFF read: sets and sorted sets of either plane.
//!
//! A NUMA value is read where it lies. A native one is copied once: the server shows it to a module
//! element by element, and has no way to ask it for one.

use super::super::{Call, Fail};
use crate::migrate::Kind;
use crate::redis::numa_key::{Holds, TypedKey};
use crate::redis::raw::{KeyKind, Mode, Name};
use crate::redis::zset_type::ZsetKey;
use crate::value::{double, NumaSet, NumaZset};
use std::collections::HashMap;

/// An input.
pub(super) enum Source<'c> {
    /// Nothing lies there.
    Nothing,
    /// A NUMA sorted set.
    Zset(ZsetKey<'c>),
    /// A NUMA set; its members have the score 1.
    Set(TypedKey<'c, NumaSet>),
    /// A copy of a native value.
    Copied(HashMap<Vec<u8>, f64>),
}

impl<'c> Call<'c> {
    /// Opens an input, of either plane.
    pub(super) fn zset_source(&self, name: Name<'c>, mode: Mode) -> Result<Source<'c>, Fail> {
        let key = self.open::<NumaZset>(name, mode);
        if key.any().numa_kind() == Some(Kind::Set) {
            drop(key);
            let key = self.open::<NumaSet>(name, Mode::Quiet);
            key.read(|_| ());
            return Ok(Source::Set(key));
        }
        match (key.holds(), key.any().kind()) {
            (Holds::Nothing, _) => Ok(Source::Nothing),
            (Holds::Numa, _) => {
                // A use of it, once, however often it is looked at.
                key.read(|_| ());
                Ok(Source::Zset(key))
            }
            (_, KeyKind::Native(Kind::Set)) => copied(&key, |_| Some(1.0)),
            (_, KeyKind::Native(Kind::SortedSet)) => copied(&key, double::parse),
            _ => Err(Fail::WrongType),
        }
    }
}

fn copied<'c>(key: &ZsetKey<'c>, score: impl Fn(&[u8]) -> Option<f64>) -> Result<Source<'c>, Fail> {
    let mut copy = HashMap::with_capacity(key.key().native_len());
    let shown = key.key().each_element(&mut |member, value| {
        if let Some(score) = score(value) {
            copy.insert(member.to_vec(), score);
        }
    });
    if shown {
        Ok(Source::Copied(copy))
    } else {
        Err(Fail::busy())
    }
}

impl Source<'_> {
    /// How many members there are.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Zset(key) => key.look(|set| set.len()).unwrap_or(0),
            Self::Set(key) => key.look(|set| set.len() as u64).unwrap_or(0),
            Self::Copied(copy) => copy.len() as u64,
        }
    }

    /// The score of a member.
    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Nothing => None,
            Self::Zset(key) => key.look(|set| set.score(member))?,
            Self::Set(key) => key.look(|set| set.contains(member).then_some(1.0))?,
            Self::Copied(copy) => copy.get(member).copied(),
        }
    }

    /// Shows every member and its score.
    pub(super) fn each(&self, mut visit: impl FnMut(&[u8], f64)) {
        match self {
            Self::Nothing => {}
            Self::Zset(key) => {
                key.look(|set| {
                    set.each_from(0, |member, score| {
                        visit(member, score);
                        true
                    });
                });
            }
            Self::Set(key) => {
                key.look(|set| set.iter().for_each(|(member, _)| visit(member, 1.0)));
            }
            Self::Copied(copy) => copy
                .iter()
                .for_each(|(member, score)| visit(member, *score)),
        }
    }
}
