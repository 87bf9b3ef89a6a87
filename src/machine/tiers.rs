//! Tiers: nodes of like latency, ranked, 0 the fastest.
//!
//! The kernel's own tiers (`memory_tiering`) decide where it tells nodes apart. A kernel that
//! knows no latencies puts all nodes into one tier, the CXL node too; then the best latency that
//! any CPU sees decides, else the shortest distance from any CPU. On a machine of two sockets each
//! is the other's far node, yet both are of one tier: a tier belongs to the memory, near and far to
//! the reader.
//!
//! Like latency means within a quarter of the tier's fastest node: firmware gives twins slightly
//! different figures. A node without CPUs shares no tier with nodes that have some, and comes
//! after them where the figures are alike.

use super::NodeInfo;

/// Sets the tier of each node. `kernel` is the kernel's number of each node's tier.
pub(super) fn rank(nodes: &mut [NodeInfo], kernel: &[Option<u32>]) {
    let marks = kernel_marks(nodes, kernel)
        .or_else(|| latency_marks(nodes))
        .unwrap_or_else(|| distance_marks(nodes));
    let mut order: Vec<(&mut NodeInfo, Mark)> = nodes.iter_mut().zip(marks).collect();
    order.sort_by_key(|(_, mark)| (mark.value, mark.cpuless));
    let mut tier = 0;
    let mut fastest: Option<Mark> = None;
    for (node, mark) in order {
        let first = *fastest.get_or_insert(mark);
        if !mark.is_like(first) {
            tier += 1;
            fastest = Some(mark);
        }
        node.tier = tier;
    }
}

/// What a node is ranked by.
#[derive(Clone, Copy)]
struct Mark {
    value: u32,
    cpuless: bool,
    /// Kernel tiers are told apart as they are; measured figures within a quarter are alike.
    exact: bool,
}

impl Mark {
    fn is_like(self, first: Self) -> bool {
        let reach = if self.exact { 0 } else { first.value / 4 };
        let near = self.value.saturating_sub(first.value) <= reach;
        near && (self.exact || self.cpuless == first.cpuless)
    }
}

/// The kernel's tiers, where it names all and tells at least two apart.
fn kernel_marks(nodes: &[NodeInfo], kernel: &[Option<u32>]) -> Option<Vec<Mark>> {
    let values: Vec<u32> = kernel.iter().copied().collect::<Option<_>>()?;
    let tells_apart = values.len() == nodes.len() && values.iter().min() != values.iter().max();
    tells_apart.then(|| marks(nodes, values, true))
}

fn latency_marks(nodes: &[NodeInfo]) -> Option<Vec<Mark>> {
    let best = nodes.iter().map(NodeInfo::best_latency_ns);
    Some(marks(nodes, best.collect::<Option<_>>()?, false))
}

fn distance_marks(nodes: &[NodeInfo]) -> Vec<Mark> {
    let from_cpus = |position: usize| {
        let with_cpus = nodes.iter().filter(|node| !node.is_cpuless());
        let distances = with_cpus.filter_map(|node| node.distances.get(position));
        distances.min().copied().unwrap_or(u32::MAX)
    };
    let values = (0..nodes.len()).map(from_cpus).collect();
    marks(nodes, values, false)
}

fn marks(nodes: &[NodeInfo], values: Vec<u32>, exact: bool) -> Vec<Mark> {
    let pairs = nodes.iter().zip(values);
    let marks = pairs.map(|(node, value)| Mark {
        value,
        cpuless: node.is_cpuless(),
        exact,
    });
    marks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Bytes, NodeId};

    /// Nodes of (CPUs?, best latency, distance from node 0).
    fn nodes(shapes: &[(bool, Option<u32>, u32)]) -> Vec<NodeInfo> {
        let distances: Vec<u32> = shapes.iter().map(|shape| shape.2).collect();
        let each = shapes.iter().enumerate();
        let infos = each.map(|(number, &(cpus, latency, _))| NodeInfo {
            id: NodeId::new(number).unwrap(),
            cpus: if cpus { vec![number] } else { vec![] },
            capacity: Bytes::mib(1),
            tier: 99,
            distances: match number {
                0 => distances.clone(),
                _ => (0..shapes.len())
                    .map(|to| if to == number { 10 } else { 40 })
                    .collect(),
            },
            latency_ns: vec![latency],
            bandwidth_mbps: None,
            allowed: true,
        });
        infos.collect()
    }

    fn ranked(shapes: &[(bool, Option<u32>, u32)], kernel: &[Option<u32>]) -> Vec<u32> {
        let mut nodes = nodes(shapes);
        rank(&mut nodes, kernel);
        nodes.into_iter().map(|node| node.tier).collect()
    }

    const GUEST: [(bool, Option<u32>, u32); 3] =
        [(true, None, 10), (true, None, 21), (false, None, 28)];

    #[test]
    fn the_kernels_tiers_are_ranked() {
        assert_eq!(ranked(&GUEST, &[Some(4), Some(4), Some(56)]), [0, 0, 1]);
        assert_eq!(ranked(&GUEST, &[Some(22), Some(4), Some(56)]), [1, 0, 2]);
    }

    #[test]
    fn one_tier_for_all_is_no_answer() {
        assert_eq!(ranked(&GUEST, &[Some(4), Some(4), Some(4)]), [0, 0, 1]);
        assert_eq!(ranked(&GUEST, &[Some(4), None, Some(56)]), [0, 0, 1]);
    }

    #[test]
    fn latency_within_a_quarter_is_alike() {
        let shapes = [
            (true, Some(80), 10),
            (true, Some(95), 21),
            (false, Some(250), 28),
        ];
        assert_eq!(ranked(&shapes, &[None; 3]), [0, 0, 1]);
        let shapes = [
            (false, Some(300), 10),
            (false, Some(250), 21),
            (true, Some(80), 28),
        ];
        assert_eq!(ranked(&shapes, &[None; 3]), [1, 1, 0]);
    }

    #[test]
    fn cpuless_comes_after_at_like_figures() {
        let shapes = [(false, Some(80), 10), (true, Some(80), 10)];
        assert_eq!(ranked(&shapes, &[None; 2]), [1, 0]);
    }

    #[test]
    fn one_node_is_tier_zero() {
        assert_eq!(ranked(&[(true, None, 10)], &[Some(4)]), [0]);
    }
}
