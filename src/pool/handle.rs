//! The pool's face: blocks, and the handle through which they come and go.
//!
//! The books have one owner, the thread that made the pool. Every call asks first whether it runs
//! there: one load of the thread pointer and one comparison, no lock and no locked instruction.
//! Other threads may free (through the stack) and read gauges; where they ask for a block the
//! answer is [`OutOfMemory`], counted. The word that is compared names nobody while the books are
//! borrowed, so that their exclusive borrow is a checked fact: a meter or a machine that called
//! back into the pool would be served like a foreign thread.
//!
//! A block is a unique right to bytes, like a `Box`, but it does not give itself back: values keep
//! it as one pointer inside Redis's own structures, so ownership passes through raw pointers
//! anyway, and a `Drop` would have to carry the handle in every block.
//!
//! Rejected: a mutex (25 ns a pair and a deadlock in a forked child), and a pool per thread (blocks
//! would have to know which).

use super::charge::Charge;
use super::class::{SizeClass, BLOCK_MIN};
use super::compact::Turn;
use super::gauge::{Gauges, NodeUsage};
use super::large::{Extent, HEADER};
use super::owner::{node_count, Common, Freed, Owner};
use super::piece::Piece;
use super::remote_free::{Chain, Key, RemoteStack};
use super::{Meter, OutOfMemory};
use crate::ids::{Bytes, NodeId};
use crate::machine::{os_page, Machine, Mapping};
use std::cell::{Cell, UnsafeCell};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    /// Whether the meter was told before of what this thread frees.
    static PREPAID: Cell<bool> = const { Cell::new(false) };
}

/// From now on what the calling thread frees was told to the meter before: [`PoolHandle::prepay`].
pub fn frees_are_prepaid() {
    PREPAID.set(true);
}

/// A block of at least so many bytes gives its OS pages back on the thread that frees it: for less
/// the system call is not worth it, as the run may be used again before it is trimmed.
const DISCARD_ABROAD_MIN: usize = 256 << 10;

/// The bytes of one value on one node: unique, and given back by its owner with
/// [`PoolHandle::free`]. Its bytes are always initialised: zero, or what an earlier block held.
#[must_use = "a block that is dropped is lost"]
#[derive(Debug)]
pub struct Block(Piece);

// SAFETY: a block is the only way to its bytes, which are memory of the whole process.
unsafe impl Send for Block {}
// SAFETY: through a shared block bytes are only read.
unsafe impl Sync for Block {}

/// What lies in front of a large block.
#[repr(C)]
#[derive(Clone, Copy)]
struct LargeHeader {
    /// An [`Extent`].
    extent: u64,
    /// A keyed hash of the address and the extent.
    seal: u64,
}

const _: () = assert!(size_of::<LargeHeader>() == HEADER);

