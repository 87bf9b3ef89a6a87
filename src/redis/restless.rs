//! A module that never lets native keys rest, for `make test-redis`; no other build has it.
//!
//! With the feature `restless` each tick sends a few keys, wherever the walk stands, from the near
//! node to a far one or back, for no reason, looks where they lie, and counts. The stock test suite
//! is then run over it: what moves notice of clients there would show. The counts go to the file
//! that `NUMA_RESTLESS_COUNTS` names, a line a tick, since the servers of a test do not live long.

use super::reach::Reach;
use crate::ids::NodeId;
use crate::migrate::{CursorId, KeyRef, Keyspace, Outcome, Plane};
use std::fs::OpenOptions;
use std::io::Write;

/// Keys that one tick sends away.
const KEYS: usize = 16;

/// Sends some keys away; to be called once a tick.
pub(crate) fn stir(reach: &mut Reach<'_>, nodes: &[NodeId]) {
    let (mut moved, mut wrong, mut met) = (0, 0, Vec::new());
    reach.scan(CursorId::Survey, KEYS, &mut |key, info| {
        if info.plane == Plane::Native && met.len() < 2 * KEYS {
            met.push((key.clone(), info.node));
        }
    });
    for (key, node) in met {
        let Some(to) = nodes.iter().find(|to| **to != node) else {
            continue;
        };
        if let Outcome::Moved { .. } = reach.move_by_hand(&key, *to) {
            let right = lies_on(reach, &key) == Some(*to);
            (moved, wrong) = (moved + u32::from(right), wrong + u32::from(!right));
        }
    }
    note(moved, wrong);
}

fn lies_on(reach: &mut Reach<'_>, key: &KeyRef) -> Option<NodeId> {
    Keyspace::look(reach, key).map(|info| info.node)
}

fn note(moved: u32, wrong: u32) {
    let named = std::env::var_os("NUMA_RESTLESS_COUNTS").filter(|_| moved + wrong > 0);
    let opened = named.map(|path| OpenOptions::new().create(true).append(true).open(path));
    if let Some(Ok(mut file)) = opened {
        // A line that is lost is a move that is not counted, and the run wants many.
        let _ = file.write_all(format!("{moved} {wrong}\n").as_bytes());
    }
}
