//! How full the nodes will be once what is planned is done.
//!
//! A plan is made against the usage of one moment and carried out later; each planned move is
//! entered here, so that the next decision of the same plan sees its room taken or made.

use super::View;
use crate::ids::{Bytes, NodeId};
use crate::migrate::Usage;

/// The nodes, home first, and their usage with planned moves counted in.
#[derive(Debug)]
pub(super) struct Ledger {
    home: NodeId,
    nodes: Vec<(NodeId, Usage)>,
}

impl Ledger {
    /// The nodes as they are now.
    pub(super) fn open(view: &dyn View) -> Self {
        let nodes = view.nodes();
        Self {
            home: view.home(),
            nodes: nodes.iter().map(|&id| (id, view.usage(id))).collect(),
        }
    }

    /// Usage of the home node.
    pub(super) fn near(&self) -> Usage {
        let near = self.nodes.iter().find(|(id, _)| *id == self.home);
        near.map_or(Usage::NONE, |(_, usage)| *usage)
    }

    /// The nearest other node that has room for that much.
    pub(super) fn far_with_room(&self, bytes: Bytes) -> Option<NodeId> {
        let others = self.nodes.iter().filter(|(id, _)| *id != self.home);
        others
            .filter(|(_, usage)| usage.room_below(100) >= bytes)
            .map(|(id, _)| *id)
            .next()
    }

    /// Enters a planned move.
    pub(super) fn enter(&mut self, from: NodeId, to: NodeId, bytes: Bytes) {
        for (id, usage) in &mut self.nodes {
            if *id == from {
                usage.used -= bytes;
            }
            if *id == to {
                usage.used += bytes;
            }
        }
    }
}
