//! Commands whose plain name the client wrote, with types switched on: what becomes of keys that
//! exist as native ones.
//!
//! ```text
//! existing keys    none native     all native           some of each
//! is served        on NUMA types   by the stock command on NUMA types, the native ones converted
//! ```
//!
//! A native key stays native until someone converts it; only a command that works on both kinds
//! at once converts, for no command can work across the planes. Those that read sets and sorted
//! sets need not: they read either kind. What a master sends under a plain name was native there,
//! so it is native here.

use super::args::is;
use super::{Call, Done, Fail, ONE};
use crate::migrate::Kind;
use crate::redis::convert;
use crate::redis::numa_key::AnyKey;
use crate::redis::raw::{c_text, KeyKind, LogLevel, Mode, Name};
use crate::redis::transparent::{self, PREFIX};
use std::ffi::CStr;

/// NUMA commands that read native sets and sorted sets themselves.
const READ_EITHER: [&[u8]; 12] = [
    b"sinter",
    b"sunion",
    b"sdiff",
    b"sinterstore",
    b"sunionstore",
    b"sdiffstore",
    b"zinter",
    b"zunion",
    b"zdiff",
    b"zinterstore",
    b"zunionstore",
    b"zdiffstore",
];
/// Those that look at no value before they overwrite it, or look at each key by itself.
const OVERWRITE: [&[u8]; 2] = [b"mset", b"mget"];

/// The plain name of a NUMA command.
pub(super) fn plain(name: &CStr) -> &[u8] {
    let name = name.to_bytes();
    name.strip_prefix(PREFIX.as_bytes()).unwrap_or(name)
}

/// Serves the call by the stock command if its keys are native; whether it did.
pub(super) fn served_by_stock(
    call: &Call<'_>,
    name: &CStr,
    keys: (i32, i32, i32),
) -> Result<bool, Fail> {
    let plain = plain(name);
    if transparent::on_replica() && call.ctx.flags().by_master() {
        call.forward(plain)?;
        return Ok(true);
    }
    if keys == ONE {
        return one_served_by_stock(call, plain);
    }
    let names = key_names(call, plain, keys);
    let (mut native, mut numa) = (Vec::new(), false);
    for name in names {
        let key = AnyKey::open(call.server, call.ctx, name, Mode::Quiet);
        match key.kind() {
            KeyKind::Empty => {}
            KeyKind::Native(_) => native.push(name),
            KeyKind::Module(_) => numa = true,
        }
    }
    if !native.is_empty() && !numa {
        call.forward(plain)?;
        return Ok(true);
    }
    if !READ_EITHER.contains(&plain) && !OVERWRITE.contains(&plain) {
        native
            .into_iter()
            .try_for_each(|name| call.make_numa(name))?;
    }
    Ok(false)
}

/// The same for a command of one key, which most are.
fn one_served_by_stock(call: &Call<'_>, plain: &[u8]) -> Result<bool, Fail> {
    let key = AnyKey::open(call.server, call.ctx, call.name(1)?, Mode::Quiet);
    let native = matches!(key.kind(), KeyKind::Native(_));
    drop(key);
    if native {
        call.forward(plain)?;
    }
    Ok(native)
}

/// The words that are keys.
fn key_names<'c>(call: &Call<'c>, plain: &[u8], keys: (i32, i32, i32)) -> Vec<Name<'c>> {
    let (first, last, step) = keys;
    let words = call.args.len();
    if plain == b"stralgo" {
        let at = (2..words).find(|at| call.args.bytes(*at).is_some_and(|word| is(word, "KEYS")));
        return at.map_or(Vec::new(), |at| {
            call.args.names_from(at + 1).take(2).collect()
        });
    }
    let numbered = match plain {
        b"zunion" | b"zinter" | b"zdiff" => Some(1),
        b"zunionstore" | b"zinterstore" | b"zdiffstore" => Some(2),
        _ => None,
    };
    if let Some(at) = numbered {
        let count = call
            .args
            .bytes(at)
            .and_then(|word| std::str::from_utf8(word).ok());
        let count = count.and_then(|count| count.parse().ok()).unwrap_or(0);
        let stored = call.args.names_from(1).take(at - 1);
        return stored
            .chain(call.args.names_from(at + 1).take(count))
            .collect();
    }
    let last = if last < 0 {
        words.saturating_sub(last.unsigned_abs() as usize)
    } else {
        last as usize
    };
    let (first, step) = (first.unsigned_abs() as usize, step.unsigned_abs() as usize);
    if first == 0 {
        return Vec::new();
    }
    let at = (first..=last).step_by(step.max(1));
    at.filter_map(|at| call.args.name(at)).collect()
}

impl Call<'_> {
    /// Runs the stock command of that name with the words of this call and answers what it does.
    pub(super) fn forward(&self, plain: &[u8]) -> Done {
        let words: Vec<_> = self.args.names_from(1).collect();
        if self.ctx.forward(&c_text(plain), &words) {
            return Ok(());
        }
        Err(Fail::Arity)
    }

    /// Turns a native key into a NUMA one, where this server may write.
    pub(super) fn make_numa(&self, name: Name<'_>) -> Done {
        if !self.ctx.flags().read_only() {
            let key = AnyKey::open(self.server, self.ctx, name, Mode::Quiet);
            convert::to_numa(self.ctx, &key)?;
        }
        Ok(())
    }

    /// Turns a NUMA key of one of those kinds into a native one for a stock command that knows no
    /// other, and says so.
    pub(super) fn make_native(&self, name: Name<'_>, kinds: &[Kind], command: &str) {
        let key = AnyKey::open(self.server, self.ctx, name, Mode::Quiet);
        let meant = key.numa_kind().is_some_and(|kind| kinds.contains(&kind));
        if !meant || (self.ctx.flags().read_only() && !self.is_by_master()) {
            return;
        }
        convert::to_native(self.ctx, &key);
        let name = String::from_utf8_lossy(name.bytes()).into_owned();
        let line = format!("{command} made the NUMA key '{name}' a native one");
        self.ctx.log(LogLevel::Notice, &line);
    }

    fn is_by_master(&self) -> bool {
        self.ctx.flags().by_master()
    }
}
