//! Home: the node that the server's main thread runs on.
//!
//! Home decides what is near, and a new home means a pass over all keys, so it must not follow the
//! scheduler's every whim. Three ways, from firm to loose:
//! * `numa-home-node <n>`: that node, whatever is seen;
//! * `auto` with a `server_cpulist` whose CPUs all belong to one node: that node;
//! * `auto` otherwise: the node of the CPU seen, once another one was seen
//!   [`HomeTracker::SIGHTINGS`] times in a row. One sighting at home starts the count again.
//!
//! Pure: the caller feeds it with what it sees, once a tick.

use super::topology::{Topology, NODE_ZERO};
use crate::ids::NodeId;

/// `numa-home-node`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum HomeChoice {
    /// Follow the server's CPUs.
    #[default]
    Auto,
    /// This node.
    Fixed(NodeId),
}

/// Which node is home, and since when another one is in sight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HomeTracker {
    home: NodeId,
    choice: HomeChoice,
    /// The one node of all CPUs of `server_cpulist`.
    pinned: Option<NodeId>,
    /// The other node seen last, and how often in a row.
    other: Option<(NodeId, u32)>,
}

impl HomeTracker {
    /// How many times in a row another node must be seen before it is home: at one sighting a tick
    /// of 10 ms, one second.
    pub const SIGHTINGS: u32 = 100;

    /// A tracker at load. `server_cpus` are the CPUs of `server_cpulist`, none where it is not
    /// set; `seen` is the node of the CPU that the main thread runs on.
    #[must_use]
    pub fn new(
        choice: HomeChoice,
        topology: &Topology,
        server_cpus: &[usize],
        seen: Option<NodeId>,
    ) -> Self {
        let pinned = node_of_all(topology, server_cpus);
        let fallback = topology.usable().next().unwrap_or(NODE_ZERO);
        let mut tracker = Self {
            home: pinned.or(seen).unwrap_or(fallback),
            choice,
            pinned,
            other: None,
        };
        tracker.set_choice(choice);
        tracker
    }

    /// The node that is home now.
    #[must_use]
    pub fn home(&self) -> NodeId {
        self.home
    }

    /// What the operator chose.
    #[must_use]
    pub fn choice(&self) -> HomeChoice {
        self.choice
    }

    /// Takes another choice; answers the new home where it changes home at once.
    pub fn set_choice(&mut self, choice: HomeChoice) -> Option<NodeId> {
        self.choice = choice;
        self.other = None;
        let wanted = self.firm()?;
        self.move_to(wanted)
    }

    /// Takes a sighting: the node of the CPU that the main thread runs on now. Answers the new
    /// home where this one changes it.
    pub fn observe(&mut self, cpu_node: Option<NodeId>) -> Option<NodeId> {
        let seen = cpu_node.filter(|_| self.firm().is_none())?;
        if seen == self.home {
            self.other = None;
            return None;
        }
        let before = self.other.filter(|(node, _)| *node == seen);
        let count = before.map_or(1, |(_, count)| count + 1);
        self.other = Some((seen, count));
        (count >= Self::SIGHTINGS)
            .then(|| self.move_to(seen))
            .flatten()
    }

    /// The node that is home whatever is seen.
    fn firm(&self) -> Option<NodeId> {
        match self.choice {
            HomeChoice::Fixed(node) => Some(node),
            HomeChoice::Auto => self.pinned,
        }
    }

    fn move_to(&mut self, node: NodeId) -> Option<NodeId> {
        self.other = None;
        let moves = self.home != node;
        self.home = node;
        moves.then_some(node)
    }
}

/// The node that all these CPUs belong to; nothing where there are several, or none.
fn node_of_all(topology: &Topology, cpus: &[usize]) -> Option<NodeId> {
    let mut nodes = cpus.iter().filter_map(|&cpu| topology.node_of_cpu(cpu));
    let first = nodes.next()?;
    nodes.all(|node| node == first).then_some(first)
}
