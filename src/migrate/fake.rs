//! A keyspace for the tests of this floor: keys in a `Vec`, nodes with a limit, each move takes
//! ten microseconds.

use super::{CursorId, KeyInfo, KeyRef, Keyspace, Kind, Outcome, Plane, ScanStep, Usage};
use crate::heat::Score;
use crate::ids::{Bytes, DbIndex, Level, NodeId};
use std::cell::Cell;
use std::rc::Rc;

pub(super) const MOVE_US: u64 = 10;

pub(super) fn node(number: usize) -> NodeId {
    NodeId::new(number).unwrap()
}

pub(super) fn key(db: u32, name: &str) -> KeyRef {
    KeyRef::new(DbIndex(db), name.as_bytes())
}

#[derive(Default)]
pub(super) struct Fake {
    pub(super) keys: Vec<(KeyRef, KeyInfo)>,
    pub(super) limits: Vec<Bytes>,
    pub(super) refuse: Option<Outcome>,
    now_us: Rc<Cell<u64>>,
    at: usize,
    only: Option<DbIndex>,
}

impl Fake {
    /// Nodes without limits.
    pub(super) fn with_nodes(count: usize) -> Self {
        Self {
            limits: vec![Bytes::MAX; count],
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, key: KeyRef, at: usize, bytes: u64) -> &mut KeyInfo {
        let info = KeyInfo {
            node: node(at),
            bytes: Bytes(bytes),
            level: Level::default(),
            score: Score::default(),
            idle_ms: 0,
            accesses: 0,
            pinned: false,
            kind: Kind::String,
            plane: Plane::Numa,
        };
        self.keys.push((key, info));
        &mut self.keys.last_mut().unwrap().1
    }

    pub(super) fn clock(&self) -> impl Fn() -> u64 {
        let now_us = Rc::clone(&self.now_us);
        move || now_us.get()
    }

    pub(super) fn usage(&self) -> Vec<(NodeId, Usage)> {
        let used = |at| {
            let here = self.keys.iter().filter(|(_, info)| info.node == node(at));
            here.map(|(_, info)| info.bytes).sum()
        };
        let limits = self.limits.iter().enumerate();
        limits
            .map(|(at, &limit)| {
                (
                    node(at),
                    Usage {
                        used: used(at),
                        limit,
                    },
                )
            })
            .collect()
    }

    pub(super) fn count_on(&self, at: usize) -> usize {
        let here = self.keys.iter().filter(|(_, info)| info.node == node(at));
        here.count()
    }

    fn find(&mut self, key: &KeyRef) -> Option<&mut KeyInfo> {
        let mut keys = self.keys.iter_mut();
        keys.find(|(other, _)| other == key).map(|(_, info)| info)
    }
}

impl Keyspace for Fake {
    fn look(&mut self, key: &KeyRef) -> Option<KeyInfo> {
        self.find(key).copied()
    }

    fn relocate(&mut self, key: &KeyRef, to: NodeId) -> Outcome {
        self.now_us.set(self.now_us.get() + MOVE_US);
        if let Some(outcome) = self.refuse {
            return outcome;
        }
        let (_, usage) = self.usage()[to.index()];
        let Some(info) = self.find(key) else {
            return Outcome::Missing;
        };
        if info.node == to {
            return Outcome::AlreadyThere;
        }
        if info.pinned {
            return Outcome::Pinned;
        }
        if usage.room_below(100) < info.bytes {
            return Outcome::NoRoom;
        }
        info.node = to;
        Outcome::Moved { bytes: info.bytes }
    }

    fn release(&mut self, key: &KeyRef) -> Outcome {
        self.now_us.set(self.now_us.get() + MOVE_US);
        let Some(info) = self.find(key) else {
            return Outcome::Missing;
        };
        info.plane = Plane::Native;
        Outcome::Moved { bytes: info.bytes }
    }

    fn scan(
        &mut self,
        _cursor: CursorId,
        max: usize,
        each: &mut dyn FnMut(&KeyRef, KeyInfo),
    ) -> ScanStep {
        let to = (self.at + max).min(self.keys.len());
        let slice = &self.keys[self.at..to];
        for (key, info) in slice {
            if self.only.is_none_or(|db| db == key.db) {
                each(key, *info);
            }
        }
        let step = ScanStep {
            scanned: slice.len(),
            wrapped: to == self.keys.len(),
        };
        self.at = if step.wrapped { 0 } else { to };
        step
    }

    fn rewind(&mut self, _cursor: CursorId, db: Option<DbIndex>) {
        self.at = 0;
        self.only = db;
    }

    fn keys(&self, db: Option<DbIndex>) -> u64 {
        let counted = self.keys.iter();
        counted
            .filter(|(key, _)| db.is_none_or(|db| db == key.db))
            .count() as u64
    }
}
