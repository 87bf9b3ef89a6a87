//! NUMA VERIFY: what is believed of keys against what the kernel says, and the repair.

use super::raw::Ctx;
use super::reach::Reach;
use super::server::Server;
use super::verify::{pages, ASKED_PAGES};
use crate::ids::NodeId;
use crate::migrate::{KeyRef, Keyspace};
use crate::strategy::View;

/// A key that lies elsewhere than believed.
pub(crate) struct Mismatch {
    pub(crate) key: KeyRef,
    pub(crate) believed: NodeId,
    /// Where the most of what lies elsewhere is.
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

/// Slices of the walk in one check, at most: a nearly empty table takes many for a few keys.
const SLICES_MAX: usize = 1024;

/// Checks about `count` keys from where the walk stands; what lies elsewhere is brought to its node
/// by the kernel, which helps where the node has room again. Copying the value there once more was
/// rejected: the copy may get a block whose OS pages have spilled themselves.
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
    match strayed(reach, &key, believed) {
        None => proof.unknown += 1,
        Some(None) => proof.matched += 1,
        Some(Some(physical)) => {
            for (start, len) in reach.memory_of(&key, usize::MAX).unwrap_or_default() {
                reach.server.machine.bring(&pages(start, len), believed);
            }
            proof.repaired += u64::from(strayed(reach, &key, believed) == Some(None));
            proof.mismatches.push(Mismatch {
                key,
                believed,
                physical,
            });
        }
    }
}

/// The node that holds the most of what lies elsewhere than believed, none where nothing does;
/// nothing where the kernel does not say.
fn strayed(reach: &Reach<'_>, key: &KeyRef, believed: NodeId) -> Option<Option<NodeId>> {
    let by_node = reach
        .server
        .physical(&reach.memory_of(key, ASKED_PAGES)?)
        .by_node;
    let elsewhere = by_node.iter().filter(|(node, _)| **node != believed);
    let most = elsewhere.max_by_key(|(_, bytes)| **bytes);
    (!by_node.is_empty()).then(|| most.map(|(node, _)| *node))
}
