//! The NUMA hash and the NUMA set to the server.
//!
//! The AOF gets them in pieces of the stock size, so that a loading server is never long in one
//! command. Their digests are sums over the elements: the order in a table means nothing.

use super::numa_key::AnyKey;
use super::numa_type::NumaType;
use super::raw::{Ctx, Digest, Io, Name};
use crate::heat::Heat;
use crate::ids::NodeId;
use crate::migrate::Kind;
use crate::pool::OutOfMemory;
use crate::value::{NumaHash, NumaSet, Value};
use std::ffi::CStr;

/// Elements of one command in an AOF: as stock has it.
const ITEMS_PER_COMMAND: usize = 64;

impl NumaType for NumaHash {
    const KIND: Kind = Kind::Hash;
    const NAME: &'static CStr = c"numa-hash";

    fn rewrite(&self, io: Io<'_>, key: Name<'_>) {
        let pairs = self.iter().flat_map(|(field, value)| [field, value]);
        in_pieces(pairs, 2 * ITEMS_PER_COMMAND, &mut |words| {
            io.emit_words(c"NUMA.HMSET", key, words.iter().copied());
        });
    }

    fn digest(&self, digest: Digest<'_>) {
        for (field, value) in self.iter() {
            digest.element(&[field, value]);
        }
    }

    fn to_native(&self, ctx: Ctx<'_>, key: &AnyKey<'_>) -> bool {
        for (field, value) in self.iter() {
            let (Some(field), Some(value)) = (ctx.string(field), ctx.string(value)) else {
                return false;
            };
            key.key().hash_set(field.name(), value.name());
        }
        true
    }

    fn from_native(
        _ctx: Ctx<'_>,
        key: &AnyKey<'_>,
        order: &[NodeId],
        heat: Heat,
    ) -> Result<Option<Self>, OutOfMemory> {
        let mut made = Self::empty(key.server.pool, order, heat)?;
        let mut failed = None;
        let shown = key.key().each_element(&mut |field, value| {
            failed = failed.or(made.insert(field, value, order).err());
        });
        failed.map_or(Ok(shown.then_some(made)), Err)
    }
}

impl NumaType for NumaSet {
    const KIND: Kind = Kind::Set;
    const NAME: &'static CStr = c"numa-sets";

    fn rewrite(&self, io: Io<'_>, key: Name<'_>) {
        let members = self.iter().map(|(member, _)| member);
        in_pieces(members, ITEMS_PER_COMMAND, &mut |words| {
            io.emit_words(c"NUMA.SADD", key, words.iter().copied());
        });
    }

    fn digest(&self, digest: Digest<'_>) {
        for (member, _) in self.iter() {
            digest.element(&[member]);
        }
    }

    /// By the stock command, for the API has no function for sets: subscribers see its `sadd`.
    fn to_native(&self, ctx: Ctx<'_>, key: &AnyKey<'_>) -> bool {
        let members = self.iter().map(|(member, _)| member);
        let mut all = true;
        in_pieces(members, ITEMS_PER_COMMAND, &mut |words| {
            let words: Vec<_> = words.iter().filter_map(|word| ctx.string(word)).collect();
            let names: Vec<_> = words.iter().map(|word| word.name()).collect();
            all = all && ctx.run(c"SADD", key.name(), &names);
        });
        all
    }

    fn from_native(
        _ctx: Ctx<'_>,
        key: &AnyKey<'_>,
        order: &[NodeId],
        heat: Heat,
    ) -> Result<Option<Self>, OutOfMemory> {
        let mut made = Self::empty(key.server.pool, order, heat)?;
        let mut failed = None;
        let shown = key.key().each_element(&mut |member, _| {
            failed = failed.or(made.insert(member, &[], order).err());
        });
        failed.map_or(Ok(shown.then_some(made)), Err)
    }
}

/// Hands words on in pieces of `most`.
fn in_pieces<'w>(
    words: impl Iterator<Item = &'w [u8]>,
    most: usize,
    send: &mut dyn FnMut(&[&[u8]]),
) {
    let mut piece = Vec::with_capacity(most);
    for word in words {
        piece.push(word);
        if piece.len() == most {
            send(&piece);
            piece.clear();
        }
    }
    if !piece.is_empty() {
        send(&piece);
    }
}
