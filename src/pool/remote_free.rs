//! Frees from other threads: a stack that lies in the freed blocks themselves.
//!
//! ```text
//!   head --> | next, seal | ... block ... |     | next, seal | ... block ... |
//!                 |______________________________^    |____> null
//! ```
//!
//! Redis frees values on background threads (lazy free, FLUSHALL ASYNC). They push; the owner
//! thread takes the whole stack with one swap and walks it at leisure. Nobody ever pops a single
//! block, so a head that changed and changed back (ABA) harms nobody, and a push never waits.
//!
//! The seal is a keyed hash of the block's address, its link, class and node. It tells a block that
//! is pushed twice (its seal is right before the push), and a link that somebody wrote over (its
//! seal is wrong): the walk stops there, counted, rather than follow it. It is wiped as the block
//! leaves the stack, so that old bytes are not taken for a push.
//!
//! Rejected: a locked list (a command would wait for a background thread), and a channel (memory
//! for each message in the one situation that is about giving memory back).

use super::piece::Piece;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;

#[cfg(all(test, loom))]
use loom::sync::atomic::AtomicPtr;
#[cfg(not(all(test, loom)))]
use std::sync::atomic::AtomicPtr;

/// What lies in the first bytes of a block on the stack.
#[repr(C)]
#[derive(Clone, Copy)]
struct Link {
    next: *mut u8,
    seal: u64,
}

const _: () = assert!(
    size_of::<Link>() <= super::class::BLOCK_MIN && align_of::<Link>() <= super::class::BLOCK_ALIGN,
    "the smallest block holds a link"
);
const _: () = assert!(
    align_of::<Link>() <= super::class::BLOCK_ALIGN,
    "every block may hold a link"
);

/// The link at the start of a block.
///
/// # Safety
/// * `at` is aligned and initialised, and nobody writes there meanwhile.
#[cfg(not(all(test, loom)))]
unsafe fn read_link(at: NonNull<u8>) -> Link {
    // SAFETY: the caller's duties.
    unsafe { at.cast::<Link>().read() }
}

/// Writes the link at the start of a block.
///
/// # Safety
/// * `at` is aligned, and nobody else reads or writes there meanwhile.
#[cfg(not(all(test, loom)))]
unsafe fn write_link(at: NonNull<u8>, link: Link) {
    // SAFETY: the caller's duties.
    unsafe { at.cast::<Link>().write(link) };
}

#[cfg(all(test, loom))]
use model::{read_link, write_link};

/// The key of the seals.
#[derive(Clone, Copy)]
pub(super) struct Key(u64);

impl Key {
    /// A key that nobody can guess.
    pub(super) fn random() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    /// A hash of two words under the key (the finaliser of splitmix64, twice).
    pub(super) const fn hash(self, a: u64, b: u64) -> u64 {
        Self::mix(Self::mix(self.0 ^ a).wrapping_add(b))
    }

    const fn mix(mut word: u64) -> u64 {
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// The seal of a link: 48 bits of hash, then the tag.
    fn seal(self, at: NonNull<u8>, next: *mut u8, tag: u16) -> u64 {
        let hash = self.hash(
            at.addr().get() as u64 ^ u64::from(tag) << 48,
            next.addr() as u64,
        );
        hash << 16 | u64::from(tag)
    }

    /// The piece whose link this is, if the seal is right.
    fn unseal(self, at: NonNull<u8>, link: Link) -> Option<Piece> {
        let tag = link.seal as u16;
        let right = link.seal == self.seal(at, link.next, tag);
        right.then_some(Piece::tagged(at, tag))
    }
}

/// The stack that foreign threads push to.
#[repr(align(128))]
pub(super) struct RemoteStack {
    head: AtomicPtr<u8>,
    key: Key,
}

impl RemoteStack {
    pub(super) fn new(key: Key) -> Self {
        Self {
            head: AtomicPtr::new(ptr::null_mut()),
            key,
        }
    }

    /// Whether something waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.head.load(Ordering::Relaxed).is_null()
    }

    /// Puts a block on the stack; `false` where it lies there already.
    ///
    /// # Safety
    /// * `piece.ptr` is the start of a block of a pool's mapping that is mapped until it is popped:
    ///   at least 16 initialised, writable bytes, aligned to 8.
    /// * Nobody else reads or writes the block from now on.
    pub(super) unsafe fn push(&self, piece: Piece) -> bool {
        let at = piece.ptr;
        // SAFETY: the caller gives 16 initialised, aligned bytes that nobody else writes.
        let old = unsafe { read_link(at) };
        if self.key.unseal(piece.ptr, old).is_some() {
            return false;
        }
        let mut next = self.head.load(Ordering::Relaxed);
        loop {
            let seal = self.key.seal(piece.ptr, next, piece.tag());
            // SAFETY: as above, and writable; the block is not on the stack yet.
            unsafe { write_link(at, Link { next, seal }) };
            let pushed = self.head.compare_exchange_weak(
                next,
                piece.ptr.as_ptr(),
                Ordering::Release,
                Ordering::Relaxed,
            );
            match pushed {
                Ok(_) => return true,
                Err(newer) => next = newer,
            }
        }
    }

