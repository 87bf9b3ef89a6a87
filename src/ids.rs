//! Newtypes for every index and amount, so that a node number is never taken for a slot number.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};

/// A kernel NUMA node, by the kernel's own number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct NodeId(u8);

impl NodeId {
    /// Nodes with a number of this or more are left alone: one `u64` holds any set of nodes.
    pub const COUNT_MAX: usize = 64;

    /// Node 0: the only one of a machine that shows no nodes.
    pub const FIRST: Self = Self(0);

    /// The node of that number, or nothing where it is [`NodeId::COUNT_MAX`] or more.
    #[must_use]
    pub const fn new(number: usize) -> Option<Self> {
        if number < Self::COUNT_MAX {
            Some(Self(number as u8))
        } else {
            None
        }
    }

    /// The kernel's number, as an index into tables of [`NodeId::COUNT_MAX`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The kernel's number in the one byte a value header keeps.
    #[must_use]
    pub const fn as_byte(self) -> u8 {
        self.0
    }
}

const _: () = assert!(
    NodeId::COUNT_MAX <= 1 << u8::BITS,
    "a node fits in its byte"
);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An amount of memory in bytes. Arithmetic saturates: an amount is never negative, never wraps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// No memory.
    pub const ZERO: Self = Self(0);
    /// More than any machine has: stands for "no limit".
    pub const MAX: Self = Self(u64::MAX);

    /// `count` KiB.
    #[must_use]
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// `count` MiB.
    #[must_use]
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// The amount as the size of something that lies in memory.
    #[must_use]
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }

    /// That many percent of the amount, rounded down.
    #[must_use]
    pub const fn percent(self, percent: u64) -> Self {
        Self((self.0 as u128 * percent as u128 / 100) as u64)
    }
}

impl From<usize> for Bytes {
    fn from(amount: usize) -> Self {
        Self(amount as u64)
    }
}

impl Add for Bytes {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Bytes {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Bytes {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Bytes {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One of the strategy runner's slots.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct SlotIndex(u8);

impl SlotIndex {
    /// How many slots there are.
    pub const COUNT: usize = 16;
    /// The one whose strategy commands speak of: NUMAMIGRATE SCAN, NUMA PLAN.
    pub const AUTOMATIC: Self = Self(1);

    /// The slot of that number, or nothing where there is none.
    #[must_use]
    pub const fn new(number: usize) -> Option<Self> {
        if number < Self::COUNT {
            Some(Self(number as u8))
        } else {
            None
        }
    }

    /// The number, 0 to 15.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A Redis database by its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct DbIndex(pub u32);

/// How hot a value is, as users see it: 0 (cold) to 7.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Level(u8);

impl Level {
    /// The hottest level.
    pub const MAX: Self = Self(7);
    /// How many levels there are.
    pub const COUNT: usize = 8;

    /// The level, at most [`Level::MAX`].
    #[must_use]
    pub const fn clamped(level: u8) -> Self {
        if level > Self::MAX.0 {
            Self::MAX
        } else {
            Self(level)
        }
    }

    /// The number, 0 to 7.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}
