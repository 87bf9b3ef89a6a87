//! SORT, GEO and PF commands: the NUMA keys that they name become native, then stock serves.

use super::super::args::is;
use super::super::{Call, Done};
use crate::redis::raw::Name;

/// Converts the keys and lets the stock command run.
fn serve<'c>(call: &Call<'c>, plain: &str, keys: impl IntoIterator<Item = Name<'c>>) -> Done {
    for name in keys {
        call.make_native(name, plain);
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

fn serve_with_target(call: &Call<'_>, plain: &str, targets: &[&str]) -> Done {
    let keys = with_target(call, targets);
    if call.ctx.wants_key_positions() {
        keys.iter().for_each(|(at, _)| call.key_at(*at));
        return Ok(());
    }
    serve(call, plain, keys.into_iter().map(|(_, name)| name))
}

pub(super) fn sort(call: &Call<'_>) -> Done {
    serve_with_target(call, "sort", &["STORE"])?;
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
    serve_with_target(call, "georadius", &["STORE", "STOREDIST"])
}

pub(super) fn georadiusbymember(call: &Call<'_>) -> Done {
    serve_with_target(call, "georadiusbymember", &["STORE", "STOREDIST"])
}

/// A command on `count` keys from the first word on.
macro_rules! on_keys {
    ($($name:ident, $plain:literal, $count:expr;)*) => {
        $(pub(super) fn $name(call: &Call<'_>) -> Done {
            serve(call, $plain, call.args.names_from(1).take($count))
        })*
    };
}

on_keys! {
    geoadd, "geoadd", 1;
    georadius_ro, "georadius_ro", 1;
    georadiusbymember_ro, "georadiusbymember_ro", 1;
    geohash, "geohash", 1;
    geopos, "geopos", 1;
    geodist, "geodist", 1;
    geosearch, "geosearch", 1;
    geosearchstore, "geosearchstore", 2;
    pfadd, "pfadd", 1;
    pfcount, "pfcount", usize::MAX;
    pfmerge, "pfmerge", usize::MAX;
}
