//! What passes between the pool's parts for one block: a pointer and a tag, two machine words.
//!
//! Class and node share one word so that a piece, and a result of one, travels in two registers. As
//! three fields it travelled through memory, written bytewise and read back whole, which stalls a
//! processor's store buffer for as long as the rest of an allocation takes.

use super::class::SizeClass;
use crate::ids::NodeId;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

/// A block's address, class and node; no right to its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Piece {
    pub(super) ptr: NonNull<u8>,
    /// `| node (8 bits) | class (8 bits) |`: the number of their bin.
    tag: u16,
}

impl Piece {
    #[inline]
    pub(super) const fn new(ptr: NonNull<u8>, class: SizeClass, node: NodeId) -> Self {
        Self::tagged(ptr, Self::tag_of(class.as_byte(), node.as_byte()))
    }

    /// The piece with a tag that [`Piece::tag`] gave.
    #[inline]
    pub(super) const fn tagged(ptr: NonNull<u8>, tag: u16) -> Self {
        Self { ptr, tag }
    }

    /// The tag of these bytes.
    #[inline]
    pub(super) const fn tag_of(class: u8, node: u8) -> u16 {
        (node as u16) << 8 | class as u16
    }

    /// The tag of a block for `size` bytes on the first node of `order`; none of a large block.
    #[inline]
    pub(super) fn wanted(size: usize, order: &[NodeId]) -> Option<u16> {
        let class = SizeClass::small(size)?;
        Some(Self::tag_of(class.as_byte(), order.first()?.as_byte()))
    }

    /// Class and node in one word.
    #[inline]
    pub(super) const fn tag(self) -> u16 {
        self.tag
    }

    #[inline]
    pub(super) const fn class(self) -> SizeClass {
        SizeClass::from_byte(self.tag as u8)
    }

    /// The node. A byte that is no node stands for another one, where no such block lies.
    #[inline]
    pub(super) const fn node(self) -> NodeId {
        match NodeId::new((self.tag >> 8) as usize % NodeId::COUNT_MAX) {
            Some(node) => node,
            None => NodeId::FIRST,
        }
    }

    #[inline]
    pub(super) fn addr(self) -> usize {
        self.ptr.as_ptr().addr()
    }
}

/// The pointer `offset` bytes after `base`, with the provenance of `base`.
#[inline]
pub(super) fn offset_ptr(base: NonNull<u8>, offset: usize) -> NonNull<u8> {
    base.map_addr(|addr| addr.checked_add(offset).unwrap_or(NonZeroUsize::MAX))
}
