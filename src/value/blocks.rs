//! The blocks of a big value: links between them, and the account of what they take.
//!
//! ```text
//! link     | address / 16 (44 bits) | class (8) | node (6) | tag (6) |      0 = no block
//! account  | blocks u64 | memory u64 | bytes on node 0 | ... | on node 63 |   in the root's body
//! ```
//!
//! A block lies at a multiple of 16, so eight bytes hold its address, what it takes to give it
//! back, and six bits for whoever keeps the link (an index keeps a piece of a hash there and need
//! not touch what does not match).
//!
//! Invariants: memory = sum of sizes of the value's blocks = sum over nodes of bytes there; a link
//! lies only in blocks of its own value, and leads to a live block of it. This file makes and
//! follows links; no other one can make one of numbers of its own, so what is followed is good as
//! long as no freed block's link is kept, which is each structure's duty and what their `check`
//! looks at. A [`Writer`] hands out one block at a time for writing, or two different ones.
//!
//! Rejected: boxes and references of Rust, which are 16 bytes where these are 8, and know no node.

use super::field::{get_u64, put, put_u64};
use super::goal::Goal;
use crate::ids::NodeId;
use crate::pool::{Block, OutOfMemory, PoolHandle};
use std::marker::PhantomData;
use std::ptr::NonNull;

const ADDRESS_BITS: u32 = 48;
const ALIGN_BITS: u32 = 4;
const CLASS_AT: u32 = ADDRESS_BITS - ALIGN_BITS;
const NODE_AT: u32 = CLASS_AT + 8;
const TAG_AT: u32 = NODE_AT + 6;
const NODE_MASK: u64 = NodeId::COUNT_MAX as u64 - 1;

const _: () = assert!(NodeId::COUNT_MAX == 1 << (TAG_AT - NODE_AT));

/// How many tags there are.
pub(super) const TAGS: u64 = 1 << (u64::BITS - TAG_AT);

/// Bytes that the account takes.
pub(super) const ACCOUNT_LEN: usize = 16 + 8 * NodeId::COUNT_MAX;

/// A block, as eight bytes. Copying it copies no right: see the head of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Link(u64);

impl Link {
    /// Bytes that a link takes.
    pub(super) const LEN: usize = 8;
    /// No block.
    pub(super) const NONE: Self = Self(0);

    /// A link to the block, which is given up for it; the block itself where its address is longer
    /// than any that the kernel gives unasked.
    fn of(block: Block) -> Result<Self, Block> {
        let address = block.addr() as u64;
        if address >> ADDRESS_BITS != 0 || address & ((1 << ALIGN_BITS) - 1) != 0 {
            return Err(block);
        }
        let class = u64::from(block.class().as_byte()) << CLASS_AT;
        let node = u64::from(block.node().as_byte()) << NODE_AT;
        block.into_raw().as_ptr().expose_provenance();
        Ok(Self(address >> ALIGN_BITS | class | node))
    }

    /// The link that lies at a place.
    #[inline]
    pub(super) fn get(bytes: &[u8], at: usize) -> Self {
        Self(get_u64(bytes, at))
    }

    /// Writes the link at a place.
    #[inline]
    pub(super) fn put(self, bytes: &mut [u8], at: usize) {
        put_u64(bytes, at, self.0);
    }

    /// Whether there is no block.
    #[inline]
    pub(super) const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The node that the block lies on; nothing is followed for the answer.
    #[inline]
    pub(super) fn node(self) -> NodeId {
        let number = (self.0 >> NODE_AT) & NODE_MASK;
        NodeId::new(number as usize).unwrap_or(NodeId::FIRST)
    }

    /// The address of the block; nothing is followed for the answer.
    #[inline]
    fn addr(self) -> usize {
        ((self.0 & ((1 << CLASS_AT) - 1)) << ALIGN_BITS) as usize
    }

