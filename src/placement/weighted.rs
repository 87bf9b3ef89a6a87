//! Smooth weighted round-robin, as nginx spreads requests over servers.
//!
//! Each node holds a credit. For each value every node earns its weight, the richest is chosen
//! and pays what all of them earned together:
//!
//! ```text
//! invariant: the credits sum to 0
//! after sum(weights) values each node was chosen exactly `weight` times
//! ```
//!
//! The choices of a heavy node are spread out instead of coming in a row: 5/1/1 gives
//! a a b a c a a. Rejected: dice by weight, which is off by the square root of the count.

use crate::ids::NodeId;

/// The credits, by the index of the node, and the weights they were earned with.
#[derive(Clone, Debug)]
pub(super) struct SmoothRoundRobin {
    credits: [i64; NodeId::COUNT_MAX],
    weights: [u32; NodeId::COUNT_MAX],
}

impl Default for SmoothRoundRobin {
    fn default() -> Self {
        Self {
            credits: [0; NodeId::COUNT_MAX],
            weights: [0; NodeId::COUNT_MAX],
        }
    }
}

impl SmoothRoundRobin {
    /// The next node; of equals the first. Nothing where no node has any weight.
    pub(super) fn next(
        &mut self,
        nodes: impl Iterator<Item = NodeId> + Clone,
        weights: &dyn Fn(NodeId) -> u32,
    ) -> Option<NodeId> {
        self.restart_when_changed(nodes.clone(), weights);
        let mut total = 0;
        let mut richest: Option<(NodeId, i64)> = None;
        for node in nodes {
            let weight = i64::from(weights(node));
            let credit = self.earn(node, weight);
            total += weight;
            if weight > 0 && richest.is_none_or(|(_, most)| credit > most) {
                richest = Some((node, credit));
            }
        }
        let (node, _) = richest?;
        self.earn(node, -total);
        Some(node)
    }

    fn earn(&mut self, node: NodeId, amount: i64) -> i64 {
        let Some(credit) = self.credits.get_mut(node.index()) else {
            return i64::MIN;
        };
        *credit += amount;
        *credit
    }

    /// Credits earned under other weights would make the first round of the new ones wrong.
    fn restart_when_changed(
        &mut self,
        nodes: impl Iterator<Item = NodeId>,
        weights: &dyn Fn(NodeId) -> u32,
    ) {
        let mut changed = false;
        for node in nodes {
            let Some(known) = self.weights.get_mut(node.index()) else {
                continue;
            };
            changed |= *known != weights(node);
            *known = weights(node);
        }
        if changed {
            self.credits = [0; NodeId::COUNT_MAX];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(count: usize) -> impl Iterator<Item = NodeId> + Clone {
        (0..count).filter_map(NodeId::new)
    }

    fn round(wheel: &mut SmoothRoundRobin, weights: &[u32], turns: usize) -> String {
        let weight = |node: NodeId| weights[node.index()];
        let letter = |node: NodeId| char::from(b'a' + node.as_byte());
        (0..turns)
            .map(|_| {
                wheel
                    .next(nodes(weights.len()), &weight)
                    .map_or('-', letter)
            })
            .collect()
    }

    #[test]
    fn sequence_of_nginx() {
        let mut wheel = SmoothRoundRobin::default();
        assert_eq!(round(&mut wheel, &[5, 1, 1], 14), "aabacaaaabacaa");
        assert!(wheel.credits.iter().all(|&credit| credit == 0));
    }

    #[test]
    fn new_weights_start_a_new_round() {
        let mut wheel = SmoothRoundRobin::default();
        round(&mut wheel, &[1000, 1], 500);
        assert_eq!(round(&mut wheel, &[1, 2], 6), "babbab");
    }

    #[test]
    fn weight_zero_is_never_chosen() {
        let mut wheel = SmoothRoundRobin::default();
        assert_eq!(round(&mut wheel, &[0, 1, 0], 3), "bbb");
        assert_eq!(round(&mut wheel, &[0, 0, 0], 2), "--");
    }
}
