//! Whether the hot set has shifted.
//!
//! Two things come together then: fewer accesses lie near than have long done, and more of the far
//! ones reach the bar. Where both are so, the keys that were hot are not the ones that are, and
//! what was counted of the past misleads. A client's walk over all keys lowers the near share too,
//! but none of the far keys that it touches was hot before.
//!
//! Invariant: at most one shift is seen in [`QUIET_RUNS`] runs.

/// A run counts one part in this many in the means of late, and in the long ones.
const SHORT: f32 = 32.0;
const LONG: f32 = 2048.0;
/// The near share of late that may be a shift, as a part of the long one.
const SHARE_FALLEN: f32 = 0.85;
/// The hot far accesses of late that may be one: so many times the long mean, and so many more.
const HOT_TIMES: f32 = 1.5;
const HOT_MORE: f32 = 4.0;
/// Accesses in a run below which the server counts as idle.
const IDLE_ACCESSES: f32 = 10.0;
/// Runs after a shift in which no other one is seen, and runs before the first.
const QUIET_RUNS: u32 = 500;

/// Accesses of a run, or their mean.
#[derive(Clone, Copy, Debug, Default)]
struct Means {
    near: f32,
    all: f32,
    hot: f32,
}

impl Means {
    fn learn(&mut self, run: Self, memory: f32) {
        self.near += (run.near - self.near) / memory;
        self.all += (run.all - self.all) / memory;
        self.hot += (run.hot - self.hot) / memory;
    }

    fn share(self) -> f32 {
        self.near / self.all.max(f32::MIN_POSITIVE)
    }
}

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Shift {
    short: Means,
    long: Means,
    counted: (u64, u64),
    quiet: u32,
}

impl Shift {
    /// Before the first run.
    pub(super) fn new() -> Self {
        Self {
            short: Means::default(),
            long: Means::default(),
            counted: (0, 0),
            quiet: QUIET_RUNS,
        }
    }

    /// Whether hardly anybody asks for anything of late.
    pub(super) fn is_idle(&self) -> bool {
        self.short.all < IDLE_ACCESSES
    }

    /// Takes in a run: near and far accesses so far, and how many far ones since the last run
    /// reached the bar. Says whether the hot set has shifted.
    pub(super) fn note(&mut self, (near, far): (u64, u64), hot: usize) -> bool {
        let since = |now: u64, before: u64| now.saturating_sub(before) as f32;
        let (near_now, far_now) = (since(near, self.counted.0), since(far, self.counted.1));
        self.counted = (near, far);
        let run = Means {
            near: near_now,
            all: near_now + far_now,
            hot: hot as f32,
        };
        self.short.learn(run, SHORT);
        self.long.learn(run, LONG);
        if self.quiet > 0 {
            self.quiet -= 1;
            // What comes at first, and right after a shift, is the measure of nothing.
            self.long = self.short;
            return false;
        }
        let fallen = self.short.share() < SHARE_FALLEN * self.long.share();
        let shifted = fallen && self.short.hot > HOT_MORE + HOT_TIMES * self.long.hot;
        if shifted {
            self.quiet = QUIET_RUNS;
        }
        shifted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of so many near, far and hot accesses; how many shifts were seen.
    fn run(shift: &mut Shift, (near, far, hot): (u64, u64, usize), runs: u32) -> u32 {
        let mut seen = 0;
        for _ in 0..runs {
            let (all_near, all_far) = shift.counted;
            seen += u32::from(shift.note((all_near + near, all_far + far), hot));
        }
        seen
    }

    #[test]
    fn a_shift_is_seen_once() {
        let mut shift = Shift::new();
        assert_eq!(
            run(&mut shift, (100, 900, 200), QUIET_RUNS),
            0,
            "a beginning"
        );
        assert_eq!(run(&mut shift, (800, 200, 5), 5000), 0);
        assert_eq!(run(&mut shift, (500, 500, 100), 200), 1);
        assert_eq!(run(&mut shift, (500, 500, 100), 5000), 0, "the new usual");
    }

    #[test]
    fn a_walk_over_cold_keys_is_none_nor_is_a_busier_load() {
        let mut shift = Shift::new();
        run(&mut shift, (800, 200, 5), 3000);
        assert_eq!(run(&mut shift, (800, 1200, 5), 3000), 0, "a walk");
        assert_eq!(run(&mut shift, (1600, 400, 20), 3000), 0, "twice as busy");
    }
}
