//! The shape of the machine: what does not change while the process runs.
//!
//! Two scales order the nodes. Latency in ns is what the firmware measured (HMAT) or the
//! simulation names; distance is relative (10 is local) and always there. They are never mixed in
//! one comparison: from a given node either every latency is known and latencies decide, or
//! distances do. Where a number of ns is needed all the same, [`Topology::estimated_latency_ns`]
//! scales what is known.

use crate::ids::{Bytes, NodeId};

/// The distance of a node to itself.
pub const DISTANCE_LOCAL: u32 = 10;

/// What a distance is taken for where it is not known: one hop to another socket.
pub const DISTANCE_UNKNOWN: u32 = 20;

/// Local DRAM, where the machine reports no latency at all.
const LATENCY_LOCAL_NS: u32 = 100;

/// One node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeInfo {
    /// The kernel's number.
    pub id: NodeId,
    /// The CPUs of the node, by the kernel's numbers; none on a CPU-less (CXL) node.
    pub cpus: Vec<usize>,
    /// All memory of the node.
    pub capacity: Bytes,
    /// The tier by rank of latency: 0 is the fastest on this machine.
    pub tier: u32,
    /// Relative distances (10 is local) to each node, in the order of [`Topology::nodes`].
    pub distances: Vec<u32>,
    /// Read latency in ns from each node's CPUs, in the order of [`Topology::nodes`], where the
    /// machine reports it (HMAT) or the simulation names it.
    pub latency_ns: Vec<Option<u32>>,
    /// Read bandwidth in MB/s as seen from the nearest CPUs, where the machine reports it.
    pub bandwidth_mbps: Option<u32>,
    /// Whether this process may allocate there (`cpuset.mems`, `--membind`).
    pub allowed: bool,
}

impl NodeInfo {
    /// Whether the node has memory but no CPU (CXL).
    #[must_use]
    pub fn is_cpuless(&self) -> bool {
        self.cpus.is_empty()
    }

    /// The lowest latency in ns that any CPU sees, where one is known.
    #[must_use]
    pub fn best_latency_ns(&self) -> Option<u32> {
        self.latency_ns.iter().flatten().min().copied()
    }
}

/// The nodes of the machine, in the order of their numbers. Never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topology {
    /// The nodes that have memory.
    pub nodes: Vec<NodeInfo>,
}

