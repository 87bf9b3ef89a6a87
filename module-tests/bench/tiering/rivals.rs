//! Well-known caches, taken as placements: what they hold is near, an insertion is a promotion and
//! an eviction a demotion.
//!
//! Each begins with the near node full, as the engine does, of the first keys. All but `Lfu` bring
//! a far key near whenever it is asked for, as caches must and placements need not.
#![expect(
    clippy::indexing_slicing,
    reason = "keys are numbered from 0 and every table has a row for each"
)]

use std::collections::BTreeSet;

/// A cache of keys of many sizes within so many bytes.
pub(crate) trait Rival {
    fn name(&self) -> &'static str;

    /// One request: whether it was a hit, and how many keys it moved.
    fn access(&mut self, key: usize) -> (bool, u64);
}

/// All of them, filled with the first keys.
pub(crate) fn all(sizes: &[u64], near: u64) -> Vec<Box<dyn Rival>> {
    vec![
        Box::new(Queue::new("LRU", Kind::Lru, sizes, near)),
        Box::new(Queue::new("SIEVE", Kind::Sieve, sizes, near)),
        Box::new(S3Fifo::new(sizes, near)),
        Box::new(Lfu::new("LFU, every miss in", true, sizes, near)),
        Box::new(Lfu::new("LFU, if hotter", false, sizes, near)),
    ]
}

/// The first keys that fit.
fn first(sizes: &[u64], near: u64) -> usize {
    let mut sum = 0;
    let fits = sizes.iter().take_while(|&&size| {
        sum += size;
        sum <= near
    });
    fits.count()
}

const NONE: u32 = u32::MAX;

/// A doubly linked list through tables: newest at the head.
struct List {
    newer: Vec<u32>,
    older: Vec<u32>,
    head: u32,
    tail: u32,
    bytes: u64,
}

impl List {
    fn new(keys: usize) -> Self {
        Self {
            newer: vec![NONE; keys],
            older: vec![NONE; keys],
            head: NONE,
            tail: NONE,
            bytes: 0,
        }
    }

    fn push(&mut self, key: usize, size: u64) {
        self.newer[key] = NONE;
        self.older[key] = self.head;
        match self.head {
            NONE => self.tail = key as u32,
            head => self.newer[head as usize] = key as u32,
        }
        self.head = key as u32;
        self.bytes += size;
    }

    fn remove(&mut self, key: usize, size: u64) {
        let (newer, older) = (self.newer[key], self.older[key]);
        match newer {
            NONE => self.head = older,
            newer => self.older[newer as usize] = older,
        }
        match older {
            NONE => self.tail = newer,
            older => self.newer[older as usize] = newer,
        }
        self.bytes -= size;
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Lru,
    Sieve,
}

/// LRU and SIEVE: one queue.
struct Queue {
    name: &'static str,
    kind: Kind,
    sizes: Vec<u64>,
    near: u64,
    list: List,
    inside: Vec<bool>,
    visited: Vec<bool>,
    hand: u32,
}

impl Queue {
    fn new(name: &'static str, kind: Kind, sizes: &[u64], near: u64) -> Self {
        let mut made = Self {
            name,
            kind,
            sizes: sizes.to_vec(),
            near,
            list: List::new(sizes.len()),
            inside: vec![false; sizes.len()],
            visited: vec![false; sizes.len()],
            hand: NONE,
        };
        (0..first(sizes, near)).for_each(|key| made.insert(key));
        made
    }

    fn insert(&mut self, key: usize) {
        self.inside[key] = true;
        self.visited[key] = false;
        self.list.push(key, self.sizes[key]);
    }

    fn evict(&mut self) {
        let mut victim = match (self.kind, self.hand) {
            (Kind::Sieve, hand) if hand != NONE => hand,
            _ => self.list.tail,
        };
        while self.kind == Kind::Sieve && self.visited[victim as usize] {
            self.visited[victim as usize] = false;
            victim = match self.list.newer[victim as usize] {
                NONE => self.list.tail,
                newer => newer,
            };
        }
        self.hand = self.list.newer[victim as usize];
        let victim = victim as usize;
        self.list.remove(victim, self.sizes[victim]);
        self.inside[victim] = false;
    }
}

impl Rival for Queue {
    fn name(&self) -> &'static str {
        self.name
    }

    fn access(&mut self, key: usize) -> (bool, u64) {
        if self.inside[key] {
            self.visited[key] = true;
            if self.kind == Kind::Lru {
                self.list.remove(key, self.sizes[key]);
                self.list.push(key, self.sizes[key]);
            }
            return (true, 0);
        }
        let mut moves = 0;
        if self.sizes[key] <= self.near {
            while self.list.bytes + self.sizes[key] > self.near {
                self.evict();
                moves += 1;
            }
            self.insert(key);
            moves += 1;
        }
        (false, moves)
    }
}

/// S3-FIFO: a small queue of a tenth, a main queue with two bits a key, and ghosts.
struct S3Fifo {
    sizes: Vec<u64>,
    near: u64,
    small: List,
    main: List,
    ghosts: List,
    place: Vec<Place>,
    freq: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Out,
    Small,
    Main,
    Ghost,
}

