//! What the plane learns from the commands that pass: a filter in front of each.
//!
//! Every command costs what this does, so it finds the key's place in a small table, hashes the
//! name and leaves the hash in a ring (see `heat::watch`): no miss of a cache, no lock, no
//! allocation, no system call. The ring's digest, once in a thousand commands, and the names that
//! are left for the tick are all that is more.
//!
//! Even so the server's own way to a filter, and ours behind it, cost more than may be spent, and
//! to let a command pass unwatched costs nearly as much as to watch it. So where commands are many
//! only one tick of a **round** is watched, by dice, and what it sees counts for all of the round;
//! in the others there is no filter. A round is as many ticks as the root of the commands in one
//! ([`Rounds::length_for`]): with the load rises what is spared, and what is seen all the same.
//! Where nothing has moved of late, all lie well or nobody moves them, and rounds are longer.
//! Rejected: to watch the first commands of each tick, which are always those of the same clients.
//! A server that has little to do is watched all the time, and so is one whose policy sends new
//! values elsewhere.
//!
//! A filter runs before the server has asked for password and rights. Whether the command ran shows
//! at the next one, in the count of refusals of its row: what was refused is forgotten.

use super::commands::{CommandRow, Commands, Known};
use super::names::Names;
use super::Native;
use crate::heat::{Clock, Dice, Guess, Score, Watch, Weight, NOTED_MAX};
use crate::ids::Level;
use crate::redis::callbacks::listen_filter;
use crate::redis::raw::{Ctx, FilterWords};
use crate::redis::server::Server;
use crate::redis::transparent;

/// Names of hot far keys that one tick takes.
const HOT_NAMES_MAX: usize = 64;

/// Bytes of their names, and of those of written keys.
const HOT_BYTES: usize = 1 << 13;
const WRITTEN_BYTES: usize = 1 << 16;
/// Commands of a watched tick from which on they are many.
const MANY: u32 = 128;
/// Commands of a tick for which a round would be one tick long, by the root of their number.
const ROOTED: u32 = 8;
/// How much longer rounds are where no places are being sought.
const CALM: u32 = 4;

/// See the head of the file.
pub(super) struct Reads {
    commands: Commands,
    pub(super) watch: Watch,
    /// The row of the command that awaits its verdict, and how often its like had been refused
    /// before it.
    judged: Option<(CommandRow, i64)>,
    hot: Names,
    pub(super) written: Names,
    /// Whether what is written is to be settled.
    pub(super) settles: bool,
    eras_begun: u32,
    /// Whether commands are watched at all, and each of them.
    watches: bool,
    all: bool,
    rounds: Rounds,
}

/// Which ticks are watched.
struct Rounds {
    dice: Dice,
    /// The running tick of its round, and the one that is watched.
    tick: u32,
    watched: u32,
    /// Commands watched since the last tick.
    passed: u32,
    /// The length of the running round, and of the next one. It is that for how many commands one
    /// that is watched stands.
    length: Weight,
    next_length: Weight,
}

impl Rounds {
    fn new(seed: u32) -> Self {
        Self {
            dice: Dice::new(seed),
            tick: 0,
            watched: 0,
            passed: 0,
            length: Weight::ONE,
            next_length: Weight::ONE,
        }
    }

    /// The round where a tick has so many commands: watched closely 4 ticks at 128, 8 at 512, 32
    /// at 8192.
    fn length_for(commands: u32, closely: bool) -> Weight {
        let calm = if closely { 1 } else { CALM };
        Weight::at_most((commands / ROOTED).isqrt() * calm)
    }

    /// Whether the tick that begins is watched. `was` says whether the last one was.
    fn next(&mut self, was: bool, all: bool, closely: bool) -> bool {
        let passed = std::mem::take(&mut self.passed);
        if all || (was && passed < MANY) {
            (self.length, self.next_length) = (Weight::ONE, Weight::ONE);
            return true;
        }
        if was {
            self.next_length = Self::length_for(passed, closely);
        }
        self.tick += 1;
        if self.tick >= self.length.accesses() {
            (self.tick, self.length) = (0, self.next_length);
            self.watched = self.dice.roll() % self.length.accesses();
        }
        self.tick == self.watched
    }
}

impl Reads {
    /// The filter's state; nothing where the server's command table cannot be read.
    pub(super) fn find() -> Option<Self> {
        Some(Self {
            commands: Commands::find()?,
            watch: Watch::default(),
            judged: None,
            hot: Names::with_room(HOT_BYTES),
            written: Names::with_room(WRITTEN_BYTES),
            settles: false,
            eras_begun: 0,
            watches: false,
            all: false,
            rounds: Rounds::new(0),
        })
    }

    /// Takes the server's verdict about the command before.
    #[inline]
    fn judge(&mut self) {
        if let Some((row, rejected)) = self.judged.take() {
            self.watch.judge(row.rejected() == rejected);
        }
    }

