//! SORT, GEO and PF commands: the NUMA keys that they read become native, then stock serves.
//!
//! Only those of a type that the command can read: on any other the stock command answers
//! WRONGTYPE, as it does on a native one. A key that a command merely overwrites stays what it is
//! until then.

use super::super::args::is;
use super::super::{Call, Done};
use crate::migrate::Kind;
use crate::redis::raw::Name;

const SORTED: &[Kind] = &[Kind::List, Kind::Set, Kind::SortedSet];
const GEO: &[Kind] = &[Kind::SortedSet];
const HYPER: &[Kind] = &[Kind::String];

/// Converts the keys that are of those kinds and lets the stock command run.
fn serve<'c>(
    call: &Call<'c>,
    plain: &str,
    kinds: &[Kind],
    keys: impl IntoIterator<Item = Name<'c>>,
) -> Done {
    for name in keys {
        call.make_native(name, kinds, plain);
    }
    call.forward(plain.as_bytes())
}

/// The first key, and what stands behind one of the words that name a target.
fn with_target<'c>(call: &Call<'c>, targets: &[&str]) -> Vec<(usize, Name<'c>)> {
    let named = |at: &usize| {
        let word = call.args.bytes(*at);
        word.is_some_and(|word| targets.iter().any(|target| is(word, target)))
    };
    let behind = (2..call.args.len()).filter(named).map(|at| at + 1);
    std::iter::once(1)
        .chain(behind)
        .filter_map(|at| Some((at, call.args.name(at)?)))
        .collect()
}

fn serve_with_target(call: &Call<'_>, plain: &str, kinds: &[Kind], targets: &[&str]) -> Done {
    let keys = with_target(call, targets);
    if call.ctx.wants_key_positions() {
        keys.iter().for_each(|(at, _)| call.key_at(*at));
        return Ok(());
    }
    serve(call, plain, kinds, call.args.names_from(1).take(1))
}

pub(super) fn sort(call: &Call<'_>) -> Done {
    serve_with_target(call, "sort", SORTED, &["STORE"])?;
    if call.ctx.wants_key_positions() {
        return Ok(());
    }
    // Clients that wait for the list wait for a NUMA one.
    for (_, stored) in with_target(call, &["STORE"]).into_iter().skip(1) {
        call.make_numa(stored)?;
    }
    Ok(())
}

pub(super) fn georadius(call: &Call<'_>) -> Done {
    serve_with_target(call, "georadius", GEO, &["STORE", "STOREDIST"])
}

pub(super) fn georadiusbymember(call: &Call<'_>) -> Done {
    serve_with_target(call, "georadiusbymember", GEO, &["STORE", "STOREDIST"])
}

/// A command that reads keys of a kind: those of the words `first`, `first + 1`, ..., `count` of
/// them.
macro_rules! on_keys {
    ($($name:ident, $plain:literal, $kinds:ident, $first:expr, $count:expr;)*) => {
        $(pub(super) fn $name(call: &Call<'_>) -> Done {
            serve(call, $plain, $kinds, call.args.names_from($first).take($count))
        })*
    };
}

on_keys! {
    geoadd, "geoadd", GEO, 1, 1;
    georadius_ro, "georadius_ro", GEO, 1, 1;
    georadiusbymember_ro, "georadiusbymember_ro", GEO, 1, 1;
    geohash, "geohash", GEO, 1, 1;
    geopos, "geopos", GEO, 1, 1;
    geodist, "geodist", GEO, 1, 1;
    geosearch, "geosearch", GEO, 1, 1;
    geosearchstore, "geosearchstore", GEO, 2, 1;
    pfadd, "pfadd", HYPER, 1, 1;
    pfcount, "pfcount", HYPER, 1, usize::MAX;
    pfmerge, "pfmerge", HYPER, 1, usize::MAX;
}
