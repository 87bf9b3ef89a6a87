//! Size classes: which block a request gets.
//!
//! ```text
//!   16  24  32 ... 512 | 576 640 ... 1024 | 1152 ... 2048 | ... 32 KiB | whole OS pages
//!   8-byte steps       | 8 steps a doubling                            | SizeClass::LARGE
//! ```
//!
//! Steps of 8 bytes cost 3.5 bytes a block: 1.3 % of sizes uniform in 16..512, where jemalloc's
//! four steps a doubling cost 7 %. Above 512 bytes eight steps a doubling cost 6 % at the mean.
//! The request is looked up in one table of bytes; everything the pool asks about a class lies in
//! one 16-byte row of a table with a row for every byte, so that no lookup can leave it. A class
//! that the pool gives out takes seven bits, which is what a link between blocks has for it.
//!
//! A slab is 16 to 256 KiB. Up to 512 bytes it is the smallest that holds [`BLOCKS_GOOD`] blocks,
//! beside which its record and its tail come to half a percent, and no bigger than a record's own
//! bits reach. Above, it is the smallest that holds [`BLOCKS_MIN`] and leaves no more than one 64th
//! as its tail; where even the biggest has a longer tail, the tail is whole OS pages that nobody
//! ever touches.
//!
//! Rejected: powers of two (25 % lost), steps of 16 bytes (2.8 % lost; nothing that lies in a block
//! needs more than eight), and slabs of one size for all classes (either the big classes get three
//! blocks a slab, or the small ones keep 256 KiB for a few strings).

/// The unit in which regions are carved, and the smallest slab, in bytes.
pub(super) const UNIT: usize = 16 << 10;
/// Every block starts at a multiple of this many bytes.
pub(super) const BLOCK_ALIGN: usize = 8;
/// The smallest block, in bytes.
pub(super) const BLOCK_MIN: usize = 16;
/// How many slab sizes there are.
pub(super) const RANKS: usize = 5;
/// The most blocks a slab has.
pub(super) const BLOCKS_MAX: usize = 1024;
/// A slab has at least this many blocks, unless its class is so big that the biggest slab has less.
const BLOCKS_MIN: usize = 16;
/// A slab of blocks up to [`FINE_MAX`] has at least this many.
const BLOCKS_GOOD: usize = 128;
/// Up to here the classes are 8 bytes apart.
const FINE_MAX: usize = 512;
const FINE_COUNT: usize = (FINE_MAX - BLOCK_MIN) / BLOCK_ALIGN + 1;
/// Above [`FINE_MAX`]: classes a doubling.
const STEPS: usize = 8;
/// The biggest block of a slab, in bytes.
pub(super) const SMALL_MAX: usize = 32 << 10;
const DOUBLINGS: usize = (SMALL_MAX / FINE_MAX).ilog2() as usize;
/// How many classes have slabs.
pub(super) const CLASS_COUNT: usize = FINE_COUNT + STEPS * DOUBLINGS;

/// A size class by its number, as the one byte that a value header keeps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct SizeClass(u8);

/// What the pool knows of a class.
#[derive(Clone, Copy)]
struct Row {
    /// See [`SizeClass::reciprocal`].
    reciprocal: u64,
    /// Bytes of a block.
    size: u32,
    /// Blocks a slab.
    blocks: u16,
    /// Which of the slab sizes.
    rank: u8,
    /// Words of the slab's bitmap.
    words: u8,
}

const fn size_of_class(number: usize) -> usize {
    if number < FINE_COUNT {
        return BLOCK_MIN + number * BLOCK_ALIGN;
    }
    let coarse = number - FINE_COUNT;
    let base = FINE_MAX << (coarse / STEPS);
    base + base / STEPS * (coarse % STEPS + 1)
}

const fn rank_of_size(size: usize) -> usize {
    let enough = if size <= FINE_MAX {
        BLOCKS_GOOD
    } else {
        BLOCKS_MIN
    };
    let mut rank = 0;
    while rank + 1 < RANKS {
        let slab = UNIT << rank;
        if slab / size >= enough && slab % size <= slab / 64 {
            return rank;
        }
        rank += 1;
    }
    rank
}

