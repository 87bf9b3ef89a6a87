//! The survey: the strategy's endless walk over the keyspace, a slice at a time.
//!
//! It reads what lies in the values anyway, so no table of keys is kept, and nothing is asked of
//! the path of a command. Each key is entered in the census, which tells the cut (see `census`);
//! near keys below the cut are the victims of the next swaps, far keys above it are worth bringing
//! home: hot keys whose accesses the fast path did not see, or that were hot before it looked.
//!
//! A passed key costs most of a microsecond on a server, as much as a move, so the walk is slow
//! ([`CALM_KEYS`] a tick) while there is nothing to be had from it, and as fast as the pace lets it
//! while hot keys wait for victims.

use super::census::Census;
use super::density::{log2_of, Density};
use super::recent::Recent;
use super::victims::Victims;
use super::{Params, View};
use crate::ids::{Bytes, Level, NodeId};
use crate::migrate::{KeyInfo, KeyRef};

/// Near keys kept as cold.
const VICTIMS_MAX: usize = 1024;
/// Far keys kept of one call, for the plan that follows it.
const FOUND_MAX: usize = 1024;
/// Keys passed between two looks at the clock: some microseconds, so that a walk ends within the
/// smallest budget that a tick may have.
const SLICE_KEYS: usize = 16;
/// Keys passed in one run while nothing waits for what the walk may find.
const CALM_KEYS: usize = 24;
/// Keys passed for one victim above which a walk for victims costs more than they bring.
const KEYS_A_VICTIM_MAX: f32 = 80.0;
/// A new victim counts one part in this many in the mean number of them.
const VICTIM_MEMORY: f32 = 64.0;
/// Batches passed in one run at most while the hot set shifts.
const SHIFT_BATCHES: usize = 8;
/// A new far key counts one part in this many in the mean size.
const SIZE_MEMORY: f32 = 64.0;

/// What the walk found.
#[derive(Debug)]
pub(super) struct Survey {
    /// Near keys below the cut.
    pub(super) victims: Victims,
    census: Census,
    cut: Option<Density>,
    found: Vec<(Density, KeyRef)>,
    far_size_log2: Option<f32>,
    /// Keys passed for one victim, on average.
    keys_a_victim: f32,
    /// Bytes of the keys passed since the walk began anew.
    walked: Bytes,
    /// What is in use on the nodes and belongs to no key that a walk passes: of native keys the
    /// names and the table, which lie at home and stay there.
    fixed: Bytes,
}

/// How much to look at.
#[derive(Clone, Copy)]
pub(super) enum Extent {
    /// Slices until that time, in microseconds of the view's clock; not more than once around, and
    /// not more keys than that.
    Until(u64, usize),
    /// That many keys, from the beginning again where the end comes first.
    Keys(usize),
}

impl Extent {
    /// What one run may pass until that time: little while nobody waits for what it may find, a
    /// batch while somebody does, several while the hot set shifts.
    pub(super) fn of_run(until_us: u64, want: Want, params: &Params) -> Self {
        let batch = usize::from(params.scan_batch_size);
        let most = match want {
            Want::Nothing => batch.min(CALM_KEYS),
            Want::Some => batch,
            Want::Much => batch.saturating_mul(SHIFT_BATCHES),
        };
        Self::Until(until_us, most)
    }
}

/// How far above the cut a key is worth bringing home, and how far above it one may still leave: a
/// little less, while those that wait for a victim are hotter than the cut by much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Margins {
    pub(super) hot: i32,
    pub(super) cold: i32,
}

/// How much waits for what a walk may find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Want {
    /// Nothing.
    Nothing,
    /// Some hot keys wait for victims.
    Some,
    /// Many do: the hot set shifts.
    Much,
}

/// What makes a far key worth finding.
struct Wanted {
    home: NodeId,
    below: Option<Density>,
    above: Option<Density>,
    /// Room that nobody else wants still costs a move, so it is for keys that are hot by the level
    /// that users set, not for whatever was written far.
    room: Bytes,
    hot: Level,
}

impl Wanted {
    fn lets(&self, info: &KeyInfo, density: Density) -> bool {
        let hotter = self.above.is_some_and(|above| density > above);
        hotter || (info.level >= self.hot && self.room >= info.bytes)
    }
}

impl Survey {
    /// Nothing seen yet.
    pub(super) fn new() -> Self {
        Self {
            victims: Victims::new(VICTIMS_MAX),
            census: Census::new(),
            cut: None,
            found: Vec::new(),
            far_size_log2: None,
            keys_a_victim: 1.0,
            walked: Bytes::ZERO,
            fixed: Bytes::ZERO,
        }
    }

