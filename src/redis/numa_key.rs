//! A key that may hold a NUMA value, open for one command or one move.
//!
//! [`AnyKey`] is for whoever does not care for the type; [`TypedKey`] is the same key to a command
//! of one type. The value's pointer belongs to the server while we are outside, and to a value
//! while we work on it; [`Held`] is the one place where it changes hands.
//! Invariant: when an edit ends, however it ends, the pointer that the server holds is the root
//! that the value lives in.

use super::numa_type::NumaType;
use super::raw::{Ctx, Key, KeyKind, Mode, Name};
use super::server::Server;
use super::types::{each_type, with_any};
use crate::heat::Heat;
use crate::ids::NodeId;
use crate::migrate::Kind;
use crate::pool::OutOfMemory;
use crate::value::{raw, Compacted, Step, Value};
use std::marker::PhantomData;
use std::ptr::NonNull;

/// What lies at the key, as the commands of one type tell it apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Holds {
    /// Nothing.
    Nothing,
    /// A NUMA value of the command's type.
    Numa,
    /// Anything else.
    Other,
}

/// See the head of the file.
pub(crate) struct AnyKey<'c> {
    pub(crate) server: &'static Server,
    pub(super) ctx: Ctx<'c>,
    name: Name<'c>,
    key: Key<'c>,
    kind: KeyKind,
}

impl<'c> AnyKey<'c> {
    #[inline(always)]
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

    /// What the server says lies here.
    pub(crate) fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Which NUMA type lies here, if one does.
    pub(crate) fn numa_kind(&self) -> Option<Kind> {
        match self.kind {
            KeyKind::Module(handle) => self.server.types.kind_of(handle),
            _ => None,
        }
    }

    /// The key's name.
    pub(crate) fn name(&self) -> Name<'c> {
        self.name
    }

    /// The open key, for what is the same for every type.
    pub(crate) fn key(&self) -> &Key<'c> {
        &self.key
    }

    /// Sets the time to live of what lies here now, whoever put it there: a command that was run
    /// in between leaves the handle behind.
    pub(crate) fn set_expiry(&self, at: Option<i64>) {
        if at.is_some() {
            self.ctx.open(self.name, Mode::Quiet).set_expiry(at);
        }
    }

    /// Takes the value out of the key and leaves an empty one there, which the caller replaces.
    pub(super) fn take_out<V: NumaType>(&self) -> Option<Result<V, OutOfMemory>> {
        let mut held = Held::<V>::of(self)?;
        let value = held.value.as_mut()?;
        let (pool, heat) = (self.server.pool, value.heat());
        let order = self.server.order_for(0, self.name.bytes());
        Some(V::empty(pool, &order, heat).map(|empty| std::mem::replace(value, empty)))
    }

    /// Looks at the NUMA value, if one lies here. Its heat is not touched.
    pub(crate) fn look<R>(&self, work: impl FnOnce(&dyn Value) -> R) -> Option<R> {
        let kind = self.numa_kind()?;
        let value = self.key.module_value()?;
        // SAFETY: the server's pointer of our type: a live value of this pool, and the open key
        // keeps it so; nothing else works on it while this main-thread call lasts.
        unsafe { with_any(kind, value, self.server.pool, work) }
    }

    /// Goes on moving the value to `node`: no event, no use, no change of the time to live.
    pub(crate) fn relocate(
        &self,
        node: NodeId,
        budget: usize,
    ) -> Option<Result<Step, OutOfMemory>> {
        let kind = self.numa_kind()?;
        macro_rules! relocate {
            ($($type:ty),*) => {
                match kind {
                    $(<$type as NumaType>::KIND => self.relocate_as::<$type>(node, budget),)*
                    _ => None,
                }
            };
        }
        each_type!(relocate)
    }

    /// Gives the NUMA value another heat, in place: no event, no use. Nothing where there is none.
    pub(crate) fn set_heat(&self, heat: Heat) -> Option<()> {
        let kind = self.numa_kind()?;
        macro_rules! set_heat {
            ($($type:ty),*) => {
                match kind {
                    $(<$type as NumaType>::KIND => {
                        Held::<$type>::of(self)?.value.as_mut()?.set_heat(heat);
                        Some(())
                    })*
                    _ => None,
                }
            };
        }
        each_type!(set_heat)
    }

    /// Goes on compacting the NUMA value within its nodes: as [`AnyKey::relocate`].
    pub(crate) fn compact(&self, from: u64, budget: usize) -> Option<Compacted> {
        let kind = self.numa_kind()?;
        macro_rules! compact {
            ($($type:ty),*) => {
                match kind {
                    $(<$type as NumaType>::KIND => {
                        Some(Held::<$type>::of(self)?.value.as_mut()?.compact(from, budget))
                    })*
                    _ => None,
                }
            };
        }
        each_type!(compact)
    }

    /// Binds the NUMA value to its node, or lets it go, in place: no event, no use. Nothing where
    /// there is none.
    pub(crate) fn set_pinned(&self, pinned: bool) -> Option<()> {
        let kind = self.numa_kind()?;
        macro_rules! set_pinned {
            ($($type:ty),*) => {
                match kind {
                    $(<$type as NumaType>::KIND => {
                        Held::<$type>::of(self)?.value.as_mut()?.set_pinned(pinned);
                        Some(())
                    })*
                    _ => None,
                }
            };
        }
        each_type!(set_pinned)
    }

    fn relocate_as<V: NumaType>(
        &self,
        node: NodeId,
        budget: usize,
    ) -> Option<Result<Step, OutOfMemory>> {
        let mut held = Held::<V>::of(self)?;
        let value = held.value.as_mut()?;
        #[cfg(feature = "broken-mover")]
        let node = {
            super::broken::claim(self.name.bytes(), node);
            value.node()
        };
        Some(value.relocate(node, budget))
    }

    /// Makes `value` the key's, whatever lies there; its time to live goes.
    ///
    /// # Errors
    /// [`OutOfMemory`] where the server does not take it: the key is as it was.
    pub(crate) fn adopt<V: NumaType>(&self, value: V) -> Result<(), OutOfMemory> {
        let address = value.into_raw();
        let handle = self.server.types.of(V::KIND);
        if self.key.set_module_value(handle, address) {
            self.server.value_came();
            return Ok(());
        }
        // SAFETY: the server did not take it, so it is still ours alone.
        drop(unsafe { raw::take::<V>(address, self.server.pool) });
        Err(OutOfMemory)
    }
}

