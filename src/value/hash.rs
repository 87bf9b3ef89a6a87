//! The hash of members: keyed, so that no client can choose members that collide.
//!
//! One key for the process: hashes lie in no file and in no block, so a restart may change them.

use once_cell::sync::Lazy;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

static KEY: Lazy<RandomState> = Lazy::new(RandomState::new);

/// The hash of these bytes.
#[inline]
pub(super) fn hash(bytes: &[u8]) -> u64 {
    // Not `hash_one`: it hashes the length too, which tells nothing where bytes are all there is.
    let mut hasher = KEY.build_hasher();
    hasher.write(bytes);
    hasher.finish()
}
