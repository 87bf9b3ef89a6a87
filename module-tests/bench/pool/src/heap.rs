//! What is compared: the pool, jemalloc, mimalloc and the C library, each behind one trait.
//!
//! The others are called by their own names, never as the process's `malloc`, so all four live in
//! one process and none serves another. What is held of a block is what its owner must know to give
//! it back: a pointer, and for the pool its class and node, which a value keeps in its header.

use libc::c_void;
use redis_numa::ids::{Bytes, NodeId};
use redis_numa::machine::LinuxMachine;
use redis_numa::pool::{Block, Meter, PoolHandle, Turn};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, Ordering};

/// Rounds of compaction, as the module makes them: until little is left to gain.
const ROUNDS: usize = 2;

/// An allocator.
pub trait Heap: Copy {
    /// Its name in the tables.
    const NAME: &'static str;
    /// The right to a block.
    type Block;
    /// A block that is kept, with the bytes that were asked for: 16 bytes for each allocator.
    type Object;
    fn alloc(self, size: usize) -> Self::Block;
    fn free(self, block: Self::Block);
    /// Writes the first `size` bytes, which it was asked for.
    fn write(block: &mut Self::Block, size: usize);
    fn keep(block: Self::Block, size: u32) -> Self::Object;
    fn size(object: &Self::Object) -> u32;
    fn unkeep(object: Self::Object) -> Self::Block;
    /// Moves blocks together and gives back what then lies empty, where that can be asked for.
    fn compact(self, _objects: &mut [Self::Object]) {}
    /// Bytes of the blocks given out, where they are counted.
    fn block_bytes(self) -> Option<u64> {
        None
    }
}

/// The pool, on the first node of this machine, with a meter that only adds up.
#[derive(Clone, Copy)]
pub struct Pool {
    pool: PoolHandle,
}

/// Where the pool's blocks come from: no other allocator here is asked for a node.
const ORDER: &[NodeId] = &[NodeId::FIRST];

struct Sum(AtomicI64);

impl Meter for Sum {
    fn charge(&self, delta: i64) {
        self.0.fetch_add(delta, Ordering::Relaxed);
    }
}

impl Pool {
    /// A pool of its own.
    pub fn new() -> Self {
        let machine: &'static LinuxMachine = Box::leak(Box::new(LinuxMachine::discover()));
        let meter: &'static Sum = Box::leak(Box::new(Sum(AtomicI64::new(0))));
        Self {
            pool: PoolHandle::new(machine, meter),
        }
    }

    /// The pool itself.
    pub fn handle(self) -> PoolHandle {
        self.pool
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self::new()
    }
}

/// A block as a value keeps it: class and node beside the pointer.
pub struct Kept {
    ptr: NonNull<u8>,
    size: u32,
    /// Written and read as one, so that a processor need not wait to put it together.
    class_and_node: u16,
}

const _: () = assert!(size_of::<Kept>() == size_of::<(NonNull<u8>, u32)>());

impl Kept {
    #[inline]
    fn new(block: Block, size: u32) -> Self {
        let (class, node) = (block.class().as_byte(), block.node().as_byte());
        Self {
            ptr: block.into_raw(),
            size,
            class_and_node: u16::from(node) << 8 | u16::from(class),
        }
    }

    #[inline]
    fn into_block(self) -> Block {
        let (class, node) = (self.class_and_node as u8, (self.class_and_node >> 8) as u8);
        // SAFETY: made of such a block, which it alone keeps.
        unsafe { Block::from_raw(self.ptr, class, node) }
    }
}

impl Heap for Pool {
    const NAME: &'static str = "pool";
    type Block = Block;
    type Object = Kept;

    #[inline]
    fn alloc(self, size: usize) -> Block {
        let block = self.pool.alloc(size, ORDER).expect("memory");
        used(block.addr());
        block
    }

    #[inline]
    fn free(self, block: Block) {
        self.pool.free(block);
    }

    #[inline]
    fn write(block: &mut Block, size: usize) {
        // SAFETY: the block has that many bytes.
        unsafe { block.bytes_mut().as_mut_ptr().write_bytes(0x5a, size) };
    }

