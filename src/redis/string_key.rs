//! A key that may hold a NUMA string, open for one command.
//!
//! The value's pointer belongs to the server while we are outside, and to a [`NumaString`] while
//! we work on it; [`StringKey::edit`] is the one place where it changes hands.
//! Invariant: when `edit` ends, however it ends, the pointer that the server holds is the block
//! that the value lives in.

use super::raw::{Ctx, Key, KeyKind, Mode, Name};
use super::server::Server;
use crate::heat::Heat;
use crate::ids::NodeId;
use crate::pool::OutOfMemory;
use crate::value::{raw, NumaString};
use std::ptr::NonNull;

/// What lies at the key, as the string commands tell it apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Holds {
    /// Nothing.
    Nothing,
    /// A NUMA string.
    Numa,
    /// Anything else.
    Other,
}

/// See the head of the file.
pub(crate) struct StringKey<'c> {
    server: &'static Server,
    ctx: Ctx<'c>,
    name: Name<'c>,
    key: Key<'c>,
    kind: KeyKind,
}

impl<'c> StringKey<'c> {
    pub(crate) fn open(server: &'static Server, ctx: Ctx<'c>, name: Name<'c>, mode: Mode) -> Self {
        let key = ctx.open(name, mode);
        let kind = key.kind();
        Self {
            server,
            ctx,
            name,
            key,
            kind,
        }
    }

    pub(crate) fn holds(&self) -> Holds {
        match self.kind {
            KeyKind::Empty => Holds::Nothing,
            KeyKind::Module(kind) if kind == self.server.string_kind() => Holds::Numa,
            _ => Holds::Other,
        }
    }

    /// What the server says lies here.
    pub(crate) fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The key's name.
    pub(crate) fn name(&self) -> Name<'c> {
        self.name
    }

    /// The open key, for what is the same for every type.
    pub(crate) fn key(&self) -> &Key<'c> {
        &self.key
    }

    fn value(&self) -> Option<NonNull<u8>> {
        match self.holds() {
            Holds::Numa => self.key.module_value(),
            _ => None,
        }
    }

    /// Looks at the NUMA string, if one lies here. Its heat is not touched.
    pub(crate) fn look<R>(&self, work: impl FnOnce(&NumaString) -> R) -> Option<R> {
        let value = self.value()?;
        // SAFETY: the server's pointer of our type: a live string of this pool, and the open key
        // keeps it so; nothing else works on it while this main-thread call lasts.
        let borrowed = unsafe { raw::borrow(value, self.server.pool) };
        Some(work(&borrowed))
    }

    /// Reads the NUMA string, if one lies here; a use of it.
    pub(crate) fn read<R>(&self, work: impl FnOnce(&NumaString) -> R) -> Option<R> {
        let value = self.value()?;
        // SAFETY: as in `look`.
        let mut borrowed = unsafe { raw::borrow(value, self.server.pool) };
        let heat = self.accessed(&borrowed);
        // A write of the same bytes would copy the OS page for a child of the server.
        if heat != borrowed.heat() {
            borrowed.set_heat(heat);
        }
        Some(work(&borrowed))
    }

    /// Notes a use of the value; its heat after it.
    fn accessed(&self, value: &NumaString) -> Heat {
        let (ctx, name) = (self.ctx, self.name);
        let heat = self
            .server
            .pulse
            .with(|pulse| pulse.access(ctx, name, value));
        heat.unwrap_or_else(|| value.heat())
    }

    /// Changes the NUMA string, if one lies here; a use of it. `work` may move the value to
    /// another block, for which it gets the nodes to try, the value's own first.
    pub(crate) fn edit<R>(
        &self,
        work: impl FnOnce(&mut NumaString, &[NodeId]) -> Result<R, OutOfMemory>,
    ) -> Option<Result<R, OutOfMemory>> {
        let mut held = self.hold()?;
        let value = held.value.as_mut()?;
        value.set_heat(self.accessed(value));
        let node = value.node();
        let done = self
            .server
            .steering
            .with(|steering| steering.with_order_from(node, |order| work(value, order)));
        // There is a value: nothing here would be read as an empty key, and overwritten.
        Some(done.unwrap_or(Err(OutOfMemory)))
    }

    fn hold(&self) -> Option<Held<'_, 'c>> {
        let was = self.value()?;
        // SAFETY: the server's pointer of our type; `Held` gives it back to the server whatever
        // happens, so there is one owner at each moment.
        let value = unsafe { raw::take(was, self.server.pool) };
        Some(Held {
            key: self,
            was,
            value: Some(value),
        })
    }

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
        let expiry = self.key.expires_at();
        match self.holds() {
            Holds::Numa => self.overwrite(bytes, node)?,
            _ => self.put_new(bytes, node)?,
        }
        match (expiry, self.holds(), keep_ttl) {
            (None, _, _) | (_, Holds::Numa, true) => {}
            (_, _, true) => self.key.set_expiry(expiry),
            (_, _, false) => self.key.set_expiry(None),
        }
        Ok(())
    }

    fn overwrite(&self, bytes: &[u8], node: Option<NodeId>) -> Result<(), OutOfMemory> {
        let lies_on = self.look(NumaString::node);
        let elsewhere = node.filter(|node| lies_on != Some(*node));
        // Made before the edit: both need the steering.
        let made = elsewhere.map(|node| self.make(bytes, Some(node)));
        let made = made.transpose()?;
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
        let mut made = self.make(bytes, node)?;
        made.set_heat(self.accessed(&made));
        self.adopt(made)
    }

    /// Makes `value` the key's, whatever lies there; its time to live goes.
    pub(crate) fn adopt(&self, value: NumaString) -> Result<(), OutOfMemory> {
        let address = value.into_raw();
        if self
            .key
            .set_module_value(self.server.string_kind(), address)
        {
            return Ok(());
        }
        // SAFETY: the server did not take it, so it is still ours alone.
        drop(unsafe { raw::take(address, self.server.pool) });
        Err(OutOfMemory)
    }

    /// A value for this key that is not put in place yet: on the node, with the heat, of the NUMA
    /// string that it is to replace, else where the policy says.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was made.
    pub(crate) fn prepare(&self, bytes: &[u8]) -> Result<NumaString, OutOfMemory> {
        let old = self.look(|value| (value.node(), value.heat(), value.pinned()));
        let mut made = self.make(bytes, old.map(|(node, _, _)| node))?;
        if let Some((_, heat, pinned)) = old {
            made.set_heat(heat);
            made.set_pinned(pinned);
        }
        made.set_heat(self.accessed(&made));
        Ok(made)
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
        let mut made = self
            .server
            .make_sized(self.name.bytes(), size, node, |order, heat| {
                let mut made = NumaString::new(self.server.pool, order, &[], heat)?;
                made.set_range(offset, piece, order)?;
                Ok(made)
            })?;
        made.set_heat(self.accessed(&made));
        self.adopt(made)?;
        Ok(size)
    }

    fn make(&self, bytes: &[u8], node: Option<NodeId>) -> Result<NumaString, OutOfMemory> {
        self.server.make_string(self.name.bytes(), bytes, node)
    }

    /// Exchanges the value for one on `node`: no event, no use, no change of the time to live.
    pub(crate) fn relocate(&self, node: NodeId) -> Option<Result<usize, OutOfMemory>> {
        let mut held = self.hold()?;
        let value = held.value.as_mut()?;
        #[cfg(feature = "broken-mover")]
        let node = {
            super::broken::claim(self.name.bytes(), node);
            value.node()
        };
        Some(value.relocated(node).map(|moved| {
            let bytes = moved.memory();
            *value = moved;
            bytes
        }))
    }
}

