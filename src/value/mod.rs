//! Floor 2: the values themselves.
//!
//! A value knows pools and heat, and knows no Redis.

pub mod codec;
mod header;
pub mod lcs;
pub mod longdouble;
pub mod number;
