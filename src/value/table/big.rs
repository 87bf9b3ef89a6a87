//! The root of a big table: a directory of segments, and the account of where its bytes lie.
//!
//! ```text
//! body = form | target | main | 0 | peak u16 | 0 0 | segments u32 | cursor u32 | pages u32 | 0 x 4
//!        heap u64 | outside u64 | total u64 | shares 64 x u64 | page links ...
//! page = segment links, 512 at most; the last page grows by doubling
//! ```
//!
//! Two levels, so that adding one segment never copies more than a page of 4 KiB and the page
//! links, which are 8 bytes for 50,000 entries: a flat directory of a table of 100 million entries
//! is 9 MB, and its doubling a pause. The share of each node is exact; `main`, the node with the
//! largest one, is kept because every access asks for it.
//!
//! Invariant: `total` = sum of the shares = sizes of all blocks but the root's.

use crate::ids::NodeId;
use crate::pool::{Block, OutOfMemory};
use crate::value::link::{change, decode, encode, look, LINK_LEN, NO_LINK};
use crate::value::root::Root;

/// The first byte of a big body.
pub(super) const BIG: u8 = 1;
/// The target of a table that is not under way.
const NOWHERE: u8 = u8::MAX;

const TARGET: usize = 1;
const MAIN: usize = 2;
const PEAK: usize = 4;
const SEGMENTS: usize = 8;
const CURSOR: usize = 12;
const PAGES: usize = 16;
const HEAP: usize = 24;
const OUTSIDE: usize = 32;
const TOTAL: usize = 40;
const SHARES: usize = 48;
const LINKS: usize = SHARES + NodeId::COUNT_MAX * 8;

/// Links of a page at most.
const PAGE_LINKS: usize = 512;
/// Links of the first page when it is new.
const PAGE_LINKS_MIN: usize = 8;
/// Page links that a root has room for when it is new.
const ROOT_LINKS_MIN: usize = 2;

/// Bytes of the body of a root with room for that many page links.
const fn body_len(links: usize) -> usize {
    LINKS + links * LINK_LEN
}

/// The body length of a new big root.
pub(super) const NEW_BODY: usize = body_len(ROOT_LINKS_MIN);

/// A big root.
pub(super) struct Big<'r>(pub(super) &'r mut Root);

/// A big root to look at.
#[derive(Clone, Copy)]
pub(super) struct Seen<'r>(pub(super) &'r Root);

impl<'r> Seen<'r> {
    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        let bytes = self
            .0
            .body()
            .get(at..)
            .and_then(|bytes| bytes.first_chunk());
        bytes.copied().unwrap_or([0; N])
    }

    fn word(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }

    fn half(&self, at: usize) -> usize {
        u32::from_le_bytes(self.bytes(at)) as usize
    }

    /// How many segments there are.
    pub(super) fn segments(&self) -> usize {
        self.half(SEGMENTS)
    }

    pub(super) fn pages(&self) -> usize {
        self.half(PAGES)
    }

    /// The segment that a move goes on from.
    pub(super) fn cursor(&self) -> usize {
        self.half(CURSOR)
    }

    /// Bytes of all entries in their segments.
    pub(super) fn heap(&self) -> usize {
        self.word(HEAP) as usize
    }

    /// How many texts lie outside.
    pub(super) fn outside(&self) -> usize {
        self.word(OUTSIDE) as usize
    }

    /// Bytes of all blocks but the root's.
    pub(super) fn total(&self) -> usize {
        self.word(TOTAL) as usize
    }

    pub(super) fn share(&self, node: NodeId) -> usize {
        self.word(SHARES + node.index() * 8) as usize
    }

    /// The most entries that any segment has had.
    pub(super) fn peak(&self) -> usize {
        usize::from(u16::from_le_bytes(self.bytes(PEAK)))
    }

    /// The node with the largest share.
    pub(super) fn main(&self) -> NodeId {
        let [byte] = self.bytes(MAIN);
        NodeId::new(usize::from(byte)).unwrap_or(NodeId::FIRST)
    }

    /// Where the table is under way to.
    pub(super) fn target(&self) -> Option<NodeId> {
        let [byte] = self.bytes(TARGET);
        NodeId::new(usize::from(byte))
    }

    pub(super) fn page_link(&self, page: usize) -> [u8; LINK_LEN] {
        if page < self.pages() {
            self.bytes(LINKS + page * LINK_LEN)
        } else {
            NO_LINK
        }
    }

    fn page(&self, page: usize) -> &'r [u8] {
        // SAFETY: a page link in a big root leads to a page that the root owns; it is changed and
        // given back through `&mut Root` only, and this answer borrows the root.
        unsafe { look(self.page_link(page)) }.unwrap_or(&[])
    }

    /// The link of segment `index`.
    pub(super) fn link(&self, index: usize) -> [u8; LINK_LEN] {
        if index >= self.segments() {
            return NO_LINK;
        }
        let page = self.page(index / PAGE_LINKS);
        let at = index % PAGE_LINKS * LINK_LEN;
        let link = page.get(at..).and_then(|bytes| bytes.first_chunk());
        link.copied().unwrap_or(NO_LINK)
    }

    /// The bytes of segment `index`.
    pub(super) fn segment(&self, index: usize) -> &'r [u8] {
        // SAFETY: as in `page`: the root owns its segments, and is borrowed.
        unsafe { look(self.link(index)) }.unwrap_or(&[])
    }

    /// The block of segment `index`, to look at.
    pub(super) fn block(&self, index: usize) -> Option<Block> {
        // SAFETY: as in `page`; who takes the block away overwrites its link.
        unsafe { decode(self.link(index)) }
    }

    /// The block of a page, to look at.
    pub(super) fn page_block(&self, page: usize) -> Option<Block> {
        // SAFETY: as in `page`; who takes the block away overwrites its link.
        unsafe { decode(self.page_link(page)) }
    }

    fn largest(&self) -> NodeId {
        let nodes = (0..NodeId::COUNT_MAX).filter_map(NodeId::new);
        nodes
            .max_by_key(|node| self.share(*node))
            .unwrap_or(NodeId::FIRST)
    }
}

