//! The NUMA list to the server.

use super::numa_key::{AnyKey, TypedKey};
use super::numa_type::NumaType;
use super::raw::{Ctx, Digest, Io, Name};
use crate::heat::Heat;
use crate::ids::NodeId;
use crate::migrate::Kind;
use crate::pool::OutOfMemory;
use crate::value::{NumaList, Value};
use std::ffi::CStr;

/// A key to the list commands.
pub(crate) type ListKey<'c> = TypedKey<'c, NumaList>;

/// How many elements one command of a rewritten AOF has at most, as in stock.
pub(super) const ITEMS_A_COMMAND: usize = 64;
/// How many elements of a native list are asked for at once.
const SLICE: u64 = 1024;

impl NumaType for NumaList {
    const KIND: Kind = Kind::List;
    const NAME: &'static CStr = c"numa-list";

    fn rewrite(&self, io: Io<'_>, key: Name<'_>) {
        let mut batch = Vec::with_capacity(ITEMS_A_COMMAND);
        self.each_from(0, |element| {
            batch.push(element);
            if batch.len() == ITEMS_A_COMMAND {
                io.emit_words(c"NUMA.RPUSH", key, batch.drain(..));
            }
            true
        });
        if !batch.is_empty() {
            io.emit_words(c"NUMA.RPUSH", key, batch.drain(..));
        }
    }

    /// One element of the digest: the order counts.
    fn digest(&self, digest: Digest<'_>) {
        self.each_from(0, |element| {
            digest.part(element);
            true
        });
        digest.end_element();
    }

    fn to_native(&self, ctx: Ctx<'_>, key: &AnyKey<'_>) -> bool {
        let mut done = true;
        self.each_from(0, |element| {
            let text = ctx.string(element);
            done = text.is_some_and(|text| key.key().list_push(text.name()));
            done
        });
        done
    }

    fn from_native(
        ctx: Ctx<'_>,
        key: &AnyKey<'_>,
        order: &[NodeId],
        heat: Heat,
    ) -> Result<Option<Self>, OutOfMemory> {
        let mut made = Self::empty(key.server.pool, order, heat)?;
        let len = key.key().native_len() as u64;
        while made.len() < len {
            let from = made.len();
            let words = [from, from + SLICE - 1].map(|at| ctx.string(at.to_string().as_bytes()));
            let [Some(first), Some(last)] = &words else {
                return Ok(None);
            };
            let range = [key.name(), first.name(), last.name()];
            let Some(slice) = ctx.ask(c"LRANGE", &range) else {
                return Ok(None);
            };
            let mut pushed = Ok(());
            slice.each(&mut |element| {
                pushed = made.push_back(element, order);
                pushed.is_ok()
            });
            pushed?;
            if made.len() == from {
                return Ok(None);
            }
        }
        Ok(Some(made))
    }
}