    #[inline]
    fn keep(block: Block, size: u32) -> Kept {
        Kept::new(block, size)
    }

    fn size(object: &Kept) -> u32 {
        object.size
    }

    #[inline]
    fn unkeep(object: Kept) -> Block {
        object.into_block()
    }

    fn compact(self, objects: &mut [Kept]) {
        for _ in 0..ROUNDS {
            let mut turn = Some(Turn::default());
            while let Some(next) = turn {
                turn = self.pool.choose_leaving(next);
            }
            for object in objects.iter_mut() {
                let size = object.size as usize;
                if self.pool.is_leaving(object.ptr.addr().get()) {
                    let mut made = self.alloc(size);
                    // SAFETY: two blocks, of at least that many bytes each.
                    unsafe {
                        made.bytes_mut()
                            .as_mut_ptr()
                            .copy_from(object.ptr.as_ptr(), size)
                    };
                    let old = std::mem::replace(object, Kept::new(made, object.size));
                    self.free(old.into_block());
                }
            }
            self.pool.recall_leaving();
        }
        self.pool.release_idle();
        while self.pool.trim() != Bytes::ZERO {}
    }

    fn block_bytes(self) -> Option<u64> {
        Some(self.pool.usage(NodeId::FIRST).live.0)
    }
}

/// Tells the compiler that the address is used and any memory may have changed: at the cost of no
/// instruction, where `black_box` would write a handle of two words to memory and read it back.
#[inline(always)]
fn used(addr: usize) {
    // SAFETY: no instruction at all.
    unsafe { std::arch::asm!("/* {} */", in(reg) addr, options(nostack, preserves_flags)) };
}

macro_rules! by_malloc {
    ($type:ident, $name:literal, $malloc:path, $free:path, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Default)]
        pub struct $type;

        impl Heap for $type {
            const NAME: &'static str = $name;
            type Block = NonNull<u8>;
            type Object = (NonNull<u8>, u32);

            #[inline]
            fn alloc(self, size: usize) -> NonNull<u8> {
                // SAFETY: a plain allocation.
                let block = unsafe { $malloc(size) };
                let block = NonNull::new(block.cast()).expect("memory");
                used(block.as_ptr() as usize);
                block
            }

            #[inline]
            fn free(self, block: NonNull<u8>) {
                let block: *mut c_void = block.as_ptr().cast();
                // SAFETY: `alloc` gave it, and it was not freed since.
                unsafe { $free(block) };
            }

            #[inline]
            fn keep(block: NonNull<u8>, size: u32) -> Self::Object {
                (block, size)
            }

            fn size(object: &Self::Object) -> u32 {
                object.1
            }

            #[inline]
            fn unkeep(object: Self::Object) -> NonNull<u8> {
                object.0
            }

            #[inline]
            fn write(block: &mut NonNull<u8>, size: usize) {
                // SAFETY: the block has that many bytes.
                unsafe { block.write_bytes(0x5a, size) };
            }
        }
    };
}

by_malloc!(
    Jemalloc,
    "jemalloc",
    tikv_jemalloc_sys::malloc,
    tikv_jemalloc_sys::free,
    "jemalloc 5.3, as it is configured by default."
);
by_malloc!(
    Mimalloc,
    "mimalloc",
    libmimalloc_sys::mi_malloc,
    libmimalloc_sys::mi_free,
    "mimalloc, as it is configured by default."
);
by_malloc!(
    Glibc,
    "glibc",
    libc::malloc,
    libc::free,
    "The C library of this machine."
);

#[cfg(redis_jemalloc)]
mod redis_jemalloc {
    extern "C" {
        pub fn je_malloc(size: usize) -> *mut libc::c_void;
        pub fn je_free(block: *mut libc::c_void);
    }
}
#[cfg(redis_jemalloc)]
by_malloc!(
    RedisJemalloc,
    "jemalloc 5.1",
    redis_jemalloc::je_malloc,
    redis_jemalloc::je_free,
    "The jemalloc 5.1 that Redis 6.2 carries."
);
