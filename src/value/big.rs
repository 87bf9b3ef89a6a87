//! The root of a big list or sorted set: where its tree and its index are, and the account.
//!
//! ```text
//! 0     1        2       3       8     16     24          32       40
//! | tag | height | depth | phase | len | tree | directory | cursor | account |
//!   u8    u8       u8      u8      u64   link   link        u64      528
//! ```
//!
//! `tag` is [`TAG`] here, and [`SMALL`] in a root that is a chunk. `phase` and `cursor` are how far
//! a move has come: item numbers in the tree, then hashes in the index. Whoever inserts or removes
//! before the cursor shifts it, so a move visits each block once, whatever goes on meanwhile.
//!
//! The root moves first, and new blocks go to its node, so nothing is made behind a move's back.
//! Invariant: a move is done when the account says that all bytes lie on the target, and not
//! because a cursor came to its end.

use super::blocks::{self, Link, Reader, Writer, ACCOUNT_LEN};
use super::contract::{Compacted, Step};
use super::field::{get_u64, get_u8, put, put_u64, put_u8};
use super::goal::Goal;
use super::index::Index;
use super::root::Root;
use super::tree::Tree;
use crate::heat::Heat;
use crate::ids::NodeId;
use crate::pool::{OutOfMemory, PoolHandle};

/// The tag of a root that is a chunk.
pub(super) const SMALL: u8 = 0;
/// The tag of a root as in the head of the file.
pub(super) const TAG: u8 = 1;
/// Bytes of the body.
pub(super) const BODY_LEN: usize = ACCOUNT + ACCOUNT_LEN;

const HEIGHT: usize = 1;
const DEPTH: usize = 2;
const PHASE: usize = 3;
const LEN: usize = 8;
const TREE: usize = 16;
const DIRECTORY: usize = 24;
const CURSOR: usize = 32;
const ACCOUNT: usize = 40;

/// How far a move has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cursor {
    /// The tree, up to that item.
    Tree(u64),
    /// The index, up to that hash.
    Index(u64),
}

impl Cursor {
    /// The same as one word. No hash that a page begins with uses the lowest bit.
    fn word(self) -> u64 {
        match self {
            Self::Tree(rank) => rank << 1,
            Self::Index(hash) => hash | 1,
        }
    }

    fn of(word: u64) -> Self {
        match word & 1 {
            0 => Self::Tree(word >> 1),
            _ => Self::Index(word & !1),
        }
    }
}

/// Makes some of what lies at a cursor anew, at about that cost at most; the cursor behind it,
/// nothing behind the last block, and what was done.
pub(super) type Advance = fn(
    &mut HeadMut<'_>,
    &mut Writer<'_>,
    Goal,
    Cursor,
    usize,
) -> Result<(Option<Cursor>, Moved), OutOfMemory>;

/// Whether a root is that of a big value.
pub(super) fn is_big(root: &Root) -> bool {
    root.body().first() == Some(&TAG)
}

/// The account of a big value.
pub(super) fn account_of(root: &Root) -> Option<&[u8]> {
    is_big(root).then(|| Head::of(root).0.account())
}

/// A root of nothing yet: no tree, no index, itself in the account.
///
/// # Errors
/// [`OutOfMemory`]: nothing was made.
pub(super) fn new_root(
    pool: PoolHandle,
    order: &[NodeId],
    heat: Heat,
) -> Result<Root, OutOfMemory> {
    let mut root = Root::new(pool, order, BODY_LEN, heat)?;
    let (node, size) = (root.node(), root.size());
    let body = root.body_mut();
    body.fill(0);
    put_u8(body, 0, TAG);
    let account = body.get_mut(ACCOUNT..).unwrap_or(&mut []);
    blocks::count(account, node, size as i64, 1);
    Ok(root)
}

/// The head of a body, to look at.
#[derive(Clone, Copy)]
pub(super) struct Head<'v>(&'v [u8]);

impl<'v> Head<'v> {
    pub(super) fn of(root: &'v Root) -> (Self, Reader<'v>) {
        (Self(root.body()), Reader::of(root))
    }

    pub(super) fn len(self) -> u64 {
        get_u64(self.0, LEN)
    }

    pub(super) fn tree(self) -> Tree {
        Tree {
            root: Link::get(self.0, TREE),
            height: get_u8(self.0, HEIGHT),
        }
    }

    pub(super) fn index(self) -> Index {
        Index {
            directory: Link::get(self.0, DIRECTORY),
            depth: get_u8(self.0, DEPTH),
        }
    }

    pub(super) fn account(self) -> &'v [u8] {
        self.0.get(ACCOUNT..).unwrap_or(&[])
    }

    pub(super) fn cursor(self) -> Cursor {
        match get_u8(self.0, PHASE) {
            0 => Cursor::Tree(get_u64(self.0, CURSOR)),
            _ => Cursor::Index(get_u64(self.0, CURSOR)),
        }
    }
}

/// The head of a body, for writing; the account is the writer's.
pub(super) struct HeadMut<'v>(&'v mut [u8]);

impl<'v> HeadMut<'v> {
    /// The head and the blocks of a big value; new blocks go where `order` says.
    pub(super) fn of(root: &'v mut Root, order: &'v [NodeId]) -> (Self, Writer<'v>) {
        let pool = root.pool();
        let body = root.body_mut();
        let split = ACCOUNT.min(body.len());
        let (head, account) = body.split_at_mut(split);
        (Self(head), Writer::new(pool, order, account))
    }

