//! Pins of native keys: who is held on which node, because a user said so.
//!
//! A NUMA value carries its pin in its header; a native one has no place for it, so pins stand in
//! a table by database and name, which events keep right: a key that is renamed or moved to another
//! database takes its pin along, one that goes loses it, and one that is overwritten keeps it.
//!
//! What is written anew is born where the server allocates. The tick therefore looks at some pinned
//! keys in turn and brings them back: that needs no command to be watched, and meets whatever else
//! has sent a value elsewhere, active defragmentation and growth included.
//!
//! Invariant: a pin without its key is dropped before the turn comes to it a second time. Rejected:
//! pins in RDB files: they are stock files, which is what the plane is for. `numa-state-file`
//! carries them over a restart.

use super::Native;
use crate::ids::{DbIndex, NodeId};
use crate::migrate::KeyRef;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Bytes that a pin takes beyond its name, about.
const BYTES_EACH: usize = 48;

type Names = BTreeMap<Box<[u8]>, NodeId>;

/// See the head of the file.
#[derive(Default)]
pub(super) struct Pins {
    by_db: BTreeMap<DbIndex, Names>,
    /// The pin of the name that a key has just lost.
    nameless: Option<NodeId>,
    /// Whose turn was the last.
    turn: Option<KeyRef>,
}

impl Pins {
    fn get(&self, db: DbIndex, name: &[u8]) -> Option<NodeId> {
        self.by_db.get(&db)?.get(name).copied()
    }

    fn set(&mut self, db: DbIndex, name: &[u8], node: NodeId) {
        self.by_db.entry(db).or_default().insert(name.into(), node);
    }

    fn remove(&mut self, db: DbIndex, name: &[u8]) -> Option<NodeId> {
        let names = self.by_db.get_mut(&db)?;
        let removed = names.remove(name);
        if names.is_empty() {
            self.by_db.remove(&db);
        }
        removed
    }

    /// Follows a keyspace event.
    fn hear(&mut self, db: DbIndex, event: &[u8], name: &[u8]) {
        match event {
            b"rename_from" | b"move_from" => self.nameless = self.remove(db, name),
            // Whatever lay at that name is gone, with its pin.
            b"rename_to" | b"move_to" => {
                self.remove(db, name);
                if let Some(node) = self.nameless.take() {
                    self.set(db, name, node);
                }
            }
            b"del" | b"expired" | b"evicted" => {
                self.remove(db, name);
            }
            _ => {}
        }
    }

    /// Two databases change places.
    fn swap(&mut self, one: DbIndex, other: DbIndex) {
        let (was_one, was_other) = (self.by_db.remove(&one), self.by_db.remove(&other));
        self.by_db.extend(was_one.map(|names| (other, names)));
        self.by_db.extend(was_other.map(|names| (one, names)));
    }

    /// The pins whose turn is next, at most `max`, from the beginning again after the last one.
    fn next(&mut self, max: usize) -> Vec<(KeyRef, NodeId)> {
        let mut next = self
            .turn
            .take()
            .map_or(Vec::new(), |last| self.after(&last, max));
        if next.is_empty() {
            let all = self
                .by_db
                .iter()
                .flat_map(|(db, names)| pairs(*db, names.iter()));
            next = all.take(max).collect();
        }
        self.turn = next.last().map(|(key, _)| key.clone());
        next
    }

    fn after(&self, last: &KeyRef, max: usize) -> Vec<(KeyRef, NodeId)> {
        let behind = (Bound::Excluded(&*last.name), Bound::Unbounded);
        let same = self.by_db.get(&last.db).into_iter();
        let same = same.flat_map(|names| pairs(last.db, names.range::<[u8], _>(behind)));
        let later = (Bound::Excluded(last.db), Bound::Unbounded);
        let later = self.by_db.range(later);
        let later = later.flat_map(|(db, names)| pairs(*db, names.iter()));
        same.chain(later).take(max).collect()
    }

    fn count(&self) -> usize {
        self.by_db.values().map(BTreeMap::len).sum()
    }

    fn bytes(&self) -> usize {
        let names = self.by_db.values().flat_map(BTreeMap::keys);
        names.map(|name| name.len() + BYTES_EACH).sum()
    }
}

fn pairs<'p>(
    db: DbIndex,
    names: impl Iterator<Item = (&'p Box<[u8]>, &'p NodeId)> + 'p,
) -> impl Iterator<Item = (KeyRef, NodeId)> + 'p {
    names.map(move |(name, node)| (KeyRef::new(db, name), *node))
}

impl Native {
    /// Holds a key on a node.
    pub(crate) fn pin(&self, key: &KeyRef, node: NodeId) {
        self.pins.with(|pins| pins.set(key.db, &key.name, node));
    }

    /// Lets a key go.
    pub(crate) fn unpin(&self, key: &KeyRef) {
        self.pins.with(|pins| pins.remove(key.db, &key.name));
    }

