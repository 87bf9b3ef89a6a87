//! composite-lru: frequency and recency together, a fast path and a slow one (slot 1).
//!
//! ```text
//! fast   each tick       hot far accesses -> looked at again -> plan
//!                        a slice of the survey and of the patrol rides along
//! slow   each interval   more of both, within all of the time that is left
//!
//! survey (see `survey`)  all keys -> census -> the cut; near keys below it are victims, far keys
//!                        well above it go into the plan
//! patrol (see `patrol`)  keys brought home of late, looked at again: cold ones are victims
//! ```
//!
//! Both paths write the same plan. Home has room below its high watermark, so the key is promoted;
//! or it has none, and the key is promoted **by swapping**: the coldest near keys known, looked at
//! again, leave in front of it, if each is colder by the hysteresis (see `hysteresis`) and together
//! they free enough. Above the high watermark the coldest leave without a swap until the low one is
//! reached. Heat is compared by the byte (see `density`).
//!
//! A key that was planned to move cools down for one to two [`COOLING_MS`]: it is neither
//! promoted nor a victim. Together with the hysteresis that is what keeps keys from going to and
//! fro.
//!
//! What the parameters mean here:
//! * `migrate_hotness_threshold`: the level that a far key must have to take room that nobody else
//!   wants. Where room is scarce the score decides, at any level, or a load of so many keys that
//!   none is asked for often enough would never be placed.
//! * `stability_count`, `hot_candidates_size`: how often it must be seen hot to take such room,
//!   among how many.
//! * `scan_batch_size`: keys that the survey passes in one run at most while hot keys wait for
//!   victims, if its time lasts; several times as many while the hot set shifts.
//! * `pressure_threshold`: share of the high watermark up to which home takes any such key. From
//!   there on room counts as scarce.
//! * `overload_threshold`: the share of its time that moving may take on average (see `duty`);
//!   while it takes more, nothing is promoted.
//! * `auto_migrate_enabled`: without it nothing is planned unless a user asks (`NUMAMIGRATE SCAN`).
//!
//! Rejected: to keep all keys in an ordered list, as an LRU does. It costs two links a key and a
//! write to other keys' lines at each access, for an order of which only the cold end is used.

use super::candidates::Candidates;
use super::density::{log2_of, Density};
use super::desk::{Desk, Seen};
use super::duty::Duty;
use super::hysteresis::Hysteresis;
use super::patrol::Patrol;
use super::recent::Recent;
use super::shift::Shift;
use super::survey::{Extent, Margins, Survey, Want};
use super::{Bar, Params, Plan, Strategy, StrategyError, View};
use crate::heat::Score;
use crate::ids::{Bytes, Level, NodeId};
use crate::migrate::{Budget, KeyRef, Report, Why};

/// Hot accesses taken in one tick.
const HOT_MAX: usize = 1024;
/// Keys remembered as just moved.
const COOLING_KEYS_MAX: usize = 4096;
/// The least time that a moved key stays where it is, in milliseconds.
const COOLING_MS: u64 = 1000;
/// Victims looked at again before the search for one is given up.
const VICTIM_TRIES: usize = 64;
/// Victims that one promotion may displace.
const SWAP_VICTIMS_MAX: usize = 64;
/// What the price of a victim rises by in a run in which hot keys found none, and falls by in one
/// that leaves victims over, in steps of a score.
const PRICE_STEP: i32 = 8;
/// The highest price: six octaves.
const PRICE_MAX: i32 = 6 * 256;
/// The price from which on the survey looks for victims, and the one that says that the hot set
/// shifts: keys four times as hot as they need be wait.
const PRICE_SOME: i32 = 128;
const PRICE_MUCH: i32 = 208;
/// Victims left over at which the price falls.
const VICTIMS_OVER: usize = 8;
/// Victims known from which on the walk need not hurry for more.
const VICTIMS_ENOUGH: usize = 512;
/// Above the high watermark a drain begins once one in this many parts of what lies between the two
/// is in use there.
const DRAIN_TOLERANCE: u64 = 8;

