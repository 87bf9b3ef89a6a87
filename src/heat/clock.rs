//! The coarse clock: ticks for ages, eras for forgetting.
//!
//! A **tick** is 10 ms of wall-clock time since load. Taking the time is a system call; one
//! access must not cost one, so the engine's timer advances this clock and an access reads a
//! number that lies in the cache.
//!
//! An **era** is the time in which the traffic touches each key eight times on average: it ends
//! after `8 * keys` requests. Counts halve with each era. Measuring the period in requests is what
//! lets it tune itself: a fixed period of seconds forgets all between two accesses on a slow
//! server, and remembers last week's hot set on a fast one. Shorter eras lose the order among
//! lukewarm keys, of which there are the most; a hot set that shifts does not wait for the end of
//! one, see [`Clock::turn_over`].
//!
//! An era lasts at least a second: with a hundred keys it would otherwise end within a tick, and
//! all sixteen that the clock remembers within a blink, so that any pause would look like an age.
//! It has no upper bound: without requests nothing becomes colder *relative to the rest*, and the
//! level decays by wall-clock time anyway.
//!
//! Values carry no era: the clock keeps the ticks at which the last 16 eras began, so a stamp
//! tells how many have passed.
//!
//! ```text
//! invariant: starts[0] is the youngest, and age(starts[i]) <= age(starts[i + 1])
//! ```

use super::level::{decay_ticks, DecayTicks};

/// One tick in ms.
pub const TICK_MS: u64 = 10;
/// Ticks in a second.
pub(super) const TICKS_PER_SEC: u32 = 1000 / TICK_MS as u32;
/// Eras that the clock remembers; what is older passed that many.
pub(super) const ERAS_MAX: usize = 16;

/// Requests for each key in one era.
const ERA_REQUESTS_PER_KEY: u64 = 8;
/// Eras that end at once where the hot set has shifted.
const TURN_ERAS: u32 = 4;
/// The shortest era, in ticks.
const ERA_TICKS_MIN: u32 = TICKS_PER_SEC;
/// Bits behind the point of a logarithm.
const LOG_BITS: u32 = 8;
/// `decay_threshold_sec` until it is set.
const DECAY_THRESHOLD_SEC_DEFAULT: u32 = 10;

/// The coarse clock; advanced by the engine, read by each access.
#[derive(Clone, Debug)]
pub struct Clock {
    now: u32,
    decay: DecayTicks,
    /// Requests counted in the running era.
    requests: u64,
    /// Requests that end the running era.
    era_requests: u64,
    /// Whether something else ends it.
    turned: bool,
    /// Tick at which the last eras began, youngest first; the first `eras` of them count.
    starts: [u32; ERAS_MAX],
    eras: usize,
    begun: u32,
    /// Length of an era as of late, as `log2` of ticks in 1/256.
    era_log2_256: i32,
    /// What the caller's time was at the first [`Clock::advance`], in ms.
    zero_ms: Option<u64>,
    elapsed_ms: u64,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock at tick 0.
    #[must_use]
    pub fn new() -> Self {
        Self {
            now: 0,
            decay: decay_ticks(DECAY_THRESHOLD_SEC_DEFAULT),
            requests: 0,
            era_requests: ERA_REQUESTS_PER_KEY,
            turned: false,
            starts: [0; ERAS_MAX],
            eras: 0,
            begun: 0,
            era_log2_256: log2_256(ERA_TICKS_MIN),
            zero_ms: None,
            elapsed_ms: 0,
        }
    }

    /// Brings the clock to `now_ms`, any steady count of ms; the first call sets its zero. Time
    /// that runs backwards is ignored.
    pub fn advance(&mut self, now_ms: u64) {
        let zero = *self.zero_ms.get_or_insert(now_ms);
        self.elapsed_ms = self.elapsed_ms.max(now_ms.saturating_sub(zero));
        self.now = (self.elapsed_ms / TICK_MS) as u32;
        let lasted = self.now.wrapping_sub(self.era_start());
        if lasted < ERA_TICKS_MIN {
            return;
        }
        if self.turned {
            (0..TURN_ERAS).for_each(|_| self.begin_era());
        } else if self.requests >= self.era_requests {
            self.begin_era();
            // Half the last era, half the ones before: one odd era does not upset every score.
            self.era_log2_256 = (self.era_log2_256 + log2_256(lasted)) / 2;
        }
    }

    /// Says that the hot set has shifted: what was counted before counts a sixteenth from now on,
    /// or the keys of the old hot set would outweigh those of the new one for eras to come.
    pub fn turn_over(&mut self) {
        self.turned = true;
    }

    /// The tick, [`TICK_MS`] units since the first advance; wraps after 497 days.
    #[must_use]
    #[inline]
    pub fn now(&self) -> u32 {
        self.now
    }

    /// Counts one access to any key whose heat is kept.
    #[inline]
    pub fn count_request(&mut self) {
        self.requests = self.requests.wrapping_add(1);
    }

    /// Counts many of them.
    pub fn count_requests(&mut self, many: u64) {
        self.requests = self.requests.wrapping_add(many);
    }

    /// How many keys there are; sets how many requests end an era.
    pub fn set_keys(&mut self, keys: u64) {
        self.era_requests = keys.max(1).saturating_mul(ERA_REQUESTS_PER_KEY);
    }

    /// Scales the idle decay of levels; seconds beyond 1..=3600 are taken as the nearest bound.
    pub fn set_decay_threshold_sec(&mut self, seconds: u32) {
        self.decay = decay_ticks(seconds);
    }

