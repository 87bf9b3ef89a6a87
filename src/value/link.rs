//! A block kept as eight bytes inside another block of the same value.
//!
//! ```text
//! | address (48 bits) | class (8) | node (8) |        0 = no block
//! ```
//!
//! A user's address has at most 48 bits on the machines that have nodes, so address and what the
//! block needs to be given back fit in one word: a directory of a big value costs 8 bytes a block.
//! Where the kernel gave out a longer address, the block is given back and the caller told that
//! there is no memory, so a link never loses a bit.
//!
//! Invariant: a link that is written into a live block owns what it leads to; it is read to look,
//! and taken when the word is overwritten.

use crate::pool::{Block, OutOfMemory, PoolHandle};
use std::ptr::NonNull;

/// How many bytes a link takes.
pub const LINK_LEN: usize = 8;

/// The bytes of no link.
pub const NO_LINK: [u8; LINK_LEN] = [0; LINK_LEN];

const ADDRESS_BITS: u32 = 48;

/// The eight bytes that stand for a block from now on.
///
/// # Errors
/// [`OutOfMemory`] where the address does not fit; the block went back to the pool.
pub fn encode(block: Block, pool: PoolHandle) -> Result<[u8; LINK_LEN], OutOfMemory> {
    if block.addr() as u64 >> ADDRESS_BITS != 0 {
        pool.free(block);
        return Err(OutOfMemory);
    }
    let tag = u64::from(block.class().as_byte()) << 8 | u64::from(block.node().as_byte());
    let address = block.into_raw().as_ptr().expose_provenance() as u64;
    Ok((address << 16 | tag).to_le_bytes())
}

/// The block that a link stands for; nothing for [`NO_LINK`]. A block does not give itself back
/// when it is dropped, so whoever only looks simply lets go of it.
///
/// # Safety
/// * `link` was made by [`encode`], and the block was not given back since.
/// * While the answer is used, no other answer for the same link is written through.
#[must_use]
pub unsafe fn decode(link: [u8; LINK_LEN]) -> Option<Block> {
    let word = u64::from_le_bytes(link);
    let address = (word >> 16) as usize;
    let ptr = NonNull::new(std::ptr::with_exposed_provenance_mut(address))?;
    let (class, node) = ((word >> 8) as u8, word as u8);
    // SAFETY: the caller promises that the word came from a block that is still given out.
    Some(unsafe { Block::from_raw(ptr, class, node) })
}

/// The bytes of the block that a link stands for.
///
/// # Safety
/// * As [`decode`]; the block is not changed or given back during `'a`.
#[must_use]
pub unsafe fn look<'a>(link: [u8; LINK_LEN]) -> Option<&'a [u8]> {
    // SAFETY: the first promise is that of `decode`.
    let block = unsafe { decode(link) }?;
    let bytes = block.bytes();
    // SAFETY: the caller promises that the block's bytes live and stay as they are during `'a`.
    Some(unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) })
}

/// The bytes of the block that a link stands for, for writing.
///
/// # Safety
/// * As [`decode`]; nothing else looks at the block's bytes during `'a`.
#[must_use]
pub unsafe fn change<'a>(link: [u8; LINK_LEN]) -> Option<&'a mut [u8]> {
    // SAFETY: the first promise is that of `decode`.
    let mut block = unsafe { decode(link) }?;
    let bytes = block.bytes_mut();
    // SAFETY: the caller promises that the block's bytes live and are its alone during `'a`.
    Some(unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr(), bytes.len()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::testkit::{assert_all_home, id, pool};

    #[test]
    fn a_block_survives_as_eight_bytes() {
        let pool = pool();
        for (size, node) in [(40, 0), (9000, 1), (40_000, 2)] {
            let mut block = pool.alloc(size, &[id(node)]).unwrap();
            block.bytes_mut().fill(7);
            let (addr, capacity) = (block.addr(), block.capacity());
            let link = encode(block, pool).unwrap();
            // SAFETY: the link was made a line above and this is its only use.
            let block = unsafe { decode(link) }.unwrap();
            assert_eq!((block.addr(), block.capacity()), (addr, capacity));
            assert_eq!(block.node(), id(node));
            assert!(block.bytes().iter().all(|byte| *byte == 7));
            pool.free(block);
        }
        // SAFETY: no link leads nowhere.
        assert!(unsafe { decode(NO_LINK) }.is_none());
        assert_all_home(pool);
    }
}