/// The strategy of slot 1. See the head of the file.
#[derive(Debug)]
pub struct CompositeLru {
    home: Option<NodeId>,
    candidates: Candidates,
    survey: Survey,
    patrol: Patrol,
    hysteresis: Hysteresis,
    cooling: Recent<()>,
    cooling_turn_ms: u64,
    duty: Duty,
    draining: bool,
    bar: Option<Bar>,
    shift: Shift,
    shifted: bool,
    /// How far above the cut a key must be to be worth a victim now, and hot keys that found none.
    price: i32,
    unmet: usize,
}

impl Default for CompositeLru {
    fn default() -> Self {
        Self::new()
    }
}

impl CompositeLru {
    /// The strategy before it has seen anything.
    #[must_use]
    pub fn new() -> Self {
        Self {
            home: None,
            candidates: Candidates::new(Params::default().hot_candidates_size),
            survey: Survey::new(),
            patrol: Patrol::new(),
            hysteresis: Hysteresis::new(),
            cooling: Recent::new(COOLING_KEYS_MAX),
            cooling_turn_ms: 0,
            duty: Duty::default(),
            draining: false,
            bar: Some(Bar::default()),
            shift: Shift::new(),
            shifted: false,
            price: 0,
            unmet: 0,
        }
    }

    /// How much hotter a key must be now than what it displaces, in steps of [`Score`].
    #[must_use]
    pub const fn hysteresis(&self) -> i32 {
        self.hysteresis.steps()
    }

    /// How far above the cut a far key must be to be worth a look.
    fn margin(&self) -> i32 {
        self.price.max(self.hysteresis.steps() / 2)
    }

    /// Where the survey and the patrol draw their lines.
    fn margins(&self) -> Margins {
        Margins {
            hot: self.margin(),
            cold: (self.price - self.hysteresis.steps()).max(0),
        }
    }

    /// One automatic run of either path.
    fn run(&mut self, view: &mut dyn View, budget: &Budget, hot_max: usize) -> Plan {
        if !view.params().auto_migrate_enabled || view.nodes().len() < 2 {
            self.bar = None;
            return Plan::new();
        }
        let mut hot = view.take_hot(hot_max);
        if hot_max > 0 {
            self.shifted |= self.shift.note(view.accesses(), hot.len());
        }
        hot.sort_unstable();
        hot.dedup();
        let start_us = view.now_us();
        self.prepare(view, budget);
        let until_us = start_us.saturating_add(budget.time_us / 2);
        let extent = Extent::of_run(until_us, self.want(), &view.params());
        let margins = self.margins();
        self.survey.walk(view, extent, margins, &self.cooling);
        self.patrol.step(view, &mut self.survey, margins);
        let deadline_us = start_us.saturating_add(budget.time_us);
        let mut desk = Desk::open(view, budget, deadline_us);
        self.fill(&mut desk, hot);
        desk.close()
    }

    /// What the survey is to look for. A store that is not empty serves for a while.
    fn want(&self) -> Want {
        let pays = self.survey.pays();
        if pays && self.price >= PRICE_MUCH {
            return Want::Much;
        }
        if self.survey.victims.len() >= VICTIMS_ENOUGH && self.survey.is_whole() {
            return Want::Nothing;
        }
        // An idle server loses nothing by a faster walk, and its reports are younger for it.
        let unhurried = self.shift.is_idle() || !self.survey.is_whole();
        if self.draining || unhurried || (pays && self.price >= PRICE_SOME) {
            Want::Some
        } else {
            Want::Nothing
        }
    }

    /// Victims are scarce where many hot keys want them: the price lets the hottest have them.
    fn set_price(&mut self) {
        let change = if self.unmet > 0 {
            PRICE_STEP
        } else if self.survey.victims.len() >= VICTIMS_OVER {
            -PRICE_STEP
        } else {
            0
        };
        self.price = (self.price + change).clamp(0, PRICE_MAX);
    }

    /// What comes before each plan.
    fn prepare(&mut self, view: &mut dyn View, budget: &Budget) {
        let (home, now_ms) = (view.home(), view.now_ms());
        if self.home != Some(home) {
            self.home = Some(home);
            self.survey.clear();
            self.patrol.clear();
            self.candidates.clear();
            self.hysteresis.drop_trials();
        }
        self.candidates
            .set_capacity(view.params().hot_candidates_size);
        if now_ms >= self.cooling_turn_ms {
            self.cooling.turn();
            self.cooling_turn_ms = now_ms.saturating_add(COOLING_MS);
        }
        self.duty.begin(budget.time_us);
        self.hysteresis.learn(view);
    }