    /// The link with a tag below [`TAGS`] instead of its own.
    #[inline]
    pub(super) const fn tagged(self, tag: u64) -> Self {
        Self(self.untagged().0 | tag << TAG_AT)
    }

    /// Its tag.
    #[inline]
    pub(super) const fn tag(self) -> u64 {
        self.0 >> TAG_AT
    }

    /// The link with tag 0.
    #[inline]
    pub(super) const fn untagged(self) -> Self {
        Self(self.0 & ((1 << TAG_AT) - 1))
    }

    fn block(self) -> Option<Block> {
        let ptr = std::ptr::with_exposed_provenance_mut(self.addr());
        let (class, node) = ((self.0 >> CLASS_AT) as u8, self.node().as_byte());
        let ptr = NonNull::new(ptr)?;
        // SAFETY: a link is made of a block in this file alone, and what is followed is alive (the
        // head of the file); class and node are that block's.
        Some(unsafe { Block::from_raw(ptr, class, node) })
    }
}

/// Looks at the blocks of one value.
#[derive(Clone, Copy)]
pub(super) struct Reader<'v>(PhantomData<&'v ()>);

impl<'v> Reader<'v> {
    /// For a value that is borrowed for `'v`.
    pub(super) fn of<T>(_value: &'v T) -> Self {
        Self(PhantomData)
    }

    /// The bytes of a block; none of no block.
    #[inline]
    pub(super) fn bytes(self, link: Link) -> &'v [u8] {
        let Some(block) = link.block() else {
            return &[];
        };
        let bytes = block.bytes();
        // SAFETY: the block lives on when `block` is let go of, and the value that it belongs to
        // is borrowed for all of `'v`, so nobody writes to it or gives it back.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) }
    }

    /// Shows a block to someone who asks for blocks.
    pub(super) fn show(self, link: Link, visit: &mut dyn FnMut(&Block) -> bool) -> bool {
        link.block().is_none_or(|block| visit(&block))
    }

    /// All bytes that a block takes from its node.
    pub(super) fn size(self, link: Link) -> usize {
        link.block().map_or(0, |block| block.size())
    }
}

/// Changes the blocks of one value, and keeps its account.
pub(super) struct Writer<'v> {
    pool: PoolHandle,
    order: &'v [NodeId],
    account: &'v mut [u8],
}

impl<'v> Writer<'v> {
    /// New blocks come from the first node of `order` that has room.
    pub(super) fn new(pool: PoolHandle, order: &'v [NodeId], account: &'v mut [u8]) -> Self {
        Self {
            pool,
            order,
            account,
        }
    }