    #[inline]
    fn pass(&mut self, native: &Native, words: FilterWords<'_>) {
        self.rounds.passed += 1;
        let name = words.bytes(0).map(transparent::plain);
        let Some(known) = name.and_then(|name| self.commands.get(name)) else {
            return;
        };
        self.judged = Some((known.row(), known.row().rejected()));
        if known.is_of_one_key() && !(known.writes && self.settles) {
            if let Some(name) = words.bytes(1) {
                let hash = native.hasher.hash(name);
                self.watch.note(hash, name, self.rounds.length);
            }
            return;
        }
        let known = *known;
        self.note_all(native, words, known);
    }

    fn note_all(&mut self, native: &Native, words: FilterWords<'_>, known: Known) {
        for at in known.keys(words.len()).take(NOTED_MAX) {
            let Some(name) = words.bytes(at) else { break };
            let hash = native.hasher.hash(name);
            self.watch.note(hash, name, self.rounds.length);
            if known.writes && self.settles {
                self.written.leave(name, known.makes);
            }
        }
    }
}

/// The lowest counter of a key used just now that reaches the bar.
fn counter_at(clock: &Clock, bar: Score, level: Level) -> Option<u8> {
    let reaches = |counter| {
        let guess = Guess::new(clock, counter, 0);
        guess.level(clock) >= level && guess.score(clock) >= bar
    };
    // Both rise with the counter. Bit by bit, from the highest one, what is just too little.
    let below = (0..u8::BITS).rev().fold(0, |below: u8, bit| {
        let more = below | 1 << bit;
        if reaches(more - 1) {
            below
        } else {
            more
        }
    });
    reaches(below).then_some(below)
}

impl Native {
    /// A command is about to be looked up.
    pub(crate) fn passes(&self, server: &Server, words: FilterWords<'_>) {
        self.reads.with(|reads| {
            reads.judge();
            if reads.watch.is_full() {
                self.digest(server, reads);
            }
            reads.pass(self, words);
        });
    }

    #[cold]
    fn digest(&self, server: &Server, reads: &mut Reads) {
        let Reads { watch, hot, .. } = reads;
        let mut hot = |name: &[u8]| hot.leave(name, false);
        self.far.with(|far| {
            let may_be_far = |hash| far.set.contains(hash);
            server
                .pulse
                .with(|pulse| watch.digest(&mut pulse.clock, &may_be_far, &mut hot));
        });
    }

    /// What the plane does in each tick: `bar` and `level` are what a far key must reach.
    pub(crate) fn tick(&self, server: &Server, bar: Option<Score>, level: Level) {
        let clock = server.pulse.with(|pulse| pulse.clock.clone());
        let clock = clock.unwrap_or_default();
        self.look_at_used();
        self.reads.with(|reads| {
            reads.judge();
            self.digest(server, reads);
            let begun = clock.eras_begun().wrapping_sub(reads.eras_begun);
            reads.eras_begun = clock.eras_begun();
            reads.watch.begin_eras(begun);
            let bar = bar.and_then(|bar| counter_at(&clock, bar, level));
            reads.watch.tick(bar);
        });
    }

    /// Makes room for so many keys.
    pub(crate) fn fit(&self, keys: u64) {
        self.reads.with(|reads| reads.watch.fit(keys));
        self.far.with(|far| far.set.expect(keys));
    }

    /// Says what is to be watched: commands at all, whether what they write is to be settled, and
    /// whether that holds for each of them.
    pub(crate) fn set_watching(&self, watches: bool, settles: bool, all: bool) {
        self.reads.with(|reads| {
            (reads.watches, reads.settles, reads.all) = (watches, settles, all);
            if !settles {
                reads.written.clear();
            }
        });
    }

    /// Names of far keys that were read and are hot. They are names alone, of any database.
    pub(crate) fn take_hot(&self) -> Vec<Box<[u8]>> {
        let taken = self.reads.with(|reads| {
            let taken = reads.hot.take(HOT_NAMES_MAX);
            // The rest is older than what the next tick will bring.
            reads.hot.clear();
            taken
        });
        let names = taken.unwrap_or_default().into_iter();
        names.map(|(name, _)| name).collect()
    }

    /// The counter of a key.
    pub(crate) fn counter(&self, name: &[u8]) -> u8 {
        let hash = self.hasher.hash(name);
        let counter = self.reads.with(|reads| reads.watch.counter(hash));
        counter.unwrap_or(0)
    }

    /// The counter that a key had before a restart.
    pub(crate) fn recall(&self, name: &[u8], counter: u8) {
        let hash = self.hasher.hash(name);
        self.reads.with(|reads| reads.watch.recall(hash, counter));
    }

