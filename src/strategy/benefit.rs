//! benefit-cost: a key moves when what it saves is worth more than the moves it takes.
//!
//! ```text
//! benefit   accesses expected in HORIZON eras x latency that each saves, in ns
//! cost      what the mover has measured for a move of that size, in ns, for each key that moves
//! home      room:     benefit > cost                                   -> promote
//!           no room:  benefit > VICTIMS_WORTH x theirs + all costs     -> swap
//!           over the high watermark: those of least benefit a byte leave
//! ```
//!
//! There is no level, no threshold to tune and no census: both sides are nanoseconds of this
//! machine. Victims are those of least benefit a byte that the walk has met lately, looked at
//! again. Their benefit counts more than once, because both sides are estimates and the best of
//! many far keys by an estimate is mostly lucky.
//!
//! Rejected as the default (slot 1 has composite-lru): that margin is fixed here and learned there,
//! see `make bench-tiering`.

use super::desk::{Desk, Seen, VALUE_BYTES_MAX};
use super::recent::Recent;
use super::{Bar, Plan, Strategy, StrategyError, View};
use crate::heat::Score;
use crate::ids::{Bytes, Level};
use crate::migrate::{Budget, KeyInfo, KeyRef, Report, Why};
use std::collections::BTreeSet;

/// Eras that a move is expected to be of use: what is hot now is not hot for ever.
const HORIZON: u64 = 4;
/// How much more a key must be worth than what it displaces, in quarters.
const VICTIMS_WORTH_QUARTERS: u64 = 10;
/// The latency that an access saves where the machine tells none, in ns.
const SAVED_DEFAULT_NS: u64 = 100;
/// What a move costs before the first was measured, in ns.
const MOVE_DEFAULT_NS: u64 = 1500;
/// Accesses are counted in these parts, so that less than one an era is not none.
const PARTS: u64 = 256;
/// Eight octaves: that many parts.
const PARTS_OCTAVES: u16 = 8;
/// Hot accesses taken in one tick.
const HOT_MAX: usize = 1024;
/// Victims kept, victims of one swap, and those to choose from before the least of them is cold:
/// the last near key of a store is as likely the hottest as any.
const VICTIMS_MAX: usize = 1024;
const CHOICE_MIN: usize = 64;
const SWAP_VICTIMS_MAX: usize = 64;
/// Keys passed between two looks at the clock, and in one run of the fast path.
const SLICE_KEYS: usize = 16;
const FAST_KEYS: usize = 64;
/// Keys remembered as just moved, and for how long at least.
const COOLING_KEYS_MAX: usize = 4096;
const COOLING_MS: u64 = 1000;

/// See the head of the file.
#[derive(Debug)]
pub struct BenefitCost {
    /// Near keys by their benefit for each KiB, least first.
    victims: BTreeSet<(u64, KeyRef)>,
    /// Near keys that this walk has passed so far, and those of the last whole one.
    near_seen: (usize, usize),
    cooling: Recent<()>,
    cooling_turn_ms: u64,
    draining: bool,
    bar: Bar,
}

impl Default for BenefitCost {
    fn default() -> Self {
        Self::new()
    }
}

/// What accesses from a node cost more than accesses at home.
fn saved_ns(view: &dyn View, info: &KeyInfo) -> u64 {
    let far = match info.node == view.home() {
        // What a near key would lose goes by the nearest place it could go to.
        true => view.nodes().get(1).map_or(0, |to| view.latency_ns(*to)),
        false => view.latency_ns(info.node),
    };
    let saved = far.saturating_sub(view.latency_ns(view.home()));
    if saved == 0 {
        SAVED_DEFAULT_NS
    } else {
        saved
    }
}

/// What it is worth that a key is at home, in parts of a nanosecond.
fn benefit(view: &dyn View, info: &KeyInfo) -> u64 {
    let raised = Score(info.score.0.saturating_add(PARTS_OCTAVES * Score::OCTAVE));
    let accesses = u64::from(raised.accesses_per_era());
    accesses
        .saturating_mul(saved_ns(view, info))
        .saturating_mul(HORIZON)
}

/// What a move takes, in the same parts.
fn cost(view: &dyn View, bytes: Bytes) -> u64 {
    let measured = view.move_ns(bytes);
    let ns = if measured == 0 {
        MOVE_DEFAULT_NS
    } else {
        measured
    };
    ns.saturating_mul(PARTS)
}

