//! Which share of their time the last plans took to carry out.
//!
//! A mean that halves in about five plans. Above `overload_threshold` the strategy stops promoting
//! until it has fallen: what it has planned is more than the time it is given, and the other slots
//! need some of it.

/// A new plan counts one part in this many.
const MEMORY: f32 = 8.0;

/// The mean share of granted time spent moving.
#[derive(Debug, Default)]
pub(super) struct Duty {
    mean: f32,
    granted_us: u64,
    spent_us: u64,
}

impl Duty {
    /// A plan is to be made in that time; the one before it is over.
    pub(super) fn begin(&mut self, granted_us: u64) {
        let share = self.spent_us as f32 / self.granted_us.max(1) as f32;
        self.mean += (share.min(1.0) - self.mean) / MEMORY;
        self.granted_us = granted_us;
        self.spent_us = 0;
    }

    /// The plan took that long to carry out.
    pub(super) fn spend(&mut self, spent_us: u64) {
        self.spent_us = self.spent_us.saturating_add(spent_us);
    }

    /// The share, 0 to 1.
    pub(super) const fn share(&self) -> f32 {
        self.mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_with_busy_plans_and_falls_with_idle_ones() {
        let mut duty = Duty::default();
        for _ in 0..40 {
            duty.begin(100);
            duty.spend(500);
        }
        assert!(duty.share() > 0.98 && duty.share() <= 1.0);
        for _ in 0..6 {
            duty.begin(100);
        }
        assert!(duty.share() < 0.6);
    }
}