    /// The account, for what is no link.
    pub(super) fn into_account(self) -> &'v mut [u8] {
        self.account
    }

    /// The same, to look only.
    #[inline]
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader(PhantomData)
    }

    /// The bytes of a block; none of no block.
    #[inline]
    pub(super) fn bytes(&self, link: Link) -> &[u8] {
        self.reader().bytes(link)
    }

    /// The bytes of a block, for writing.
    #[inline]
    pub(super) fn bytes_mut(&mut self, link: Link) -> &mut [u8] {
        let Some(mut block) = link.block() else {
            return &mut [];
        };
        let bytes = block.bytes_mut();
        let (start, len) = (bytes.as_mut_ptr(), bytes.len());
        // SAFETY: the block lives on when `block` is let go of; the borrow of the writer lets
        // nobody else at the value's blocks.
        unsafe { std::slice::from_raw_parts_mut(start, len) }
    }

    /// The bytes of two different blocks, for writing.
    pub(super) fn pair_mut(&mut self, a: Link, b: Link) -> (&mut [u8], &mut [u8]) {
        debug_assert_ne!(a.untagged(), b.untagged(), "two blocks are two");
        let (Some(mut one), Some(mut other)) = (a.block(), b.block()) else {
            return (&mut [], &mut []);
        };
        if one.addr() == other.addr() {
            return (&mut [], &mut []);
        }
        let (one, other) = (one.bytes_mut(), other.bytes_mut());
        let (start, len) = (one.as_mut_ptr(), one.len());
        // SAFETY: as in `bytes_mut`.
        let first = unsafe { std::slice::from_raw_parts_mut(start, len) };
        let (start, len) = (other.as_mut_ptr(), other.len());
        // SAFETY: as in `bytes_mut`; the other block, so the two do not overlap.
        let second = unsafe { std::slice::from_raw_parts_mut(start, len) };
        (first, second)
    }

    /// A new block of at least `size` bytes, which are not written yet.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing has changed.
    pub(super) fn alloc(&mut self, size: usize) -> Result<Link, OutOfMemory> {
        self.alloc_on(size, self.order)
    }

    fn alloc_on(&mut self, size: usize, order: &[NodeId]) -> Result<Link, OutOfMemory> {
        let block = self.pool.alloc(size, order)?;
        let link = Link::of(block).map_err(|block| {
            self.pool.free(block);
            OutOfMemory
        })?;
        account(self.account, link, 1);
        Ok(link)
    }

    /// Gives a block back.
    pub(super) fn free(&mut self, link: Link) {
        account(self.account, link, -1);
        if let Some(block) = link.block() {
            self.pool.free(block);
        }
    }

    /// Where a block is to be made anew for that goal; nothing where it stays, or is none.
    #[inline]
    pub(super) fn target(&self, link: Link, goal: Goal) -> Option<NodeId> {
        goal.target(self.pool, link.node(), link.addr())
    }

    /// Makes a block anew on exactly that node; the link to it from now on, tag kept.
    ///
    /// # Errors
    /// [`OutOfMemory`]: the block stays where it is.
    pub(super) fn moved(&mut self, link: Link, to: NodeId) -> Result<Link, OutOfMemory> {
        let new = self.alloc_on(self.bytes(link).len(), &[to])?;
        let (to, from) = self.pair_mut(new, link);
        put(to, 0, from);
        self.free(link);
        Ok(new.tagged(link.tag()))
    }
}

/// Gives back a block of a value that is being dropped, on whichever thread.
pub(super) fn release(pool: PoolHandle, link: Link) {
    if let Some(block) = link.block() {
        pool.free(block);
    }
}

const BLOCKS: usize = 0;
const MEMORY: usize = 8;
const NODES: usize = 16;

fn account(account: &mut [u8], link: Link, sign: i64) {
    let size = Reader(PhantomData).size(link) as i64 * sign;
    count(account, link.node(), size, sign);
}

/// Adds to an account what is not a link: the root itself.
pub(super) fn count(account: &mut [u8], node: NodeId, bytes: i64, blocks: i64) {
    for (at, delta) in [
        (BLOCKS, blocks),
        (MEMORY, bytes),
        (NODES + 8 * node.index(), bytes),
    ] {
        let sum = get_u64(account, at).wrapping_add_signed(delta);
        put_u64(account, at, sum);
    }
}

/// How many blocks the account knows.
pub(super) fn blocks(account: &[u8]) -> usize {
    get_u64(account, BLOCKS) as usize
}

/// All bytes that they take.
pub(super) fn memory(account: &[u8]) -> usize {
    get_u64(account, MEMORY) as usize
}

/// The bytes that lie on a node.
pub(super) fn bytes_on(account: &[u8], node: NodeId) -> usize {
    get_u64(account, NODES + 8 * node.index()) as usize
}

/// The node with most of the bytes: `likely` where it has half of them, else found by looking.
pub(super) fn fullest(account: &[u8], likely: NodeId) -> NodeId {
    if 2 * bytes_on(account, likely) >= memory(account) {
        return likely;
    }
    let nodes = (0..NodeId::COUNT_MAX).filter_map(NodeId::new);
    let most = nodes.max_by_key(|node| bytes_on(account, *node));
    most.unwrap_or(likely)
}