    /// Writes the plan.
    fn fill(&mut self, desk: &mut Desk<'_>, hot: Vec<KeyRef>) {
        self.unmet = 0;
        self.drain(desk);
        if self.duty.share() < desk.params.overload_threshold {
            let found: Vec<KeyRef> = self.survey.take_found().collect();
            for key in found {
                self.promote(desk, key, 1);
            }
            for key in hot {
                self.promote(desk, key, desk.params.stability_count);
            }
        }
        self.set_price();
        self.set_bar(desk);
    }

    /// Above the high watermark, plans the coldest to leave down to the low one.
    fn drain(&mut self, desk: &mut Desk<'_>) {
        let near = desk.near();
        let (high, low) = (desk.params.watermark_high, desk.params.watermark_low);
        // Room is filled up to the high watermark, by sizes that may be off by a little.
        let more = Bytes((near.mark(high) - near.mark(low)).0 / DRAIN_TOLERANCE);
        self.draining |= near.used > (near.mark(high) + more).min(near.limit);
        while self.draining && !desk.is_done() {
            if desk.near().used <= desk.near().mark(desk.params.watermark_low) {
                self.draining = false;
                break;
            }
            let Some(victim) = self.next_victim(desk) else {
                break;
            };
            let Some(to) = desk.far_with_room(victim.1.bytes) else {
                self.spare(victim);
                break;
            };
            self.plan(desk, victim, to, Why::Demote, 0);
        }
    }

    /// Plans to bring a far key home, if there is room or a swap for it. Room that nobody else
    /// wants is for keys seen hot `stability_count` times.
    fn promote(&mut self, desk: &mut Desk<'_>, key: KeyRef, stability_count: u8) {
        let full = desk.easy_room() == Bytes::ZERO && self.is_full(desk);
        if desk.is_done() || (full && self.survey.victims.coldest().is_none()) {
            // To look at it would only cost.
            self.unmet += 1;
            return;
        }
        if self.cooling.contains(&key) {
            return;
        }
        let Some(info) = desk.look(&key) else { return };
        if info.node == desk.home {
            return;
        }
        let hot = info.level.get() >= desk.params.migrate_hotness_threshold;
        if !self.draining && desk.easy_room() >= info.bytes {
            if hot && self.candidates.see(&key, stability_count) {
                self.plan(desk, (key, info), desk.home, Why::Promote, 0);
            }
            return;
        }
        let Some(cut) = self.survey.cut() else { return };
        let density = Density::of(&info);
        if density > cut && self.room(desk) >= info.bytes {
            let benefit = density.over(cut);
            self.plan(desk, (key, info), desk.home, Why::Promote, benefit);
        } else if density > cut.above(self.margin()) {
            let swapped = self.swap(desk, (key, info));
            self.unmet += usize::from(!swapped);
        }
    }

    /// Whether no middling key fits. Less room than that is always left over, and would otherwise
    /// have every far key above the cut looked at for nothing.
    fn is_full(&self, desk: &Desk<'_>) -> bool {
        let room = self.room(desk);
        room == Bytes::ZERO || log2_of(room) < self.survey.far_size_log2()
    }

    /// What a promotion may fill. Nothing while home is being drained: it would fill again what the
    /// drain has just emptied, a swap that no hysteresis has looked at.
    fn room(&self, desk: &Desk<'_>) -> Bytes {
        if self.draining {
            Bytes::ZERO
        } else {
            desk.room()
        }
    }

    /// Plans the coldest near keys to leave and the candidate to take their room; all or nothing.
    fn swap(&mut self, desk: &mut Desk<'_>, candidate: Seen) -> bool {
        let victims = self.gather(desk, &candidate);
        let freed: Bytes = victims.iter().map(|(_, info)| info.bytes).sum();
        let enough = self.room(desk) + freed >= candidate.1.bytes;
        let target = desk.far_with_room(freed);
        let (true, Some(to), Some((coldest, coldest_info))) = (enough, target, victims.first())
        else {
            victims.into_iter().for_each(|victim| self.spare(victim));
            return false;
        };
        let density = Density::of(&candidate.1);
        self.hysteresis.watch(
            (&candidate.0, &candidate.1),
            (coldest, coldest_info),
            desk.view,
        );
        let mut benefit = u32::MAX;
        for victim in victims {
            benefit = benefit.min(density.over(Density::of(&victim.1)));
            self.plan(desk, victim, to, Why::Demote, 0);
        }
        self.plan(desk, candidate, desk.home, Why::Promote, benefit);
        true
    }