    /// How long an era lasts as of late, in ms; the one that runs counts once it is longer.
    #[must_use]
    pub fn era_ms(&self) -> u64 {
        let whole = self.era_log2_256.max(0) as u32 / 256;
        let of_late = 1_u64 << whole.min(31);
        let running = self.now.wrapping_sub(self.era_start());
        of_late.max(u64::from(running)) * TICK_MS
    }

    /// How many eras began after `stamp`, at most 16.
    #[must_use]
    #[inline]
    pub fn eras_since(&self, stamp: u32) -> u32 {
        let age = self.now.wrapping_sub(stamp);
        let starts = self.starts.iter().take(self.eras);
        starts
            .take_while(|&&start| age > self.now.wrapping_sub(start))
            .count() as u32
    }

    pub(super) fn decay_ticks(&self) -> &DecayTicks {
        &self.decay
    }

    /// `log2(era / age)` of an access at `stamp`, in 1/256: how much more often than once an era
    /// the value comes, guessed from that one access.
    pub(super) fn recency_256(&self, stamp: u32) -> i32 {
        let age = self.now.wrapping_sub(stamp);
        self.era_log2_256 - log2_256(age.saturating_add(1))
    }

    /// How many eras have begun so far; wraps.
    #[must_use]
    pub const fn eras_begun(&self) -> u32 {
        self.begun
    }

    /// The tick at which the running era began.
    fn era_start(&self) -> u32 {
        if self.eras == 0 {
            return 0;
        }
        self.starts.first().copied().unwrap_or(0)
    }

    fn begin_era(&mut self) {
        self.starts.rotate_right(1);
        if let Some(youngest) = self.starts.first_mut() {
            *youngest = self.now;
        }
        self.eras = (self.eras + 1).min(ERAS_MAX);
        self.begun = self.begun.wrapping_add(1);
        self.requests = 0;
        self.turned = false;
    }
}

/// `log2` in 1/256, the mantissa taken as straight (off by 0.09 at most); 0 counts as 1.
fn log2_256(x: u32) -> i32 {
    let x = u64::from(x.max(1));
    let whole = x.ilog2();
    let mantissa = ((x << LOG_BITS) >> whole) as i32 - (1 << LOG_BITS);
    ((whole as i32) << LOG_BITS) + mantissa
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn requests(clock: &mut Clock, count: u64) {
        (0..count).for_each(|_| clock.count_request());
    }

    #[test]
    fn ticks_count_from_the_first_advance() {
        let mut clock = Clock::new();
        clock.advance(5_000_000);
        assert_eq!(clock.now(), 0);
        clock.advance(5_000_009);
        assert_eq!(clock.now(), 0);
        clock.advance(5_000_010);
        assert_eq!(clock.now(), 1);
        clock.advance(4_000_000);
        assert_eq!(clock.now(), 1, "time never runs backwards");
    }

    #[test]
    fn era_needs_requests_and_a_second() {
        let mut clock = Clock::new();
        clock.advance(0);
        clock.set_keys(50);
        requests(&mut clock, 399);
        clock.advance(5_000);
        assert_eq!(clock.eras_since(0), 0, "one request short");
        requests(&mut clock, 1);
        clock.advance(5_010);
        assert_eq!(clock.eras_since(0), 1);
        requests(&mut clock, 1_000);
        clock.advance(5_500);
        assert_eq!(clock.eras_since(0), 1, "half a second is no era");
        clock.advance(6_010);
        assert_eq!(clock.eras_since(0), 2);
        assert_eq!(
            clock.eras_since(501),
            1,
            "an access in the tick that begins an era is of it"
        );
        assert_eq!(clock.eras_since(clock.now()), 0);
    }

    #[test]
    fn a_shift_ends_four_eras_at_once_and_takes_a_second_too() {
        let mut clock = Clock::new();
        clock.advance(0);
        clock.set_keys(1_000_000);
        clock.turn_over();
        clock.advance(500);
        assert_eq!(clock.eras_since(0), 0);
        clock.advance(1000);
        assert_eq!(clock.eras_since(0), 4);
        clock.advance(9000);
        assert_eq!(clock.eras_since(0), 4, "once");
        assert_eq!(clock.eras_since(100), 0);
    }

    #[test]
    fn eras_stop_at_sixteen() {
        let mut clock = Clock::new();
        clock.advance(0);
        for second in 1..=40 {
            requests(&mut clock, 8);
            clock.advance(second * 1_000);
        }
        assert_eq!(clock.eras_since(0), 16);
        assert_eq!(clock.eras_since(3_999), 1);
    }

    #[test]
    fn logarithm_is_near_enough() {
        for x in [1_u32, 2, 3, 5, 100, 1_000, 123_456, u32::MAX] {
            let truth = f64::from(x).log2() * 256.0;
            assert!((f64::from(log2_256(x)) - truth).abs() < 23.0, "{x}");
        }
        assert_eq!(log2_256(0), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 64,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// Eras since a stamp are the eras that began after it, counted one by one, across the
        /// wrap of the ticks too.
        #[test]
        fn eras_since_counts_boundaries(
            from_end in 0_u64..100_000,
            gaps in proptest::collection::vec(1_000_u64..9_000, 1..24),
            back in 0_u32..12_000,
        ) {
            let mut clock = Clock::new();
            clock.advance(0);
            let mut ms = (u64::from(u32::MAX) - from_end) * TICK_MS;
            clock.advance(ms);
            let mut starts = Vec::new();
            for gap in gaps {
                requests(&mut clock, 8);
                ms += gap;
                clock.advance(ms);
                starts.push(ms / TICK_MS);
            }
            let stamp = ms / TICK_MS - u64::from(back);
            let passed = starts.iter().filter(|&&start| start > stamp).count().min(16);
            prop_assert_eq!(clock.eras_since(stamp as u32), passed as u32);
        }
    }
}