const fn row(number: usize) -> Row {
    let size = size_of_class(number);
    let rank = rank_of_size(size);
    let blocks = (UNIT << rank) / size;
    assert!(blocks <= BLOCKS_MAX, "the bitmap holds a slab");
    assert!(blocks >= 8, "a slab is worth its header");
    assert!(
        size.is_multiple_of(BLOCK_ALIGN),
        "blocks keep their alignment"
    );
    Row {
        reciprocal: (1u128 << 64).div_ceil(size as u128) as u64,
        size: size as u32,
        blocks: blocks as u16,
        rank: rank as u8,
        words: blocks.div_ceil(64) as u8,
    }
}

const NO_ROW: Row = Row {
    reciprocal: 0,
    size: 0,
    blocks: 0,
    rank: 0,
    words: 0,
};

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn rows() -> [Row; 256] {
    let mut rows = [NO_ROW; 256];
    let mut number = 0;
    while number < CLASS_COUNT {
        rows[number] = row(number);
        number += 1;
    }
    rows
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn lookup() -> [u8; SMALL_MAX / BLOCK_ALIGN + 1] {
    let mut table = [0; SMALL_MAX / BLOCK_ALIGN + 1];
    let (mut step, mut class) = (0, 0);
    while step < table.len() {
        if step * BLOCK_ALIGN > size_of_class(class) {
            class += 1;
        }
        table[step] = class as u8;
        step += 1;
    }
    table
}

static ROWS: [Row; 256] = rows();
static LOOKUP: [u8; SMALL_MAX / BLOCK_ALIGN + 1] = lookup();

const _: () = assert!(CLASS_COUNT == 111 && CLASS_COUNT < SizeClass::LARGE.0 as usize);
const _: () = assert!(size_of_class(FINE_COUNT - 1) == FINE_MAX);
const _: () = assert!(size_of_class(CLASS_COUNT - 1) == SMALL_MAX);
const _: () = assert!(size_of::<Row>() == 16, "a row in a quarter of a cache line");

/// The quotient of an offset into a slab and the size of that reciprocal, if there is no rest. The
/// product's high half is the quotient; its low half is the rest times the reciprocal, and a
/// quotient of at most 2^10 times an error below the size, which stays far below one reciprocal.
#[inline]
pub(super) fn divide(offset: usize, reciprocal: u64) -> Option<usize> {
    let product = offset as u128 * u128::from(reciprocal);
    let exact = (product as u64) < reciprocal;
    exact.then_some((product >> 64) as usize)
}

impl SizeClass {
    /// Blocks of whole OS pages, each on a run of units or in a mapping of its own.
    pub const LARGE: Self = Self(i8::MAX as u8);

    /// The class of the smallest block with room for `size` bytes.
    #[inline]
    #[must_use]
    pub fn of(size: usize) -> Self {
        Self::small(size).unwrap_or(Self::LARGE)
    }

    /// The class of a block with room for `size` bytes, unless it is [`SizeClass::LARGE`].
    #[inline]
    pub(super) fn small(size: usize) -> Option<Self> {
        if size > SMALL_MAX {
            return None;
        }
        LOOKUP
            .get(size.div_ceil(BLOCK_ALIGN))
            .map(|&class| Self(class))
    }

    /// The class that [`SizeClass::as_byte`] gave. A byte that it never gave makes a class
    /// without blocks: freeing one is a fault, never a crash.
    #[inline]
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        Self(byte)
    }

    /// The one byte that a value header keeps.
    #[inline]
    #[must_use]
    pub const fn as_byte(self) -> u8 {
        self.0
    }

    /// Whether blocks of this class are whole OS pages.
    #[inline]
    #[must_use]
    pub const fn is_large(self) -> bool {
        self.0 == Self::LARGE.0
    }

    /// Bytes of a block; zero for [`SizeClass::LARGE`], whose blocks differ.
    #[inline]
    #[must_use]
    pub fn size(self) -> usize {
        self.row().size as usize
    }

    /// `ceil(2^64 / size)`: dividing by the size is a multiplication, see [`divide`].
    pub(super) fn reciprocal(self) -> u64 {
        self.row().reciprocal
    }

    /// Blocks a slab.
    #[inline]
    pub(super) fn blocks(self) -> usize {
        usize::from(self.row().blocks)
    }

    /// Words of a slab's bitmap.
    #[inline]
    pub(super) fn words(self) -> usize {
        usize::from(self.row().words)
    }

    /// Which of the slab sizes this class has.
    #[inline]
    pub(super) fn rank(self) -> Rank {
        Rank(self.row().rank)
    }

    /// The block that starts `offset` bytes into a slab; nothing where none starts there.
    #[inline]
    pub(super) fn block_at(self, offset: usize) -> Option<usize> {
        let row = self.row();
        if offset >= UNIT << row.rank {
            return None;
        }
        let block = divide(offset, row.reciprocal)?;
        (block < usize::from(row.blocks)).then_some(block)
    }

    /// The classes that have slabs.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..CLASS_COUNT as u8).map(Self)
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "there is a row for every byte")]
    fn row(self) -> &'static Row {
        &ROWS[self.0 as usize]
    }
}