    /// Takes the whole stack. For the owner thread, which alone walks chains.
    pub(super) fn pop_all(&self) -> Chain {
        Chain {
            head: self.head.swap(ptr::null_mut(), Ordering::Acquire),
            key: self.key,
        }
    }
}

/// A stack taken off: blocks that only its holder reaches.
pub(super) struct Chain {
    head: *mut u8,
    key: Key,
}

/// Somebody wrote into a block on the stack: the rest of the chain is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Broken;

impl Chain {
    /// A chain without blocks.
    pub(super) const fn empty(key: Key) -> Self {
        Self {
            head: ptr::null_mut(),
            key,
        }
    }

    /// Whether no block is left.
    pub(super) const fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Takes the next block off.
    pub(super) fn pop(&mut self) -> Option<Result<Piece, Broken>> {
        let head = NonNull::new(self.head)?;
        // SAFETY: `head` came through a push or through a link whose seal was right, so a pusher
        // vouched for 16 initialised, aligned bytes that stay mapped until this pop; the acquiring
        // swap makes its write visible.
        let link = unsafe { read_link(head) };
        let Some(piece) = self.key.unseal(head, link) else {
            self.head = ptr::null_mut();
            return Some(Err(Broken));
        };
        self.head = link.next;
        let wiped = Link {
            next: ptr::null_mut(),
            seal: 0,
        };
        // SAFETY: the same bytes, and only the holder of the chain reaches them.
        unsafe { write_link(head, wiped) };
        Some(Ok(piece))
    }
}

/// Every order in which two threads and the owner can meet: `make test-soundness` runs this with
/// `--cfg loom`. Links are cells that loom watches, so that a missing acquire or release shows as
/// the race that it is.
#[cfg(test)]
#[cfg(loom)]
mod model {
    use super::super::class::SizeClass;
    use super::*;
    use crate::ids::NodeId;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    type Cell = UnsafeCell<Link>;

    /// # Safety
    /// * `at` is a watched cell.
    pub(super) unsafe fn read_link(at: NonNull<u8>) -> Link {
        // SAFETY: the caller's duty.
        let cell = unsafe { at.cast::<Cell>().as_ref() };
        // SAFETY: loom looks for races.
        cell.with(|link| unsafe { link.read() })
    }

    /// # Safety
    /// * `at` is a watched cell.
    pub(super) unsafe fn write_link(at: NonNull<u8>, link: Link) {
        // SAFETY: the caller's duty.
        let cell = unsafe { at.cast::<Cell>().as_ref() };
        // SAFETY: loom looks for races.
        cell.with_mut(|place| unsafe { place.write(link) });
    }

    /// Blocks that are watched, for as long as one order is played.
    struct Blocks(Vec<Box<Cell>>);

    impl Blocks {
        fn new(count: usize) -> Self {
            let empty = || Link {
                next: ptr::null_mut(),
                seal: 0,
            };
            Self((0..count).map(|_| Box::new(Cell::new(empty()))).collect())
        }

        fn piece(&self, at: usize) -> Piece {
            let ptr = NonNull::from(&*self.0[at]).cast();
            Piece::new(ptr, SizeClass::of(16), NodeId::FIRST)
        }
    }

    // SAFETY: loom looks for races.
    unsafe impl Send for Blocks {}
    // SAFETY: loom looks for races.
    unsafe impl Sync for Blocks {}

    fn push(stack: &RemoteStack, piece: Piece) -> bool {
        // SAFETY: a watched block that outlives the stack.
        unsafe { stack.push(piece) }
    }

    fn drain(stack: &RemoteStack) -> Vec<Piece> {
        let mut chain = stack.pop_all();
        let popped = std::iter::from_fn(|| chain.pop());
        popped
            .map(|piece| piece.expect("a seal is right"))
            .collect()
    }

