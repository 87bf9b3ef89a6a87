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

use super::topology::Topology;
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
        let fallback = topology.usable().next().unwrap_or(NodeId::FIRST);
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
    let homes = topology.cpu_homes();
    let mut nodes = cpus
        .iter()
        .filter_map(|&cpu| homes.get(cpu).copied().flatten());
    let first = nodes.next()?;
    nodes.all(|node| node == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Bytes;
    use crate::machine::NodeInfo;

    fn id(number: usize) -> NodeId {
        NodeId::new(number).unwrap()
    }

    /// Two sockets of two CPUs.
    fn topology() -> Topology {
        let node = |number: usize| NodeInfo {
            id: id(number),
            cpus: vec![2 * number, 2 * number + 1],
            capacity: Bytes::mib(1),
            tier: 0,
            distances: vec![10, 10],
            latency_ns: vec![None, None],
            bandwidth_mbps: None,
            allowed: true,
        };
        Topology {
            nodes: vec![node(0), node(1)],
        }
    }

    fn tracker(choice: HomeChoice, cpus: &[usize]) -> HomeTracker {
        HomeTracker::new(choice, &topology(), cpus, Some(id(0)))
    }

    /// Sees the node that often; what the last sighting answered.
    fn see(tracker: &mut HomeTracker, node: usize, times: u32) -> Option<NodeId> {
        let mut answer = None;
        for _ in 0..times {
            assert_eq!(answer, None, "home moved too early");
            answer = tracker.observe(NodeId::new(node));
        }
        answer
    }

    #[test]
    fn auto_moves_after_many_sightings_in_a_row() {
        let mut tracker = tracker(HomeChoice::Auto, &[]);
        assert_eq!(tracker.home(), id(0));
        assert_eq!(see(&mut tracker, 1, HomeTracker::SIGHTINGS), Some(id(1)));
        assert_eq!(tracker.home(), id(1));
        assert_eq!(tracker.observe(Some(id(1))), None, "told once");
    }

    #[test]
    fn one_sighting_at_home_starts_again() {
        let mut tracker = tracker(HomeChoice::Auto, &[]);
        assert_eq!(see(&mut tracker, 1, HomeTracker::SIGHTINGS - 1), None);
        assert_eq!(see(&mut tracker, 0, 1), None);
        assert_eq!(see(&mut tracker, 1, HomeTracker::SIGHTINGS - 1), None);
        assert_eq!(tracker.observe(None), None, "not seen is neither");
        assert_eq!(see(&mut tracker, 1, 1), Some(id(1)));
    }

    #[test]
    fn wandering_between_others_moves_nothing() {
        let mut tracker = tracker(HomeChoice::Auto, &[]);
        for _ in 0..HomeTracker::SIGHTINGS {
            assert_eq!(see(&mut tracker, 1, 1), None);
            assert_eq!(see(&mut tracker, 2, 1), None);
        }
        assert_eq!(tracker.home(), id(0));
    }

    #[test]
    fn a_cpulist_on_one_node_decides() {
        let mut tracker = tracker(HomeChoice::Auto, &[2, 3]);
        assert_eq!(tracker.home(), id(1));
        assert_eq!(see(&mut tracker, 0, 2 * HomeTracker::SIGHTINGS), None);
    }

    #[test]
    fn a_cpulist_over_nodes_leaves_it_to_sight() {
        let mut tracker = tracker(HomeChoice::Auto, &[1, 2]);
        assert_eq!(tracker.home(), id(0));
        assert_eq!(see(&mut tracker, 1, HomeTracker::SIGHTINGS), Some(id(1)));
    }

    #[test]
    fn a_fixed_home_stays_and_can_be_let_go() {
        let mut tracker = tracker(HomeChoice::Fixed(id(1)), &[]);
        assert_eq!(
            (tracker.home(), tracker.choice()),
            (id(1), HomeChoice::Fixed(id(1)))
        );
        assert_eq!(see(&mut tracker, 0, 2 * HomeTracker::SIGHTINGS), None);
        assert_eq!(
            tracker.set_choice(HomeChoice::Auto),
            None,
            "no firm word, stays"
        );
        assert_eq!(see(&mut tracker, 0, HomeTracker::SIGHTINGS), Some(id(0)));
        assert_eq!(tracker.set_choice(HomeChoice::Fixed(id(1))), Some(id(1)));
        assert_eq!(
            tracker.set_choice(HomeChoice::Fixed(id(1))),
            None,
            "already there"
        );
    }

    #[test]
    fn unseen_cpus_start_on_the_first_usable_node() {
        let mut topology = topology();
        topology.nodes[0].allowed = false;
        let tracker = HomeTracker::new(HomeChoice::Auto, &topology, &[99], None);
        assert_eq!(tracker.home(), id(1));
    }
}
