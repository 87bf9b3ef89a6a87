//! The hash and the set as values: a table with values, and one without.
//!
//! ```text
//! payload = bytes count entry...        entry = key [value]
//! ```
//!
//! `bytes` is what the value took where it was written, and only a hint for placement: a policy
//! that looks at sizes must be asked before the first entry is read. `count` is not believed
//! either; entries are read one by one, and a key that comes twice, or a table without entries,
//! which no command makes, refuses the payload.

use super::{Inserted, Table};
use crate::heat::Heat;
use crate::ids::NodeId;
use crate::pool::{Block, OutOfMemory, PoolHandle};
use crate::value::contract::insist;
use crate::value::{BadPayload, Compacted, Landing, Root, Sink, Source, Step, Value};
use std::ptr::NonNull;

/// A hash: fields with values.
pub type NumaHash = Table<true>;
/// A set: members.
pub type NumaSet = Table<false>;

impl<const VALUES: bool> Value for Table<VALUES> {
    fn root(&self) -> &Root {
        self.root()
    }

    fn root_mut(&mut self) -> &mut Root {
        self.root_mut()
    }

    fn memory(&self) -> usize {
        let others = if self.is_big() {
            self.seen().total()
        } else {
            self.outside_bytes()
        };
        self.root().size() + others
    }

    fn weight(&self) -> usize {
        self.memory()
    }

    fn blocks(&self) -> usize {
        let mut blocks = 1;
        if self.is_big() {
            blocks += self.segments() + self.seen().pages() + self.seen().outside();
        } else {
            self.visit_outside(0, &mut |_| {
                blocks += 1;
                true
            });
        }
        blocks
    }

    fn node(&self) -> NodeId {
        if self.is_big() {
            self.seen().main()
        } else {
            self.root().node()
        }
    }

    fn relocate(&mut self, to: NodeId, budget: usize) -> Result<Step, OutOfMemory> {
        self.relocate_blocks(to, budget)
    }

    fn compact(&mut self, from: u64, budget: usize) -> Compacted {
        self.compact_blocks(from, budget)
    }

    fn visit_blocks(&self, visit: &mut dyn FnMut(&Block) -> bool) {
        let is_big = self.is_big();
        let pages = if is_big { self.seen().pages() } else { 0 };
        let mut going = self.root().block().is_none_or(&mut *visit);
        let pages = (0..pages).filter_map(|page| self.seen().page_block(page));
        going = going && pages.into_iter().all(|block| visit(&block));
        for index in 0..self.segments() {
            let block = if is_big {
                self.seen().block(index)
            } else {
                None
            };
            going = going && block.is_none_or(|block| visit(&block));
            going = going && self.visit_outside(index, visit);
        }
    }

    fn spread_blocks(&self, most: usize, visit: &mut dyn FnMut(&Block)) {
        self.root().block().into_iter().for_each(&mut *visit);
        let segments = self.segments();
        let each = most / segments;
        for index in (0..segments).step_by((segments / most.max(1)).max(1)) {
            if let Some(block) = self.seen().block(index).filter(|_| self.is_big()) {
                visit(&block);
            }
            let mut left = each;
            self.visit_outside(index, &mut |block| {
                visit(block);
                left = left.saturating_sub(1);
                left > 0
            });
        }
    }

    fn save(&self, sink: &mut dyn Sink) {
        sink.unsigned(self.memory() as u64);
        sink.unsigned(self.len() as u64);
        for (key, value) in self.iter() {
            sink.bytes(key);
            if VALUES {
                sink.bytes(value);
            }
        }
    }

    fn empty(pool: PoolHandle, order: &[NodeId], heat: Heat) -> Result<Self, OutOfMemory> {
        Self::new(pool, order, heat)
    }

    fn from_root(root: Root) -> Self {
        Self::from_root(root)
    }

    fn into_raw(self) -> NonNull<u8> {
        self.into_raw()
    }

    fn duplicate(&self, order: &[NodeId]) -> Result<Self, OutOfMemory> {
        let mut other = Self::new(self.pool(), order, self.heat())?;
        for (key, value) in self.iter() {
            other.insert(key, value, order)?;
        }
        Ok(other)
    }

    fn load<S: Source>(
        source: &mut S,
        heat: Heat,
        landing: &mut dyn Landing,
    ) -> Result<Self, BadPayload> {
        let size = usize::try_from(source.unsigned()?);
        let size = size.map_err(|_| BadPayload::OutOfBounds("size"))?;
        let count = source.unsigned()?;
        if count == 0 {
            return Err(BadPayload::OutOfBounds("count"));
        }
        let (pool, order) = (landing.pool(), landing.order(size));
        let mut table = insist(landing, || Self::new(pool, &order, heat))?;
        for _ in 0..count {
            let key = source.bytes()?;
            let value = if VALUES { Some(source.bytes()?) } else { None };
            let value = value.as_ref().map_or(&[][..], AsRef::as_ref);
            let met = insist(landing, || table.insert(key.as_ref(), value, &order))?;
            if met == Inserted::Known {
                return Err(BadPayload::OutOfBounds("key"));
            }
        }
        Ok(table)
    }
}
