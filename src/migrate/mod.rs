//! Floor 3: moving values between nodes.
//!
//! Words. A **move** says which key goes to which node and why. A **plan** is a bounded list of
//! moves. The **mover** carries plans out, whoever made them: a strategy, a command or a **pass**,
//! which is a background walk over the keyspace in slices. The **budget** is what a tick may use.
//!
//! Whoever decides sees keys only through [`Keyspace`], and so does the mover: every decision and
//! every move can be tried on keys that exist in a test alone. Deciding and moving are apart
//! because a plan that is data can be shown (`NUMA PLAN`), counted, cut short and tested, where a
//! decision that moves as it goes can only be believed.

pub mod far_set;
pub mod glob;
pub mod mover;
pub mod pass;
pub mod state;
pub mod stats;

#[cfg(test)]
mod fake;

use crate::heat::Score;
use crate::ids::{Bytes, DbIndex, Level, NodeId};

pub use far_set::FarSet;
pub use mover::{carry_out, Report};
pub use pass::{Background, Pass, Task};
pub use stats::MoveStats;

/// A key by its name: what a plan may hold, since a name stays sound when the key goes away.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyRef {
    /// The database it lives in.
    pub db: DbIndex,
    /// Its name, any bytes.
    pub name: Box<[u8]>,
}

impl KeyRef {
    /// The key of that name.
    #[must_use]
    pub fn new(db: DbIndex, name: &[u8]) -> Self {
        Self {
            db,
            name: name.into(),
        }
    }
}

/// What a value is to its user.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A string.
    String,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    SortedSet,
    /// A hash.
    Hash,
    /// A stream, or another module's type.
    Other,
}

impl Kind {
    /// The word that TYPE answers for it; `other` where only the server knows the word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "zset",
            Self::Hash => "hash",
            Self::Other => "other",
        }
    }
}

/// Whose memory a value lies in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Plane {
    /// The server's own allocator.
    Native,
    /// The module's pool.
    Numa,
}

impl Plane {
    /// The word in replies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Numa => "numa",
        }
    }
}

/// What can be learned of a key without disturbing its heat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyInfo {
    /// Where most of its bytes are believed to be.
    pub node: NodeId,
    /// What a move of it would move.
    pub bytes: Bytes,
    /// How hot it is to the user.
    pub level: Level,
    /// How hot it is to a strategy.
    pub score: Score,
    /// Milliseconds since its last access.
    pub idle_ms: u64,
    /// Accesses so far.
    pub accesses: u64,
    /// Whether a user pinned it: strategies and passes leave it where it is.
    pub pinned: bool,
    /// What it is to its user.
    pub kind: Kind,
    /// Whose memory it lies in.
    pub plane: Plane,
}

/// Why a native value stays where it is, whoever asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stays {
    /// A number, kept in the object itself.
    NoBlock,
    /// A move would hold the server for too long.
    TooBig,
    /// More than its key points to it.
    Shared,
}

impl Stays {
    /// The reason, as it stands in a reply.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoBlock => "A number has no block of its own to move",
            Self::TooBig => "The value is too big to be moved within a millisecond",
            Self::Shared => "The value is shared just now",
        }
    }
}

/// How the move of one key ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Its bytes lie on the target now; the old ones went back to their own node.
    Moved {
        /// How many.
        bytes: Bytes,
    },
    /// It was on the target before.
    AlreadyThere,
    /// There is no such key (any more).
    Missing,
    /// A user pinned it elsewhere.
    Pinned,
    /// The target node has no room for it.
    NoRoom,
    /// A value of this type cannot be moved.
    Unsupported,
    /// It is as it is, and stays.
    Stays(Stays),
    /// It cannot be moved just now: a child of the server runs, or it is being moved already.
    Busy,
}

/// A place in the keyspace that a walk goes on from. Each walk has its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CursorId {
    /// The strategies' endless walk.
    Survey,
    /// The walk of the one background pass.
    Pass,
}

/// How far one slice of a walk came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ScanStep {
    /// Keys passed, those without a [`KeyInfo`] included.
    pub scanned: usize,
    /// Whether the walk reached the end; the next slice starts over.
    pub wrapped: bool,
}

