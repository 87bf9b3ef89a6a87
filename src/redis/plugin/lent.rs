//! A view lent to another module for one call: what `NumaView`'s functions do.
//!
//! The other side gets a struct on our stack and calls back through it. Nothing here trusts it: a
//! call from another thread, from inside another one, with null or out of all bounds is answered
//! with nothing. What cannot be noticed is a call after the view was taken back; the header forbids
//! it.

use super::abi::{self, NumaEach, NumaKey, NumaNode, NumaView};
use crate::ids::DbIndex;
use crate::migrate::{Budget, KeyInfo, KeyRef, Plane};
use crate::redis::guard::contained;
use crate::redis::main_cell::on_main_thread;
use crate::strategy::View;
use std::cell::RefCell;
use std::ffi::{c_char, c_int, c_void};

/// Keys of one scan, at most.
const SCAN_MAX: usize = 4096;
/// The longest name of a key: the server's own bound.
pub(super) const KEY_NAME_MAX: usize = 512 << 20;

/// What `NumaView.host` points to.
struct Lent<'v>(RefCell<&'v mut dyn View>);

/// Lends a view for the length of `work`.
pub(super) fn lend<R>(
    view: &mut dyn View,
    budget: &Budget,
    work: impl FnOnce(*const NumaView) -> R,
) -> R {
    let (now_ms, era_ms) = (view.now_ms(), view.era_ms());
    let lent = Lent(RefCell::new(view));
    let shown = NumaView {
        abi: abi::ABI,
        size: size_of::<NumaView>() as u32,
        now_ms,
        era_ms,
        budget_us: budget.time_us,
        budget_bytes: budget.bytes.0,
        budget_keys: budget.keys as u64,
        host: (&raw const lent).cast_mut().cast(),
        now_us,
        nodes,
        look,
        scan,
        hot,
    };
    work(&shown)
}

