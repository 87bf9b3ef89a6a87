//! NUMA VERIFY: what is believed of keys against what the kernel says, and the repair.

use super::raw::Ctx;
use super::reach::Reach;
use super::server::Server;
use crate::ids::NodeId;
use crate::migrate::{KeyRef, Keyspace, Outcome};
use crate::strategy::View;

/// A key that lies elsewhere than believed.
pub(crate) struct Mismatch {
    pub(crate) key: KeyRef,
    pub(crate) believed: NodeId,
    /// Where the most of it lies.
    pub(crate) physical: NodeId,
}

/// What was found.
#[derive(Default)]
pub(crate) struct Proof {
    pub(crate) checked: u64,
    pub(crate) matched: u64,
    /// Keys about which the kernel would not say.
    pub(crate) unknown: u64,
    pub(crate) repaired: u64,
    pub(crate) mismatches: Vec<Mismatch>,
}

/// Slices of the walk in one check, at most: a table that is nearly empty takes many for a few keys.
const SLICES_MAX: usize = 1024;

/// Checks about `count` keys from where the walk stands; each that lies elsewhere is copied to its
/// node once more, which helps where the node has room again.
pub(crate) fn keys(ctx: Ctx<'_>, server: &'static Server, count: usize) -> Option<Proof> {
    let config = server.config();
    server.works.with(|works| {
        let (mut reach, _, _) = works.reach(ctx, server, &config);
        let mut found = Vec::new();
        let total = Keyspace::keys(&reach, None) as usize;
        let (mut left, mut wraps) = (count.min(total), 0);
        // The walk stands anywhere, so it may reach its end once on the way.
        for _ in 0..SLICES_MAX {
            if left == 0 || wraps == 2 {
                break;
            }
            let step = View::scan(&mut reach, left, &mut |key, info| {
                found.push((key.clone(), info.node))
            });
            left = left.saturating_sub(step.scanned);
            wraps += usize::from(step.wrapped);
        }
        let mut proof = Proof::default();
        for (key, believed) in found {
            check(&mut reach, key, believed, &mut proof);
        }
        proof
    })
}

fn check(reach: &mut Reach<'_>, key: KeyRef, believed: NodeId, proof: &mut Proof) {
    proof.checked += 1;
    match physical_node(reach, &key) {
        None => proof.unknown += 1,
        Some(physical) if physical == believed => proof.matched += 1,
        Some(physical) => {
            let again = reach.copy_to(&key, believed);
            let repaired = matches!(again, Outcome::Moved { .. })
                && physical_node(reach, &key) == Some(believed);
            proof.repaired += u64::from(repaired);
            proof.mismatches.push(Mismatch {
                key,
                believed,
                physical,
            });
        }
    }
}

/// The node that the kernel says most of the key's bytes lie on.
fn physical_node(reach: &Reach<'_>, key: &KeyRef) -> Option<NodeId> {
    let (start, len) = reach.memory_of(key)?;
    let by_node = reach.server.physical(start, len);
    by_node
        .into_iter()
        .max_by_key(|(_, bytes)| *bytes)
        .map(|(node, _)| node)
}