    /// The coldest near keys that would free room for the candidate, as far as they are colder
    /// than it by the hysteresis. May free too little.
    fn gather(&mut self, desk: &mut Desk<'_>, candidate: &Seen) -> Vec<Seen> {
        let density = Density::of(&candidate.1);
        let most = SWAP_VICTIMS_MAX.min(desk.moves_left().saturating_sub(1));
        let mut victims: Vec<Seen> = Vec::new();
        let mut room = self.room(desk);
        while room < candidate.1.bytes && victims.len() < most && !desk.is_done() {
            let Some(victim) = self.next_victim(desk) else {
                break;
            };
            if density <= Density::of(&victim.1).above(self.hysteresis.steps()) {
                self.spare(victim);
                break;
            }
            room += victim.1.bytes;
            victims.push(victim);
        }
        victims
    }

    /// Takes the coldest near key, as it is now.
    fn next_victim(&mut self, desk: &mut Desk<'_>) -> Option<Seen> {
        for _ in 0..VICTIM_TRIES {
            let key = self.survey.victims.take_coldest()?;
            let near = desk.look(&key).filter(|info| info.node == desk.home);
            let Some(info) = near.filter(|_| !self.cooling.contains(&key)) else {
                continue;
            };
            let density = Density::of(&info);
            let cold = self.margins().cold;
            if self
                .survey
                .cut()
                .is_some_and(|cut| density > cut.above(cold))
            {
                // It grew hot since it was passed.
                self.patrol.enlist(key);
                continue;
            }
            let next = self.survey.victims.coldest();
            if next.is_none_or(|next| density <= next) {
                return Some((key, info));
            }
            self.spare((key, info));
        }
        None
    }

    /// Gives a victim back that is not to leave.
    fn spare(&mut self, (key, info): Seen) {
        self.survey.victims.offer(&key, Density::of(&info));
    }

    fn plan(&mut self, desk: &mut Desk<'_>, seen: Seen, to: NodeId, why: Why, benefit: u32) {
        self.cooling.put(seen.0.clone(), ());
        if to == desk.home {
            self.patrol.enlist(seen.0.clone());
        }
        desk.push(seen, to, why, benefit);
    }

    /// What a far access must reach now: where room is scarce the score of a key of middling size
    /// that would be promoted, else the level that users set.
    fn set_bar(&mut self, desk: &Desk<'_>) {
        let hot = Level::clamped(desk.params.migrate_hotness_threshold);
        let scarce = self.draining || desk.easy_room() == Bytes::ZERO;
        let full = self.is_full(desk);
        let margin = if full { self.margin() } else { 0 };
        self.bar = Some(match self.survey.cut().filter(|_| scarce) {
            Some(cut) => Bar {
                score: cut.above(margin).score_at(self.survey.far_size_log2()),
                level: Level::default(),
            },
            None => Bar {
                score: Score::default(),
                level: hot,
            },
        });
    }
}

impl Strategy for CompositeLru {
    fn name(&self) -> &'static str {
        "composite-lru"
    }

    fn description(&self) -> &'static str {
        "Brings hot keys home and sends the coldest away, by frequency and recency."
    }

    fn fast(&mut self, view: &mut dyn View, budget: &Budget) -> Result<Plan, StrategyError> {
        Ok(self.run(view, budget, HOT_MAX))
    }

    fn decide(&mut self, view: &mut dyn View, budget: &Budget) -> Result<Plan, StrategyError> {
        Ok(self.run(view, budget, 0))
    }

    fn pass(&mut self, view: &mut dyn View, keys: usize) -> Result<(Plan, usize), StrategyError> {
        let budget = Budget::UNBOUNDED;
        self.prepare(view, &budget);
        let mut walk = |strategy: &mut Self| {
            let margins = strategy.margins();
            let extent = Extent::Keys(keys);
            strategy
                .survey
                .walk(view, extent, margins, &strategy.cooling)
        };
        let knew = self.survey.cut().is_some();
        let scanned = walk(self);
        if !knew {
            // What the first walk found was judged by nothing.
            walk(self);
        }
        let mut desk = Desk::open(view, &budget, u64::MAX);
        self.fill(&mut desk, Vec::new());
        Ok((desk.close(), scanned))
    }

    fn carried(&mut self, report: &Report) {
        self.duty.spend(report.spent_us);
        for next in &report.rest {
            self.cooling.take(&next.key);
        }
    }

    fn bar(&self) -> Option<Bar> {
        self.bar
    }

    fn take_shift(&mut self) -> bool {
        std::mem::take(&mut self.shifted)
    }

    fn is_hungry(&self) -> bool {
        // What is above the limit takes room from others.
        self.want() == Want::Much || self.draining
    }
}

