//! The root of a value: the one block whose address the server keeps.
//!
//! ```text
//! | header 16 | body ...                 |      the body is the type's
//! ```
//!
//! Every type begins with the same header, so heat, pin and the way back from an address are the
//! same for all of them. A small value is its root and nothing else; a big one keeps links to its
//! other blocks in the body (`link`). Dropping a root gives its block back, not what it links to:
//! that is the type's duty, for only the type knows where its links lie.

use super::header::{Header, HEADER_LEN};
use crate::heat::Heat;
use crate::ids::NodeId;
use crate::pool::{Block, OutOfMemory, PoolHandle};
use std::fmt;
use std::ptr::NonNull;

/// See the head of the file.
pub struct Root {
    /// Empty only while the value is being taken apart.
    block: Option<Block>,
    pool: PoolHandle,
}

impl Root {
    /// The longest body, in bytes: the header counts in 32 bits.
    pub const BODY_MAX: usize = u32::MAX as usize - HEADER_LEN;

    /// A root with room for `body` bytes on the first node of `order` that has it. The bytes are
    /// those of an earlier block; the length is 0.
    ///
    /// # Errors
    /// [`OutOfMemory`] where none has, or where the body is longer than [`Root::BODY_MAX`].
    pub fn new(
        pool: PoolHandle,
        order: &[NodeId],
        body: usize,
        heat: Heat,
    ) -> Result<Self, OutOfMemory> {
        if body > Self::BODY_MAX {
            return Err(OutOfMemory);
        }
        let block = pool.alloc(HEADER_LEN + body, order)?;
        let header = Header {
            heat,
            pinned: false,
            len: 0,
            class: block.class().as_byte(),
            node: block.node().as_byte(),
        };
        let mut root = Self::from_block(block, pool);
        root.set_header(&header);
        Ok(root)
    }

    /// Another root for the same value, with heat, pin and length of this one.
    ///
    /// # Errors
    /// As [`Root::new`]; this one stays as it is.
    pub fn successor(&self, order: &[NodeId], body: usize) -> Result<Self, OutOfMemory> {
        let mut other = Self::new(self.pool, order, body, self.heat())?;
        other.set_pinned(self.pinned());
        other.set_len(self.len());
        Ok(other)
    }

    /// Makes room for `body` bytes without copying the value, where its block is one that can grow
    /// so; whether it has. The address may be another one then.
    pub(super) fn grow(&mut self, body: usize) -> bool {
        if body > Self::BODY_MAX {
            return false;
        }
        let Some(block) = self.block.take() else {
            return false;
        };
        let grown = self.pool.grow(block, HEADER_LEN + body);
        let done = grown.is_ok();
        self.block = Some(grown.unwrap_or_else(|block| block));
        done
    }

    /// The root that lies in a block.
    #[inline]
    pub(super) fn from_block(block: Block, pool: PoolHandle) -> Self {
        Self {
            block: Some(block),
            pool,
        }
    }

    /// The pool that its block came from.
    #[must_use]
    #[inline]
    pub fn pool(&self) -> PoolHandle {
        self.pool
    }

    /// Gives the block up for its address.
    #[must_use]
    #[inline]
    pub(super) fn into_raw(mut self) -> NonNull<u8> {
        let block = self.block.take();
        block.map_or(NonNull::dangling(), Block::into_raw)
    }

    /// Takes the block out; what is left has no body.
    #[must_use]
    #[inline]
    pub(super) fn take(&mut self) -> Self {
        Self {
            block: self.block.take(),
            pool: self.pool,
        }
    }

    /// The address of the block.
    #[must_use]
    pub fn addr(&self) -> usize {
        self.block.as_ref().map_or(0, Block::addr)
    }

    /// The node that the block was made on.
    #[must_use]
    #[inline]
    pub fn node(&self) -> NodeId {
        self.block.as_ref().map_or(NodeId::FIRST, Block::node)
    }

    /// All bytes that the block takes from its node, header and slack included.
    #[must_use]
    pub fn size(&self) -> usize {
        self.block.as_ref().map_or(0, Block::size)
    }

    /// How many bytes the body may have.
    #[must_use]
    #[inline]
    pub fn capacity(&self) -> usize {
        let capacity = self.block.as_ref().map_or(0, Block::capacity);
        capacity.saturating_sub(HEADER_LEN)
    }

    /// The whole body; what the type has not written is what an earlier block held.
    #[must_use]
    #[inline]
    pub fn body(&self) -> &[u8] {
        let block = self.block.as_ref();
        let bytes = block.and_then(|block| block.bytes().get(HEADER_LEN..));
        bytes.unwrap_or(&[])
    }

    /// The whole body, for writing.
    #[must_use]
    #[inline]
    pub fn body_mut(&mut self) -> &mut [u8] {
        let block = self.block.as_mut();
        let bytes = block.and_then(|block| block.bytes_mut().get_mut(HEADER_LEN..));
        bytes.unwrap_or(&mut [])
    }

    /// The number that the type counts in the header.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.header().len as usize
    }

    /// Whether that number is zero.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sets that number; it fits in 32 bits.
    #[inline]
    pub fn set_len(&mut self, len: usize) {
        debug_assert!(u32::try_from(len).is_ok(), "a length fits in its field");
        if let Some(block) = self.block.as_mut() {
            Header::put_len(block.head_mut(), len as u32);
        }
    }

    /// How hot the value is.
    #[must_use]
    #[inline]
    pub fn heat(&self) -> Heat {
        self.header().heat
    }

    /// Writes the heat; in place.
    #[inline]
    pub fn set_heat(&mut self, heat: Heat) {
        if let Some(block) = self.block.as_mut() {
            Header::put_heat(block.head_mut(), heat);
        }
    }

    /// Whether the user bound the value to its node.
    #[must_use]
    pub fn pinned(&self) -> bool {
        self.header().pinned
    }

    /// Binds the value to its node, or lets it go; in place.
    pub fn set_pinned(&mut self, pinned: bool) {
        let header = Header {
            pinned,
            ..self.header()
        };
        self.set_header(&header);
    }

    /// Whether its block lies in a slab that is to empty.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.pool.is_leaving(self.addr())
    }

    /// Its block, for questions to the kernel.
    #[must_use]
    pub fn block(&self) -> Option<&Block> {
        self.block.as_ref()
    }

    #[inline]
    pub(super) fn header(&self) -> Header {
        let bytes = self.block.as_ref().map(|block| *block.head());
        Header::decoded(bytes.unwrap_or_default())
    }

    #[inline]
    fn set_header(&mut self, header: &Header) {
        if let Some(block) = self.block.as_mut() {
            *block.head_mut() = header.encoded();
        }
    }
}

/// Shape and place, never the bytes: they are the user's, and this ends up in logs.
impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root")
            .field("node", &self.node())
            .field("header", &self.header())
            .finish()
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        if let Some(block) = self.block.take() {
            self.pool.free(block);
        }
    }
}
