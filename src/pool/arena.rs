//! Records that are known by a number: slabs, regions, large blocks.
//!
//! Numbers of 4 bytes instead of references keep the pool's logic safe Rust and halve its links.
//! The records lie in chunks that never move: a single growing vector would copy hundreds of
//! megabytes in one command when a server with 100 GB takes one more slab.
//!
//! Invariant: `chunks of records = live + free numbers`, and the list of free numbers has room for
//! every number, so that giving a record back never needs memory.

use super::OutOfMemory;

const CHUNK: usize = 256;

/// Records of one kind; a number stays good until its record is removed. `T::default()` is what a
/// vacant place holds.
pub(super) struct Arena<T> {
    chunks: Vec<Box<[T; CHUNK]>>,
    free: Vec<u32>,
    count: u32,
}

impl<T: Default> Arena<T> {
    pub(super) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            free: Vec::new(),
            count: 0,
        }
    }

    /// The record of that number, vacant or not.
    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<&T> {
        let chunk = self.chunks.get(id as usize / CHUNK)?;
        chunk.get(id as usize % CHUNK)
    }

    /// The record of that number, vacant or not.
    #[inline]
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        let chunk = self.chunks.get_mut(id as usize / CHUNK)?;
        chunk.get_mut(id as usize % CHUNK)
    }

    /// Stores a record and returns its number.
    pub(super) fn insert(&mut self, record: T) -> Result<u32, OutOfMemory> {
        if self.free.is_empty() {
            self.grow()?;
        }
        let id = self.free.pop().ok_or(OutOfMemory)?;
        if let Some(place) = self.get_mut(id) {
            *place = record;
        }
        self.count += 1;
        Ok(id)
    }

    /// Takes a record out; its number may come back for another.
    pub(super) fn remove(&mut self, id: u32) -> Option<T> {
        let record = std::mem::take(self.get_mut(id)?);
        self.free.push(id);
        self.count -= 1;
        Some(record)
    }

    /// How many records there are.
    pub(super) const fn count(&self) -> usize {
        self.count as usize
    }

    /// Every place with its number, the vacant ones too.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.chunks.iter().flat_map(|chunk| chunk.iter()))
    }

    /// Every place, the vacant ones too.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().flat_map(|chunk| chunk.iter_mut())
    }

    /// Adds one chunk of vacant places, lowest number on top of the free list.
    fn grow(&mut self) -> Result<(), OutOfMemory> {
        let first = self.chunks.len() * CHUNK;
        // Half of the numbers: the address table keeps a bit beside them.
        let high = i32::try_from(first + CHUNK).map_err(|_| OutOfMemory)?;
        self.chunks.try_reserve(1)?;
        self.free.try_reserve(first + CHUNK)?;
        let mut chunk = Vec::new();
        chunk.try_reserve_exact(CHUNK)?;
        chunk.resize_with(CHUNK, T::default);
        let chunk = chunk.into_boxed_slice().try_into();
        self.chunks.push(chunk.map_err(|_| OutOfMemory)?);
        self.free.extend((first as u32..high as u32).rev());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_records_stay() {
        let mut arena = Arena::<u64>::new();
        let ids: Vec<u32> = (0..1000).map(|n| arena.insert(n).unwrap()).collect();
        assert_eq!(ids, (0..1000).collect::<Vec<u32>>());
        assert_eq!(arena.remove(7), Some(7));
        assert_eq!(arena.count(), 999);
        assert_eq!(arena.insert(70).unwrap(), 7);
        assert_eq!(arena.get(999), Some(&999));
        assert_eq!(arena.get(7), Some(&70));
        assert_eq!(arena.get(4096), None);
        assert_eq!(arena.remove(4096), None);
    }
}
