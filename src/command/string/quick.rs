//! GET, SET and INCR where nothing but the string itself is asked for: served without a context.
//!
//! Each answers false, having done nothing, for whatever the long way (`read`, `set`, `incr`) is
//! for: options, new keys, a time to live to take away, another size, a wrong type, a failure. What
//! it does is what the long way does, in the same order.

use super::super::Fail;
use crate::redis::quick::{Lies, QuickCall};
use crate::redis::raw::{Event, Mode, Name};
use crate::redis::transparent;
use crate::value::number::{parse_integer, Digits};
use crate::value::NumaString;

/// A plain name is served here where it was a client that wrote it: a script may be a master's.
fn is_for_us(call: &QuickCall<'_>, plain: bool) -> bool {
    !plain || call.known.is_connected()
}

pub(in crate::command) fn get(call: &QuickCall<'_>, plain: bool) -> bool {
    let Some(name) = call.args.name(1).filter(|_| call.args.len() == 2) else {
        return false;
    };
    if !is_for_us(call, plain) {
        return false;
    }
    match call.find::<NumaString>(name, Mode::Read) {
        Lies::Ours(here) => call.read(&here, |value| call.known.reply_bulk(value.as_bytes())),
        Lies::Nothing => call.known.reply_null(),
        // Who wrote the plain name means native strings too.
        Lies::Other(found) if plain && found.send_native_string(call.known) => {}
        // The look was a use, which must not be counted again by the long way.
        Lies::Other(_) => Fail::WrongType.reply_known(call.known),
    }
    true
}

pub(in crate::command) fn set(call: &QuickCall<'_>, plain: bool) -> bool {
    let (Some(name), Some(value)) = (call.args.name(1), call.args.name(2)) else {
        return false;
    };
    if call.args.len() != 3 || !may_write(call, plain) {
        return false;
    }
    let Lies::Ours(here) = call.find::<NumaString>(name, Mode::Write) else {
        return false;
    };
    if here.expires() || !call.overwrite(&here, value.bytes()) {
        return false;
    }
    changed(call, Event::Set, name);
    call.known.reply_ok();
    true
}

pub(in crate::command) fn incr(call: &QuickCall<'_>, plain: bool) -> bool {
    let Some(name) = call.args.name(1).filter(|_| call.args.len() == 2) else {
        return false;
    };
    if !may_write(call, plain) {
        return false;
    }
    let Lies::Ours(here) = call.find::<NumaString>(name, Mode::Write) else {
        return false;
    };
    let number = call.look(&here, |value| parse_integer(value.as_bytes()));
    let Some(sum) = number.and_then(|number| number.checked_add(1)) else {
        return false;
    };
    if !call.overwrite(&here, Digits::of(sum).text()) {
        return false;
    }
    changed(call, Event::IncrBy, name);
    call.known.reply_int(sum);
    true
}

/// What a master sends under a plain name was native there; on a replica the long way asks.
fn may_write(call: &QuickCall<'_>, plain: bool) -> bool {
    call.known.can_replicate() && is_for_us(call, plain) && !(plain && transparent::on_replica())
}

/// What follows a change: watchers, events, replicas.
#[inline]
fn changed(call: &QuickCall<'_>, event: Event, name: Name<'_>) {
    call.known.signal(name);
    call.known.notify(event, name);
    call.known.replicate_verbatim(call.args);
}