#[cfg(test)]
mod tests {
    use super::super::sim::{name, node, runner, Sim, TICK};
    use super::super::Runner;
    use super::*;
    use crate::ids::SlotIndex;

    /// Key 0 alone is near and cold; the others are far. Home holds one key below its watermark.
    fn one_near(keys: usize) -> (Sim, Runner) {
        let sim = Sim::new(&vec![100; keys], Bytes(120));
        assert_eq!(sim.node_of(0), node(0));
        assert_eq!(sim.node_of(1), node(1));
        (sim, runner())
    }

    /// Some seconds in which key 1 is asked for all the time.
    fn heat_key_1(sim: &mut Sim, runner: &mut Runner) {
        sim.serve(runner, 400_000, &mut || 1);
    }

    #[test]
    fn a_hot_far_key_takes_the_place_of_a_cold_near_one() {
        let (mut sim, mut runner) = one_near(4);
        heat_key_1(&mut sim, &mut runner);
        assert_eq!(sim.node_of(1), node(0));
        assert_eq!(sim.node_of(0), node(1));
        assert_eq!(sim.stats.moved_for(Why::Promote), 1);
        assert_eq!(sim.stats.moved_for(Why::Demote), 1);
    }

    #[test]
    fn a_home_that_began_overfull_is_drained_and_then_left_in_peace() {
        let keys = 2_000;
        let mut sim = Sim::new(&vec![100; keys], Bytes(100 * 250));
        // New data filled home to its brim.
        sim.usage[0].limit = Bytes(sim.usage[0].used.0);
        let mut runner = runner();
        let mut turn = 0;
        let mut hot_100 = || {
            turn += 1;
            1_900 + turn % 100
        };
        sim.serve(&mut runner, 300_000, &mut hot_100);
        let near = (1_900..2_000)
            .filter(|key| sim.node_of(*key) == node(0))
            .count();
        assert_eq!(near, 100, "all that is hot is near");
        sim.take_figures();
        sim.serve(&mut runner, 300_000, &mut hot_100);
        let figures = sim.take_figures();
        let (hits, moves) = (figures.hits(), figures.moves());
        assert!(hits > 0.99 && moves < 0.5, "hits {hits}, moves {moves}");
    }

    #[test]
    fn a_plan_makes_room_before_it_uses_it() {
        let (mut sim, _) = one_near(4);
        (0..500).for_each(|_| sim.access(1));
        sim.sleep_ms(2000);
        (0..500).for_each(|_| sim.access(1));
        let (plan, scanned) = CompositeLru::new().pass(&mut sim, 4).unwrap();
        assert_eq!(scanned, 4);
        let moves: Vec<_> = plan
            .moves()
            .iter()
            .map(|m| (m.key.clone(), m.why))
            .collect();
        assert_eq!(moves, [(name(0), Why::Demote), (name(1), Why::Promote)]);
        assert!(plan.moves()[1].benefit > 0);
    }

