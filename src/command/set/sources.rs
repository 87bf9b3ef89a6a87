//! What the set algebra reads: sets of either plane.
//!
//! A NUMA set is read where it lies. A native one is copied once: the server shows it to a module
//! element by element, and has no way to ask it for one.

use super::super::{Call, Fail};
use super::SetKey;
use crate::migrate::Kind;
use crate::redis::numa_key::Holds;
use crate::redis::raw::{KeyKind, Mode, Name};
use crate::value::NumaSet;
use std::collections::HashSet;

/// An input.
pub(super) enum Source<'c> {
    /// Nothing lies there.
    Nothing,
    /// A NUMA set.
    Numa(SetKey<'c>),
    /// A copy of a native one.
    Copied(HashSet<Vec<u8>>),
}

impl<'c> Call<'c> {
    /// Opens an input, of either plane.
    pub(super) fn set_source(&self, name: Name<'c>, mode: Mode) -> Result<Source<'c>, Fail> {
        let key = self.open::<NumaSet>(name, mode);
        match (key.holds(), key.any().kind()) {
            (Holds::Nothing, _) => Ok(Source::Nothing),
            (Holds::Numa, _) => {
                // A use of it, once, however often it is looked at.
                key.read(|_| ());
                Ok(Source::Numa(key))
            }
            (_, KeyKind::Native(Kind::Set)) => copied(&key),
            _ => Err(Fail::WrongType),
        }
    }
}

fn copied<'c>(key: &SetKey<'c>) -> Result<Source<'c>, Fail> {
    let mut copy = HashSet::with_capacity(key.key().native_len());
    let shown = key.key().each_element(&mut |member, _| {
        copy.insert(member.to_vec());
    });
    shown.then_some(Source::Copied(copy)).ok_or_else(Fail::busy)
}

impl Source<'_> {
    /// How many members there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Numa(key) => key.look(|set| set.len()).unwrap_or(0),
            Self::Copied(copy) => copy.len(),
        }
    }

    /// Whether a member is there.
    pub(super) fn contains(&self, member: &[u8]) -> bool {
        match self {
            Self::Nothing => false,
            Self::Numa(key) => key.look(|set| set.contains(member)).unwrap_or(false),
            Self::Copied(copy) => copy.contains(member),
        }
    }

    /// Shows every member.
    pub(super) fn each(&self, visit: &mut dyn FnMut(&[u8])) {
        match self {
            Self::Nothing => {}
            Self::Numa(key) => {
                key.look(|set| set.iter().for_each(|(member, _)| visit(member)));
            }
            Self::Copied(copy) => copy.iter().for_each(|member| visit(member)),
        }
    }
}
