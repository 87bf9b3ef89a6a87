//! The NUMA string to the server, and what only string commands ask of a key: to be set whole.
//!
//! A string that is overwritten keeps its heat and, unless the client names a node, its place: it
//! is the same key to whoever reads it, with other bytes.

use super::numa_key::{AnyKey, Holds, TypedKey};
use super::numa_type::NumaType;
use super::raw::{Ctx, Digest, Io, Name};
use crate::heat::Heat;
use crate::ids::NodeId;
use crate::migrate::Kind;
use crate::pool::OutOfMemory;
use crate::value::{NumaString, Value};
use std::ffi::CStr;

/// A key to the string commands.
pub(crate) type StringKey<'c> = TypedKey<'c, NumaString>;

impl StringKey<'_> {
    /// Makes the key a NUMA string of these bytes. An overwritten NUMA string keeps its heat and,
    /// without `node`, its place; a new one goes where the policy says, or to `node`.
    ///
    /// # Errors
    /// [`OutOfMemory`]: the key is as it was.
    pub(crate) fn put(
        &self,
        bytes: &[u8],
        node: Option<NodeId>,
        keep_ttl: bool,
    ) -> Result<(), OutOfMemory> {
        let expiry = self.key().expires_at();
        // What most writes are.
        if node.is_none() && self.overwrite_in_place(bytes) {
            if expiry.is_some() && !keep_ttl {
                self.key().set_expiry(None);
            }
            return Ok(());
        }
        match self.holds() {
            Holds::Numa => self.overwrite(bytes, self.made_elsewhere(bytes, node)?)?,
            _ => self.put_new(bytes, node)?,
        }
        match (expiry, self.holds(), keep_ttl) {
            (None, _, _) | (_, Holds::Numa, true) => {}
            (_, _, true) => self.key().set_expiry(expiry),
            (_, _, false) => self.key().set_expiry(None),
        }
        Ok(())
    }

    /// The new value, where the old one lies on another node than `node`. It is made before the
    /// edit, for both need the steering.
    fn made_elsewhere(
        &self,
        bytes: &[u8],
        node: Option<NodeId>,
    ) -> Result<Option<NumaString>, OutOfMemory> {
        let is_elsewhere = |node: &NodeId| self.look(NumaString::node) != Some(*node);
        let elsewhere = node.filter(is_elsewhere);
        let made = elsewhere.map(|node| self.make_string(bytes, Some(node)));
        made.transpose()
    }

    /// Overwrites a NUMA string whose block fits; whether it did. A value lies on a node that may
    /// be used, so what fits stays.
    #[inline]
    fn overwrite_in_place(&self, bytes: &[u8]) -> bool {
        self.edit_in_place(|value| value.overwrite(bytes))
    }

    /// Overwrites a NUMA string, by the value that was made for it if one was.
    fn overwrite(&self, bytes: &[u8], made: Option<NumaString>) -> Result<(), OutOfMemory> {
        let done = self.edit(|value, order| match made {
            Some(mut made) => {
                made.set_heat(value.heat());
                made.set_pinned(value.pinned());
                *value = made;
                Ok(())
            }
            None => value.replace(bytes, order),
        });
        done.unwrap_or(Err(OutOfMemory))
    }

    fn put_new(&self, bytes: &[u8], node: Option<NodeId>) -> Result<(), OutOfMemory> {
        let made = self.make_string(bytes, node)?;
        self.put_first(made)
    }

    fn put_first(&self, mut made: NumaString) -> Result<(), OutOfMemory> {
        self.note_use(&mut made);
        self.adopt(made)
    }

    /// A value for this key that is not put in place yet: on the node of the NUMA string that it is
    /// to replace, else where the policy says. Nothing where the old one has just the room.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was made.
    pub(crate) fn prepare(&self, bytes: &[u8]) -> Result<Option<NumaString>, OutOfMemory> {
        let old = self.look(|value| (value.takes(bytes.len()), value.node()));
        match old {
            Some((true, _)) => Ok(None),
            old => self.make_string(bytes, old.map(|(_, node)| node)).map(Some),
        }
    }

    /// Makes the key a NUMA string of these bytes, by the value that was prepared if one was; its
    /// time to live goes.
    ///
    /// # Errors
    /// [`OutOfMemory`] where nothing was prepared, and the old value has no room after all.
    pub(crate) fn put_prepared(
        &self,
        bytes: &[u8],
        made: Option<NumaString>,
    ) -> Result<(), OutOfMemory> {
        match (self.holds(), made) {
            (Holds::Numa, made) => {
                let expiry = self.key().expires_at();
                if made.is_some() || !self.overwrite_in_place(bytes) {
                    self.overwrite(bytes, made)?;
                }
                if expiry.is_some() {
                    self.key().set_expiry(None);
                }
                Ok(())
            }
            (_, Some(made)) => self.put_first(made),
            (_, None) => self.put_new(bytes, None),
        }
    }

    /// Makes the key a NUMA string of `offset` zero bytes and `piece`; its length.
    ///
    /// # Errors
    /// [`OutOfMemory`]: the key is as it was.
    pub(crate) fn put_padded(
        &self,
        offset: usize,
        piece: &[u8],
        node: Option<NodeId>,
    ) -> Result<usize, OutOfMemory> {
        let size = offset.saturating_add(piece.len());
        let mut made = self.make(size, node, |order, heat| {
            let mut made = NumaString::new(self.any().server.pool, order, &[], heat)?;
            made.set_range(offset, piece, order)?;
            Ok(made)
        })?;
        self.note_use(&mut made);
        self.adopt(made)?;
        Ok(size)
    }

    fn make_string(&self, bytes: &[u8], node: Option<NodeId>) -> Result<NumaString, OutOfMemory> {
        let pool = self.any().server.pool;
        self.make(bytes.len(), node, |order, heat| {
            NumaString::new(pool, order, bytes, heat)
        })
    }
}

impl NumaType for NumaString {
    const KIND: Kind = Kind::String;
    const NAME: &'static CStr = c"numa-strg";

    fn rewrite(&self, io: Io<'_>, key: Name<'_>) {
        io.emit(c"NUMA.SET", key, self.as_bytes());
    }

    fn digest(&self, digest: Digest<'_>) {
        digest.element(&[self.as_bytes()]);
    }

    fn to_native(&self, ctx: Ctx<'_>, key: &AnyKey<'_>) -> bool {
        let text = ctx.string(self.as_bytes());
        text.is_some_and(|text| key.key().set_native_string(text.name()))
    }

    fn from_native(
        _ctx: Ctx<'_>,
        key: &AnyKey<'_>,
        order: &[NodeId],
        heat: Heat,
    ) -> Result<Option<Self>, OutOfMemory> {
        let Some(bytes) = key.key().native_string() else {
            return Ok(None);
        };
        Self::new(key.server.pool, order, bytes, heat).map(Some)
    }
}
