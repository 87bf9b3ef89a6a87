//! Floor 2: the values themselves.
//!
//! A value is one or more blocks of a pool. It carries its own heat and pin, so nothing beside it
//! must be kept in step; it knows pools and heat, and knows no Redis. Where it says **address**,
//! it means the one pointer that the server keeps for it.
//!
//! * `contract` is what every type answers, `root` the block that the server points to, `header`
//!   its first 16 bytes, `link` a block kept inside another, `raw` the way back from an address,
//! * `string`, `list` and `zset` are types; `table` is two, the hash and the set,
//! * what big lists and sorted sets are made of: `blocks` links blocks and accounts for them,
//!   `big` is the root's body, `tree` finds items by number, `index` members by hash, `chunk` packs
//!   short entries, `field` reads and writes numbers, `goal` says which blocks are made anew,
//! * `sequence` is what these two have in common,
//! * `codec` is what a value looks like in a file,
//! * `number`, `double`, `longdouble`, `lcs`, `bits` compute what the string commands reply, to the
//!   last digit.

mod big;
pub mod bits;
mod blocks;
mod chunk;
pub mod codec;
pub mod contract;
pub mod double;
mod field;
mod goal;
#[cfg(test)]
mod half;
mod hash;
mod header;
mod index;
pub mod lcs;
pub mod link;
pub mod list;
pub mod longdouble;
pub mod number;
pub mod raw;
pub mod root;
mod sequence;
#[cfg(test)]
mod starved;
pub mod string;
pub mod table;
#[cfg(test)]
pub(crate) mod testkit;
mod tree;
pub mod zset;

pub use codec::{BadPayload, Sink, Source};
pub use contract::{Compacted, Landing, Step, Value};
pub use list::NumaList;
pub use root::Root;
pub use string::NumaString;
pub use table::{NumaHash, NumaSet};
pub use zset::NumaZset;
