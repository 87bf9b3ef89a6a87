//! redis-numa: one module for stock Redis 6.2 that puts each key's bytes on the right NUMA node.
//!
//! The floors, bottom to top, stand in `src/README.md`.

pub mod ids;
pub mod machine;

#[cfg(test)]
mod tidy;