impl Block {
    /// The node that its bytes are bound to.
    #[inline]
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.0.node()
    }

    /// Its size class.
    #[inline]
    #[must_use]
    pub const fn class(&self) -> SizeClass {
        self.0.class()
    }

    /// Its first byte's address, for asking where it lies.
    #[inline]
    #[must_use]
    pub fn addr(&self) -> usize {
        self.0.addr()
    }

    /// How many bytes it has.
    #[inline]
    #[must_use]
    pub fn capacity(&self) -> usize {
        if self.class().is_large() {
            self.size() - HEADER
        } else {
            self.class().size()
        }
    }

    /// How many bytes of its node it takes: what the meter is charged for it.
    #[inline]
    #[must_use]
    pub fn size(&self) -> usize {
        if self.class().is_large() {
            self.extent().len
        } else {
            self.class().size()
        }
    }

    /// Its first bytes, which a block of every class has: no look at the class is taken.
    #[inline]
    #[must_use]
    pub fn head(&self) -> &[u8; BLOCK_MIN] {
        // SAFETY: no block is shorter, and its bytes are this block's alone.
        unsafe { self.0.ptr.cast().as_ref() }
    }

    /// The same, for writing.
    #[inline]
    #[must_use]
    pub fn head_mut(&mut self) -> &mut [u8; BLOCK_MIN] {
        // SAFETY: no block is shorter, and its bytes are this block's alone.
        unsafe { self.0.ptr.cast().as_mut() }
    }

    /// Its bytes.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let capacity = self.capacity();
        // SAFETY: the pool gave out `capacity` initialised bytes, and to this block alone.
        unsafe { std::slice::from_raw_parts(self.0.ptr.as_ptr(), capacity) }
    }

    /// Its bytes, for writing.
    #[inline]
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let capacity = self.capacity();
        // SAFETY: the pool gave out `capacity` initialised bytes, and to this block alone.
        unsafe { std::slice::from_raw_parts_mut(self.0.ptr.as_ptr(), capacity) }
    }

    /// Gives ownership up for a pointer; class and node must be kept beside it.
    #[inline]
    #[must_use]
    pub const fn into_raw(self) -> NonNull<u8> {
        self.0.ptr
    }

    /// Takes ownership back.
    ///
    /// # Safety
    /// * `ptr` came from [`Block::into_raw`] of a block that was not freed since.
    /// * `class` and `node` are that block's, as their `as_byte` gave them.
    /// * No other block with this pointer is alive.
    #[inline]
    pub const unsafe fn from_raw(ptr: NonNull<u8>, class: u8, node: u8) -> Self {
        Self(Piece::tagged(ptr, Piece::tag_of(class, node)))
    }

    fn large_header(&self) -> LargeHeader {
        // SAFETY: a header was written in front of this block when it was given out large, in the
        // same mapping, and no slice over a block reaches it.
        unsafe { header_ptr(self.0.ptr).read() }
    }

    fn extent(&self) -> Extent {
        Extent::decode(self.large_header().extent)
    }

    fn write_header(&mut self, header: LargeHeader) {
        // SAFETY: the books leave 16 bytes in front of a large block, which nobody else has.
        unsafe { header_ptr(self.0.ptr).write(header) };
    }

    /// Notes in front of a large block where it lies.
    fn seal_large(&mut self, extent: Extent, key: Key) {
        let extent = extent.encode();
        let seal = large_seal(key, self.0.ptr, extent);
        self.write_header(LargeHeader { extent, seal });
    }

    fn is_sealed(&self, key: Key) -> bool {
        let header = self.large_header();
        header.seal == large_seal(key, self.0.ptr, header.extent)
    }

    /// Whoever frees the block again, here while it waits to come home or on another thread, finds
    /// no seal; its size stays readable.
    fn break_seal(&mut self) {
        let header = self.large_header();
        self.write_header(LargeHeader { seal: 0, ..header });
    }

    /// Gives the OS pages of a large block back, all but the first.
    fn discard_pages(&self, machine: &dyn Machine) {
        let extent = self.extent();
        let first = header_ptr(self.0.ptr).cast::<u8>().as_ptr();
        let Some(base) = NonNull::new(first.wrapping_sub(extent.start())) else {
            return;
        };
        let mapping = Mapping {
            base,
            len: Bytes::from(extent.mapping_len()),
            node: self.node(),
        };
        let end = extent.start() + extent.len;
        machine.discard(&mapping, extent.start() + os_page().as_usize()..end);
    }
}

fn header_ptr(ptr: NonNull<u8>) -> NonNull<LargeHeader> {
    let header = ptr.as_ptr().wrapping_sub(HEADER);
    NonNull::new(header).unwrap_or(ptr).cast()
}

fn large_seal(key: Key, ptr: NonNull<u8>, extent: u64) -> u64 {
    key.hash(ptr.addr().get() as u64, extent)
}

/// What all copies of a handle share.
struct Shared {
    /// The token of the thread that may borrow the books now: the owner's, or none while they are
    /// borrowed. Only the owner thread writes it.
    open_to: AtomicUsize,
    /// The owner thread's token.
    owner: usize,
    common: &'static Common,
    meter: &'static dyn Meter,
    key: Key,
    books: UnsafeCell<Owner>,
}

