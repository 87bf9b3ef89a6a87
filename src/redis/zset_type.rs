//! The NUMA sorted set to the server.

use super::list_type::ITEMS_A_COMMAND;
use super::numa_key::{AnyKey, TypedKey};
use super::numa_type::NumaType;
use super::raw::{Ctx, Digest, Io, Name};
use crate::heat::Heat;
use crate::ids::NodeId;
use crate::migrate::Kind;
use crate::pool::OutOfMemory;
use crate::value::{double, NumaZset, Value};
use std::ffi::CStr;

/// A key to the sorted-set commands.
pub(crate) type ZsetKey<'c> = TypedKey<'c, NumaZset>;

impl NumaType for NumaZset {
    const KIND: Kind = Kind::SortedSet;
    const NAME: &'static CStr = c"numa-zset";

    fn rewrite(&self, io: Io<'_>, key: Name<'_>) {
        let mut batch: Vec<(Vec<u8>, &[u8])> = Vec::with_capacity(ITEMS_A_COMMAND);
        let emit = |batch: &mut Vec<(Vec<u8>, &[u8])>| {
            let words = batch
                .iter()
                .flat_map(|(score, member)| [&score[..], member]);
            io.emit_words(c"NUMA.ZADD", key, words);
            batch.clear();
        };
        self.each_from(0, |member, score| {
            batch.push((double::show(score), member));
            if batch.len() == ITEMS_A_COMMAND {
                emit(&mut batch);
            }
            true
        });
        if !batch.is_empty() {
            emit(&mut batch);
        }
    }

    fn digest(&self, digest: Digest<'_>) {
        self.each_from(0, |member, score| {
            digest.element(&[member, &double::show(score)]);
            true
        });
    }

    fn to_native(&self, ctx: Ctx<'_>, key: &AnyKey<'_>) -> bool {
        let mut done = true;
        self.each_from(0, |member, score| {
            let text = ctx.string(member);
            done = text.is_some_and(|text| key.key().zset_add(score, text.name()));
            done
        });
        done
    }

    fn from_native(
        _ctx: Ctx<'_>,
        key: &AnyKey<'_>,
        order: &[NodeId],
        heat: Heat,
    ) -> Result<Option<Self>, OutOfMemory> {
        let mut made = Self::empty(key.server.pool, order, heat)?;
        let mut added = Ok(());
        let shown = key.key().each_element(&mut |member, score| {
            if let (Ok(()), Some(score)) = (added, double::parse(score)) {
                added = made.set(member, score, order).map(|_| ());
            }
        });
        added?;
        let whole = shown && made.len() == key.key().native_len() as u64;
        Ok(whole.then_some(made))
    }
}
