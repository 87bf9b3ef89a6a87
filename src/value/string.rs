//! Strings in the pool: one block, a header of 16 bytes, then the bytes of the user.
//!
//! ```text
//! | header 16 | bytes len | slack |        len + slack = capacity of the block - 16
//! ```
//!
//! Growth over-allocates as the server's own strings do: to twice the new length, from 1 MiB on by
//! 1 MiB, so that a string built by many APPENDs is copied a logarithmic number of times. Where
//! that much is not to be had, the exact length is tried before the command fails. A string that
//! was only ever set whole has no slack but its size class's.
//!
//! A string of OS pages of its own grows without being copied (`PoolHandle::grow`), where the node
//! has room and it is to stay there.
//!
//! Every change makes the new block before it gives the old one back: a command that runs out of
//! memory has changed nothing. Recycled blocks hold old bytes, so whatever a gap uncovers is
//! zeroed here, byte for byte, and never read before it is written.

use super::codec::{BadPayload, Sink, Source};
use super::contract::{insist, Compacted, Landing, Step, Value};
use super::root::Root;
use crate::heat::Heat;
use crate::ids::NodeId;
use crate::pool::{Block, OutOfMemory, PoolHandle};
use std::ops::Range;
use std::ptr::NonNull;

/// The longest string, in bytes.
pub const LEN_MAX: usize = Root::BODY_MAX;

/// Up to here growth doubles; beyond, it adds this much.
const GROWTH_STEP_MAX: usize = 1 << 20;

/// A string in a pool; dropping it gives its block back.
#[derive(Debug)]
pub struct NumaString(Root);

impl NumaString {
    /// A string of those bytes on the first node of `order` that has room.
    ///
    /// # Errors
    /// [`OutOfMemory`] where none has, or where the string is longer than [`LEN_MAX`].
    pub fn new(
        pool: PoolHandle,
        order: &[NodeId],
        bytes: &[u8],
        heat: Heat,
    ) -> Result<Self, OutOfMemory> {
        let mut string = Self::sized(pool, order, bytes.len(), heat)?;
        copy(string.slice_mut(0..bytes.len()), bytes);
        Ok(string)
    }

    /// A string of `len` zero bytes.
    ///
    /// # Errors
    /// As [`NumaString::new`].
    pub fn zeroed(
        pool: PoolHandle,
        order: &[NodeId],
        len: usize,
        heat: Heat,
    ) -> Result<Self, OutOfMemory> {
        let mut string = Self::sized(pool, order, len, heat)?;
        string.slice_mut(0..len).fill(0);
        Ok(string)
    }

    /// A string whose `len` bytes are not written yet.
    fn sized(
        pool: PoolHandle,
        order: &[NodeId],
        len: usize,
        heat: Heat,
    ) -> Result<Self, OutOfMemory> {
        let mut root = Root::new(pool, order, len, heat)?;
        root.set_len(len);
        Ok(Self(root))
    }

    /// The address of the string's block; changes as it grows.
    #[cfg(test)]
    pub(super) fn addr(&self) -> usize {
        self.0.addr()
    }

    /// The bytes of the user.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.body().get(..self.len()).unwrap_or(&[])
    }

    /// The length in bytes.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// [`OutOfMemory`], and the string is what it was.
    pub fn append(&mut self, bytes: &[u8], order: &[NodeId]) -> Result<(), OutOfMemory> {
        let at = self.len();
        self.set_range(at, bytes, order)
    }

    /// Writes bytes from `offset` on; what lies between the end and `offset` becomes zero.
    ///
    /// # Errors
    /// [`OutOfMemory`], and the string is what it was.
    pub fn set_range(
        &mut self,
        offset: usize,
        bytes: &[u8],
        order: &[NodeId],
    ) -> Result<(), OutOfMemory> {
        let end = offset.checked_add(bytes.len()).ok_or(OutOfMemory)?;
        let old = self.len();
        if end > old {
            self.make_room(end, order)?;
            self.set_len(end);
            self.slice_mut(old..offset.max(old)).fill(0);
        }
        copy(self.slice_mut(offset..end), bytes);
        Ok(())
    }

    /// Whether so many bytes have just the room of this string's block.
    #[must_use]
    #[inline]
    pub fn takes(&self, len: usize) -> bool {
        fits_well(len, self.0.capacity())
    }

    /// Sets all bytes anew where the block fits well; false where it does not, and nothing is done.
    #[inline]
    pub fn overwrite(&mut self, bytes: &[u8]) -> bool {
        let fits = self.takes(bytes.len());
        if fits {
            if self.len() != bytes.len() {
                self.set_len(bytes.len());
            }
            copy(self.slice_mut(0..bytes.len()), bytes);
        }
        fits
    }

    /// Sets all bytes anew; heat and pin stay. In place where the block fits well and lies on the
    /// first node of `order`, else in a new block.
    ///
    /// # Errors
    /// [`OutOfMemory`], and the string is what it was.
    pub fn replace(&mut self, bytes: &[u8], order: &[NodeId]) -> Result<(), OutOfMemory> {
        let stays = order.first() == Some(&self.node());
        if stays && self.overwrite(bytes) {
            return Ok(());
        }
        let mut other = Self::new(self.0.pool(), order, bytes, self.heat())?;
        other.set_pinned(self.pinned());
        *self = other;
        Ok(())
    }

    /// The same string on exactly that node, heat and pin carried, slack left behind.
    ///
    /// # Errors
    /// [`OutOfMemory`] where that node has no room.
    pub fn relocated(&self, to: NodeId) -> Result<Self, OutOfMemory> {
        let mut other = self.duplicate(&[to])?;
        other.set_pinned(self.pinned());
        Ok(other)
    }

    /// Sees to it that `len` bytes fit, with room to grow, in a new block if need be.
    fn make_room(&mut self, len: usize, order: &[NodeId]) -> Result<(), OutOfMemory> {
        if len <= self.0.capacity() {
            return Ok(());
        }
        let stays = order.first() == Some(&self.node());
        if stays && (self.0.grow(grown(len)) || self.0.grow(len)) {
            return Ok(());
        }
        let old = self.len();
        let with_room = |capacity| self.0.successor(order, capacity);
        let root = with_room(grown(len)).or_else(|OutOfMemory| with_room(len))?;
        let mut other = Self(root);
        copy(other.slice_mut(0..old), self.as_bytes());
        *self = other;
        Ok(())
    }

    fn set_len(&mut self, len: usize) {
        self.0.set_len(len);
    }

    /// Bytes of the user in the block; nothing where they do not lie in it.
    fn slice_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        self.0.body_mut().get_mut(range).unwrap_or(&mut [])
    }
}

