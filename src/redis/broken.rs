//! A mover that lies, for the control test of `make test-numa`; no other build has it.
//!
//! With the feature `broken-mover` a move copies the value to the node it lies on already, answers
//! that it was moved, and from then on the module believes so. Only someone who looks from outside
//! can tell: if the tests on real nodes do not, they prove nothing.

use crate::ids::NodeId;
use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    /// Where each key is claimed to lie, by its name.
    static CLAIMS: RefCell<BTreeMap<Vec<u8>, NodeId>> = const { RefCell::new(BTreeMap::new()) };
}

/// Notes that the key was moved there, which it was not.
pub(crate) fn claim(key: &[u8], node: NodeId) {
    CLAIMS.with_borrow_mut(|claims| claims.insert(key.to_vec(), node));
}

/// Where the key is said to lie; `truth` for a key that was never moved.
pub(crate) fn claimed(key: &[u8], truth: NodeId) -> NodeId {
    CLAIMS.with_borrow(|claims| claims.get(key).copied().unwrap_or(truth))
}