/// A far key: its benefit for each KiB, its benefit, and what was just seen of it.
type Ranked = (u64, u64, Seen);

fn rank(view: &dyn View, key: KeyRef, info: KeyInfo) -> Ranked {
    let worth = benefit(view, &info);
    (by_kib(worth, info.bytes), worth, (key, info))
}

fn by_kib(worth: u64, bytes: Bytes) -> u64 {
    worth.saturating_mul(1024) / bytes.0.max(1)
}

impl BenefitCost {
    /// The strategy before it has seen anything.
    #[must_use]
    pub fn new() -> Self {
        Self {
            victims: BTreeSet::new(),
            near_seen: (0, usize::MAX),
            cooling: Recent::new(COOLING_KEYS_MAX),
            cooling_turn_ms: 0,
            draining: false,
            bar: Bar::default(),
        }
    }

    /// One run: looks at `hot` keys and walks on, then writes the plan.
    fn run(&mut self, view: &mut dyn View, budget: &Budget, hot: usize, keys: usize) -> Plan {
        if view.nodes().len() < 2 {
            return Plan::new();
        }
        let now_ms = view.now_ms();
        if now_ms >= self.cooling_turn_ms {
            self.cooling.turn();
            self.cooling_turn_ms = now_ms.saturating_add(COOLING_MS);
        }
        let start_us = view.now_us();
        let quarter_us = budget.time_us / 4;
        let mut wanted = Vec::new();
        self.look_at(view, hot, start_us.saturating_add(quarter_us), &mut wanted);
        let until_us = start_us.saturating_add(quarter_us.saturating_mul(2));
        self.walk(view, keys, until_us, &mut wanted);
        let deadline_us = start_us.saturating_add(budget.time_us);
        let mut desk = Desk::open(view, budget, deadline_us);
        self.fill(&mut desk, wanted);
        desk.close()
    }