impl Value for NumaString {
    fn root(&self) -> &Root {
        &self.0
    }

    fn root_mut(&mut self) -> &mut Root {
        &mut self.0
    }

    fn memory(&self) -> usize {
        self.0.size()
    }

    fn weight(&self) -> usize {
        self.len()
    }

    fn blocks(&self) -> usize {
        1
    }

    fn node(&self) -> NodeId {
        self.0.node()
    }

    fn relocate(&mut self, to: NodeId, _budget: usize) -> Result<Step, OutOfMemory> {
        *self = self.relocated(to)?;
        Ok(Step {
            bytes: self.memory(),
            done: true,
        })
    }

    fn compact(&mut self, _from: u64, _budget: usize) -> Compacted {
        let mut bytes = 0;
        if self.0.is_leaving() {
            if let Ok(other) = self.relocated(self.node()) {
                *self = other;
                bytes = self.memory();
            }
        }
        Compacted::whole(bytes)
    }

    fn visit_blocks(&self, visit: &mut dyn FnMut(&Block) -> bool) {
        if let Some(block) = self.0.block() {
            visit(block);
        }
    }

    fn spread_blocks(&self, _most: usize, visit: &mut dyn FnMut(&Block)) {
        self.0.block().into_iter().for_each(visit);
    }

    fn save(&self, sink: &mut dyn Sink) {
        sink.bytes(self.as_bytes());
    }

    fn empty(pool: PoolHandle, order: &[NodeId], heat: Heat) -> Result<Self, OutOfMemory> {
        Self::new(pool, order, &[], heat)
    }

    fn from_root(root: Root) -> Self {
        Self(root)
    }

    fn into_raw(self) -> NonNull<u8> {
        self.0.into_raw()
    }

    fn duplicate(&self, order: &[NodeId]) -> Result<Self, OutOfMemory> {
        Self::new(self.0.pool(), order, self.as_bytes(), self.heat())
    }

    fn load<S: Source>(
        source: &mut S,
        heat: Heat,
        landing: &mut dyn Landing,
    ) -> Result<Self, BadPayload> {
        let bytes = source.bytes()?;
        let bytes = bytes.as_ref();
        let (pool, order) = (landing.pool(), landing.order(bytes.len()));
        insist(landing, || Self::new(pool, &order, bytes, heat))
    }
}

/// Copies bytes into a slice of the same length.
fn copy(to: &mut [u8], from: &[u8]) {
    debug_assert_eq!(to.len(), from.len(), "a copy fits exactly");
    #[cfg(test)]
    tests::count_copied(from.len());
    if to.len() == from.len() {
        to.copy_from_slice(from);
    }
}

/// What a string that grows to `len` bytes asks for.
fn grown(len: usize) -> usize {
    len.saturating_add(len.min(GROWTH_STEP_MAX)).min(LEN_MAX)
}

/// Whether `need` bytes would get a block of about that capacity anyway: size classes are an
/// eighth apart, 16 bytes where they are small, whole OS pages where they are large.
fn fits_well(need: usize, capacity: usize) -> bool {
    need <= capacity && capacity - need <= capacity / 8 + 16
}

/// The part of a string of `len` bytes that GETRANGE names: both ends included, negative ones
/// counted from the end, clipped as stock Redis clips.
#[must_use]
pub fn clip_range(len: usize, start: i64, end: i64) -> Range<usize> {
    if len == 0 || (start < 0 && end < 0 && start > end) {
        return 0..0;
    }
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let from_end = |at: i64| if at < 0 { (at + len).max(0) } else { at };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    if start > end {
        return 0..0;
    }
    start as usize..end as usize + 1
}

#[cfg(test)]
mod tests;
