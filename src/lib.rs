//! redis-numa: one module for stock Redis 6.2 that puts each key's bytes on the right NUMA node.
//!
//! The floors, bottom to top, stand in `src/README.md`.

pub mod config;
pub mod heat;
pub mod ids;
pub mod machine;
pub mod migrate;
pub mod placement;
pub mod pool;
pub mod strategy;
pub mod value;

#[cfg(test)]
mod tidy;