    #[test]
    fn one_wrong_thing_keeps_a_key_where_it_is() {
        let spoil: [fn(&mut Sim); 7] = [
            |sim| sim.params.auto_migrate_enabled = false,
            |sim| sim.keys[0].as_mut().unwrap().pinned = true,
            |sim| sim.keys[1].as_mut().unwrap().pinned = true,
            |sim| {
                sim.usage[0].limit = Bytes::mib(100);
                sim.keys[1].as_mut().unwrap().bytes = Bytes::mib(5);
            },
            |sim| sim.usage[1].limit = sim.usage[1].used,
            |sim| sim.usage.truncate(1),
            |sim| sim.usage[0].limit = Bytes::ZERO,
        ];
        for (number, spoil) in spoil.into_iter().enumerate() {
            let mut sim = Sim::new(&[100; 4], Bytes(120));
            spoil(&mut sim);
            let mut runner = runner();
            heat_key_1(&mut sim, &mut runner);
            let stayed = sim.keys[1].as_ref().unwrap().node == node(1);
            assert!(stayed, "case {number}");
            let status = runner.status(SlotIndex::new(1).unwrap()).unwrap();
            assert!(
                status.enabled && status.counts.failures == 0,
                "case {number}"
            );
        }
    }

    #[test]
    fn no_budget_no_move_no_harm() {
        let nothing = [
            Budget { time_us: 0, ..TICK },
            Budget { keys: 0, ..TICK },
            Budget {
                bytes: Bytes::ZERO,
                ..TICK
            },
        ];
        for budget in nothing {
            let (mut sim, mut runner) = one_near(4);
            for _ in 0..400 {
                (0..100).for_each(|_| sim.access(1));
                sim.tick(&mut runner, budget);
            }
            assert_eq!(sim.stats.total, 0);
        }
    }

    #[test]
    fn a_key_that_went_away_is_passed_over() {
        let (mut sim, mut runner) = one_near(4);
        sim.serve(&mut runner, 1000, &mut || 1);
        for gone in [1, 0] {
            let key = sim.keys[gone].take().unwrap();
            sim.usage[key.node.index()].used -= key.bytes;
            sim.serve(&mut runner, 100_000, &mut || 1);
        }
        sim.check();
        assert_eq!(sim.stats.failed, 0);
    }

    #[test]
    fn above_the_high_watermark_the_coldest_leave_down_to_the_low_one() {
        let mut sim = Sim::new(&[100; 100], Bytes(10_600));
        let mut runner = runner();
        assert_eq!(sim.usage[0].used, Bytes(10_000));
        sim.usage[0].limit = Bytes(10_000);
        let mut served = 0;
        sim.serve(&mut runner, 100_000, &mut || {
            served += 1;
            served % 50
        });
        assert_eq!(sim.usage[0].used, Bytes(9_000));
        assert!((0..50).all(|hot| sim.node_of(hot) == node(0)));
    }

    #[test]
    fn free_room_takes_what_is_asked_for_and_nothing_else() {
        let mut sim = Sim::new(&[100; 100], Bytes::ZERO);
        let mut runner = runner();
        sim.usage[0].limit = Bytes(100_000);
        let mut served = 0;
        sim.serve(&mut runner, 300_000, &mut || {
            served += 1;
            served % 20
        });
        assert!((0..20).all(|hot| sim.node_of(hot) == node(0)));
        assert!((20..100).all(|cold| sim.node_of(cold) == node(1)));
    }

    #[test]
    fn a_small_hot_key_beats_a_large_one_of_the_same_heat() {
        let mut sim = Sim::new(&[6400, 100, 100, 100], Bytes(7000));
        let mut runner = runner();
        let mut served = 0;
        sim.serve(&mut runner, 600_000, &mut || {
            served += 1;
            served % 4
        });
        assert_eq!(
            sim.node_of(0),
            node(1),
            "64 times the bytes for the same hits"
        );
        assert!((1..4).all(|small| sim.node_of(small) == node(0)));
    }

    #[test]
    fn demoted_keys_go_to_the_nearest_node_with_room() {
        let (mut sim, mut runner) = one_near(4);
        sim.usage.push(sim.usage[1]);
        sim.usage[2].used = Bytes::ZERO;
        sim.usage[1].limit = sim.usage[1].used;
        heat_key_1(&mut sim, &mut runner);
        assert_eq!(sim.node_of(0), node(2));
        assert_eq!(sim.node_of(1), node(0));
    }

    #[test]
    fn a_new_home_is_filled_from_the_old_one() {
        let (mut sim, mut runner) = one_near(4);
        heat_key_1(&mut sim, &mut runner);
        sim.usage[1].limit = Bytes(100_000);
        sim.home = node(1);
        sim.serve(&mut runner, 200_000, &mut || 1);
        assert_eq!(sim.node_of(1), node(1));
    }
}