// SAFETY: `books` is touched by the owner thread alone (`PoolHandle::with_books`, `fast`); all else
// is read only or made of atomics.
unsafe impl Sync for Shared {}

/// The pool. Copies are cheap and go to any thread; the pool lives as long as the process, as the
/// module cannot be unloaded while it has values.
#[derive(Clone, Copy)]
pub struct PoolHandle(&'static Shared);

// SAFETY: the same argument as for `Shared`: no thread but the owner gets at the books.
unsafe impl Send for PoolHandle {}

/// No thread's token.
const NOBODY: usize = 0;

/// Opens the books again when their borrow ends, by return or by panic.
struct Reopen<'a>(&'a Shared);

impl Drop for Reopen<'_> {
    fn drop(&mut self) {
        self.0.open_to.store(self.0.owner, Ordering::Relaxed);
    }
}

impl PoolHandle {
    /// A pool over the nodes of the machine; the calling thread becomes its owner.
    #[must_use]
    pub fn new(machine: &'static dyn Machine, meter: &'static dyn Meter) -> Self {
        let key = Key::random();
        let common: &'static Common = Box::leak(Box::new(Common {
            machine,
            gauges: Gauges::new(node_count(machine.topology())),
            stack: RemoteStack::new(key),
        }));
        let books = Owner::new(common, Charge::new(meter), Chain::empty(key));
        Self(Box::leak(Box::new(Shared {
            open_to: AtomicUsize::new(thread_token()),
            owner: thread_token(),
            common,
            meter,
            key,
            books: UnsafeCell::new(books),
        })))
    }

    /// A block with at least `size` bytes on the first node of `order` that has room. Landing on
    /// another node than the first counts a fallback there.
    ///
    /// # Errors
    /// [`OutOfMemory`] where no node of `order` has room, and on every thread but the owner's;
    /// nothing has changed then.
    #[inline]
    pub fn alloc(self, size: usize, order: &[NodeId]) -> Result<Block, OutOfMemory> {
        #[cfg(test)]
        super::faults::count_block()?;
        let Some(tag) = Piece::wanted(size, order) else {
            return self.alloc_slowly(size, order);
        };
        match self.fast(|books| books.take_fast(tag)).flatten() {
            Some(piece) => Ok(Block(piece)),
            None => self.alloc_near(tag, size, order),
        }
    }

    #[inline(never)]
    fn alloc_near(self, tag: u16, size: usize, order: &[NodeId]) -> Result<Block, OutOfMemory> {
        match self.fast(|books| books.take_near(tag)).flatten() {
            Some(piece) => Ok(Block(piece)),
            None => self.alloc_slowly(size, order),
        }
    }

    #[cold]
    #[inline(never)]
    fn alloc_slowly(self, size: usize, order: &[NodeId]) -> Result<Block, OutOfMemory> {
        let Some(given) = self.with_books(|books| books.alloc(size, order)) else {
            self.0.common.gauges.stray();
            return Err(OutOfMemory);
        };
        let block = Block(given?);
        if block.class().is_large() {
            return self.finish_large(block);
        }
        Ok(block)
    }

    #[cold]
    fn finish_large(self, mut block: Block) -> Result<Block, OutOfMemory> {
        let extent = self.with_books(|books| books.extent_of(block.0));
        block.seal_large(extent.flatten().ok_or(OutOfMemory)?, self.0.key);
        Ok(block)
    }

    /// Makes a large block longer without copying it, so that it has `size` bytes; its address may
    /// be another one then. The new bytes are initialised, as those of any block.
    ///
    /// # Errors
    /// The block as it was, where that does not go: it is none of the large ones, or there is no
    /// room for it to grow.
    pub fn grow(self, mut block: Block, size: usize) -> Result<Block, Block> {
        if !block.class().is_large() || !block.is_sealed(self.0.key) {
            return Err(block);
        }
        let grown = self.with_books(|books| {
            let piece = books.grow_large(block.0, size)?;
            Some((piece, books.extent_of(piece)?))
        });
        let Some((piece, extent)) = grown.flatten() else {
            return Err(block);
        };
        block = Block(piece);
        block.seal_large(extent, self.0.key);
        Ok(block)
    }

    /// Takes a block back, from any thread. The meter knows before this returns, to within 4 KiB on
    /// the owner thread and exactly on others. A block that this pool never gave out, or that is
    /// free already, is ignored and counted in [`PoolHandle::faults`].
    #[inline]
    pub fn free(self, block: Block) {
        if self.fast(|books| books.free_fast(block.0)) != Some(true) {
            self.free_near(block);
        }
    }

    #[inline(never)]
    fn free_near(self, block: Block) {
        match self.fast(|books| books.free_near(block.0)) {
            Some(Freed::Yes) => {}
            Some(Freed::But(oldest)) => self.put_slowly(oldest),
            Some(Freed::Not) | None => self.free_slowly(block),
        }
    }

    #[cold]
    #[inline(never)]
    fn put_slowly(self, piece: Piece) {
        self.with_books(|books| books.put_slowly(piece));
    }

    #[cold]
    #[inline(never)]
    fn free_slowly(self, block: Block) {
        if block.class().is_large() {
            return self.free_large(block);
        }
        if self.with_books(|books| books.free(block.0)).is_none() {
            self.free_abroad(block);
        }
    }

    #[cold]
    fn free_large(self, mut block: Block) {
        let freed = self.with_books(|books| {
            // The books say whether there is a header at all.
            if books.extent_of(block.0).is_some() {
                if !block.is_sealed(self.0.key) {
                    return books.common.gauges.fault();
                }
                block.break_seal();
            }
            books.free(block.0);
        });
        if freed.is_none() {
            self.free_abroad(block);
        }
    }

    #[cold]
    fn free_abroad(self, mut block: Block) {
        let Common {
            machine,
            gauges,
            stack,
        } = self.0.common;
        let size = block.size();
        if block.class().is_large() {
            if !block.is_sealed(self.0.key) {
                return gauges.fault();
            }
            block.break_seal();
            if size >= DISCARD_ABROAD_MIN {
                block.discard_pages(*machine);
            }
        }
        gauges.left_abroad(block.node(), size);
        // SAFETY: the block is ours alone and its right ends here; blocks are at least 16
        // initialised bytes, aligned to 8, and stay mapped until the owner takes them back.
        if unsafe { stack.push(block.0) } {
            if !PREPAID.get() {
                self.0.meter.charge(-(size as i64));
            }
        } else {
            gauges.never_left(block.node(), size);
            gauges.fault();
        }
    }

    /// Tells the meter of blocks of so many bytes before a thread of [`frees_are_prepaid`] frees
    /// them.
    pub fn prepay(self, bytes: usize) {
        self.0.meter.charge(-(bytes as i64));
    }

    /// Whether the calling thread is the one that allocates.
    #[must_use]
    pub fn is_owner(self) -> bool {
        self.0.owner == thread_token()
    }

    /// Brings up to `max` blocks home that other threads freed; returns how many there were. Once a
    /// tick: it also lets the pool ask the machine again for room where it was refused.
    pub fn drain(self, max: usize) -> usize {
        let drained = self.with_books(|books| {
            books.forget_room();
            books.drain(max)
        });
        drained.unwrap_or(0)
    }

    /// How many bytes the block has.
    #[inline]
    #[must_use]
    pub fn capacity(self, block: &Block) -> usize {
        block.capacity()
    }

    /// One node's figures, from any thread; exact on the owner thread.
    #[must_use]
    pub fn usage(self, node: NodeId) -> NodeUsage {
        self.0.common.gauges.usage(node)
    }

    /// From now on no allocation takes the node's live bytes beyond `limit`; [`Bytes::MAX`] is
    /// none. Blocks beyond a lowered limit stay. On another thread than the owner's: nothing.
    pub fn set_limit(self, node: NodeId, limit: Bytes) {
        self.with_books(|books| books.set_limit(node, limit));
    }

    /// Shows address and length of every mapping on that node, or on all. On another thread than
    /// the owner's it shows none.
    pub fn mappings(self, node: Option<NodeId>, visit: &mut dyn FnMut(NodeId, usize, usize)) {
        self.with_books(|books| books.mappings(node, visit));
    }

    /// Gives back some of what lies empty, as much as takes some tens of microseconds: OS pages
    /// that nothing lies in, and regions without any beyond one spare a node. Returns the bytes
    /// given back; call again until there are none.
    pub fn trim(self) -> Bytes {
        self.with_books(Owner::trim).unwrap_or(Bytes::ZERO)
    }

    /// Gives up what is kept for the next allocation and has not been used, for [`Self::trim`].
    pub fn release_idle(self) {
        self.with_books(Owner::release_idle);
    }

    /// Chooses which slabs of the next bin are to empty; the turn after that, nothing after the
    /// last bin. Takes some tenths of a millisecond at the most.
    pub fn choose_leaving(self, turn: Turn) -> Option<Turn> {
        self.with_books(|books| {
            let (node, class) = turn.bin(books.nodes.len())?;
            books.empty_queue();
            books.choose(node, class);
            Some(turn.next())
        })
        .flatten()
    }

    /// Whether the block at that address is to be moved to another block of its node, so that its
    /// slab empties.
    #[must_use]
    pub fn is_leaving(self, addr: usize) -> bool {
        let asked = self.with_books(|books| books.is_leaving(addr));
        asked.unwrap_or(false)
    }

    /// The slabs that have not emptied stay.
    pub fn recall_leaving(self) {
        self.with_books(|books| {
            let mut turn = Turn::default();
            while let Some((node, class)) = turn.bin(books.nodes.len()) {
                books.recall(node, class);
                turn = turn.next();
            }
        });
    }

    /// Passes the last saved up bytes on to the meter.
    pub fn flush_charge(self) {
        self.with_books(Owner::settle);
    }

    /// Verifies every invariant of the pool. Walks all books: for tests and for operators.
    ///
    /// # Errors
    /// What is broken, or that this is not the owner thread.
    pub fn check(self) -> Result<(), String> {
        let checked = self.with_books(|books| {
            books.empty_queue();
            books.check()
        });
        checked.unwrap_or_else(|| Err("only the owner thread can check the pool".into()))
    }

    /// Counts fallbacks and allocations from here.
    pub fn reset_stats(self) {
        self.with_books(|books| books.common.gauges.reset());
    }

    /// Blocks that could not be taken back: freed twice, or never given out by this pool.
    #[must_use]
    pub fn faults(self) -> u64 {
        self.with_books(Owner::empty_queue);
        self.0.common.gauges.faults()
    }

    /// Allocations refused because they came from another thread than the owner's.
    #[must_use]
    pub fn stray_allocations(self) -> u64 {
        self.0.common.gauges.strays()
    }

    /// Whether the calling thread owns the pool.
    #[inline]
    #[must_use]
    pub fn is_owner_thread(self) -> bool {
        thread_token() == self.0.owner
    }

    /// Runs `work` on the books; nothing on a foreign thread, or while they are borrowed.
    fn with_books<R>(self, work: impl FnOnce(&mut Owner) -> R) -> Option<R> {
        if !self.is_open() {
            return None;
        }
        self.0.open_to.store(NOBODY, Ordering::Relaxed);
        let _reopen = Reopen(self.0);
        // SAFETY: this is the owner thread, and no other borrow of the books is alive: they were
        // open. They stay shut until this borrow ends.
        let books = unsafe { &mut *self.0.books.get() };
        Some(work(books))
    }

    /// The same for work that calls nobody: neither the machine, nor the meter, nor the caller.
    #[inline]
    fn fast<R>(self, work: impl FnOnce(&mut Owner) -> R) -> Option<R> {
        if !self.is_open() {
            return None;
        }
        // SAFETY: as above; nobody could ask for the books before the work is done, so they need
        // not be shut for it.
        let books = unsafe { &mut *self.0.books.get() };
        Some(work(books))
    }

    /// Whether this is the owner thread and the books are not borrowed.
    #[inline]
    fn is_open(self) -> bool {
        self.0.open_to.load(Ordering::Relaxed) == thread_token()
    }
}