    pub(super) fn look(&self) -> Head<'_> {
        Head(self.0)
    }

    pub(super) fn set_len(&mut self, len: u64) {
        put_u64(self.0, LEN, len);
    }

    pub(super) fn set_tree(&mut self, tree: Tree) {
        tree.root.put(self.0, TREE);
        put_u8(self.0, HEIGHT, tree.height);
    }

    pub(super) fn set_index(&mut self, index: Index) {
        index.directory.put(self.0, DIRECTORY);
        put_u8(self.0, DEPTH, index.depth);
    }

    pub(super) fn set_cursor(&mut self, cursor: Cursor) {
        let (phase, at) = match cursor {
            Cursor::Tree(at) => (0, at),
            Cursor::Index(at) => (1, at),
        };
        put_u8(self.0, PHASE, phase);
        put_u64(self.0, CURSOR, at);
    }

    /// Notes that an item came in as number `rank`.
    pub(super) fn inserted(&mut self, rank: u64) {
        self.set_len(self.look().len() + 1);
        if let Cursor::Tree(at) = self.look().cursor() {
            if rank < at {
                self.set_cursor(Cursor::Tree(at + 1));
            }
        }
    }

    /// Notes that `count` items went, from number `rank` on.
    pub(super) fn removed(&mut self, rank: u64, count: u64) {
        self.set_len(self.look().len().saturating_sub(count));
        if let Cursor::Tree(at) = self.look().cursor() {
            let before = at.saturating_sub(rank).min(count);
            self.set_cursor(Cursor::Tree(at - before));
        }
    }
}

/// Copies the body of a root to one with room for it.
pub(super) fn copy_body(to: &mut Root, from: &Root, len: usize) {
    let body = from.body();
    let body = body.get(..len).unwrap_or(body);
    put(to.body_mut(), 0, body);
}

/// Makes the root of a big value anew, if it is to be; how many bytes were moved. The links in the
/// old block are the new one's from then on.
fn move_root(root: &mut Root, goal: Goal) -> Result<usize, OutOfMemory> {
    let Some(to) = goal.target(root.pool(), root.node(), root.addr()) else {
        return Ok(0);
    };
    let mut new = root.successor(&[to], BODY_LEN)?;
    copy_body(&mut new, root, BODY_LEN);
    let (old_node, old_size) = (root.node(), root.size() as i64);
    let (node, size) = (new.node(), new.size());
    let (mut head, writer) = HeadMut::of(&mut new, &[]);
    if goal == Goal::Move(to) {
        head.set_cursor(Cursor::Tree(0));
    }
    let account = writer.into_account();
    blocks::count(account, old_node, -old_size, -1);
    blocks::count(account, node, size as i64, 1);
    *root = new;
    Ok(size)
}

/// What a part of a move did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Moved {
    /// Bytes that were moved.
    pub(super) bytes: usize,
    /// What they cost, in bytes of one long copy.
    pub(super) cost: usize,
}

/// What it costs to move a block, however small: another one is found, and every link to it is.
const BLOCK_COST: usize = 512;
/// What it costs to see from a link that its block need not move: it lies beside others.
const LINK_COST: usize = 4;
/// What it costs to ask of a block whether it is to be made anew.
const LOOK_COST: usize = 32;

impl Moved {
    /// One block of that size.
    pub(super) const fn block(bytes: usize) -> Self {
        Self {
            bytes,
            cost: bytes + BLOCK_COST,
        }
    }

    /// One block was looked at. A move sees from the link alone that it stays.
    pub(super) const fn look(goal: Goal) -> Self {
        let cost = match goal {
            Goal::Move(_) => LINK_COST,
            Goal::Compact => LOOK_COST,
        };
        Self { bytes: 0, cost }
    }

    /// Adds another part.
    pub(super) fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.cost += other.cost;
    }
}

/// Goes on moving a big value, at its own cursor.
///
/// # Errors
/// [`OutOfMemory`]: what was moved is moved.
pub(super) fn relocate(
    root: &mut Root,
    to: NodeId,
    budget: usize,
    advance: Advance,
) -> Result<Step, OutOfMemory> {
    let bytes = move_root(root, Goal::Move(to))?;
    let mut moved = Moved { bytes, cost: bytes };
    // Twice round and a little more: an account that is wrong must not hold the server for ever.
    let looks_max = 2 * blocks::blocks(Head::of(root).0.account()) + 8;
    for _ in 0..looks_max {
        let account = Head::of(root).0.account();
        let done = blocks::bytes_on(account, to) == blocks::memory(account);
        if done || moved.cost >= budget {
            let bytes = moved.bytes;
            return Ok(Step { bytes, done });
        }
        let (mut head, mut writer) = HeadMut::of(root, &[]);
        let (at, left) = (head.look().cursor(), budget.saturating_sub(moved.cost));
        let (next, more) = advance(&mut head, &mut writer, Goal::Move(to), at, left)?;
        head.set_cursor(next.unwrap_or(Cursor::Tree(0)));
        moved.add(more);
    }
    debug_assert!(false, "a move comes to its end");
    Ok(Step {
        bytes: moved.bytes,
        done: true,
    })
}

/// Goes on compacting a big value. The cursor is the caller's: that in the root belongs to a move,
/// which may be under way meanwhile.
pub(super) fn compact(root: &mut Root, from: u64, budget: usize, advance: Advance) -> Compacted {
    let bytes = move_root(root, Goal::Compact).unwrap_or(0);
    let mut moved = Moved { bytes, cost: bytes };
    let (mut next, mut first) = (Some(Cursor::of(from)), true);
    while let Some(at) = next.filter(|_| first || moved.cost < budget) {
        first = false;
        let (mut head, mut writer) = HeadMut::of(root, &[]);
        let left = budget.saturating_sub(moved.cost);
        let step = advance(&mut head, &mut writer, Goal::Compact, at, left);
        next = step.ok().and_then(|(next, more)| {
            moved.add(more);
            next
        });
    }
    Compacted {
        bytes: moved.bytes,
        next: next.map(Cursor::word),
    }
}
