//! `numa-transparent-types`: clients' plain commands act on NUMA types.
//!
//! The filter writes `numa.hset` where a client wrote `hset`, if the type of that command is
//! switched on. The name that it writes is a string of its own, so the command that runs knows that
//! the client wrote the plain name, and serves a key that exists as native as stock does.
//!
//! ACL rules see what the filter wrote: whom `-set` should stop could still SET. So it is switched
//! on only where no ACL user is restricted by command, and off again when one is made, unless
//! `numa-transparent-acl-accepted` says that the rules were written for it. At the load the users
//! are not known yet, so the first tick decides.
//!
//! Invariant: the filter runs <=> a type is switched on and that is allowed.

use super::callbacks::{rename_filter, Command};
use super::main_cell::MainCell;
use super::raw::{Args, Ctx, FilterWords, LogLevel, Mark, Registered};
use super::server::Server;
use crate::config::Config;
use crate::migrate::Kind;
use once_cell::sync::OnceCell;
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// The commands of a family, by their NUMA names; those of no type go with any.
pub(crate) type Family = (Option<Kind>, &'static [&'static CStr]);

/// What stands in front of a NUMA command's name.
pub(crate) const PREFIX: &str = "numa.";

/// One name that is written over.
struct Entry {
    /// The plain name as one number.
    plain: u128,
    /// The bits of the types that it goes with.
    types: u8,
    mark: Mark,
    /// Whether it depends on the other words too.
    asks: bool,
}

/// How many places the names have: many more than there are names, so that what is no name of ours
/// nearly always meets an empty one.
const PLACES: usize = 1024;

/// The names, found by a hash: every command of every client is looked for here.
struct Table {
    entries: Vec<Entry>,
    /// Numbers of entries, from 1 on; 0 is an empty place.
    places: Box<[u8; PLACES]>,
}

static TABLE: OnceCell<Table> = OnceCell::new();
/// The types that are switched on, a bit each.
static ACTIVE: AtomicU8 = AtomicU8::new(0);

/// Whether this server is a replica. Kept by the event of the role, for the question is put to each
/// plain write and the server's answer counts a dozen other things.
static REPLICA: AtomicBool = AtomicBool::new(true);

/// A name of at most 16 bytes as one number, whatever its case.
fn packed(name: &[u8]) -> Option<u128> {
    let mut bytes = [0; 16];
    let place = bytes.get_mut(..name.len())?;
    place.copy_from_slice(name);
    bytes.make_ascii_lowercase();
    Some(u128::from_le_bytes(bytes))
}

/// The bit of a type, in the order of `TransparentTypes`.
fn bit(kind: Kind) -> u8 {
    match kind {
        Kind::String => 1,
        Kind::List => 2,
        Kind::Set => 4,
        Kind::SortedSet => 8,
        Kind::Hash => 16,
        Kind::Other => 0,
    }
}

/// Makes the table of the names, once.
pub(crate) fn declare(families: &[Family]) {
    let entry = |kind: Option<Kind>, name: &CStr| {
        let plain = name.to_bytes().strip_prefix(PREFIX.as_bytes())?;
        Some(Entry {
            plain: packed(plain)?,
            types: kind.map_or(u8::MAX, bit),
            mark: Mark::new(name.to_bytes())?,
            asks: plain == b"scan",
        })
    };
    let entries = families
        .iter()
        .flat_map(|(kind, names)| names.iter().filter_map(move |name| entry(*kind, name)));
    // A second load of the module in one process does not happen; a second table would be the same.
    let _ = TABLE.set(Table::of(entries.collect()));
}

/// Where the search for a name begins.
#[inline]
fn place(plain: u128) -> usize {
    let folded = plain as u64 ^ (plain >> 64) as u64;
    (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % PLACES
}

impl Table {
    fn of(entries: Vec<Entry>) -> Self {
        let mut places = Box::new([0; PLACES]);
        for (entry, number) in entries.iter().zip(1..=u8::MAX) {
            let mut at = place(entry.plain);
            while places.get(at).is_some_and(|taken| *taken != 0) {
                at = (at + 1) % PLACES;
            }
            if let Some(free) = places.get_mut(at) {
                *free = number;
            }
        }
        Self { entries, places }
    }

    #[inline]
    fn find(&self, plain: u128) -> Option<&Entry> {
        let mut at = place(plain);
        loop {
            // An empty place has the number before the first: no entry's.
            let number = usize::from(*self.places.get(at)?);
            let entry = self.entries.get(number.wrapping_sub(1))?;
            if entry.plain == plain {
                return Some(entry);
            }
            at = (at + 1) % PLACES;
        }
    }
}

fn find(plain: &[u8]) -> Option<&'static Entry> {
    TABLE.get()?.find(packed(plain)?)
}

