//! Floor 2: the values themselves.
//!
//! A value is one or more blocks of a pool. It carries its own heat and pin, so nothing beside it
//! must be kept in step; it knows pools and heat, and knows no Redis. Where it says **address**,
//! it means the one pointer that the server keeps for it.
//!
//! * `string` is the type, `header` its first 16 bytes, `raw` the way back from an address,
//! * `codec` is what a value looks like in a file,
//! * `number`, `longdouble`, `lcs`, `bits` compute what the string commands reply, to the last
//!   digit.

pub mod bits;
pub mod codec;
mod header;
pub mod lcs;
pub mod longdouble;
pub mod number;
pub mod raw;
pub mod string;

pub use codec::{BadPayload, Sink, Source};
pub use string::NumaString;