    /// The node that a key is held on, if it is.
    pub(crate) fn pin_of(&self, key: &KeyRef) -> Option<NodeId> {
        self.pins.with(|pins| pins.get(key.db, &key.name)).flatten()
    }

    /// Whether there is any pin at all.
    pub(crate) fn has_pins(&self) -> bool {
        self.pins.with(|pins| !pins.by_db.is_empty()) == Some(true)
    }

    /// How many keys are pinned.
    pub(crate) fn pins(&self) -> u64 {
        self.pins.with(|pins| pins.count()).unwrap_or(0) as u64
    }

    /// Bytes that the pins take.
    pub(crate) fn pin_bytes(&self) -> u64 {
        self.pins.with(|pins| pins.bytes()).unwrap_or(0) as u64
    }

    /// A keyspace event of a database.
    pub(crate) fn hear_of_pin(&self, db: DbIndex, event: &[u8], name: &[u8]) {
        self.pins.with(|pins| pins.hear(db, event, name));
    }

    /// Two databases change places.
    pub(crate) fn swap_pins(&self, one: DbIndex, other: DbIndex) {
        self.pins.with(|pins| pins.swap(one, other));
    }

    /// Pinned keys to look at, at most `max`: all of them in turn.
    pub(crate) fn next_pins(&self, max: usize) -> Vec<(KeyRef, NodeId)> {
        self.pins.with(|pins| pins.next(max)).unwrap_or_default()
    }

    /// Every pinned key.
    pub(crate) fn all_pins(&self) -> Vec<(KeyRef, NodeId)> {
        let all = |pins: &mut Pins| {
            let names = pins.by_db.iter();
            names
                .flat_map(|(db, names)| pairs(*db, names.iter()))
                .collect()
        };
        self.pins.with(all).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DB: DbIndex = DbIndex(0);
    const OTHER: DbIndex = DbIndex(3);

    fn node(number: usize) -> NodeId {
        NodeId::new(number).unwrap()
    }

    fn pinned(names: &[(DbIndex, &[u8])]) -> Pins {
        let mut pins = Pins::default();
        for (db, name) in names {
            pins.set(*db, name, node(1));
        }
        pins
    }

    #[test]
    fn a_pin_goes_where_its_key_goes() {
        let mut pins = pinned(&[(DB, b"a"), (DB, b"gone")]);
        pins.set(DB, b"over", node(2));
        pins.hear(DB, b"rename_from", b"a");
        pins.hear(DB, b"rename_to", b"over");
        assert_eq!(
            (pins.get(DB, b"a"), pins.get(DB, b"over")),
            (None, Some(node(1)))
        );
        pins.hear(DB, b"move_from", b"over");
        pins.hear(OTHER, b"move_to", b"over");
        assert_eq!(
            (pins.get(DB, b"over"), pins.get(OTHER, b"over")),
            (None, Some(node(1)))
        );
        pins.hear(DB, b"set", b"gone");
        assert_eq!(
            pins.get(DB, b"gone"),
            Some(node(1)),
            "overwritten is not gone"
        );
        pins.hear(DB, b"del", b"gone");
        assert_eq!((pins.get(DB, b"gone"), pins.count()), (None, 1));
    }

    #[test]
    fn what_is_renamed_over_a_pinned_key_is_not_pinned() {
        let mut pins = pinned(&[(DB, b"pinned")]);
        pins.hear(DB, b"rename_from", b"free");
        pins.hear(DB, b"rename_to", b"pinned");
        assert_eq!(pins.count(), 0);
    }

    #[test]
    fn databases_change_places_with_their_pins() {
        let mut pins = pinned(&[(DB, b"a")]);
        pins.swap(DB, OTHER);
        assert_eq!(
            (pins.get(DB, b"a"), pins.get(OTHER, b"a")),
            (None, Some(node(1)))
        );
        pins.swap(OTHER, OTHER);
        assert_eq!(pins.get(OTHER, b"a"), Some(node(1)));
    }

    #[test]
    fn each_pin_has_its_turn() {
        let mut pins = pinned(&[(DB, b"a"), (DB, b"b"), (OTHER, b"a"), (OTHER, b"c")]);
        let mut turns = |max| -> Vec<(u32, Box<[u8]>)> {
            pins.next(max)
                .into_iter()
                .map(|(key, _)| (key.db.0, key.name.clone()))
                .collect()
        };
        let one = |db, name: &[u8]| (db, Box::<[u8]>::from(name));
        assert_eq!(turns(3), [one(0, b"a"), one(0, b"b"), one(3, b"a")]);
        assert_eq!(turns(3), [one(3, b"c")]);
        assert_eq!(turns(1), [one(0, b"a")]);
        assert!(Pins::default().next(5).is_empty());
    }
}
