//! The survey: the strategy's endless walk over the keyspace, a slice at a time.
//!
//! It reads what lies in the values anyway, so no table of keys is kept, and nothing is asked of
//! the path of a command. From each slice come the coldest near keys, which are the victims of the
//! next swaps, and far keys that are hotter than those: hot keys whose accesses the fast path did
//! not see, or that grew hot on a threshold too high for a slow load.

use super::density::{log2_of, Density};
use super::recent::Recent;
use super::victims::Victims;
use super::{Params, View};
use crate::ids::{Bytes, Level, NodeId};
use crate::migrate::{KeyInfo, KeyRef};

/// Near keys kept as the coldest known.
const VICTIMS_MAX: usize = 128;
/// Far keys kept of one call, for the plan that follows it.
const FOUND_MAX: usize = 1024;
/// Keys passed between two looks at the clock: some microseconds, so that a walk ends within the
/// smallest budget that a tick may have.
const SLICE_KEYS: usize = 16;
/// A new far key counts one part in this many in the mean size.
const SIZE_MEMORY: i32 = 64;

/// What the walk found.
#[derive(Debug)]
pub(super) struct Survey {
    /// The coldest near keys known.
    pub(super) victims: Victims,
    found: Vec<(Density, KeyRef)>,
    far_size_log2: i32,
    /// Near keys that the running walk has passed, and the last whole one.
    near_passed: usize,
    near_keys: usize,
}

/// How much to look at.
#[derive(Clone, Copy)]
pub(super) enum Extent {
    /// Slices until that time, in microseconds of the view's clock; not more than once around, and
    /// not more keys than a batch.
    Until(u64),
    /// That many keys, from the beginning again where the end comes first.
    Keys(usize),
}

/// What makes a far key worth finding.
struct Bar {
    home: NodeId,
    hotter_than: Option<Density>,
    /// Room that nobody else wants still costs a move, so it is for keys that are hot by the level
    /// that users set, not for whatever was written far.
    room: Bytes,
    hot: Level,
}

impl Bar {
    fn lets(&self, info: &KeyInfo, density: Density) -> bool {
        let hot = info.level >= self.hot;
        // Where no near key is known yet, the plan that follows may know one.
        let hotter = self.hotter_than.map_or(hot, |bar| density > bar);
        hotter || (hot && self.room >= info.bytes)
    }
}

impl Survey {
    /// Nothing seen yet.
    pub(super) fn new() -> Self {
        Self {
            victims: Victims::new(VICTIMS_MAX),
            found: Vec::new(),
            far_size_log2: 0,
            near_passed: 0,
            near_keys: 0,
        }
    }

    /// Forgets all: home is another node now.
    pub(super) fn clear(&mut self) {
        self.victims.clear();
        self.found.clear();
    }

    /// The size of a middling far key, as a logarithm in steps of a score.
    pub(super) const fn far_size_log2(&self) -> i32 {
        self.far_size_log2
    }

    /// Victims that a drain leaves: half of the list, or of the near keys where they are few. A
    /// drain that took what it knows to the last would send hot keys away, and leave a promotion
    /// nobody to displace.
    pub(super) fn reserve(&self) -> usize {
        (self.near_keys / 2).min(VICTIMS_MAX / 2)
    }

    /// The far keys found since the last call, hottest first.
    pub(super) fn take_found(&mut self) -> impl Iterator<Item = KeyRef> {
        let mut found = std::mem::take(&mut self.found);
        found.sort_unstable();
        found.into_iter().rev().map(|(_, key)| key)
    }

    /// Walks on, and says how many keys it passed. Keys in `cooling` are left out.
    pub(super) fn walk(
        &mut self,
        view: &mut dyn View,
        extent: Extent,
        hysteresis: i32,
        cooling: &Recent<()>,
    ) -> usize {
        let params = view.params();
        // A number of keys that a user asked for is not cut short by the end of the keyspace.
        let wraps_max = u32::from(matches!(extent, Extent::Keys(_)));
        let (mut scanned, mut wraps) = (0, 0);
        loop {
            let count = slice_keys(extent, scanned, &params, view.now_us());
            if count == 0 {
                return scanned;
            }
            let bar = self.bar(view, &params, hysteresis);
            let step = view.scan(count, &mut |key, info| {
                if !info.pinned && !cooling.contains(key) {
                    self.see(key, &info, &bar);
                }
            });
            scanned += step.scanned;
            if step.wrapped {
                self.near_keys = std::mem::take(&mut self.near_passed);
            }
            wraps += u32::from(step.wrapped);
            if wraps > wraps_max || (step.scanned == 0 && !step.wrapped) {
                return scanned;
            }
        }
    }

    fn bar(&self, view: &dyn View, params: &Params, hysteresis: i32) -> Bar {
        let home = view.home();
        let coldest = self.victims.coldest();
        Bar {
            home,
            hotter_than: coldest.map(|coldest| coldest.above(hysteresis)),
            room: view.usage(home).room_below(params.watermark_high),
            hot: Level::clamped(params.migrate_hotness_threshold),
        }
    }

    fn see(&mut self, key: &KeyRef, info: &KeyInfo, bar: &Bar) {
        let density = Density::of(info);
        if info.node == bar.home {
            self.near_passed += 1;
            self.victims.offer(key, density);
            return;
        }
        self.far_size_log2 += (log2_of(info.bytes) - self.far_size_log2) / SIZE_MEMORY;
        if self.found.len() < FOUND_MAX && bar.lets(info, density) {
            self.found.push((density, key.clone()));
        }
    }
}

/// Keys to pass before the clock is looked at again.
fn slice_keys(extent: Extent, scanned: usize, params: &Params, now_us: u64) -> usize {
    let batch = usize::from(params.scan_batch_size);
    match extent {
        Extent::Until(until_us) if now_us >= until_us => 0,
        Extent::Until(_) => batch.saturating_sub(scanned).min(SLICE_KEYS),
        Extent::Keys(keys) => keys.saturating_sub(scanned).min(batch),
    }
}
