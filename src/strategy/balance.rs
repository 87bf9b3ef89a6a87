//! balance: nodes of like latency hold like shares.
//!
//! Where a machine has several nodes of one kind (two CXL cards, say) the strategies that go by
//! heat fill the nearest of them first: one card does all the work, and its bandwidth is all there
//! is. Nodes are alike when their latencies from home differ by at most [`ALIKE_PERCENT`]. Home is
//! like no other node: what belongs there is a question of heat.
//!
//! ```text
//! ideal      a node's share of its group by the room it may give
//! overfull   above its ideal by more than balance_threshold, in percent of the group's bytes
//! run        each rebalance_interval, from then on until no node is overfull or all keys were seen
//! ```
//!
//! Which keys leave is left to the order of the walk: an even spread needs no better choice, since
//! alike nodes cost alike. `auto_rebalance no` leaves it idle; NUMACONFIG REBALANCE is another
//! thing, the pass that spreads by the placement policy.

use super::desk::Desk;
use super::{Plan, Strategy, StrategyError, View};
use crate::ids::{Bytes, NodeId};
use crate::migrate::{Budget, KeyInfo, KeyRef, Usage, Why};

/// How far latencies of like nodes may be apart.
const ALIKE_PERCENT: u64 = 10;
/// Keys passed between two looks at the clock.
const SLICE_KEYS: usize = 16;

/// See the head of the file.
#[derive(Debug, Default)]
pub struct Balance {
    due_ms: u64,
    /// A round is under way, and how many keys it has passed.
    round: Option<usize>,
}

/// A group of like nodes and how full they will be.
type Group = Vec<(NodeId, Usage)>;

/// The groups of two nodes and more, home in none.
fn groups(view: &dyn View) -> Vec<Group> {
    let home = view.home();
    let others = view.nodes().into_iter().filter(|id| *id != home);
    let mut groups: Vec<(u64, Group)> = Vec::new();
    for id in others {
        let (latency, member) = (view.latency_ns(id), (id, view.usage(id)));
        match groups.last_mut() {
            // They come by latency, so the first of a group is its nearest.
            Some((first, group)) if latency * 100 <= *first * (100 + ALIKE_PERCENT) => {
                group.push(member);
            }
            _ => groups.push((latency, vec![member])),
        }
    }
    let several = groups.into_iter().map(|(_, group)| group);
    several.filter(|group| group.len() > 1).collect()
}

/// How far a node is above its ideal, in bytes; below it where negative.
fn excess(group: &Group, member: &Usage) -> i128 {
    let used: Bytes = group.iter().map(|(_, usage)| usage.used).sum();
    let limits: u128 = group.iter().map(|(_, u)| u128::from(u.limit.0)).sum();
    let ideal = (u128::from(used.0) * u128::from(member.limit.0)).checked_div(limits);
    i128::from(member.used.0) - ideal.unwrap_or(0) as i128
}

fn tolerance(group: &Group, percent: u8) -> i128 {
    let used: Bytes = group.iter().map(|(_, usage)| usage.used).sum();
    i128::from(used.percent(u64::from(percent)).0)
}

/// Whether a node holds more than it may.
fn is_overfull(group: &Group, percent: u8) -> bool {
    let most = tolerance(group, percent);
    group.iter().any(|(_, usage)| excess(group, usage) > most)
}

/// Where a key of an overfull node is to go: down to the ideal, not only to the tolerance, or the
/// next key written there would start it all again.
fn target(groups: &[Group], info: &KeyInfo) -> Option<NodeId> {
    let of_it = |group: &&Group| group.iter().any(|(id, _)| *id == info.node);
    let group = groups.iter().find(of_it)?;
    let (_, from) = group.iter().find(|(id, _)| *id == info.node)?;
    let bytes = i128::from(info.bytes.0);
    let emptiest = group.iter().min_by_key(|(_, usage)| excess(group, usage))?;
    let fits = emptiest.1.room_below(100) >= info.bytes;
    // Both ends must be better off by it.
    let pays = excess(group, from) >= bytes && excess(group, &emptiest.1) <= -bytes;
    (fits && pays).then_some(emptiest.0)
}

fn enter(groups: &mut [Group], info: &KeyInfo, to: NodeId) {
    for (id, usage) in groups.iter_mut().flatten() {
        if *id == info.node {
            usage.used -= info.bytes;
        }
        if *id == to {
            usage.used += info.bytes;
        }
    }
}

impl Balance {
    /// Passes keys until the time is over or as many are passed; how many, and whether that was the
    /// end of the keyspace.
    fn walk(
        view: &mut dyn View,
        groups: &mut [Group],
        keys: usize,
        until_us: u64,
    ) -> (Vec<(KeyRef, KeyInfo, NodeId)>, usize, bool) {
        let (mut chosen, mut scanned, mut wrapped) = (Vec::new(), 0, false);
        while scanned < keys && chosen.len() < Plan::MOVES_MAX && view.now_us() < until_us {
            let step = view.scan(SLICE_KEYS.min(keys - scanned), &mut |key, info| {
                if let Some(to) = target(groups, &info).filter(|_| !info.pinned) {
                    enter(groups, &info, to);
                    chosen.push((key.clone(), info, to));
                }
            });
            scanned += step.scanned;
            wrapped = step.wrapped || step.scanned == 0;
            if wrapped {
                break;
            }
        }
        (chosen, scanned, wrapped)
    }