    /// Looks at the keys of hot accesses, as long as there is time.
    fn look_at(
        &mut self,
        view: &mut dyn View,
        hot: usize,
        until_us: u64,
        wanted: &mut Vec<Ranked>,
    ) {
        let home = view.home();
        let mut keys = view.take_hot(hot);
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            if view.now_us() >= until_us {
                break;
            }
            let info = view.look(&key).filter(|info| info.node != home);
            let free = info.filter(|info| !info.pinned && !self.cooling.contains(&key));
            wanted.extend(free.map(|info| rank(view, key, info)));
        }
    }

    /// Passes keys: near ones may be victims, far ones whose benefit is over their cost are wanted.
    fn walk(
        &mut self,
        view: &mut dyn View,
        keys: usize,
        until_us: u64,
        wanted: &mut Vec<Ranked>,
    ) -> usize {
        let (home, mut scanned) = (view.home(), 0);
        let mut seen = Vec::new();
        while scanned < keys && view.now_us() < until_us {
            let step = view.scan(SLICE_KEYS.min(keys - scanned), &mut |key, info| {
                if !info.pinned {
                    seen.push((key.clone(), info));
                }
            });
            scanned += step.scanned;
            for (key, info) in seen.drain(..) {
                let worth = benefit(view, &info);
                if info.node == home {
                    self.near_seen.0 += 1;
                    self.offer(key, worth, info.bytes);
                } else if worth > cost(view, info.bytes) && !self.cooling.contains(&key) {
                    wanted.push(rank(view, key, info));
                }
            }
            if step.wrapped {
                self.near_seen = (0, self.near_seen.0);
            }
            if step.wrapped || step.scanned == 0 {
                break;
            }
        }
        scanned
    }

    /// Whether there are enough victims to choose from; a few do where there are few near keys.
    fn has_choice(&self) -> bool {
        self.victims.len() >= CHOICE_MIN.min(self.near_seen.1 / 4).max(1)
    }

    /// Keeps a near key as a victim, if it is among those of least worth.
    fn offer(&mut self, key: KeyRef, worth: u64, bytes: Bytes) {
        self.victims.insert((by_kib(worth, bytes), key));
        if self.victims.len() > VICTIMS_MAX {
            self.victims.pop_last();
        }
    }

    /// Writes the plan, the keys of most benefit a byte first.
    fn fill(&mut self, desk: &mut Desk<'_>, mut wanted: Vec<Ranked>) {
        self.drain(desk);
        wanted.sort_unstable_by_key(|(by_kib, ..)| std::cmp::Reverse(*by_kib));
        let mut refused: Option<Score> = None;
        for (_, worth, candidate) in wanted {
            let score = candidate.1.score;
            if self.cooling.contains(&candidate.0) {
                continue; // it was wanted twice
            }
            if !desk.is_done() && self.promote(desk, worth, candidate) == Some(false) {
                refused = Some(refused.map_or(score, |best| best.max(score)));
            }
        }
        self.set_bar(refused);
    }

    /// What a far access must reach to be told: it follows the best that was refused, down slowly.
    fn set_bar(&mut self, refused: Option<Score>) {
        let score = refused.unwrap_or(Score(self.bar.score.0.saturating_sub(2)));
        let level = Level::clamped(1);
        self.bar = Bar { score, level };
    }

    /// Above the high watermark those of least worth leave, down to the low one.
    fn drain(&mut self, desk: &mut Desk<'_>) {
        let near = desk.near();
        self.draining |= near.used > near.mark(desk.params.watermark_high);
        while self.draining && !desk.is_done() {
            if desk.near().used <= desk.near().mark(desk.params.watermark_low) {
                self.draining = false;
                break;
            }
            let Some(victim) = self.next_victim(desk) else {
                break;
            };
            let Some(to) = desk.far_with_room(victim.1.bytes) else {
                break;
            };
            self.plan(desk, victim, to, Why::Demote, 0);
        }
    }

    /// The near key of least worth that is known, as it is now.
    fn next_victim(&mut self, desk: &mut Desk<'_>) -> Option<Seen> {
        while self.has_choice() {
            let (_, key) = self.victims.pop_first()?;
            if self.cooling.contains(&key) {
                continue;
            }
            let home = desk.home;
            let near = desk.look(&key).filter(|info| info.node == home);
            if let Some(info) = near {
                return Some((key, info));
            }
        }
        None
    }

    /// Plans a key to come home where that pays; whether it pays, where that can be told now.
    fn promote(&mut self, desk: &mut Desk<'_>, worth: u64, candidate: Seen) -> Option<bool> {
        let price = cost(desk.view, candidate.1.bytes);
        if worth <= price || candidate.1.bytes > VALUE_BYTES_MAX {
            return Some(false);
        }
        if self.draining {
            return None;
        }
        if desk.room() >= candidate.1.bytes {
            let (to, gain) = (desk.home, worth - price);
            self.plan(desk, candidate, to, Why::Promote, gain);
            return Some(true);
        }
        let (victims, loss, spent) = self.gather(desk, &candidate.1);
        let freed: Bytes = victims.iter().map(|(_, info)| info.bytes).sum();
        let needed = loss
            .saturating_mul(VICTIMS_WORTH_QUARTERS)
            .saturating_div(4)
            .saturating_add(spent)
            .saturating_add(price);
        let target = desk.far_with_room(freed);
        let enough = desk.room() + freed >= candidate.1.bytes;
        let (true, true, Some(to)) = (enough, worth > needed, target) else {
            for (key, info) in victims {
                let worth = benefit(desk.view, &info);
                self.offer(key, worth, info.bytes);
            }
            return enough.then_some(false);
        };
        for victim in victims {
            self.plan(desk, victim, to, Why::Demote, 0);
        }
        let home = desk.home;
        self.plan(desk, candidate, home, Why::Promote, worth - needed);
        Some(true)
    }

    /// Victims that would free room for a key, what they are worth, and what their moves take.
    fn gather(&mut self, desk: &mut Desk<'_>, candidate: &KeyInfo) -> (Vec<Seen>, u64, u64) {
        let most = SWAP_VICTIMS_MAX.min(desk.moves_left().saturating_sub(1));
        let (mut victims, mut loss, mut spent) = (Vec::new(), 0_u64, 0_u64);
        let mut room = desk.room();
        while room < candidate.bytes && victims.len() < most && !desk.is_done() {
            let Some((key, info)) = self.next_victim(desk) else {
                break;
            };
            room += info.bytes;
            loss = loss.saturating_add(benefit(desk.view, &info));
            spent = spent.saturating_add(cost(desk.view, info.bytes));
            victims.push((key, info));
        }
        (victims, loss, spent)
    }

    fn plan(
        &mut self,
        desk: &mut Desk<'_>,
        seen: Seen,
        to: crate::ids::NodeId,
        why: Why,
        gain: u64,
    ) {
        self.cooling.put(seen.0.clone(), ());
        let gain_ns = u32::try_from(gain / PARTS).unwrap_or(u32::MAX);
        desk.push(seen, to, why, gain_ns);
    }
}