/// What the filter does with a command.
pub(crate) fn pass(words: FilterWords<'_>) {
    let active = ACTIVE.load(Ordering::Relaxed);
    let entry = words.bytes(0).and_then(find);
    if let Some(entry) = entry.filter(|entry| entry.types & active != 0) {
        if !entry.asks || asks_for_type(words) {
            words.rename(entry.mark);
        }
    }
}

/// The name that the client wrote, where the filter may have run before.
#[inline]
pub(crate) fn plain(name: &[u8]) -> &[u8] {
    if ACTIVE.load(Ordering::Relaxed) == 0 {
        return name;
    }
    name.strip_prefix(PREFIX.as_bytes()).unwrap_or(name)
}

/// Whether it is a SCAN that concerns us.
fn asks_for_type(words: FilterWords<'_>) -> bool {
    (2..words.len()).any(|at| {
        let word = words.bytes(at);
        word.is_some_and(|word| word.eq_ignore_ascii_case(b"type"))
    })
}

/// Whether the filter wrote the name of this command.
#[inline]
pub(crate) fn wrote<C: Command>(args: Args<'_>) -> bool {
    if ACTIVE.load(Ordering::Relaxed) == 0 {
        return false;
    }
    let mark = C::seen().mark.get_or_init(|| mark_of(C::NAME));
    mark.is_some_and(|mark| mark.begins(args))
}

fn mark_of(name: &CStr) -> Option<Mark> {
    let plain = name.to_bytes().strip_prefix(PREFIX.as_bytes())?;
    find(plain).map(|entry| entry.mark)
}

/// Notes whether this server is a replica now.
pub(crate) fn note_role(ctx: Ctx<'_>) {
    REPLICA.store(ctx.flags().replica(), Ordering::Relaxed);
}

/// Whether what is served may be a master's.
#[inline]
pub(crate) fn on_replica() -> bool {
    REPLICA.load(Ordering::Relaxed)
}

/// The filter, where it runs.
pub(crate) struct Switch(MainCell<Option<Registered>>);

impl Switch {
    pub(super) const fn new() -> Self {
        Self(MainCell::new(None))
    }

    fn set(&self, ctx: Ctx<'_>, types: u8) {
        ACTIVE.store(types, Ordering::Relaxed);
        self.0.with(|registered| match (types, *registered) {
            (0, Some(filter)) => {
                ctx.unregister_filter(filter);
                *registered = None;
            }
            (0, None) | (_, Some(_)) => {}
            (_, None) => *registered = ctx.register_filter(rename_filter),
        });
    }
}

/// Why `config` may not have its types switched on.
pub(crate) fn refusal(ctx: Ctx<'_>, config: &Config) -> Option<String> {
    if config.transparent_types.bits() == 0 || config.transparent_acl_accepted {
        return None;
    }
    let Some(rules) = ctx.acl_rules() else {
        return Some(
            "transparent_types needs to know the ACL rules, and the server does not tell them (is \
             ACL renamed?): look to them, then set transparent_acl_accepted yes"
                .to_owned(),
        );
    };
    let user = restricted_user(rules)?;
    Some(format!(
        "transparent_types would let ACL user '{user}' run commands that its rules name otherwise: \
         write the rules for NUMA.* too, then set transparent_acl_accepted yes"
    ))
}

/// The first ACL user that may not run every command.
fn restricted_user(rules: Vec<String>) -> Option<String> {
    rules.into_iter().find_map(|rule| {
        let mut words = rule.split_ascii_whitespace();
        let name = words.nth(1).unwrap_or("?").to_owned();
        let commands = |word: &&str| word.starts_with(['+', '-']);
        let all: Vec<_> = words.filter(commands).collect();
        (all != ["+@all"]).then_some(name)
    })
}

impl Server {
    /// Switches the types on that the configuration names, or off; a tick asks again, for users
    /// are made while we run.
    pub(crate) fn apply_transparency(&self, ctx: Ctx<'_>) {
        let config = self.config();
        let wanted = config.transparent_types.bits();
        let refused = refusal(ctx, &config);
        let types = if refused.is_some() { 0 } else { wanted };
        if types == ACTIVE.load(Ordering::Relaxed) && (refused.is_none() || self.was_refused()) {
            return;
        }
        self.transparency_refused
            .store(refused.is_some(), Ordering::Relaxed);
        self.transparency.set(ctx, types);
        if let Some(reason) = refused {
            ctx.log(LogLevel::Warning, &format!("switched off: {reason}"));
        }
    }

    fn was_refused(&self) -> bool {
        self.transparency_refused.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_long_ones_are_none() {
        assert_eq!(packed(b"HGetAll"), packed(b"hgetall"));
        assert_ne!(packed(b"hget"), packed(b"hgetall"));
        assert!(packed(b"zremrangebyscore").is_some());
        assert_eq!(packed(b"zremrangebyscorex"), None);
        assert!(packed(b"").is_some());
    }
}