/// Runs `work` on the view behind the one that was lent; `fallback` where that cannot be.
///
/// # Safety
/// * `view` is null or what [`lend`] has lent and not taken back.
unsafe fn reached<R>(
    view: *const NumaView,
    fallback: R,
    work: impl FnOnce(&mut dyn View) -> R,
) -> R {
    if view.is_null() || !on_main_thread() {
        return fallback;
    }
    // SAFETY: the caller's promise.
    let host = unsafe { (*view).host };
    // SAFETY: the host is ours and lives as long as the view is lent.
    let lent = unsafe { &*host.cast::<Lent<'_>>() };
    match lent.0.try_borrow_mut() {
        Ok(mut view) => work(&mut **view),
        Err(_) => fallback,
    }
}

/// # Safety
/// * As for [`reached`].
unsafe extern "C" fn now_us(view: *const NumaView) -> u64 {
    // SAFETY: the caller's promise.
    contained(0, || unsafe { reached(view, 0, |view| view.now_us()) })
}

/// # Safety
/// * As for [`reached`]; `nodes` has room for `max`.
unsafe extern "C" fn nodes(view: *const NumaView, nodes: *mut NumaNode, max: usize) -> usize {
    let work = |view: &mut dyn View| {
        let shown = all_nodes(view);
        let count = if nodes.is_null() { 0 } else { max };
        for (at, node) in shown.iter().enumerate().take(count) {
            // SAFETY: within the room that the caller vouches for.
            let place = unsafe { nodes.add(at) };
            // SAFETY: the same.
            unsafe { place.write(*node) };
        }
        shown.len()
    };
    // SAFETY: the caller's promise.
    contained(0, || unsafe { reached(view, 0, work) })
}

fn all_nodes(view: &dyn View) -> Vec<NumaNode> {
    let home = view.home();
    let shown = |id| {
        let usage = view.usage(id);
        NumaNode {
            used: usage.used.0,
            limit: usage.limit.0,
            latency_ns: view.latency_ns(id),
            id: id.index() as i32,
            home: (id == home).into(),
        }
    };
    view.nodes().into_iter().map(shown).collect()
}

/// # Safety
/// * As for [`reached`]; `name` has `len` bytes, `key` may be written.
unsafe extern "C" fn look(
    view: *const NumaView,
    db: u32,
    name: *const c_char,
    len: usize,
    key: *mut NumaKey,
) -> c_int {
    if name.is_null() || key.is_null() || len > KEY_NAME_MAX {
        return abi::ERR;
    }
    let work = |view: &mut dyn View| {
        // SAFETY: the caller vouches for the bytes.
        let bytes = unsafe { std::slice::from_raw_parts(name.cast::<u8>(), len) };
        let asked = KeyRef::new(DbIndex(db), bytes);
        let Some(info) = view.look(&asked) else {
            return abi::ERR;
        };
        let shown = NumaKey {
            name,
            ..shown(&asked, &info, view)
        };
        // SAFETY: the caller vouches for the place.
        unsafe { key.write(shown) };
        abi::OK
    };
    // SAFETY: the caller's promise.
    contained(abi::ERR, || unsafe { reached(view, abi::ERR, work) })
}

/// # Safety
/// * As for [`reached`]; `each` takes `arg`, `wrapped` is null or may be written.
unsafe extern "C" fn scan(
    view: *const NumaView,
    max: usize,
    each: NumaEach,
    arg: *mut c_void,
    wrapped: *mut c_int,
) -> usize {
    let work = |view: &mut dyn View| {
        let mut seen = Vec::new();
        let step = view.scan(max.min(SCAN_MAX), &mut |key, info| {
            seen.push((key.clone(), info));
        });
        (with_costs(seen, view), step)
    };
    let show = || {
        // The walk is over before anything is shown: whoever looks at a key from `each` finds the
        // view free.
        // SAFETY: the caller's promise.
        let (seen, step) = unsafe { reached(view, Default::default(), work) };
        // SAFETY: the caller's promise.
        unsafe { show_all(&seen, each, arg) };
        if !wrapped.is_null() {
            // SAFETY: the caller vouches for the place.
            unsafe { wrapped.write(step.wrapped.into()) };
        }
        step.scanned
    };
    contained(0, show)
}

/// # Safety
/// * As for [`reached`]; `each` takes `arg`.
unsafe extern "C" fn hot(
    view: *const NumaView,
    max: usize,
    each: NumaEach,
    arg: *mut c_void,
) -> usize {
    let work = |view: &mut dyn View| {
        let hot = view.take_hot(max.min(SCAN_MAX));
        let known = hot.into_iter().filter_map(|key| {
            let info = view.look(&key)?;
            Some((key, info))
        });
        let known = known.collect();
        with_costs(known, view)
    };
    let show = || {
        // SAFETY: the caller's promise.
        let seen = unsafe { reached(view, Vec::new(), work) };
        // SAFETY: the caller's promise.
        unsafe { show_all(&seen, each, arg) };
        seen.len()
    };
    contained(0, show)
}

/// A key and what is shown of it, without its name yet.
type Shown = (KeyRef, NumaKey);

fn with_costs(seen: Vec<(KeyRef, KeyInfo)>, view: &dyn View) -> Vec<Shown> {
    let show = |(key, info): (KeyRef, KeyInfo)| {
        let shown = shown(&key, &info, view);
        (key, shown)
    };
    seen.into_iter().map(show).collect()
}

/// # Safety
/// * `each` is a function that takes `arg`, or nothing.
unsafe fn show_all(seen: &[Shown], each: NumaEach, arg: *mut c_void) {
    let Some(each) = each else { return };
    for (key, known) in seen {
        // The name lies where the key lies now, not where it lay when it was looked at.
        let shown = NumaKey {
            name: key.name.as_ptr().cast(),
            ..*known
        };
        // SAFETY: the caller's promise, and the key lives for the call.
        unsafe { each(arg, &shown) };
    }
}

fn shown(key: &KeyRef, info: &KeyInfo, view: &dyn View) -> NumaKey {
    NumaKey {
        name: key.name.as_ptr().cast(),
        name_len: key.name.len(),
        bytes: info.bytes.0,
        idle_ms: info.idle_ms,
        accesses: info.accesses,
        move_ns: view.move_ns(info.bytes),
        db: key.db.0,
        node: info.node.index() as i32,
        level: info.level.get().into(),
        per_era: info.score.accesses_per_era(),
        pinned: info.pinned.into(),
        native: (info.plane == Plane::Native).into(),
    }
}