/// A key to the commands of type `V`.
pub(crate) struct TypedKey<'c, V> {
    any: AnyKey<'c>,
    holds: Holds,
    of: PhantomData<V>,
}

impl<'c, V: NumaType> TypedKey<'c, V> {
    #[inline(always)]
    pub(crate) fn open(server: &'static Server, ctx: Ctx<'c>, name: Name<'c>, mode: Mode) -> Self {
        Self::from(AnyKey::open(server, ctx, name, mode))
    }

    #[inline]
    pub(crate) fn holds(&self) -> Holds {
        self.holds
    }

    /// The key to whoever does not care for the type.
    pub(crate) fn any(&self) -> &AnyKey<'c> {
        &self.any
    }

    /// The open key, for what is the same for every type.
    pub(crate) fn key(&self) -> &Key<'c> {
        &self.any.key
    }

    /// The key's name.
    pub(crate) fn name(&self) -> Name<'c> {
        self.any.name
    }

    #[inline]
    fn value(&self) -> Option<NonNull<u8>> {
        match self.holds {
            Holds::Numa => self.any.key.module_value(),
            _ => None,
        }
    }

    /// Takes the NUMA value into our hands, if one lies here.
    #[inline]
    fn held(&self) -> Option<Held<'_, 'c, V>> {
        let value = self.value()?;
        // SAFETY: the key holds a value of this type, and this is its pointer.
        Some(unsafe { Held::at(&self.any, value) })
    }

    /// Looks at the NUMA value, if one lies here. Its heat is not touched.
    #[inline]
    pub(crate) fn look<R>(&self, work: impl FnOnce(&V) -> R) -> Option<R> {
        let value = self.value()?;
        // SAFETY: as in [`AnyKey::look`].
        let borrowed = unsafe { raw::borrow::<V>(value, self.any.server.pool) };
        Some(work(&borrowed))
    }

    /// Reads the NUMA value, if one lies here; a use of it.
    #[inline]
    pub(crate) fn read<R>(&self, work: impl FnOnce(&V) -> R) -> Option<R> {
        let value = self.value()?;
        // SAFETY: as in [`AnyKey::look`].
        let mut borrowed = unsafe { raw::borrow::<V>(value, self.any.server.pool) };
        // Where nothing is to be written, nothing is: a write of the same bytes would copy the OS
        // page for a child of the server.
        if let Some(heat) = self.heat_after_use(&borrowed) {
            borrowed.set_heat(heat);
        }
        Some(work(&borrowed))
    }

    /// Notes a use of the value; its heat after it, nothing where that stays.
    #[inline]
    fn heat_after_use(&self, value: &V) -> Option<Heat> {
        let AnyKey {
            server, ctx, name, ..
        } = &self.any;
        let heat = server
            .pulse
            .with(|pulse| pulse.access(|| ctx.selected_db(), *name, value));
        heat.flatten()
    }

    /// Notes a use of the value in it.
    #[inline]
    pub(super) fn note_use(&self, value: &mut V) {
        if let Some(heat) = self.heat_after_use(value) {
            value.set_heat(heat);
        }
    }

    /// Changes the NUMA value in place, if one lies here; a use of it where `work` did so.
    #[inline]
    pub(crate) fn edit_in_place(&self, work: impl FnOnce(&mut V) -> bool) -> bool {
        let Some(mut held) = self.held() else {
            return false;
        };
        let Some(value) = held.value.as_mut() else {
            return false;
        };
        let done = work(value);
        if done {
            self.note_use(value);
        }
        done
    }

    /// Changes the NUMA value, if one lies here; a use of it. `work` may move the value's root,
    /// for which it gets the nodes to try, the value's own first.
    pub(crate) fn edit<R>(
        &self,
        work: impl FnOnce(&mut V, &[NodeId]) -> Result<R, OutOfMemory>,
    ) -> Option<Result<R, OutOfMemory>> {
        let mut held = self.held()?;
        let value = held.value.as_mut()?;
        self.note_use(value);
        let node = value.node();
        let done = self
            .any
            .server
            .steering
            .with(|steering| steering.with_order_from(node, |order| work(value, order)));
        // There is a value: nothing here would be read as an empty key, and overwritten.
        Some(done.unwrap_or(Err(OutOfMemory)))
    }

    /// Makes `value` the key's, whatever lies there; its time to live goes.
    ///
    /// # Errors
    /// As [`AnyKey::adopt`].
    pub(crate) fn adopt(&self, value: V) -> Result<(), OutOfMemory> {
        self.any.adopt(value)
    }

    /// Makes a value of about `size` bytes for this key, as hot as new ones are: on `node`, or
    /// where the policy says. It is not put in place yet.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was made.
    pub(crate) fn make(
        &self,
        size: usize,
        node: Option<NodeId>,
        make: impl FnOnce(&[NodeId], Heat) -> Result<V, OutOfMemory>,
    ) -> Result<V, OutOfMemory> {
        let server = self.any.server;
        server.make_value(self.name().bytes(), size, node, make)
    }

    /// Changes the value, or makes one where there is nothing: `work` gets an empty one,
    /// placed as one of about `size` bytes, which is put in place once `work` has succeeded.
    ///
    /// # Errors
    /// [`OutOfMemory`]: the key is as it was.
    pub(crate) fn edit_or_create<R>(
        &self,
        size: usize,
        work: impl FnOnce(&mut V, &[NodeId]) -> Result<R, OutOfMemory>,
    ) -> Result<R, OutOfMemory> {
        if self.value().is_some() {
            return self.edit(work).unwrap_or(Err(OutOfMemory));
        }
        let mut result = None;
        let mut made = self.make(size, None, |order, heat| {
            let mut made = V::empty(self.any.server.pool, order, heat)?;
            result = Some(work(&mut made, order)?);
            Ok(made)
        })?;
        self.note_use(&mut made);
        self.adopt(made)?;
        result.ok_or(OutOfMemory)
    }
}