impl Topology {
    /// The node of that number.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&NodeInfo> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// The place of the node in [`Topology::nodes`], and so in each row of distances and latencies.
    #[must_use]
    pub fn position(&self, id: NodeId) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }

    /// Every node in order, those included that this process may not use.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.iter().map(|node| node.id)
    }

    /// The nodes that this process may use, in order.
    pub fn usable(&self) -> impl Iterator<Item = NodeId> + '_ {
        let usable = self.nodes.iter().filter(|node| node.allowed);
        usable.map(|node| node.id)
    }

    /// The nodes that have memory but no CPU (CXL), in order.
    pub fn cpuless(&self) -> impl Iterator<Item = NodeId> + '_ {
        let cpuless = self.nodes.iter().filter(|node| node.is_cpuless());
        cpuless.map(|node| node.id)
    }

    /// The node that the CPU belongs to.
    #[must_use]
    pub fn node_of_cpu(&self, cpu: usize) -> Option<NodeId> {
        let node = self.nodes.iter().find(|node| node.cpus.contains(&cpu));
        node.map(|node| node.id)
    }

    /// Where a thread on each CPU is at home, by the kernel's number of the CPU: the node of the
    /// CPU, or where this process may not use that one, the nearest that it may.
    #[must_use]
    pub fn cpu_homes(&self) -> Vec<Option<NodeId>> {
        let last = self.nodes.iter().flat_map(|node| &node.cpus).max();
        let mut homes = vec![None; last.map_or(0, |last| last + 1)];
        for node in &self.nodes {
            let home = self.nearest_first(node.id).first().copied();
            for &cpu in &node.cpus {
                if let Some(slot) = homes.get_mut(cpu) {
                    *slot = home;
                }
            }
        }
        homes
    }

    /// The distance that the machine reports; a usual one where it reports none.
    #[must_use]
    pub fn distance(&self, from: NodeId, to: NodeId) -> u32 {
        let reported = self.position(to).and_then(|to| {
            let row = &self.node(from)?.distances;
            row.get(to).copied()
        });
        reported.unwrap_or(match from == to {
            true => DISTANCE_LOCAL,
            false => DISTANCE_UNKNOWN,
        })
    }

    /// The read latency in ns that CPUs of `from` see at `to`, where it is known.
    #[must_use]
    pub fn latency_ns(&self, from: NodeId, to: NodeId) -> Option<u32> {
        let from = self.position(from)?;
        self.node(to)?.latency_ns.get(from).copied().flatten()
    }

    /// The read latency in ns, known or scaled by distance from what is: the best latency known
    /// at `to`, else a usual one of local memory.
    #[must_use]
    pub fn estimated_latency_ns(&self, from: NodeId, to: NodeId) -> u32 {
        if let Some(known) = self.latency_ns(from, to) {
            return known;
        }
        let known_from = |&from: &NodeId| self.latency_ns(from, to);
        let nearest = self.ids().filter(|from| known_from(from).is_some());
        let nearest = nearest.min_by_key(|&from| self.distance(from, to));
        let (latency, distance) = nearest
            .and_then(|from| Some((known_from(&from)?, self.distance(from, to))))
            .unwrap_or((LATENCY_LOCAL_NS, DISTANCE_LOCAL));
        let scaled = u64::from(latency) * u64::from(self.distance(from, to));
        u32::try_from(scaled / u64::from(distance.max(1))).unwrap_or(u32::MAX)
    }

    /// The nodes that this process may use, `from` first, then by latency from it where every
    /// latency is known, else by distance; at like distance nodes with CPUs come first.
    #[must_use]
    pub fn nearest_first(&self, from: NodeId) -> Vec<NodeId> {
        let latency_known = self.usable().all(|to| self.latency_ns(from, to).is_some());
        let mut nodes: Vec<&NodeInfo> = self.nodes.iter().filter(|node| node.allowed).collect();
        nodes.sort_by_key(|node| {
            let way = match self.latency_ns(from, node.id) {
                Some(latency) if latency_known => latency,
                _ => self.distance(from, node.id),
            };
            (node.id != from, way, node.is_cpuless(), node.id)
        });
        nodes.into_iter().map(|node| node.id).collect()
    }

    /// The usable node that is farthest from `from`; itself where there is no other.
    #[must_use]
    pub fn farthest(&self, from: NodeId) -> NodeId {
        self.nearest_first(from).last().copied().unwrap_or(from)
    }

    /// Whether `node` is near for a thread on `home`: every other node is far, another socket too.
    #[must_use]
    pub fn is_near(&self, home: NodeId, node: NodeId) -> bool {
        home == node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> NodeId {
        NodeId::new(number).unwrap()
    }

    /// Two sockets (0, 1) and a CXL node (2), as in the QEMU guest.
    fn guest(latencies: [[Option<u32>; 3]; 3]) -> Topology {
        let distances = [[10, 21, 28], [21, 10, 38], [28, 38, 10]];
        let rows = distances.into_iter().zip(latencies).enumerate();
        let nodes = rows.map(|(number, (distances, latency_ns))| NodeInfo {
            id: id(number),
            cpus: match number {
                0 => vec![0, 1],
                1 => vec![2, 3],
                _ => vec![],
            },
            capacity: Bytes::mib(1024),
            tier: u32::from(number == 2),
            distances: distances.to_vec(),
            latency_ns: latency_ns.to_vec(),
            bandwidth_mbps: None,
            allowed: true,
        });
        Topology {
            nodes: nodes.collect(),
        }
    }

    fn unmeasured() -> Topology {
        guest([[None; 3]; 3])
    }

    #[test]
    fn distance_orders_where_latency_is_unknown() {
        let topology = unmeasured();
        assert_eq!(topology.nearest_first(id(0)), [id(0), id(1), id(2)]);
        assert_eq!(topology.nearest_first(id(2)), [id(2), id(0), id(1)]);
        assert_eq!(topology.farthest(id(0)), id(2));
        assert_eq!(topology.cpuless().collect::<Vec<_>>(), [id(2)]);
        assert_eq!(topology.node_of_cpu(3), Some(id(1)));
        assert_eq!(topology.node_of_cpu(4), None);
    }

    #[test]
    fn latency_outranks_distance_only_when_complete() {
        let mut topology = unmeasured();
        for (node, ns) in [(0, 80), (1, 300), (2, 250)] {
            topology.nodes[node].latency_ns[0] = Some(ns);
        }
        assert_eq!(topology.nearest_first(id(0)), [id(0), id(2), id(1)]);
        topology.nodes[1].latency_ns[0] = None;
        assert_eq!(topology.nearest_first(id(0)), [id(0), id(1), id(2)]);
    }

    #[test]
    fn self_comes_first_even_when_another_is_faster() {
        let mut topology = unmeasured();
        for (node, ns) in [(0, 80), (1, 200), (2, 250)] {
            topology.nodes[node].latency_ns[1] = Some(ns);
        }
        assert_eq!(topology.nearest_first(id(1)), [id(1), id(0), id(2)]);
    }

    #[test]
    fn cpus_break_the_tie() {
        let mut topology = unmeasured();
        topology.nodes[1].distances = vec![20, 10, 20];
        topology.nodes[0].cpus.clear();
        assert_eq!(topology.nearest_first(id(1)), [id(1), id(0), id(2)]);
        topology.nodes[2].cpus.push(9);
        assert_eq!(topology.nearest_first(id(1)), [id(1), id(2), id(0)]);
    }

    #[test]
    fn forbidden_nodes_are_in_no_order() {
        let mut topology = unmeasured();
        topology.nodes[1].allowed = false;
        assert_eq!(topology.nearest_first(id(0)), [id(0), id(2)]);
        assert_eq!(topology.usable().count(), 2);
        let homes = [0, 0, 0, 0].map(NodeId::new);
        assert_eq!(
            topology.cpu_homes(),
            homes,
            "node 0 is the nearest to node 1's CPUs"
        );
        assert_eq!(topology.ids().count(), 3);
    }

    #[test]
    fn an_unknown_latency_is_scaled_by_distance() {
        let mut topology = unmeasured();
        assert_eq!(topology.estimated_latency_ns(id(0), id(0)), 100);
        assert_eq!(topology.estimated_latency_ns(id(0), id(1)), 210);
        topology.nodes[1].latency_ns[1] = Some(80);
        assert_eq!(topology.estimated_latency_ns(id(1), id(1)), 80);
        assert_eq!(topology.estimated_latency_ns(id(0), id(1)), 80 * 21 / 10);
        assert_eq!(topology.nodes[1].best_latency_ns(), Some(80));
    }
}
