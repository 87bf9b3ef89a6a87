//! Command filters: they see the words of a command before it is looked up, and may write another
//! name over the first.
//!
//! The server runs a filter for clients, scripts and a master's stream, not for our own calls. It
//! gets words and nothing else: no client, no database, no key, and it runs before AUTH. So what is
//! told here is noted or searched by name, no more; all that needs a key is the business of the
//! command. There are two, each registered only where it has something to do: the native plane
//! listens, transparent types rename.
//!
//! A word costs two calls of the server's by the API, and a filter runs for every command. So where
//! the API's own answers about words that we lay out ourselves show that they lie as 6.2 has them
//! ([`recognise_words`]), they are read where they lie.

use super::{api, Args, Ctx, Name};
use redis_module::raw;
use std::marker::PhantomData;
use std::os::raw::c_int;
use std::ptr::{null_mut, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};

/// What the server calls.
pub(crate) type Entry = unsafe extern "C" fn(*mut raw::RedisModuleCommandFilterCtx);

/// What a filter is handed, as 6.2 and 7.0 have it.
#[repr(C)]
struct Passing {
    words: *mut *mut raw::RedisModuleString,
    count: c_int,
    /// Nothing: what later servers keep there must not be taken for a count.
    gap: c_int,
    more: [usize; 4],
}

/// Whether the words lie like that on this server.
static LIES_OPEN: AtomicBool = AtomicBool::new(false);

/// Looks, once at load, whether a filter's words may be read without the API: it is asked about
/// words that we lay out as 6.2 does.
pub(crate) fn recognise_words(ctx: Ctx<'_>) {
    let texts = [b"one".as_slice(), b"two"].map(|text| ctx.string(text));
    let [Some(one), Some(two)] = &texts else {
        return;
    };
    let mut words = [one.name().as_ptr(), two.name().as_ptr()];
    let mut passing = Passing {
        words: words.as_mut_ptr(),
        count: words.len() as c_int,
        gap: 0,
        more: [0; 4],
    };
    let ptr = (&raw mut passing).cast();
    let word = |at| api!(RedisModule_CommandFilterArgGet(ptr, at)).unwrap_or(null_mut());
    let open = api!(RedisModule_CommandFilterArgsCount(ptr)) == Some(passing.count)
        && word(0).cast() == one.name().as_ptr()
        && word(1).cast() == two.name().as_ptr()
        && word(2).is_null();
    LIES_OPEN.store(open, Ordering::Relaxed);
}

/// A filter that the server runs.
#[derive(Clone, Copy)]
pub(crate) struct Registered(NonNull<raw::RedisModuleCommandFilter>);

// SAFETY: the pointer is the server's; only the main thread hands it back, from the cell that
// keeps it.
unsafe impl Send for Registered {}

impl Ctx<'_> {
    /// Has `entry` called for every command but our own; nothing where the server refuses.
    pub(crate) fn register_filter(self, entry: Entry) -> Option<Registered> {
        let flags = raw::REDISMODULE_CMDFILTER_NOSELF as i32;
        let made = api!(RedisModule_RegisterCommandFilter(
            self.as_ptr(),
            Some(entry),
            flags
        ))?;
        NonNull::new(made).map(Registered)
    }

    /// Ends that.
    pub(crate) fn unregister_filter(self, registered: Registered) {
        api!(RedisModule_UnregisterCommandFilter(
            self.as_ptr(),
            registered.0.as_ptr()
        ));
    }
}

/// The words of a command that is about to be looked up.
#[derive(Clone, Copy)]
pub(crate) struct FilterWords<'f> {
    ptr: *mut raw::RedisModuleCommandFilterCtx,
    lent: PhantomData<&'f ()>,
}

impl<'f> FilterWords<'f> {
    /// # Safety
    /// * `ptr` is what the server has handed to a filter of ours, for all of `'f`.
    pub(crate) unsafe fn from_raw(ptr: *mut raw::RedisModuleCommandFilterCtx) -> Self {
        Self {
            ptr,
            lent: PhantomData,
        }
    }

    /// All words, where they may be read without the API.
    #[inline]
    fn open(self) -> Option<Args<'f>> {
        if !LIES_OPEN.load(Ordering::Relaxed) {
            return None;
        }
        let passing = self.ptr.cast::<Passing>();
        // SAFETY: what the server has handed to the filter, whose shape was recognised at load; it
        // is read in place, for it is shorter than our own.
        let words = unsafe { (*passing).words };
        // SAFETY: as above.
        let count = unsafe { (*passing).count };
        // SAFETY: the server lends so many words for the length of the callback.
        Some(unsafe { Args::from_raw(words, count) })
    }

    /// How many words there are, the command's name included.
    pub(crate) fn len(self) -> usize {
        if let Some(words) = self.open() {
            return words.len();
        }
        let count = api!(RedisModule_CommandFilterArgsCount(self.ptr));
        usize::try_from(count.unwrap_or(0)).unwrap_or(0)
    }

    /// The bytes of a word.
    #[inline]
    pub(crate) fn bytes(self, index: usize) -> Option<&'f [u8]> {
        match self.open() {
            Some(words) => words.bytes(index),
            None => self.asked_bytes(index),
        }
    }

    #[cold]
    fn asked_bytes(self, index: usize) -> Option<&'f [u8]> {
        let index = i32::try_from(index).ok()?;
        let word = api!(RedisModule_CommandFilterArgGet(self.ptr, index))?;
        if word.is_null() {
            return None;
        }
        // SAFETY: the server lends its words for the length of the callback.
        Some(unsafe { Name::from_raw(word.cast()) }.bytes())
    }

    /// Writes `mark` over the first word.
    pub(crate) fn rename(self, mark: Mark) {
        api!(RedisModule_RetainString(null_mut(), mark.0.as_ptr()));
        api!(RedisModule_CommandFilterArgReplace(
            self.ptr,
            0,
            mark.0.as_ptr()
        ));
    }
}

/// A name that the filter writes: one string of the server's, made once, so that whoever finds it
/// again knows that the filter wrote it and no client did.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark(NonNull<raw::RedisModuleString>);

// SAFETY: the string lives as long as the process and is never changed; only the main thread
// counts references to it.
unsafe impl Send for Mark {}
// SAFETY: as for `Send`.
unsafe impl Sync for Mark {}

impl Mark {
    /// A mark of that text.
    pub(crate) fn new(text: &[u8]) -> Option<Self> {
        let made = api!(RedisModule_CreateString(
            null_mut(),
            text.as_ptr().cast(),
            text.len()
        ))?;
        NonNull::new(made).map(Self)
    }

    /// Whether it is the first word of these.
    pub(crate) fn begins(self, args: Args<'_>) -> bool {
        let first = args.name(0);
        first.is_some_and(|name| name.as_ptr() == self.0.as_ptr())
    }
}