/// A slab size: 16 KiB shifted left by the rank.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rank(u8);

impl Rank {
    /// Units a slab: 1, 2, 4, 8 or 16.
    #[inline]
    pub(super) const fn units(self) -> usize {
        1 << self.0
    }

    /// Bytes a slab.
    #[inline]
    pub(super) const fn bytes(self) -> usize {
        UNIT * self.units()
    }

    /// The number, below [`RANKS`].
    #[inline]
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }

    /// Every rank, smallest slab first.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..RANKS as u8).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_size_gets_the_smallest_block_that_holds_it() {
        for size in 0..=SMALL_MAX {
            let class = SizeClass::of(size);
            assert!(class.size() >= size, "{size}");
            if class.0 > 0 {
                assert!(SizeClass(class.0 - 1).size() < size, "{size}");
            }
        }
        assert!(SizeClass::of(SMALL_MAX + 1).is_large());
        assert!(SizeClass::of(usize::MAX).is_large());
    }

    #[test]
    fn rounding_of_small_sizes_costs_under_one_and_a_half_percent() {
        let asked: usize = (16..=512).sum();
        let given: usize = (16..=512).map(|size| SizeClass::of(size).size()).sum();
        assert!(given * 1000 < asked * 1015, "{given} for {asked}");
    }

    #[test]
    fn the_reciprocal_divides_exactly() {
        for class in SizeClass::all() {
            for offset in 0..class.rank().bytes() {
                let (block, rest) = (offset / class.size(), offset % class.size());
                let expected = (rest == 0 && block < class.blocks()).then_some(block);
                assert_eq!(class.block_at(offset), expected, "{class:?} {offset}");
            }
            assert_eq!(class.block_at(class.rank().bytes()), None);
        }
    }

    #[test]
    fn slab_tails_touch_at_most_a_64th() {
        for class in SizeClass::all() {
            let tail = class.rank().bytes() - class.blocks() * class.size();
            let touched = tail % 4096;
            assert!(touched <= class.rank().bytes() / 64, "{class:?} {tail}");
        }
    }

    #[test]
    fn record_and_tail_of_small_blocks_cost_little() {
        let (mut given, mut around) = (0.0, 0.0);
        for class in SizeClass::all().take(FINE_COUNT) {
            let (slab, blocks) = (class.rank().bytes(), class.blocks());
            let record = 64 + if class.words() > 4 { 96 } else { 0 };
            given += class.size() as f64;
            around += (slab - blocks * class.size() + record) as f64 / blocks as f64;
            assert!(class.words() <= 4 || class.rank() == Rank(0), "{class:?}");
        }
        assert!(around < given * 0.005, "{around} around {given}");
    }

    #[test]
    fn a_byte_that_is_no_class_has_no_blocks() {
        for byte in CLASS_COUNT as u8..=u8::MAX {
            assert_eq!(SizeClass::from_byte(byte).size(), 0);
            assert_eq!(SizeClass::from_byte(byte).block_at(0), None);
        }
    }
}