impl Server {
    /// A new NUMA string for the key of that name, on `node` or where the policy says.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was made.
    pub(crate) fn make_string(
        &self,
        key: &[u8],
        bytes: &[u8],
        node: Option<NodeId>,
    ) -> Result<NumaString, OutOfMemory> {
        self.make_sized(key, bytes.len(), node, |order, heat| {
            NumaString::new(self.pool, order, bytes, heat)
        })
    }

    /// The nodes to try for a new value of `size` bytes at `key`, best first.
    pub(crate) fn order_for(&self, size: usize, key: &[u8]) -> Vec<NodeId> {
        let order = self
            .steering
            .with(|steering| steering.with_order(size, key, <[_]>::to_vec));
        order.unwrap_or_default()
    }

    fn make_sized(
        &self,
        key: &[u8],
        size: usize,
        node: Option<NodeId>,
        make: impl FnOnce(&[NodeId], Heat) -> Result<NumaString, OutOfMemory>,
    ) -> Result<NumaString, OutOfMemory> {
        let heat = self
            .pulse
            .with(|pulse| Heat::born(&pulse.clock))
            .ok_or(OutOfMemory)?;
        let made = self.steering.with(|steering| match node {
            Some(node) => steering.with_order_from(node, |order| make(order, heat)),
            None => steering.with_order(size, key, |order| make(order, heat)),
        });
        made.unwrap_or(Err(OutOfMemory))
    }
}

/// A value in our hands: given back to the server when this is dropped, on a panic as well.
struct Held<'k, 'c> {
    key: &'k StringKey<'c>,
    was: NonNull<u8>,
    value: Option<NumaString>,
}

impl Drop for Held<'_, '_> {
    fn drop(&mut self) {
        let Some(value) = self.value.take() else {
            return;
        };
        let now = value.into_raw();
        if now != self.was {
            let kind = self.key.server.string_kind();
            self.key.key.replace_module_value(kind, now);
        }
    }
}
