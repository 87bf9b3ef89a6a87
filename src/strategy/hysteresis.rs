//! How much hotter a key must be than the one it displaces: learned from swaps made before.
//!
//! A score is an estimate from few accesses. Of many far keys the hottest-looking one is partly
//! the luckiest, so a small fixed hysteresis keeps swapping equals for ever, and a large one is
//! slow to follow a hot set that really moved. Nothing fixed fits both a uniform load, where no
//! swap is worth its cost, and one whose hot set shifts, where nearly all are. So the strategy
//! measures itself: some swaps are **trials**. A while after the swap both keys are looked at
//! again, and their exact accesses since are compared:
//!
//! `share = accesses of the promoted / accesses of both`, summed over trials
//!
//! A half is chance: the swap moved bytes for nothing. Below [`SHARE_POOR`] the hysteresis rises,
//! above [`SHARE_RICH`] it falls. While no trial ends it falls slowly by itself, so that swaps are
//! tried again now and then, and a load that changed is noticed. A trial is a pair of names and
//! counts; it holds whether or not the mover got to carry the swap out, since what it tests is the
//! guess that one key would be asked for more than the other.

use super::View;
use crate::migrate::{KeyInfo, KeyRef, Plane};
use std::collections::VecDeque;

/// Hysteresis to begin with, in steps of a score: an octave.
const STEPS_START: i32 = 256;
/// The least: two steps of the counter that scores are made of.
const STEPS_MIN: i32 = 160;
/// The most: five and a half octaves. Chance and recency together hardly put that much between
/// two equals; between a key of a new hot set and one of the old there soon is more.
const STEPS_MAX: i32 = 1408;
/// The part of it that goes in the time of a trial, whatever trials say: one in this many.
const RELAX_PARTS: i32 = 16;

/// Bounds of the time that a trial takes, in milliseconds: a quarter of an era, or there would be
/// nothing to count where keys are many.
const TRIAL_MS: std::ops::RangeInclusive<u64> = 1000..=30_000;
/// Trials at the same time.
const TRIALS_MAX: usize = 256;
/// Trials looked at in one call, a bound on its time.
const TRIALS_A_CALL: usize = 32;

/// Trials and accesses that make a verdict.
const VERDICT_TRIALS: u64 = 32;
const VERDICT_ACCESSES: u64 = 128;
/// Percent of accesses below which swaps were not worth their while.
const SHARE_POOR: u64 = 64;
/// Percent of accesses that is hardly more than chance.
const SHARE_CHANCE: u64 = 55;
/// Percent of accesses above which more of them would be.
const SHARE_RICH: u64 = 74;

/// A key and its accesses when the trial began.
#[derive(Clone, Debug)]
struct Side {
    key: KeyRef,
    accesses: u64,
}

#[derive(Debug)]
struct Trial {
    promoted: Side,
    victim: Side,
    ends_ms: u64,
}

/// The hysteresis and the trials that set it.
#[derive(Debug)]
pub(super) struct Hysteresis {
    steps: i32,
    trials: VecDeque<Trial>,
    ended: u64,
    promoted: u64,
    victims: u64,
    relax_ms: u64,
}

impl Hysteresis {
    /// As it is before anything was learned.
    pub(super) const fn new() -> Self {
        Self {
            steps: STEPS_START,
            trials: VecDeque::new(),
            ended: 0,
            promoted: 0,
            victims: 0,
            relax_ms: 0,
        }
    }

    /// How many steps hotter a key must be than what it displaces.
    pub(super) const fn steps(&self) -> i32 {
        self.steps
    }

    /// Makes a swap a trial, while there are not too many.
    pub(super) fn watch(
        &mut self,
        promoted: (&KeyRef, &KeyInfo),
        victim: (&KeyRef, &KeyInfo),
        view: &dyn View,
    ) {
        let side = |(key, info): (&KeyRef, &KeyInfo)| Side {
            key: key.clone(),
            accesses: info.accesses,
        };
        if self.trials.len() < TRIALS_MAX {
            self.trials.push_back(Trial {
                promoted: side(promoted),
                victim: side(victim),
                ends_ms: view.now_ms().saturating_add(trial_ms(view)),
            });
        }
    }

    /// Ends the trials whose time is up, and learns.
    pub(super) fn learn(&mut self, view: &mut dyn View) {
        let now_ms = view.now_ms();
        for _ in 0..TRIALS_A_CALL {
            match self.trials.front() {
                Some(trial) if now_ms >= trial.ends_ms => self.end_oldest(view),
                _ => break,
            }
        }
        if self.ended >= VERDICT_TRIALS && self.promoted + self.victims >= VERDICT_ACCESSES {
            self.judge();
        }
        if now_ms >= self.relax_ms {
            self.relax_ms = now_ms.saturating_add(trial_ms(view));
            self.set(self.steps - self.steps / RELAX_PARTS);
        }
    }