/// The keys, as floors 3 and 4 see them. The redis floor implements it over the server's
/// databases, tests over a `Vec`.
pub trait Keyspace {
    /// What is known of a key, or nothing where it is missing or expired. Never touches its heat
    /// or the server's own LRU.
    fn look(&mut self, key: &KeyRef) -> Option<KeyInfo>;

    /// Moves a key's bytes. No client can tell that it happened: no event, no change of TTL,
    /// heat, LRU, nothing in the replication stream.
    fn relocate(&mut self, key: &KeyRef, to: NodeId) -> Outcome;

    /// Hears which moves come next, in this order unless the budget ends them, so that it may do
    /// together what each would do again; none, when no more come.
    fn expect(&mut self, _moves: &[&Move], _budget: &Budget) {}

    /// Turns a NUMA value into the native one of the same content, TTL kept.
    fn release(&mut self, key: &KeyRef) -> Outcome;

    /// Goes on with a walk for about `max` keys. Every key that exists throughout a whole walk is
    /// visited at least once; some may be visited twice. `each` must not move keys.
    fn scan(
        &mut self,
        cursor: CursorId,
        max: usize,
        each: &mut dyn FnMut(&KeyRef, KeyInfo),
    ) -> ScanStep;

    /// Starts a walk over, through one database or all of them.
    fn rewind(&mut self, cursor: CursorId, db: Option<DbIndex>);

    /// How many keys one database holds, or all of them: what a walk has before it.
    fn keys(&self, db: Option<DbIndex>) -> u64;
}

/// Why a key is to move.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Why {
    /// It is hot and far.
    Promote,
    /// It is cold and near, and its room is wanted.
    Demote,
    /// Its node holds more than its share.
    Balance,
    /// A user asked.
    Command,
    /// It was just written, and the placement policy wants it elsewhere.
    Settle,
    /// The kernel spilled it to another node, and its own has room again.
    Return,
}

impl Why {
    /// How many reasons there are.
    pub const COUNT: usize = 6;
    /// All reasons, in the order that statistics show them.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Promote,
        Self::Demote,
        Self::Balance,
        Self::Command,
        Self::Settle,
        Self::Return,
    ];

    /// The word in replies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Demote => "demote",
            Self::Balance => "balance",
            Self::Command => "command",
            Self::Settle => "settle",
            Self::Return => "return",
        }
    }
}

/// One key to move.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Move {
    /// Which.
    pub key: KeyRef,
    /// To which node.
    pub to: NodeId,
    /// Why.
    pub why: Why,
    /// How much hotter the key is than what it displaces, in steps of [`Score`]; 0 where nothing
    /// is compared.
    pub benefit: u32,
}

/// What may still be used now. Parts are used up one by one; the first that is gone ends the work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Microseconds of the main thread.
    pub time_us: u64,
    /// Bytes to move.
    pub bytes: Bytes,
    /// Keys to move.
    pub keys: usize,
}

impl Budget {
    /// No bounds: for a command that a user waits for.
    pub const UNBOUNDED: Self = Self {
        time_us: u64::MAX,
        bytes: Bytes::MAX,
        keys: usize::MAX,
    };

    /// Whether any part is used up.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.time_us == 0 || self.bytes == Bytes::ZERO || self.keys == 0
    }

    /// Takes time away, down to nothing.
    pub fn spend_time(&mut self, spent_us: u64) {
        self.time_us = self.time_us.saturating_sub(spent_us);
    }

    /// Takes one moved key away, down to nothing. A key larger than what is left overdraws: it
    /// would never move otherwise. The report says how much really moved.
    pub fn spend_key(&mut self, bytes: Bytes) {
        self.keys = self.keys.saturating_sub(1);
        self.bytes -= bytes;
    }
}

/// How full a node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// Bytes of values there.
    pub used: Bytes,
    /// The most that may be used: the smaller of the node's limit and what is really to be had.
    pub limit: Bytes,
}

impl Usage {
    /// A node that can hold nothing.
    pub const NONE: Self = Self {
        used: Bytes::ZERO,
        limit: Bytes::ZERO,
    };

    /// The amount at which the node is `percent` full.
    #[must_use]
    pub fn mark(&self, percent: u8) -> Bytes {
        self.limit.percent(u64::from(percent))
    }

    /// What fits below that mark.
    #[must_use]
    pub fn room_below(&self, percent: u8) -> Bytes {
        self.mark(percent) - self.used
    }
}