    /// Forgets who lies where: home is another node now.
    pub(super) fn clear(&mut self) {
        self.victims.clear();
        self.found.clear();
    }

    /// Where the keys begin that home would hold, were every key in its place.
    pub(super) const fn cut(&self) -> Option<Density> {
        self.cut
    }

    /// Whether a walk finds enough victims to be worth its time.
    pub(super) fn pays(&self) -> bool {
        self.keys_a_victim <= KEYS_A_VICTIM_MAX
    }

    /// Whether every key was passed once.
    pub(super) const fn is_whole(&self) -> bool {
        self.census.is_whole()
    }

    /// The size of a middling far key, as a logarithm in steps of a score.
    pub(super) fn far_size_log2(&self) -> i32 {
        self.far_size_log2.unwrap_or(0.0).round() as i32
    }

    /// The far keys found since the last call, hottest first.
    pub(super) fn take_found(&mut self) -> impl Iterator<Item = KeyRef> {
        let mut found = std::mem::take(&mut self.found);
        found.sort_unstable();
        found.into_iter().rev().map(|(_, key)| key)
    }

    /// Walks on, and says how many keys it passed. Keys in `cooling` are left out of what it finds.
    pub(super) fn walk(
        &mut self,
        view: &mut dyn View,
        extent: Extent,
        margins: Margins,
        cooling: &Recent<()>,
    ) -> usize {
        // A number of keys that a user asked for is not cut short by the end of the keyspace.
        let wraps_max = u32::from(matches!(extent, Extent::Keys(_)));
        let wanted = self.wanted(view, margins);
        let (mut scanned, mut wraps) = (0, 0);
        loop {
            let count = slice_keys(extent, scanned, view.now_us());
            if count == 0 {
                break;
            }
            let step = view.scan(count, &mut |key, info| {
                self.see(key, &info, &wanted, cooling)
            });
            scanned += step.scanned;
            if step.wrapped {
                wraps += 1;
                self.census.finish_walk();
                self.fixed = used_on_all(view) - std::mem::take(&mut self.walked);
            }
            if wraps > wraps_max || (step.scanned == 0 && !step.wrapped) {
                break;
            }
        }
        // Where all fits, nothing is to be cut off.
        let share = Some(self.near_share(view)).filter(|share| *share < 1.0);
        self.cut = share.and_then(|share| self.census.cut(share));
        scanned
    }

    /// The share of all bytes of keys that home may hold.
    fn near_share(&self, view: &dyn View) -> f64 {
        let near_most = view.usage(view.home()).mark(view.params().watermark_high) - self.fixed;
        let all = used_on_all(view) - self.fixed;
        near_most.0 as f64 / all.0.max(1) as f64
    }

    fn wanted(&self, view: &dyn View, margins: Margins) -> Wanted {
        let (home, params) = (view.home(), view.params());
        Wanted {
            home,
            below: self.cut.map(|cut| cut.above(margins.cold)),
            above: self.cut.map(|cut| cut.above(margins.hot)),
            room: view.usage(home).room_below(params.watermark_high),
            hot: Level::clamped(params.migrate_hotness_threshold),
        }
    }

    fn see(&mut self, key: &KeyRef, info: &KeyInfo, wanted: &Wanted, cooling: &Recent<()>) {
        let density = Density::of(info);
        self.census.note(density, info.bytes);
        self.walked += info.bytes;
        self.keys_a_victim += 1.0 / VICTIM_MEMORY;
        if info.pinned {
            return;
        }
        if info.node == wanted.home {
            let cold = wanted.below.is_none_or(|below| density <= below);
            if cold && !cooling.contains(key) {
                self.victims.offer(key, density);
                self.keys_a_victim -= self.keys_a_victim / VICTIM_MEMORY;
            }
            return;
        }
        let size = log2_of(info.bytes) as f32;
        let mean = self.far_size_log2.get_or_insert(size);
        *mean += (size - *mean) / SIZE_MEMORY;
        let fits = self.found.len() < FOUND_MAX;
        if fits && wanted.lets(info, density) && !cooling.contains(key) {
            self.found.push((density, key.clone()));
        }
    }
}

fn used_on_all(view: &dyn View) -> Bytes {
    let nodes = view.nodes().into_iter();
    nodes.map(|node| view.usage(node).used).sum()
}

/// Keys to pass before the clock is looked at again.
fn slice_keys(extent: Extent, scanned: usize, now_us: u64) -> usize {
    match extent {
        Extent::Until(until_us, _) if now_us >= until_us => 0,
        Extent::Until(_, most) => most.saturating_sub(scanned).min(SLICE_KEYS),
        Extent::Keys(keys) => keys.saturating_sub(scanned).min(SLICE_KEYS * 16),
    }
}