impl Strategy for BenefitCost {
    fn name(&self) -> &str {
        "benefit-cost"
    }

    fn description(&self) -> &str {
        "Moves a key when the time its accesses save is more than the moves take."
    }

    fn fast(&mut self, view: &mut dyn View, budget: &Budget) -> Result<Plan, StrategyError> {
        Ok(self.run(view, budget, HOT_MAX, FAST_KEYS))
    }

    fn decide(&mut self, view: &mut dyn View, budget: &Budget) -> Result<Plan, StrategyError> {
        let batch = usize::from(view.params().scan_batch_size);
        Ok(self.run(view, budget, 0, batch))
    }

    fn pass(&mut self, view: &mut dyn View, keys: usize) -> Result<(Plan, usize), StrategyError> {
        let mut wanted = Vec::new();
        let scanned = self.walk(view, keys, u64::MAX, &mut wanted);
        let mut desk = Desk::open(view, &Budget::UNBOUNDED, u64::MAX);
        self.fill(&mut desk, wanted);
        Ok((desk.close(), scanned))
    }

    /// What was not moved after all need not cool down.
    fn carried(&mut self, report: &Report) {
        for next in &report.rest {
            self.cooling.take(&next.key);
        }
    }

    fn bar(&self) -> Option<Bar> {
        Some(self.bar)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sim::load::{best_static, Zipf};
    use super::super::sim::{node, Sim};
    use super::super::{Priority, Runner};
    use super::*;
    use crate::ids::SlotIndex;

    const KEYS: usize = 10_000;
    const NEAR: Bytes = Bytes(128 * KEYS as u64 / 8);

    fn machine() -> (Sim, Runner) {
        let mut runner = Runner::new();
        let strategy = Box::new(BenefitCost::new());
        runner
            .install(SlotIndex::AUTOMATIC, strategy, Priority::High, 1000)
            .unwrap();
        (Sim::new(&vec![128; KEYS], NEAR), runner)
    }

    #[test]
    fn hot_keys_come_home_and_the_rest_stays_away() {
        let (mut sim, mut runner) = machine();
        let mut zipf = Zipf::new(KEYS, 0.99, 3);
        let oracle = best_static(&zipf.shares(), &vec![128; KEYS], NEAR);
        sim.serve(&mut runner, 400_000, &mut || zipf.next_key());
        sim.take_figures();
        sim.serve(&mut runner, 100_000, &mut || zipf.next_key());
        let figures = sim.take_figures();
        let share = figures.hits() / oracle;
        assert!(share > 0.85, "{share} of the oracle");
        assert!(figures.moves() < 60.0, "{}", figures.moves());
        sim.check();
    }

    #[test]
    fn what_nobody_asks_for_is_worth_no_move() {
        let (mut sim, mut runner) = machine();
        for _ in 0..500 {
            sim.tick(&mut runner, super::super::sim::TICK);
        }
        let moves = sim.take_figures().moves;
        assert_eq!(moves, 0);
    }

    #[test]
    fn above_the_watermark_the_least_worth_leaves() {
        let (mut sim, mut runner) = machine();
        sim.usage[0].limit = Bytes(NEAR.0 / 2 + 1024);
        sim.usage[0].limit = sim.usage[0].limit.max(sim.usage[0].used);
        for number in 0..50 {
            (0..20).for_each(|_| sim.access(number));
        }
        for _ in 0..2000 {
            sim.tick(&mut runner, super::super::sim::TICK);
        }
        let near = sim.usage[0];
        assert!(near.used <= near.mark(95), "{near:?}");
        assert!((0..50).all(|number| sim.node_of(number) == node(0)));
    }
}
