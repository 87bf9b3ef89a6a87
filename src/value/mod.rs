//! Floor 2: the values themselves.
//!
//! A value is one or more blocks of a pool. It carries its own heat and pin, so nothing beside it
//! must be kept in step; it knows pools and heat, and knows no Redis. Where it says **address**,
//! it means the one pointer that the server keeps for it.
//!
//! * `contract` is what every type answers, `root` the block that the server points to, `header`
//!   its first 16 bytes, `link` a block kept inside another, `raw` the way back from an address,
//! * `string` is a type,
//! * `codec` is what a value looks like in a file,
//! * `number`, `longdouble`, `lcs`, `bits` compute what the string commands reply, to the last
//!   digit.

pub mod bits;
pub mod codec;
pub mod contract;
mod header;
pub mod lcs;
pub mod link;
pub mod longdouble;
pub mod number;
pub mod raw;
pub mod root;
pub mod string;
#[cfg(test)]
pub(crate) mod testkit;

pub use codec::{BadPayload, Sink, Source};
pub use contract::{Landing, Step, Value};
pub use root::Root;
pub use string::NumaString;