impl<'r> Big<'r> {
    /// The bytes of segment `index`, to change for as long as the root is borrowed.
    pub(super) fn into_segment(self, index: usize) -> &'r mut [u8] {
        // SAFETY: the root owns its segments and is borrowed alone, and this ends with it.
        unsafe { change(self.seen().link(index)) }.unwrap_or(&mut [])
    }
}

impl Big<'_> {
    /// Writes the fields of a table without segments.
    pub(super) fn begin(&mut self) {
        let node = self.0.node().as_byte();
        if let Some(head) = self.0.body_mut().get_mut(..LINKS) {
            head.fill(0);
        }
        self.put(0, &[BIG, NOWHERE, node]);
    }

    pub(super) fn seen(&self) -> Seen<'_> {
        Seen(self.0)
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.0.body_mut().get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    fn put_half(&mut self, at: usize, number: usize) {
        self.put(at, &(number as u32).to_le_bytes());
    }

    fn add(&mut self, at: usize, delta: i64) {
        let number = self.seen().word(at).wrapping_add_signed(delta);
        self.put(at, &number.to_le_bytes());
    }

    pub(super) fn set_cursor(&mut self, cursor: usize) {
        self.put_half(CURSOR, cursor);
    }

    pub(super) fn set_target(&mut self, target: Option<NodeId>) {
        self.put(TARGET, &[target.map_or(NOWHERE, NodeId::as_byte)]);
    }

    /// Counts bytes of entries in segments.
    pub(super) fn add_heap(&mut self, delta: i64) {
        self.add(HEAP, delta);
    }

    /// Counts texts that lie outside.
    pub(super) fn add_outside(&mut self, delta: i64) {
        self.add(OUTSIDE, delta);
    }

    /// Notes how many entries a segment has now.
    pub(super) fn note_count(&mut self, count: usize) {
        if count > self.seen().peak() {
            self.put(PEAK, &(count as u16).to_le_bytes());
        }
    }

    /// Counts bytes on a node.
    pub(super) fn account(&mut self, node: NodeId, delta: i64) {
        self.add(SHARES + node.index() * 8, delta);
        self.add(TOTAL, delta);
        let seen = self.seen();
        let main = seen.main();
        let moved = if delta > 0 {
            seen.share(node) > seen.share(main)
        } else {
            node == main && seen.share(main) < seen.total() / 2
        };
        if moved {
            let largest = self.seen().largest();
            self.put(MAIN, &[largest.as_byte()]);
        }
    }

    /// A block of this table, counted.
    pub(super) fn alloc(&mut self, size: usize, order: &[NodeId]) -> Result<Block, OutOfMemory> {
        let block = self.0.pool().alloc(size, order)?;
        self.account(block.node(), block.size() as i64);
        Ok(block)
    }

    /// Gives a block of this table back.
    pub(super) fn free(&mut self, block: Block) {
        self.account(block.node(), -(block.size() as i64));
        self.0.pool().free(block);
    }

    fn page_mut(&mut self, page: usize) -> &mut [u8] {
        // SAFETY: the root owns its pages and is borrowed alone.
        unsafe { change(self.seen().page_link(page)) }.unwrap_or(&mut [])
    }

    fn put_link(&mut self, index: usize, link: [u8; LINK_LEN]) {
        let at = index % PAGE_LINKS * LINK_LEN;
        let page = self.page_mut(index / PAGE_LINKS);
        if let Some(place) = page.get_mut(at..at + LINK_LEN) {
            place.copy_from_slice(&link);
        }
    }

    /// Puts another block in the place of segment `index` and gives the old one back.
    pub(super) fn replace(&mut self, index: usize, block: Block) -> Result<(), OutOfMemory> {
        let (node, size) = (block.node(), block.size() as i64);
        let link = encode(block, self.0.pool()).inspect_err(|_| self.account(node, -size))?;
        let old = self.seen().block(index);
        self.put_link(index, link);
        if let Some(old) = old {
            self.free(old);
        }
        Ok(())
    }

    /// Adds a segment at the end; the block goes back where there is no room for its link.
    pub(super) fn append(&mut self, block: Block, order: &[NodeId]) -> Result<(), OutOfMemory> {
        let index = self.seen().segments();
        if let Err(OutOfMemory) = self.make_place(index, order) {
            self.free(block);
            return Err(OutOfMemory);
        }
        let (node, size) = (block.node(), block.size() as i64);
        let link = encode(block, self.0.pool()).inspect_err(|_| self.account(node, -size))?;
        self.put_half(SEGMENTS, index + 1);
        self.put_link(index, link);
        Ok(())
    }

    /// Takes the last segment off; its block is the caller's.
    pub(super) fn pop(&mut self) -> Option<Block> {
        let index = self.seen().segments().checked_sub(1)?;
        let block = self.seen().block(index);
        self.put_link(index, NO_LINK);
        self.put_half(SEGMENTS, index);
        if index.is_multiple_of(PAGE_LINKS) {
            self.drop_page(index / PAGE_LINKS);
        }
        block
    }

    fn drop_page(&mut self, page: usize) {
        if let Some(block) = self.seen().page_block(page) {
            self.put_half(PAGES, page);
            self.free(block);
        }
    }

    /// Gives all pages back, for a root that is given up.
    pub(super) fn drop_pages(&mut self) {
        (0..self.seen().pages())
            .rev()
            .for_each(|page| self.drop_page(page));
    }

    /// Sees to it that the link of segment `index` has a place.
    fn make_place(&mut self, index: usize, order: &[NodeId]) -> Result<(), OutOfMemory> {
        let (page, slot) = (index / PAGE_LINKS, index % PAGE_LINKS);
        if page < self.seen().pages() {
            let room = self.seen().page(page).len() / LINK_LEN;
            if slot < room {
                return Ok(());
            }
            let links = (2 * room).clamp(PAGE_LINKS_MIN, PAGE_LINKS);
            let bigger = self.alloc(links * LINK_LEN, order)?;
            return self.replace_page(page, bigger);
        }
        self.make_room_for_page(page, order)?;
        let links = if page == 0 {
            PAGE_LINKS_MIN
        } else {
            PAGE_LINKS
        };
        let block = self.alloc(links * LINK_LEN, order)?;
        let (node, size) = (block.node(), block.size() as i64);
        let link = encode(block, self.0.pool()).inspect_err(|_| self.account(node, -size))?;
        self.put(LINKS + page * LINK_LEN, &link);
        self.put_half(PAGES, page + 1);
        Ok(())
    }

    /// Copies a page into another block, which takes its place.
    pub(super) fn replace_page(&mut self, page: usize, block: Block) -> Result<(), OutOfMemory> {
        let mut block = block;
        for (to, from) in block.bytes_mut().iter_mut().zip(self.seen().page(page)) {
            *to = *from;
        }
        let (node, size) = (block.node(), block.size() as i64);
        let link = encode(block, self.0.pool()).inspect_err(|_| self.account(node, -size))?;
        let old = self.seen().page_block(page);
        self.put(LINKS + page * LINK_LEN, &link);
        if let Some(old) = old {
            self.free(old);
        }
        Ok(())
    }

    fn make_room_for_page(&mut self, page: usize, order: &[NodeId]) -> Result<(), OutOfMemory> {
        if body_len(page + 1) <= self.0.capacity() {
            return Ok(());
        }
        let mut other = self.0.successor(order, body_len(page + 1 + page / 4))?;
        let used = body_len(page);
        copy(other.body_mut(), self.0.body().get(..used).unwrap_or(&[]));
        *self.0 = other;
        Ok(())
    }

    /// Makes the root anew on a node.
    pub(super) fn move_root(&mut self, to: NodeId) -> Result<(), OutOfMemory> {
        let used = body_len(self.seen().pages());
        let mut other = self.0.successor(&[to], used)?;
        copy(other.body_mut(), self.0.body().get(..used).unwrap_or(&[]));
        *self.0 = other;
        Ok(())
    }
}

/// Copies the beginning.
pub(super) fn copy(to: &mut [u8], from: &[u8]) {
    if let Some(place) = to.get_mut(..from.len()) {
        place.copy_from_slice(from);
    }
}
