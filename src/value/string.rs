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
//! Every change makes the new block before it gives the old one back: a command that runs out of
//! memory has changed nothing. Recycled blocks hold old bytes, so whatever a gap uncovers is
//! zeroed here, byte for byte, and never read before it is written.

use super::codec::{read_heat, write_heat, BadPayload, Sink, Source};
use super::header::{Header, HEADER_LEN};
use crate::heat::{Clock, Heat};
use crate::ids::NodeId;
use crate::pool::{Block, OutOfMemory, PoolHandle};
use std::fmt;
use std::ops::Range;
use std::ptr::NonNull;

/// The longest string, in bytes: the header counts in 32 bits.
pub const LEN_MAX: usize = u32::MAX as usize - HEADER_LEN;

/// Up to here growth doubles; beyond, it adds this much.
const GROWTH_STEP_MAX: usize = 1 << 20;

/// A string in a pool; dropping it gives its block back.
pub struct NumaString {
    /// Empty only while the value is being taken apart.
    block: Option<Block>,
    pool: PoolHandle,
}

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
        let mut string = Self::sized(pool, order, bytes.len(), bytes.len(), heat)?;
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
        let mut string = Self::sized(pool, order, len, len, heat)?;
        string.slice_mut(0..len).fill(0);
        Ok(string)
    }

    /// A string whose `len` bytes are not written yet, in a block with room for `capacity`.
    fn sized(
        pool: PoolHandle,
        order: &[NodeId],
        len: usize,
        capacity: usize,
        heat: Heat,
    ) -> Result<Self, OutOfMemory> {
        if len > LEN_MAX {
            return Err(OutOfMemory);
        }
        let block = pool.alloc(HEADER_LEN + capacity, order)?;
        let header = Header {
            heat,
            pinned: false,
            len: len as u32,
            class: block.class().as_byte(),
            node: block.node().as_byte(),
        };
        let mut string = Self::from_block(block, pool);
        string.set_header(&header);
        Ok(string)
    }

    /// The string that lies in a block.
    pub(super) fn from_block(block: Block, pool: PoolHandle) -> Self {
        Self {
            block: Some(block),
            pool,
        }
    }

    /// The address alone: what a server keeps. `raw::take` makes a string of it again.
    #[must_use]
    pub fn into_raw(mut self) -> NonNull<u8> {
        let block = self.block.take();
        block.map_or(NonNull::dangling(), Block::into_raw)
    }

    /// The address of the string's block, for questions to the kernel; changes as it grows.
    #[must_use]
    pub fn addr(&self) -> usize {
        self.block.as_ref().map_or(0, Block::addr)
    }

    /// The bytes of the user.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let range = HEADER_LEN..HEADER_LEN + self.len();
        let block = self.block.as_ref();
        let bytes = block.and_then(|block| block.bytes().get(range));
        bytes.unwrap_or(&[])
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.header().len as usize
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How hot the string is.
    #[must_use]
    pub fn heat(&self) -> Heat {
        self.header().heat
    }

    /// Writes the heat; in place, the address stays.
    pub fn set_heat(&mut self, heat: Heat) {
        let header = Header {
            heat,
            ..self.header()
        };
        self.set_header(&header);
    }

    /// Counts one access; in place, the address stays.
    pub fn touch(&mut self, clock: &Clock, dice: u32) {
        let mut heat = self.heat();
        heat.touch(clock, dice);
        self.set_heat(heat);
    }

    /// Whether the user bound the string to its node.
    #[must_use]
    pub fn pinned(&self) -> bool {
        self.header().pinned
    }

    /// Binds the string to its node, or lets it go; in place, the address stays.
    pub fn set_pinned(&mut self, pinned: bool) {
        let header = Header {
            pinned,
            ..self.header()
        };
        self.set_header(&header);
    }

    /// The node that the block was made on.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.block.as_ref().map_or(NodeId::FIRST, Block::node)
    }

    /// All bytes that the string takes from its node, header and slack included.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.block.as_ref().map_or(0, Block::size)
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

    /// Sets all bytes anew; heat and pin stay. In place where the block fits well and lies on the
    /// first node of `order`, else in a new block.
    ///
    /// # Errors
    /// [`OutOfMemory`], and the string is what it was.
    pub fn replace(&mut self, bytes: &[u8], order: &[NodeId]) -> Result<(), OutOfMemory> {
        let stays = order.first() == Some(&self.node());
        if stays && fits_well(HEADER_LEN + bytes.len(), self.capacity()) {
            self.set_len(bytes.len());
            copy(self.slice_mut(0..bytes.len()), bytes);
            return Ok(());
        }
        let mut other = Self::new(self.pool, order, bytes, self.heat())?;
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

    /// The same bytes and heat under another key: a pin belongs to the key that was named.
    ///
    /// # Errors
    /// [`OutOfMemory`] where no node of `order` has room.
    pub fn duplicate(&self, order: &[NodeId]) -> Result<Self, OutOfMemory> {
        Self::new(self.pool, order, self.as_bytes(), self.heat())
    }

    /// Writes the string as payload version 1.
    pub fn save(&self, sink: &mut dyn Sink, clock: &Clock) {
        let header = self.header();
        write_heat(sink, &header.heat, header.pinned, clock);
        sink.bytes(self.as_bytes());
    }

    /// Reads payload version 1; `make` makes the string of the bytes and the heat that were read.
    ///
    /// # Errors
    /// [`BadPayload`]; nothing stays behind.
    pub fn load<S: Source>(
        source: &mut S,
        clock: &Clock,
        make: impl FnOnce(&[u8], Heat) -> Result<Self, OutOfMemory>,
    ) -> Result<Self, BadPayload> {
        let (heat, pinned) = read_heat(source, clock)?;
        let bytes = source.bytes()?;
        let string = make(bytes.as_ref(), heat);
        let mut string = string.map_err(|OutOfMemory| BadPayload::OutOfMemory)?;
        string.set_pinned(pinned);
        Ok(string)
    }

    /// Sees to it that `len` bytes fit, in a new block with room to grow if need be.
    fn make_room(&mut self, len: usize, order: &[NodeId]) -> Result<(), OutOfMemory> {
        if len <= LEN_MAX && HEADER_LEN + len <= self.capacity() {
            return Ok(());
        }
        let (old, heat, pool) = (self.len(), self.heat(), self.pool);
        let with_room = |capacity| Self::sized(pool, order, old.max(len), capacity, heat);
        let mut other = with_room(grown(len)).or_else(|OutOfMemory| with_room(len))?;
        copy(other.slice_mut(0..old), self.as_bytes());
        other.set_pinned(self.pinned());
        other.set_len(old);
        *self = other;
        Ok(())
    }

    /// Bytes of the block, the header's included.
    fn capacity(&self) -> usize {
        self.block.as_ref().map_or(0, Block::capacity)
    }

    fn header(&self) -> Header {
        let bytes = self
            .block
            .as_ref()
            .and_then(|block| block.bytes().first_chunk());
        Header::decoded(bytes.copied().unwrap_or_default())
    }

    fn set_header(&mut self, header: &Header) {
        let block = self.block.as_mut();
        if let Some(bytes) = block.and_then(|block| block.bytes_mut().first_chunk_mut()) {
            *bytes = header.encoded();
        }
    }

    fn set_len(&mut self, len: usize) {
        let header = Header {
            len: len as u32,
            ..self.header()
        };
        self.set_header(&header);
    }

    /// Bytes of the user in the block; nothing where they do not lie in it.
    fn slice_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        let range = HEADER_LEN + range.start..HEADER_LEN + range.end;
        let block = self.block.as_mut();
        let bytes = block.and_then(|block| block.bytes_mut().get_mut(range));
        bytes.unwrap_or(&mut [])
    }
}

/// Shape and place, never the bytes: they are the user's, and this ends up in logs.
impl fmt::Debug for NumaString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NumaString")
            .field("node", &self.node())
            .field("header", &self.header())
            .finish()
    }
}

impl Drop for NumaString {
    fn drop(&mut self) {
        if let Some(block) = self.block.take() {
            self.pool.free(block);
        }
    }
}

/// Copies bytes into a slice of the same length.
fn copy(to: &mut [u8], from: &[u8]) {
    debug_assert_eq!(to.len(), from.len(), "a copy fits exactly");
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
pub(super) mod tests;
