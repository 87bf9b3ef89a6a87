//! One text of an entry: in the segment where it is short, in a block of its own where it is long.
//!
//! ```text
//! inside:   length (0..=64) | bytes
//! outside:  255 | link               the block: length u32 | bytes
//! ```
//!
//! Short texts are most of them, and packed they cost one byte; a long one in the segment would be
//! copied with it each time the segment grows. Invariant: an outside text in a segment owns its
//! block; whoever takes the entry away gives the block back ([`Cell::give_back`]).

use crate::ids::NodeId;
use crate::pool::{Block, OutOfMemory, PoolHandle};
use crate::value::link::{decode, encode, look, LINK_LEN};

/// The longest text that lies in the segment.
pub(super) const INSIDE_MAX: usize = 64;
/// The first byte of an outside text.
const OUTSIDE: u8 = 255;
/// Bytes of the length in front of an outside text.
const LEN_BYTES: usize = 4;

/// A text as it lies in a segment.
#[derive(Clone, Copy)]
pub(super) enum Cell<'a> {
    Inside(&'a [u8]),
    Outside([u8; LINK_LEN]),
}

impl<'a> Cell<'a> {
    /// The empty text.
    pub(super) const EMPTY: Self = Self::Inside(&[]);

    /// Reads a text; what follows it comes too.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, rest) = bytes.split_first()?;
        if *head == OUTSIDE {
            let (link, rest) = rest.split_first_chunk()?;
            return Some((Self::Outside(*link), rest));
        }
        let (text, rest) = rest.split_at_checked(usize::from(*head))?;
        Some((Self::Inside(text), rest))
    }

    /// How many bytes it takes in the segment.
    pub(super) fn encoded_len(&self) -> usize {
        match self {
            Self::Inside(text) => 1 + text.len(),
            Self::Outside(_) => 1 + LINK_LEN,
        }
    }

    /// Its block, where it has one.
    pub(super) fn block(&self) -> Option<Block> {
        match self {
            Self::Inside(_) => None,
            // SAFETY: links in segments are written by `Encoded` alone, from blocks that live as
            // long as their entry; the answer is looked at, or given back with its entry.
            Self::Outside(link) => unsafe { decode(*link) },
        }
    }

    /// The bytes of the user.
    pub(super) fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Inside(text) => text,
            // SAFETY: as in `block`; the entry that this cell was read from owns the block, so its
            // bytes live and stay as they are for as long as the segment is borrowed.
            Self::Outside(link) => outside_text(unsafe { look(*link) }.unwrap_or(&[])),
        }
    }

    /// The same text without a hold on its segment, where it lies outside.
    pub(super) fn outside(&self) -> Option<Cell<'static>> {
        match self {
            Self::Inside(_) => None,
            Self::Outside(link) => Some(Cell::Outside(*link)),
        }
    }

    /// The same text on its way into another place, its short bytes copied to `room`.
    pub(super) fn encoded<'t>(&self, room: &'t mut [u8; INSIDE_MAX]) -> Encoded<'t> {
        match self {
            Self::Inside(text) => {
                let place = room.get_mut(..text.len()).unwrap_or(&mut []);
                place.copy_from_slice(text);
                Encoded::Inside([place.len() as u8], place)
            }
            Self::Outside(link) => {
                let mut form = [OUTSIDE; 1 + LINK_LEN];
                if let Some(place) = form.last_chunk_mut() {
                    *place = *link;
                }
                Encoded::Outside(form)
            }
        }
    }

    /// Whether these are its bytes.
    pub(super) fn is(&self, text: &[u8]) -> bool {
        match self {
            Self::Inside(own) => *own == text,
            Self::Outside(_) => text.len() > INSIDE_MAX && self.bytes() == text,
        }
    }

    /// Gives its block back, where it has one; its node and size.
    pub(super) fn give_back(&self, pool: PoolHandle) -> Option<(NodeId, usize)> {
        let block = self.block()?;
        let left = (block.node(), block.size());
        pool.free(block);
        Some(left)
    }
}

fn outside_text(bytes: &[u8]) -> &[u8] {
    let len = bytes
        .first_chunk()
        .map_or(0, |len| u32::from_le_bytes(*len));
    bytes
        .get(LEN_BYTES..LEN_BYTES + len as usize)
        .unwrap_or(&[])
}

/// A text on its way into a segment.
pub(super) enum Encoded<'t> {
    Inside([u8; 1], &'t [u8]),
    Outside([u8; 1 + LINK_LEN]),
}

impl<'t> Encoded<'t> {
    /// No text at all, for tables without values.
    pub(super) const NONE: Self = Self::Inside([0], &[]);

    /// The form of a text: a long one gets its block now.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was made.
    pub(super) fn new(
        text: &'t [u8],
        pool: PoolHandle,
        order: &[NodeId],
    ) -> Result<Self, OutOfMemory> {
        if text.len() <= INSIDE_MAX {
            return Ok(Self::Inside([text.len() as u8], text));
        }
        let len = u32::try_from(text.len()).map_err(|_| OutOfMemory)?;
        let mut block = pool.alloc(LEN_BYTES + text.len(), order)?;
        write_text(&mut block, len, text);
        Self::of_block(block, pool)
    }

    /// The form of a text whose block is there.
    ///
    /// # Errors
    /// [`OutOfMemory`]: the block went back.
    pub(super) fn of_block(block: Block, pool: PoolHandle) -> Result<Self, OutOfMemory> {
        let mut form = [OUTSIDE; 1 + LINK_LEN];
        if let Some(place) = form.last_chunk_mut() {
            *place = encode(block, pool)?;
        }
        Ok(Self::Outside(form))
    }

    /// Its bytes in the segment.
    pub(super) fn parts(&self) -> (&[u8], &[u8]) {
        match self {
            Self::Inside(head, text) => (head, text),
            Self::Outside(form) => (form, &[]),
        }
    }

    /// The text as a cell.
    pub(super) fn cell(&self) -> Cell<'_> {
        match self {
            Self::Inside(_, text) => Cell::Inside(text),
            Self::Outside(form) => Cell::Outside(*form.last_chunk().unwrap_or(&[0; LINK_LEN])),
        }
    }

    /// How many bytes it takes in the segment.
    pub(super) fn len(&self) -> usize {
        let (head, body) = self.parts();
        head.len() + body.len()
    }
}

fn write_text(block: &mut Block, len: u32, text: &[u8]) {
    let bytes = block.bytes_mut();
    if let Some(head) = bytes.first_chunk_mut() {
        *head = len.to_le_bytes();
    }
    if let Some(place) = bytes.get_mut(LEN_BYTES..LEN_BYTES + text.len()) {
        place.copy_from_slice(text);
    }
}