/// A number that no two living threads share: the address of the thread's control block, which the
/// ABI keeps as the first word of it.
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
#[inline]
fn thread_token() -> usize {
    let token;
    // SAFETY: reads one word that the x86-64 ABI promises at fs:0 and that never changes while the
    // thread lives.
    unsafe {
        std::arch::asm!(
            "mov {}, fs:0",
            out(reg) token,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    token
}

/// A number that no two living threads share: the address of a thread's own byte. A module's
/// thread-local variables cost a call, which is why x86-64 reads the thread pointer itself.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(miri))))]
#[inline]
fn thread_token() -> usize {
    thread_local!(static MARK: std::cell::Cell<u8> = const { std::cell::Cell::new(0) });
    MARK.with(|mark| std::ptr::from_ref(mark).addr())
}

#[cfg(test)]
mod tests {
    use super::super::test_machine::{bench, node, Bench};
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
    use std::sync::OnceLock;
    use std::thread;

    /// A second block for the same bytes: what a bug in a caller would make.
    fn twin(block: &Block) -> Block {
        Block(block.0)
    }

    fn on_another_thread(work: impl FnOnce() + Send) {
        thread::scope(|scope| {
            scope.spawn(work);
        });
    }

    fn two_blocks(size: usize) -> (Bench, Block, Block) {
        let bench = bench(&[Bytes::mib(64), Bytes::mib(64)]);
        let first = bench.pool.alloc(size, &[node(0)]).unwrap();
        let second = bench.pool.alloc(size, &[node(0)]).unwrap();
        (bench, first, second)
    }

    #[test]
    fn a_block_survives_the_way_through_a_pointer() {
        for size in [100, 100_000] {
            let (bench, mut block, other) = two_blocks(size);
            block.bytes_mut().fill(7);
            let (class, node, capacity) = (block.class(), block.node(), block.capacity());
            let ptr = block.into_raw();
            // SAFETY: the pointer came from a living block a line above, with its class and node.
            let block = unsafe { Block::from_raw(ptr, class.as_byte(), node.as_byte()) };
            assert_eq!(block.capacity(), capacity);
            assert!(block.bytes().iter().all(|byte| *byte == 7));
            [block, other]
                .into_iter()
                .for_each(|block| bench.pool.free(block));
            bench.check_all_home();
        }
    }

    #[test]
    fn a_double_free_is_counted_and_ignored() {
        for size in [100, 100_000] {
            let (bench, block, other) = two_blocks(size);
            let twin = twin(&block);
            bench.pool.free(block);
            bench.pool.free(twin);
            assert_eq!(bench.pool.faults(), 1);
            bench.check();
            bench.pool.free(other);
            bench.check_all_home();
        }
    }

    #[test]
    fn a_block_that_waits_or_lies_aside_does_not_come_back_twice() {
        let bench = bench(&[Bytes::mib(64)]);
        let pool = bench.pool;
        let alloc = |_| pool.alloc(64, &[node(0)]).unwrap();
        let blocks: Vec<Block> = (0..25_600).map(alloc).collect();
        let mut twins = Vec::new();
        let (mut gone, mut kept) = (Vec::new(), Vec::new());
        for (at, block) in blocks.into_iter().enumerate() {
            if at % 300 == 7 {
                twins.push(twin(&block));
                gone.push(block);
            } else {
                kept.push(block);
            }
        }
        let count = gone.len() as u64;
        gone.into_iter().for_each(|block| pool.free(block));
        twins.into_iter().for_each(|twin| pool.free(twin));
        assert_eq!(pool.faults(), count);
        bench.check();
        kept.into_iter().for_each(|block| pool.free(block));
        bench.check_all_home();
    }

    #[test]
    fn a_double_free_that_waits_takes_nothing_from_a_new_owner() {
        let bench = bench(&[Bytes::mib(64)]);
        let (pool, mut faults) = (bench.pool, 0);
        for size in [16, 24, 64, 200, 480] {
            let alloc = |_| pool.alloc(size, &[node(0)]).unwrap();
            let mut blocks: Vec<Block> = (0..3000).map(alloc).collect();
            for round in 0..400 {
                // A swap takes the last to the hole: far from the window and from each other.
                let gone = blocks.swap_remove(round * 7 % 2000);
                let twin = twin(&gone);
                pool.free(gone);
                for at in 0..round % 18 {
                    pool.free(blocks.swap_remove(at * 11 % 2000));
                }
                pool.free(twin);
                blocks.extend((0..=round % 18).map(alloc));
                faults += 1;
                let mut starts: Vec<usize> = blocks.iter().map(Block::addr).collect();
                starts.sort_unstable();
                starts.dedup();
                assert_eq!(starts.len(), blocks.len(), "a block has two owners");
            }
            assert_eq!(pool.faults(), faults);
            bench.check();
            blocks.into_iter().for_each(|block| pool.free(block));
        }
        bench.check_all_home();
    }

    #[test]
    fn a_double_free_abroad_is_counted_and_ignored() {
        for size in [100, 100_000] {
            let (bench, block, other) = two_blocks(size);
            let (twin, pool) = (twin(&block), bench.pool);
            on_another_thread(|| {
                pool.free(block);
                pool.free(twin);
                pool.free(other);
            });
            assert_eq!(pool.faults(), 1);
            bench.check();
            bench.check_all_home();
        }
    }

    #[test]
    fn a_double_free_here_and_abroad_keeps_the_account() {
        for size in [100, 100_000, 3_000_000] {
            let (bench, block, other) = two_blocks(size);
            let (twin, pool) = (twin(&block), bench.pool);
            on_another_thread(|| pool.free(block));
            pool.free(twin);
            pool.drain(9);
            assert_eq!(pool.faults(), 1);
            bench.check();
            pool.free(other);
            bench.check_all_home();
        }
    }

    #[test]
    fn a_large_block_that_is_freed_again_abroad_takes_no_pages_from_others() {
        let (bench, block, other) = two_blocks(200_000);
        let (first, second, pool) = (twin(&block), twin(&other), bench.pool);
        pool.free(block);
        on_another_thread(|| pool.free(other));
        pool.drain(9);
        // The same units, and the old headers under them.
        let mut small = pool.alloc(20_000, &[node(0)]).unwrap();
        small.bytes_mut()[16..].fill(5);
        on_another_thread(|| {
            pool.free(first);
            pool.free(second);
        });
        assert_eq!(pool.faults(), 2);
        assert!(small.bytes()[16..].iter().all(|byte| *byte == 5));
        pool.free(small);
        bench.check_all_home();
    }

    #[test]
    fn only_the_pages_of_the_block_go_back_abroad() {
        let (bench, mut block, mut other) = two_blocks(250_000);
        let (mut small, pool) = (bench.pool.alloc(33_000, &[node(0)]).unwrap(), bench.pool);
        let blocks = [&mut block, &mut other, &mut small];
        blocks
            .into_iter()
            .for_each(|block| block.bytes_mut().fill(5));
        let big = bench.machine.discarded.load(Relaxed);
        on_another_thread(|| pool.free(other));
        assert_eq!(
            bench.machine.discarded.load(Relaxed),
            big,
            "too little to give back"
        );
        let other = pool.alloc(262_000, &[node(0)]).unwrap();
        let size = other.size() as u64;
        on_another_thread(|| pool.free(other));
        let given = bench.machine.discarded.load(Relaxed) - big;
        assert_eq!(given, size - os_page().0);
        for block in [block, small] {
            assert!(block.bytes().iter().all(|byte| *byte == 5));
            pool.free(block);
        }
        bench.check_all_home();
    }

    #[test]
    fn a_block_written_after_it_was_freed_abroad_breaks_no_more_than_the_chain() {
        let (bench, block, other) = two_blocks(100);
        let (mut twin, pool) = (twin(&block), bench.pool);
        on_another_thread(|| pool.free(block));
        twin.bytes_mut().fill(0x41);
        assert_eq!(pool.drain(9), 1);
        assert_eq!(pool.faults(), 1);
        pool.free(other);
        bench.check();
    }

    #[test]
    fn a_pointer_that_is_no_block_is_counted_and_ignored() {
        let (bench, block, other) = two_blocks(100);
        let stranger = |offset: usize, class: SizeClass, node: NodeId| {
            let ptr = super::super::piece::offset_ptr(block.0.ptr, offset);
            Block(Piece::new(ptr, class, node))
        };
        let class = block.class();
        let wrong = [
            stranger(16, class, node(0)),
            stranger(1, class, node(0)),
            stranger(1 << 40, class, node(0)),
            stranger(0, SizeClass::of(400), node(0)),
            stranger(0, SizeClass::LARGE, node(0)),
            stranger(0, SizeClass::from_byte(200), node(0)),
            stranger(0, class, node(1)),
            stranger(0, class, node(63)),
        ];
        let count = wrong.len() as u64;
        wrong.into_iter().for_each(|wrong| bench.pool.free(wrong));
        assert_eq!(bench.pool.faults(), count);
        let large = bench.pool.alloc(100_000, &[node(0)]).unwrap();
        for offset in [1, 16, 16 << 10, 64 << 10, 112 << 10] {
            let ptr = super::super::piece::offset_ptr(large.0.ptr, offset);
            bench
                .pool
                .free(Block(Piece::new(ptr, SizeClass::LARGE, node(0))));
        }
        bench
            .pool
            .free(Block(Piece::new(large.0.ptr, SizeClass::LARGE, node(1))));
        bench
            .pool
            .free(Block(Piece::new(large.0.ptr, class, node(0))));
        assert_eq!(bench.pool.faults(), count + 7);
        bench.pool.free(large);
        bench.check();
        [block, other]
            .into_iter()
            .for_each(|block| bench.pool.free(block));
        bench.check_all_home();
    }

    #[test]
    fn a_block_of_another_pool_is_counted_and_ignored() {
        for size in [100, 100_000] {
            let (bench, block, other) = two_blocks(size);
            let stranger = super::super::test_machine::bench(&[Bytes::mib(64)]);
            let (twin, twin_abroad, pool) = (twin(&block), twin(&other), stranger.pool);
            pool.free(twin);
            on_another_thread(|| pool.free(twin_abroad));
            pool.drain(9);
            assert_eq!(pool.faults(), 2);
            stranger.check_all_home();
            [block, other]
                .into_iter()
                .for_each(|block| bench.pool.free(block));
            bench.check_all_home();
        }
    }

    /// A meter that breaks its contract.
    #[derive(Default)]
    struct Meddler {
        pool: OnceLock<PoolHandle>,
        sum: AtomicI64,
    }

    impl Meter for Meddler {
        fn charge(&self, delta: i64) {
            self.sum.fetch_add(delta, Relaxed);
            if let Some(pool) = self.pool.get() {
                assert!(pool.alloc(16, &[node(0)]).is_err());
                assert!(pool.check().is_err());
            }
        }
    }

    #[test]
    fn a_meter_that_calls_back_is_served_like_a_foreign_thread() {
        let meter: &'static Meddler = Box::leak(Box::default());
        let pool = PoolHandle::new(bench(&[Bytes::mib(64)]).machine, meter);
        meter.pool.set(pool).ok();
        let block = pool.alloc(8192, &[node(0)]).unwrap();
        assert_eq!(
            (pool.stray_allocations(), meter.sum.load(Relaxed)),
            (1, 8192)
        );
        pool.free(block);
        assert_eq!((pool.stray_allocations(), meter.sum.load(Relaxed)), (2, 0));
        pool.check().unwrap();
    }
}
