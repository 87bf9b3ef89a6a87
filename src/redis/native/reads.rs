//! What the plane learns from the commands that pass: a filter in front of each.
//!
//! Every command costs what this does, so it finds the key's place in a small table, hashes the
//! name and leaves the hash in a ring (see `heat::watch`): no miss of a cache, no lock, no
//! allocation, no system call. The ring's digest, once in a thousand commands, and the names that
//! are left for the tick are all that is more.
//!
//! Even so the server's own way to a filter costs most of what may be spent. So after the first
//! commands of a tick only one in eight or so is watched, by dice, and the others cost a load and a
//! store; the one that is watched stands for those before it. Under a policy that sends new
//! values elsewhere every command is watched.
//!
//! A filter runs before the server has asked for password and rights. Whether the command ran shows
//! at the next one, in the count of refusals of its row: what was refused is forgotten.

use super::commands::{Commands, Known};
use super::names::Names;
use super::Native;
use crate::heat::{Clock, Dice, Guess, Score, Watch, NOTED_MAX};
use crate::ids::Level;
use crate::redis::callbacks::listen_filter;
use crate::redis::raw::{Ctx, FilterWords};
use crate::redis::server::Server;
use std::sync::atomic::{AtomicU32, Ordering};

/// Names of hot far keys that one tick takes.
const HOT_NAMES_MAX: usize = 64;

/// Commands of a tick that are all watched.
const FULL_PER_TICK: u32 = 32;
/// Bits of the dice that say how many pass unwatched then: 7.5 on average.
const GAP_MASK: u32 = 15;
/// No command is watched, for as long as one may wait for a tick.
const ALL_PASS: u32 = u32::MAX;

/// How many commands are still to pass unwatched. Only the main thread writes it.
static GAP: AtomicU32 = AtomicU32::new(0);

/// Whether the next command is to be watched: what most of them cost.
#[inline]
pub(crate) fn is_watched() -> bool {
    let gap = GAP.load(Ordering::Relaxed);
    if gap == 0 {
        return true;
    }
    GAP.store(gap - 1, Ordering::Relaxed);
    false
}

/// See the head of the file.
pub(super) struct Reads {
    commands: Commands,
    pub(super) watch: Watch,
    /// The command that awaits its verdict, and how often its like had been refused before it.
    judged: Option<(Known, i64)>,
    hot: Names,
    pub(super) written: Names,
    /// Whether what is written is to be settled.
    pub(super) settles: bool,
    eras_begun: u32,
    dice: Dice,
    /// Commands watched since the last tick.
    passed: u32,
    /// For how many commands the next one that is watched stands.
    weight: u8,
    /// Whether every command is watched.
    all: bool,
}

impl Reads {
    /// The filter's state; nothing where the server's command table cannot be read.
    pub(super) fn find() -> Option<Self> {
        Some(Self {
            commands: Commands::find()?,
            watch: Watch::default(),
            judged: None,
            hot: Names::default(),
            written: Names::default(),
            settles: false,
            eras_begun: 0,
            dice: Dice::new(0),
            passed: 0,
            weight: 1,
            all: false,
        })
    }

    /// Takes the server's verdict about the command before.
    #[inline]
    fn judge(&mut self) {
        if let Some((known, rejected)) = self.judged.take() {
            self.watch.judge(known.rejected() == rejected);
        }
    }

    #[inline]
    fn pass(&mut self, native: &Native, words: FilterWords<'_>) {
        let known = words.bytes(0).and_then(|name| self.commands.get(name));
        let Some(known) = known.copied() else {
            return;
        };
        for at in known.keys(|| words.len()).take(NOTED_MAX) {
            let Some(name) = words.bytes(at) else { break };
            let hash = native.hasher.hash(name);
            self.watch.note(hash, self.weight);
            if self.watch.take_wanted(hash) {
                self.hot.leave(name, false);
            }
            if known.writes && self.settles {
                self.written.leave(name, known.makes);
            }
        }
        self.judged = Some((known, known.rejected()));
    }

    /// How many commands may pass unwatched now.
    #[inline]
    fn next_gap(&mut self) -> u32 {
        self.passed += 1;
        let gap = if self.all || self.passed < FULL_PER_TICK {
            0
        } else {
            self.dice.roll() & GAP_MASK
        };
        // The next one that is watched stands for those before it, too.
        self.weight = gap as u8 + 1;
        gap
    }
}

/// The lowest counter of a key used just now that reaches the bar.
fn counter_at(clock: &Clock, bar: Score, level: Level) -> Option<u8> {
    (0..=u8::MAX).find(|counter| {
        let guess = Guess::new(clock, *counter, 0);
        guess.level(clock) >= level && guess.score(clock) >= bar
    })
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
            GAP.store(reads.next_gap(), Ordering::Relaxed);
        });
    }

    #[cold]
    fn digest(&self, server: &Server, reads: &mut Reads) {
        let watch = &mut reads.watch;
        let may_be_far = |hash| self.far.with(|far| far.set.contains(hash)) == Some(true);
        server
            .pulse
            .with(|pulse| watch.digest(&mut pulse.clock, &may_be_far));
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
    }

    /// Says what is to be watched until the next tick: commands at all, whether what they write is
    /// to be settled, and whether that holds for each of them.
    pub(crate) fn set_watching(&self, watches: bool, settles: bool, all: bool) {
        self.reads.with(|reads| {
            (reads.settles, reads.all, reads.passed) = (settles, all, 0);
            if !settles {
                reads.written.clear();
            }
        });
        GAP.store(if watches { 0 } else { ALL_PASS }, Ordering::Relaxed);
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
    pub(super) fn counter(&self, name: &[u8]) -> u8 {
        let hash = self.hasher.hash(name);
        let counter = self.reads.with(|reads| reads.watch.counter(hash));
        counter.unwrap_or(0)
    }

    /// Accesses counted so far.
    pub(crate) fn accesses(&self) -> u64 {
        let accesses = self.reads.with(|reads| reads.watch.accesses());
        accesses.unwrap_or(0)
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

    /// Starts to watch commands; false where the server refuses.
    pub(super) fn listen(&self, ctx: Ctx<'_>) -> bool {
        ctx.register_filter(listen_filter).is_some()
    }
}