impl S3Fifo {
    fn new(sizes: &[u64], near: u64) -> Self {
        let list = || List::new(sizes.len());
        let mut made = Self {
            sizes: sizes.to_vec(),
            near,
            small: list(),
            main: list(),
            ghosts: list(),
            place: vec![Place::Out; sizes.len()],
            freq: vec![0; sizes.len()],
        };
        for (key, &size) in sizes.iter().enumerate().take(first(sizes, near)) {
            made.place[key] = Place::Main;
            made.main.push(key, size);
        }
        made
    }

    fn evict(&mut self) {
        if self.small.bytes > self.near / 10 || self.main.tail == NONE {
            self.evict_small();
        } else {
            self.evict_main();
        }
    }

    fn evict_small(&mut self) {
        let key = self.small.tail as usize;
        self.small.remove(key, self.sizes[key]);
        if self.freq[key] > 1 {
            self.place[key] = Place::Main;
            self.freq[key] = 0;
            self.main.push(key, self.sizes[key]);
            return;
        }
        self.place[key] = Place::Ghost;
        self.ghosts.push(key, self.sizes[key]);
        while self.ghosts.bytes > self.near {
            let old = self.ghosts.tail as usize;
            self.ghosts.remove(old, self.sizes[old]);
            self.place[old] = Place::Out;
        }
    }

    fn evict_main(&mut self) {
        let key = self.main.tail as usize;
        self.main.remove(key, self.sizes[key]);
        if self.freq[key] > 0 {
            self.freq[key] -= 1;
            self.main.push(key, self.sizes[key]);
        } else {
            self.place[key] = Place::Out;
        }
    }
}

impl Rival for S3Fifo {
    fn name(&self) -> &'static str {
        "S3-FIFO"
    }

    fn access(&mut self, key: usize) -> (bool, u64) {
        if matches!(self.place[key], Place::Small | Place::Main) {
            self.freq[key] = (self.freq[key] + 1).min(3);
            return (true, 0);
        }
        let size = self.sizes[key];
        if size > self.near / 10 {
            return (false, 0);
        }
        let mut moves = 1;
        while self.small.bytes + self.main.bytes + size > self.near {
            let before = self.small.bytes + self.main.bytes;
            self.evict();
            moves += u64::from(self.small.bytes + self.main.bytes < before);
        }
        let ghost = self.place[key] == Place::Ghost;
        if ghost {
            self.ghosts.remove(key, size);
        }
        self.freq[key] = 0;
        self.place[key] = if ghost { Place::Main } else { Place::Small };
        let queue = if ghost {
            &mut self.main
        } else {
            &mut self.small
        };
        queue.push(key, size);
        (false, moves)
    }
}

/// LFU with exact counts that are never forgotten. Either it brings in each key that is missed, or
/// only one that has more requests a byte than what it displaces.
struct Lfu {
    name: &'static str,
    always: bool,
    sizes: Vec<u64>,
    near: u64,
    used: u64,
    counts: Vec<u64>,
    inside: Vec<bool>,
    order: BTreeSet<(u64, u32)>,
}

impl Lfu {
    fn new(name: &'static str, always: bool, sizes: &[u64], near: u64) -> Self {
        let mut made = Self {
            name,
            always,
            sizes: sizes.to_vec(),
            near,
            used: 0,
            counts: vec![0; sizes.len()],
            inside: vec![false; sizes.len()],
            order: BTreeSet::new(),
        };
        (0..first(sizes, near)).for_each(|key| made.insert(key));
        made
    }

    /// Requests a byte, scaled to a whole number.
    fn rank(&self, key: usize) -> (u64, u32) {
        ((self.counts[key] << 24) / self.sizes[key], key as u32)
    }

    fn insert(&mut self, key: usize) {
        self.inside[key] = true;
        self.used += self.sizes[key];
        self.order.insert(self.rank(key));
    }

    /// The coldest that must leave for a key; nothing where one of them is as hot as it.
    fn victims(&self, key: usize) -> Option<Vec<(u64, u32)>> {
        let (rank, size) = (self.rank(key).0, self.sizes[key]);
        let (mut room, mut victims) = (self.near - self.used, Vec::new());
        let mut coldest = self.order.iter();
        while room < size {
            let victim = coldest.next()?;
            if !self.always && victim.0 >= rank {
                return None;
            }
            room += self.sizes[victim.1 as usize];
            victims.push(*victim);
        }
        Some(victims)
    }
}

impl Rival for Lfu {
    fn name(&self) -> &'static str {
        self.name
    }

    fn access(&mut self, key: usize) -> (bool, u64) {
        let hit = self.inside[key];
        if hit {
            self.order.remove(&self.rank(key));
        }
        self.counts[key] += 1;
        if hit {
            self.order.insert(self.rank(key));
            return (true, 0);
        }
        let Some(victims) = self.victims(key) else {
            return (false, 0);
        };
        let moves = victims.len() as u64 + 1;
        for victim in victims {
            self.order.remove(&victim);
            self.inside[victim.1 as usize] = false;
            self.used -= self.sizes[victim.1 as usize];
        }
        self.insert(key);
        (false, moves)
    }
}
