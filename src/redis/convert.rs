//! From one plane to the other: the value stays, its type changes.
//!
//! The time to live is kept to the millisecond. A conversion changes what is saved and what
//! replicas hold, so it is a write: watchers are told, and `NUMA CONVERT` goes to replicas and the
//! AOF. In the background that would break a paused server, so a release waits while it is.

use super::numa_key::{AnyKey, Holds};
use super::raw::{Ctx, KeyKind, Mode, Name};
use super::string_key::StringKey;
use crate::ids::Bytes;
use crate::migrate::Outcome;
use crate::pool::OutOfMemory;
use crate::value::Value;

/// Turns a NUMA value into a native one. Nothing but the caller replicates it: [`replicate`].
pub(crate) fn to_native(ctx: Ctx<'_>, open: AnyKey<'_>) -> Outcome {
    let open = StringKey::from(open);
    match open.holds() {
        Holds::Nothing => return Outcome::Missing,
        Holds::Other => return Outcome::AlreadyThere,
        Holds::Numa => {}
    }
    if Ctx::must_not_replicate() {
        return Outcome::Busy;
    }
    let expiry = open.key().expires_at();
    let made = open.look(|value| (ctx.string(value.as_bytes()), value.memory()));
    let Some((Some(text), bytes)) = made else {
        return Outcome::NoRoom;
    };
    if !open.key().set_native_string(text.name()) {
        return Outcome::Busy;
    }
    if expiry.is_some() {
        open.key().set_expiry(expiry);
    }
    ctx.signal_modified(open.name());
    replicate(ctx, open.name(), "NATIVE");
    Outcome::Moved {
        bytes: Bytes::from(bytes),
    }
}

/// Turns a native value into a NUMA one.
///
/// # Errors
/// [`OutOfMemory`]: the key is as it was.
pub(crate) fn to_numa(ctx: Ctx<'_>, open: AnyKey<'_>) -> Result<Outcome, OutOfMemory> {
    let open = StringKey::from(open);
    match open.any().kind() {
        KeyKind::Empty => return Ok(Outcome::Missing),
        KeyKind::NativeString => {}
        KeyKind::NativeOther => return Ok(Outcome::Unsupported),
        KeyKind::Module(_) if open.holds() == Holds::Numa => return Ok(Outcome::AlreadyThere),
        KeyKind::Module(_) => return Ok(Outcome::Unsupported),
    }
    let expiry = open.key().expires_at();
    let Some(bytes) = open.key().native_string() else {
        return Ok(Outcome::Busy);
    };
    let made = open.prepare(bytes)?;
    let size = made.memory();
    open.adopt(made)?;
    if expiry.is_some() {
        open.key().set_expiry(expiry);
    }
    ctx.signal_modified(open.name());
    replicate(ctx, open.name(), "NUMA");
    Ok(Outcome::Moved {
        bytes: Bytes::from(size),
    })
}

fn replicate(ctx: Ctx<'_>, key: Name<'_>, plane: &str) {
    let words = (ctx.string(b"CONVERT"), ctx.string(plane.as_bytes()));
    if let (Some(convert), Some(plane)) = words {
        ctx.replicate(c"NUMA", &[convert.name(), key, plane.name()]);
    }
}

/// How a key is opened to be converted: the conversion itself is no use of it.
pub(crate) const MODE: Mode = Mode::Quiet;