    /// Forgets the trials under way, when their keys mean another thing now.
    pub(super) fn drop_trials(&mut self) {
        self.trials.clear();
    }

    fn end_oldest(&mut self, view: &mut dyn View) {
        let Some(trial) = self.trials.pop_front() else {
            return;
        };
        let mut gained = |side: Side| {
            let info = view.look(&side.key)?;
            // The count of a native key is one of the last eras, which forgets as it counts.
            if info.plane == Plane::Native {
                return Some(info.accesses);
            }
            // A key that was made anew in between counts from its start.
            Some(
                info.accesses
                    .checked_sub(side.accesses)
                    .unwrap_or(info.accesses),
            )
        };
        if let (Some(promoted), Some(victim)) = (gained(trial.promoted), gained(trial.victim)) {
            self.ended += 1;
            self.promoted += promoted;
            self.victims += victim;
        }
    }

    fn judge(&mut self) {
        let both = (self.promoted + self.victims).max(1);
        let share = self.promoted.saturating_mul(100) / both;
        if share < SHARE_POOR {
            let chance = share < SHARE_CHANCE;
            self.set(self.steps * if chance { 2 } else { 3 } / if chance { 1 } else { 2 });
            // What was begun under the old hysteresis says nothing of the new one.
            self.trials.clear();
        } else if share > SHARE_RICH {
            self.set(self.steps * 8 / 10);
        }
        self.ended = 0;
        self.promoted = 0;
        self.victims = 0;
    }

    fn set(&mut self, steps: i32) {
        self.steps = steps.clamp(STEPS_MIN, STEPS_MAX);
    }
}

fn trial_ms(view: &dyn View) -> u64 {
    let (least, most) = TRIAL_MS.into_inner();
    (view.era_ms() / 4).clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::super::sim::{name, Sim};
    use super::*;
    use crate::ids::Bytes;

    /// Makes verdicts of swaps after which the promoted key gets `promoted` accesses each, the
    /// victim `victim`.
    fn verdicts(hysteresis: &mut Hysteresis, promoted: u32, victim: u32, count: usize) {
        let mut sim = Sim::new(&[64; 2], Bytes(64));
        for _ in 0..count {
            for _ in 0..VERDICT_TRIALS {
                let look = |sim: &mut Sim, number| View::look(sim, &name(number)).unwrap();
                let (hot, cold) = (look(&mut sim, 0), look(&mut sim, 1));
                hysteresis.watch((&name(0), &hot), (&name(1), &cold), &sim);
            }
            (0..promoted).for_each(|_| sim.access(0));
            (0..victim).for_each(|_| sim.access(1));
            sim.sleep_ms(2 * TRIAL_MS.start());
            hysteresis.learn(&mut sim);
        }
    }

    #[test]
    fn rises_where_swaps_are_chance_and_falls_where_they_pay() {
        let mut hysteresis = Hysteresis::new();
        verdicts(&mut hysteresis, 5, 5, 20);
        assert!(hysteresis.steps() > STEPS_MAX - 2 * STEPS_MAX / RELAX_PARTS);
        verdicts(&mut hysteresis, 20, 1, 30);
        assert_eq!(hysteresis.steps(), STEPS_MIN);
    }

    #[test]
    fn falls_slowly_while_nothing_is_tried() {
        let mut sim = Sim::new(&[64; 2], Bytes(64));
        let mut hysteresis = Hysteresis::new();
        hysteresis.set(1000);
        for _ in 0..10 {
            sim.sleep_ms(1000);
            hysteresis.learn(&mut sim);
        }
        let left = hysteresis.steps();
        assert!((450..=700).contains(&left), "{left}");
    }

    #[test]
    fn trials_are_bounded_and_survive_missing_keys() {
        let mut sim = Sim::new(&[64; 2], Bytes(64));
        let mut hysteresis = Hysteresis::new();
        let info = View::look(&mut sim, &name(0)).unwrap();
        for _ in 0..2 * TRIALS_MAX {
            hysteresis.watch((&name(0), &info), (&name(1), &info), &sim);
        }
        assert_eq!(hysteresis.trials.len(), TRIALS_MAX);
        sim.keys[0] = None;
        sim.sleep_ms(2 * TRIAL_MS.start());
        for _ in 0..TRIALS_MAX {
            hysteresis.learn(&mut sim);
        }
        assert!(hysteresis.trials.is_empty());
        assert_eq!(hysteresis.ended, 0);
    }
}
