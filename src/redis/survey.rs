//! What the strategies' walk over the keyspace has seen: keys and bytes by node and level.
//!
//! A walk passes each key at least once, so a whole walk is a census of the keyspace, a few
//! seconds old; `numa_hotness_<level>_keys`, `NUMA HEATMAP` and the doctor read the last whole one.
//! Rejected: counters kept in step at every write, which would cost each command for a report.

use crate::ids::{Bytes, Level, NodeId};
use crate::migrate::KeyInfo;
use std::collections::BTreeMap;

/// Keys and bytes of one node and level.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Cell {
    pub(crate) keys: u64,
    pub(crate) bytes: Bytes,
}

/// A row of the map: one node's levels, 0 to 7.
pub(crate) type Row = [Cell; Level::COUNT];

/// A census under way, and the last whole one.
#[derive(Default)]
pub(crate) struct Survey {
    under_way: BTreeMap<NodeId, Row>,
    whole: BTreeMap<NodeId, Row>,
    finished_ms: Option<u64>,
    finished: u64,
}

impl Survey {
    /// Counts one key.
    pub(crate) fn note(&mut self, info: &KeyInfo) {
        let row = self.under_way.entry(info.node).or_default();
        if let Some(cell) = row.get_mut(usize::from(info.level.get())) {
            cell.keys += 1;
            cell.bytes += info.bytes;
        }
    }

    /// The walk has seen every key.
    pub(crate) fn finish(&mut self, now_ms: u64) {
        self.whole = std::mem::take(&mut self.under_way);
        self.finished_ms = Some(now_ms);
        self.finished += 1;
    }

    /// The walk begins again before its end.
    pub(crate) fn abandon(&mut self) {
        self.under_way.clear();
    }

    /// The last whole census.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (NodeId, &Row)> {
        self.whole.iter().map(|(node, row)| (*node, row))
    }

    /// How many whole censuses there were; before the first, every count of keys is 0.
    pub(crate) fn finished(&self) -> u64 {
        self.finished
    }

    /// When it was finished, in ms since the load.
    pub(crate) fn finished_ms(&self) -> Option<u64> {
        self.finished_ms
    }

    /// Keys of one level, over all nodes.
    pub(crate) fn keys_of_level(&self, level: Level) -> u64 {
        let of_level = |row: &Row| {
            row.get(usize::from(level.get()))
                .map_or(0, |cell| cell.keys)
        };
        self.whole.values().map(of_level).sum()
    }
}