impl<'c, V: NumaType> From<AnyKey<'c>> for TypedKey<'c, V> {
    #[inline(always)]
    fn from(any: AnyKey<'c>) -> Self {
        let holds = match any.kind {
            KeyKind::Empty => Holds::Nothing,
            KeyKind::Module(handle) if handle == any.server.types.of(V::KIND) => Holds::Numa,
            _ => Holds::Other,
        };
        Self {
            any,
            holds,
            of: PhantomData,
        }
    }
}

impl Server {
    /// The nodes to try for a new value of `size` bytes at `key`, best first.
    pub(crate) fn order_for(&self, size: usize, key: &[u8]) -> Vec<NodeId> {
        let order = self
            .steering
            .with(|steering| steering.with_order(size, key, <[_]>::to_vec));
        order.unwrap_or_default()
    }

    /// Makes a new value of `size` bytes for the key of that name, on `node` or where the policy
    /// says.
    ///
    /// # Errors
    /// [`OutOfMemory`]: nothing was made.
    pub(super) fn make_value<V>(
        &self,
        key: &[u8],
        size: usize,
        node: Option<NodeId>,
        make: impl FnOnce(&[NodeId], Heat) -> Result<V, OutOfMemory>,
    ) -> Result<V, OutOfMemory> {
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
struct Held<'k, 'c, V: NumaType> {
    key: &'k AnyKey<'c>,
    was: NonNull<u8>,
    value: Option<V>,
}

impl<'k, 'c, V: NumaType> Held<'k, 'c, V> {
    /// Takes the value of a key that holds a `V`.
    #[inline]
    fn of(key: &'k AnyKey<'c>) -> Option<Self> {
        if key.numa_kind() != Some(V::KIND) {
            return None;
        }
        let was = key.key.module_value()?;
        // SAFETY: the key holds a value of this type, and this is its pointer.
        Some(unsafe { Self::at(key, was) })
    }

    /// Takes that value.
    ///
    /// # Safety
    /// * `was` is the pointer of the `V` that the key holds.
    #[inline]
    unsafe fn at(key: &'k AnyKey<'c>, was: NonNull<u8>) -> Self {
        // SAFETY: the server's pointer of our type; dropping gives the value back to the server
        // whatever happens, so there is one owner at each moment.
        let value = unsafe { raw::take::<V>(was, key.server.pool) };
        Self {
            key,
            was,
            value: Some(value),
        }
    }
}

impl<V: NumaType> Drop for Held<'_, '_, V> {
    #[inline]
    fn drop(&mut self) {
        let Some(value) = self.value.take() else {
            return;
        };
        let now = value.into_raw();
        if now != self.was {
            let handle = self.key.server.types.of(V::KIND);
            self.key.key.replace_module_value(handle, now);
        }
    }
}