    fn plan(view: &mut dyn View, budget: &Budget, chosen: Vec<(KeyRef, KeyInfo, NodeId)>) -> Plan {
        let mut desk = Desk::open(view, budget, u64::MAX);
        for (key, info, to) in chosen {
            if desk.is_done() {
                break;
            }
            desk.push((key, info), to, Why::Balance, 0);
        }
        desk.close()
    }

    /// Whether a round is to go on or to begin.
    fn is_due(&mut self, view: &dyn View, groups: &[Group]) -> bool {
        let params = view.params();
        if !params.auto_rebalance {
            self.round = None;
            return false;
        }
        let now_ms = view.now_ms();
        if self.round.is_none() && now_ms >= self.due_ms {
            self.due_ms = now_ms.saturating_add(params.rebalance_interval_ms);
            let overfull = |group: &Group| is_overfull(group, params.balance_threshold);
            self.round = groups.iter().any(overfull).then_some(0);
        }
        self.round.is_some()
    }
}

impl Strategy for Balance {
    fn name(&self) -> &str {
        "balance"
    }

    fn description(&self) -> &str {
        "Evens out nodes of like latency, above balance_threshold, each rebalance_interval."
    }

    fn fast(&mut self, view: &mut dyn View, budget: &Budget) -> Result<Plan, StrategyError> {
        let mut groups = groups(view);
        if !self.is_due(view, &groups) {
            return Ok(Plan::new());
        }
        let until_us = view.now_us().saturating_add(budget.time_us / 2);
        let batch = usize::from(view.params().scan_batch_size);
        let (chosen, scanned, wrapped) = Self::walk(view, &mut groups, batch, until_us);
        let passed = self.round.unwrap_or(0).saturating_add(scanned);
        // The walk begins where the last round ended: only the second end has seen all keys.
        let seen_all = wrapped && passed > scanned;
        let even = !groups.iter().any(|group| is_overfull(group, 0));
        self.round = (!seen_all && !even).then_some(passed);
        Ok(Self::plan(view, budget, chosen))
    }

    fn decide(&mut self, _view: &mut dyn View, _budget: &Budget) -> Result<Plan, StrategyError> {
        Ok(Plan::new())
    }

    fn pass(&mut self, view: &mut dyn View, keys: usize) -> Result<(Plan, usize), StrategyError> {
        let mut groups = groups(view);
        let (chosen, scanned, _) = Self::walk(view, &mut groups, keys, u64::MAX);
        Ok((Self::plan(view, &Budget::UNBOUNDED, chosen), scanned))
    }
}

#[cfg(test)]
mod tests {
    use super::super::sim::{node, Sim, TICK};
    use super::super::{Priority, Runner};
    use super::*;
    use crate::ids::SlotIndex;

    const SIZE: u64 = 128;

    /// 1,000 keys, all far on node 1, beside a node 2 that is empty and as far.
    fn machine(limits: (u64, u64)) -> (Sim, Runner) {
        let mut sim = Sim::new(&[SIZE; 1000], Bytes(0));
        sim.usage[1].limit = Bytes(limits.0);
        sim.usage.push(Usage {
            used: Bytes::ZERO,
            limit: Bytes(limits.1),
        });
        let mut runner = Runner::new();
        let at = SlotIndex::new(2).unwrap();
        let strategy = Box::new(Balance::default());
        runner
            .install(at, strategy, Priority::Normal, 1000)
            .unwrap();
        (sim, runner)
    }

    fn ticks(sim: &mut Sim, runner: &mut Runner, count: usize) {
        (0..count).for_each(|_| drop(sim.tick(runner, TICK)));
        sim.check();
    }

    #[test]
    fn like_nodes_come_to_like_shares_and_rest_then() {
        let (mut sim, mut runner) = machine((1_000_000, 1_000_000));
        ticks(&mut sim, &mut runner, 2000);
        let on = |sim: &Sim, at: usize| sim.usage[at].used.0 / SIZE;
        assert!((490..=510).contains(&on(&sim, 2)), "{}", on(&sim, 2));
        let before = sim.stats.successful;
        ticks(&mut sim, &mut runner, 2000);
        assert_eq!(sim.stats.successful, before, "it goes on moving");
        assert!(before <= 510, "{before} moves for 500 keys");
    }

    #[test]
    fn shares_go_by_what_a_node_may_hold() {
        let (mut sim, mut runner) = machine((900_000, 300_000));
        sim.params.balance_threshold = 10;
        ticks(&mut sim, &mut runner, 2000);
        let keys = sim.usage[2].used.0 / SIZE;
        assert!((240..=260).contains(&keys), "{keys}");
    }

    #[test]
    fn below_the_threshold_or_switched_off_nothing_moves() {
        let (mut sim, mut runner) = machine((1_000_000, 1_000_000));
        sim.params.auto_rebalance = false;
        ticks(&mut sim, &mut runner, 1000);
        assert_eq!(sim.stats.successful, 0);
        sim.params.auto_rebalance = true;
        sim.params.balance_threshold = 60;
        ticks(&mut sim, &mut runner, 1000);
        assert_eq!(sim.stats.successful, 0, "1 node holds 50 % too much");
    }

    #[test]
    fn pinned_keys_stay() {
        let (mut sim, mut runner) = machine((1_000_000, 1_000_000));
        sim.keys
            .iter_mut()
            .flatten()
            .for_each(|key| key.pinned = true);
        ticks(&mut sim, &mut runner, 2000);
        assert_eq!(sim.usage[2].used, Bytes::ZERO);
        assert!((0..1000).all(|number| sim.node_of(number) == node(1)));
    }
}