    /// Accesses counted so far, of near keys and of those that may be far.
    pub(crate) fn accesses(&self) -> (u64, u64) {
        let accesses = self.reads.with(|reads| reads.watch.accesses());
        accesses.unwrap_or_default()
    }

    /// Written keys that one tick had no room to remember.
    pub(crate) fn unsettled(&self) -> u64 {
        let dropped = self.reads.with(|reads| reads.written.dropped());
        dropped.unwrap_or(0)
    }

    /// Names mean other keys now.
    pub(super) fn forget_names(&self) {
        self.reads.with(|reads| {
            reads.hot.clear();
            reads.written.clear();
        });
    }

    /// Watches the commands until the next tick, or does not; whether the server lets it.
    /// `closely` where keys' places are being sought.
    pub(crate) fn listen_as_due(&self, ctx: Ctx<'_>, closely: bool) -> bool {
        let listens = self.listens();
        let due = self.reads.with(|reads| {
            let Reads { rounds, all, .. } = reads;
            reads.watches && rounds.next(listens, *all, closely)
        });
        self.set_listening(ctx, due == Some(true));
        due != Some(true) || self.listens()
    }

    /// Nothing may move now: no command is watched, but where its keys are to be settled later.
    /// What would be counted would be written to OS pages that a child of the server shares, for
    /// places that nobody seeks.
    pub(crate) fn rest(&self, ctx: Ctx<'_>) {
        let watches = self.reads.with(|reads| {
            reads.judge();
            reads.all
        });
        if watches == Some(false) {
            self.set_listening(ctx, false);
        }
    }

    fn listens(&self) -> bool {
        let listens = self.listening.with(|filter| filter.is_some());
        listens.unwrap_or(false)
    }

    fn set_listening(&self, ctx: Ctx<'_>, wanted: bool) {
        self.listening.with(|filter| match (wanted, *filter) {
            (true, None) => *filter = ctx.register_filter(listen_filter),
            (false, Some(registered)) => {
                ctx.unregister_filter(registered);
                *filter = None;
            }
            _ => {}
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many ticks are watched, where each that is sees so many commands.
    fn watched(rounds: &mut Rounds, ticks: u32, commands: u32, all: bool) -> u32 {
        let (mut was, mut count) = (true, 0);
        for _ in 0..ticks {
            rounds.passed = if was { commands } else { 0 };
            was = rounds.next(was, all, true);
            count += u32::from(was);
        }
        count
    }

    #[test]
    fn a_busy_server_is_watched_one_tick_in_a_round_and_each_command_counts_for_them_all() {
        let mut rounds = Rounds::new(3);
        for (commands, length) in [(MANY, 4), (511, 4), (512, 8), (8192, 32), (1 << 20, 32)] {
            watched(&mut rounds, 64, commands, false);
            let count = watched(&mut rounds, 4000, commands, false);
            assert!(count.abs_diff(4000 / length) <= 1, "{commands}: {count}");
            assert_eq!(rounds.length.accesses(), length);
            let calm = Rounds::length_for(commands, false).accesses();
            assert_eq!(calm, (length * CALM).min(32));
        }
    }

    #[test]
    fn the_bar_is_the_lowest_counter_that_reaches_it() {
        let clock = Clock::new();
        let score = |counter| Guess::new(&clock, counter, 0).score(&clock);
        let level = |counter| Guess::new(&clock, counter, 0).level(&clock);
        for counter in (0..=u8::MAX).step_by(5) {
            let reaches = |other: &u8| score(*other) >= score(counter);
            let lowest = (0..=u8::MAX).find(reaches);
            let lowest_level = level(0);
            assert_eq!(counter_at(&clock, score(counter), lowest_level), lowest);
        }
        assert_eq!(counter_at(&clock, Score(u16::MAX), Level::MAX), None);
    }

    #[test]
    fn a_quiet_server_is_watched_all_the_time_and_so_is_one_that_settles() {
        let mut rounds = Rounds::new(3);
        assert_eq!(watched(&mut rounds, 100, MANY - 1, false), 100);
        assert_eq!(watched(&mut rounds, 100, 10 * MANY, true), 100);
        assert_eq!(rounds.length, Weight::ONE);
    }

    #[test]
    fn a_quiet_server_is_watched_again_right_after_a_rest() {
        let mut rounds = Rounds::new(3);
        watched(&mut rounds, 100, 8192, false);
        assert_eq!(watched(&mut rounds, 100, 0, true), 100);
        assert!(rounds.next(false, false, false));
    }

    #[test]
    fn a_server_that_grew_quiet_is_found_out_within_a_round() {
        let mut rounds = Rounds::new(3);
        watched(&mut rounds, 100, 8192, false);
        let count = watched(&mut rounds, 200, 0, false);
        assert!(count >= 200 - 2 * 32, "{count}");
    }
}