    #[test]
    fn two_pushers_and_the_owner_in_every_order() {
        loom::model(|| {
            let key = Key(7);
            let shared = Arc::new((RemoteStack::new(key), Blocks::new(3)));
            let pushers = [vec![0, 1], vec![2]].map(|numbers| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    for at in numbers {
                        assert!(push(&shared.0, shared.1.piece(at)));
                    }
                })
            });
            let mut arrived = drain(&shared.0);
            pushers
                .into_iter()
                .for_each(|pusher| pusher.join().unwrap());
            arrived.extend(drain(&shared.0));
            for at in 0..3 {
                let piece = shared.1.piece(at);
                let times = arrived.iter().filter(|found| **found == piece).count();
                assert_eq!(times, 1, "block {at}");
            }
            assert!(shared.0.is_empty());
        });
    }

    #[test]
    fn a_block_that_came_home_may_leave_again() {
        loom::model(|| {
            let shared = Arc::new((RemoteStack::new(Key(7)), Blocks::new(2)));
            assert!(push(&shared.0, shared.1.piece(0)));
            let other = Arc::clone(&shared);
            let pusher = thread::spawn(move || assert!(push(&other.0, other.1.piece(1))));
            let mut arrived = drain(&shared.0);
            if arrived.contains(&shared.1.piece(0)) {
                assert!(push(&shared.0, shared.1.piece(0)));
            }
            pusher.join().unwrap();
            arrived.extend(drain(&shared.0));
            assert!(arrived.contains(&shared.1.piece(0)) && arrived.contains(&shared.1.piece(1)));
            assert!(shared.0.is_empty());
        });
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::super::class::SizeClass;
    use super::*;
    use crate::ids::NodeId;
    use std::thread;

    /// Sixteen bytes that may be a block.
    fn blocks(count: usize) -> Vec<Piece> {
        let memory: &'static mut [u128] = vec![0u128; count].leak();
        let piece = |block: &'static mut u128| {
            let node = NodeId::new(5).unwrap();
            Piece::new(NonNull::from(block).cast(), SizeClass::of(16), node)
        };
        memory.iter_mut().map(piece).collect()
    }

    fn push(stack: &RemoteStack, piece: Piece) -> bool {
        // SAFETY: leaked, initialised memory of 16 aligned bytes that only this test uses.
        unsafe { stack.push(piece) }
    }

    fn drain(chain: &mut Chain) -> Vec<Piece> {
        std::iter::from_fn(|| chain.pop())
            .map(Result::unwrap)
            .collect()
    }

    /// Pieces hold pointers: for this test they may cross threads.
    struct Cargo(Vec<Piece>);
    // SAFETY: each piece is used by one thread at a time.
    unsafe impl Send for Cargo {}

    #[test]
    fn what_was_pushed_comes_off_once_last_first() {
        let stack = RemoteStack::new(Key::random());
        let pieces = blocks(5);
        assert!(stack.is_empty());
        assert!(pieces.iter().all(|piece| push(&stack, *piece)));
        assert!(!stack.is_empty());
        let mut popped = drain(&mut stack.pop_all());
        popped.reverse();
        assert_eq!(popped, pieces);
        assert!(stack.is_empty() && stack.pop_all().is_empty());
        assert!(
            push(&stack, pieces[0]),
            "a seal is wiped as its block leaves"
        );
    }

    #[test]
    fn a_block_on_the_stack_is_not_pushed_again() {
        let stack = RemoteStack::new(Key::random());
        let pieces = blocks(3);
        assert!(push(&stack, pieces[0]) && push(&stack, pieces[1]));
        assert!(!push(&stack, pieces[0]) && !push(&stack, pieces[1]));
        assert_eq!(drain(&mut stack.pop_all()).len(), 2);
    }

    #[test]
    fn a_link_that_was_written_over_is_not_followed() {
        let stack = RemoteStack::new(Key::random());
        let pieces = blocks(3);
        assert!(pieces.iter().all(|piece| push(&stack, *piece)));
        // SAFETY: the test's own memory.
        unsafe { pieces[1].ptr.cast::<u128>().write(u128::MAX) };
        let mut chain = stack.pop_all();
        assert_eq!(chain.pop(), Some(Ok(pieces[2])));
        assert_eq!(chain.pop(), Some(Err(Broken)));
        assert_eq!(chain.pop(), None);
    }

    #[test]
    fn pushes_from_many_threads_all_arrive() {
        const THREADS: usize = 4;
        let each = if cfg!(miri) { 40 } else { 4000 };
        let stack: &'static RemoteStack = Box::leak(Box::new(RemoteStack::new(Key::random())));
        let pushers: Vec<_> = (0..THREADS)
            .map(|_| {
                let cargo = Cargo(blocks(each));
                thread::spawn(move || {
                    let Cargo(pieces) = { cargo };
                    assert!(pieces.into_iter().all(|piece| push(stack, piece)));
                })
            })
            .collect();
        let mut arrived = Vec::new();
        while arrived.len() < THREADS * each {
            arrived.extend(drain(&mut stack.pop_all()));
        }
        pushers
            .into_iter()
            .for_each(|pusher| pusher.join().unwrap());
        arrived.sort_by_key(|piece| piece.ptr);
        arrived.dedup();
        assert_eq!(arrived.len(), THREADS * each);
        assert!(stack.is_empty());
    }
}
