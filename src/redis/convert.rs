//! From one plane to the other: the value stays, its type changes.
//!
//! The time to live is kept to the millisecond. A conversion changes what is saved and what
//! replicas hold, so it is a write: watchers are told, and `NUMA CONVERT` goes to replicas and the
//! AOF. In the background that would break a paused server, so a release waits while it is.

use super::numa_key::AnyKey;
use super::numa_type::NumaType;
use super::raw::{Ctx, KeyKind, Mode, Name};
use super::types::each_type;
use crate::heat::Heat;
use crate::ids::Bytes;
use crate::migrate::{Kind, Outcome};
use crate::pool::OutOfMemory;

/// Turns a NUMA value into a native one. Nothing but this replicates it: [`replicate`].
pub(crate) fn to_native(ctx: Ctx<'_>, open: &AnyKey<'_>) -> Outcome {
    let kind = match (open.kind(), open.numa_kind()) {
        (KeyKind::Empty, _) => return Outcome::Missing,
        (_, None) => return Outcome::AlreadyThere,
        (_, Some(kind)) => kind,
    };
    if Ctx::must_not_replicate() {
        return Outcome::Busy;
    }
    macro_rules! convert {
        ($($type:ty),*) => {
            match kind {
                $(<$type as NumaType>::KIND => to_native_as::<$type>(ctx, open),)*
                _ => Outcome::Unsupported,
            }
        };
    }
    let outcome = each_type!(convert);
    if matches!(outcome, Outcome::Moved { .. }) {
        ctx.signal_modified(open.name());
        replicate(ctx, open.name(), "NATIVE");
    }
    outcome
}

/// Takes the value out, leaves the key empty, and makes the native one there; whatever the server
/// refuses, the value goes back.
fn to_native_as<V: NumaType>(ctx: Ctx<'_>, open: &AnyKey<'_>) -> Outcome {
    let expiry = open.key().expires_at();
    let value = match open.take_out::<V>() {
        Some(Ok(value)) => value,
        Some(Err(OutOfMemory)) => return Outcome::NoRoom,
        None => return Outcome::Busy,
    };
    let bytes = Bytes::from(value.memory());
    open.key().delete();
    if value.to_native(ctx, open) {
        open.set_expiry(expiry);
        return Outcome::Moved { bytes };
    }
    // What the server has made so far goes with the key.
    if open.adopt(value).is_ok() {
        open.set_expiry(expiry);
    }
    Outcome::Busy
}

/// Turns a native value into a NUMA one.
///
/// # Errors
/// [`OutOfMemory`]: the key is as it was.
pub(crate) fn to_numa(ctx: Ctx<'_>, open: &AnyKey<'_>) -> Result<Outcome, OutOfMemory> {
    let kind = match open.kind() {
        KeyKind::Empty => return Ok(Outcome::Missing),
        KeyKind::Native(kind) => kind,
        KeyKind::Module(_) if open.numa_kind().is_some() => return Ok(Outcome::AlreadyThere),
        KeyKind::Module(_) => return Ok(Outcome::Unsupported),
    };
    macro_rules! convert {
        ($($type:ty),*) => {
            match kind {
                $(<$type as NumaType>::KIND => to_numa_as::<$type>(ctx, open)?,)*
                _ => Outcome::Unsupported,
            }
        };
    }
    let outcome = each_type!(convert);
    if matches!(outcome, Outcome::Moved { .. }) {
        ctx.signal_modified(open.name());
        replicate(ctx, open.name(), "NUMA");
    }
    Ok(outcome)
}

fn to_numa_as<V: NumaType>(ctx: Ctx<'_>, open: &AnyKey<'_>) -> Result<Outcome, OutOfMemory> {
    let expiry = open.key().expires_at();
    let size = match V::KIND {
        Kind::String => open.key().native_len(),
        _ => open.key().native_len().saturating_mul(ELEMENT_BYTES),
    };
    let order = open.server.order_for(size, open.name().bytes());
    let born = open.server.pulse.with(|pulse| Heat::born(&pulse.clock));
    let heat = born.ok_or(OutOfMemory)?;
    let Some(value) = V::from_native(ctx, open, &order, heat)? else {
        return Ok(Outcome::Busy);
    };
    let bytes = Bytes::from(value.memory());
    open.adopt(value)?;
    open.set_expiry(expiry);
    Ok(Outcome::Moved { bytes })
}

/// What an element is taken to be when a policy asks for the size of what is not made yet.
const ELEMENT_BYTES: usize = 32;

fn replicate(ctx: Ctx<'_>, key: Name<'_>, plane: &str) {
    let words = (ctx.string(b"CONVERT"), ctx.string(plane.as_bytes()));
    if let (Some(convert), Some(plane)) = words {
        ctx.replicate(c"NUMA", &[convert.name(), key, plane.name()]);
    }
}

/// How a key is opened to be converted: the conversion itself is no use of it.
pub(crate) const MODE: Mode = Mode::Quiet;
