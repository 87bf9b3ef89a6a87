//! The pool beside other allocators, on the same streams of operations.
//!
//! * `heap` is what is compared: one trait, four allocators in one process.
//! * `streams` is what they are made to do.
//!
//! `benches/speed.rs` tells how fast, `src/bin/tightness.rs` how tight.

pub mod heap;
pub mod streams;
