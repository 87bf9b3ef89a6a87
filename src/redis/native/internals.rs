//! What the server shows of its own insides, used where its API would be heard: a move through
//! RESTORE or StringSet gives events, aborts WATCH, drops client-side caches, loses encodings.
//!
//! A server that is linked with its symbols shown exports the functions that COPY is made of. They
//! are no API: each is taken only from a server of [`VERSION`], and the shapes of an object and of
//! an open key are recognised on objects and keys that the API has made ([`Internals::find`]).
//! Whatever is not as expected, the plane stays off.
//!
//! Invariant: an [`Object`] is a live object of the keyspace and is used on the main thread, within
//! the callback that found it, and before anything that may delete its key.

use crate::ids::{Bytes, DbIndex};
use crate::redis::charge::symbol;
use crate::redis::raw::{Ctx, Key, Mode, Name, OwnedName};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::os::raw::{c_char, c_int, c_void};
use std::ptr::NonNull;

/// Servers whose insides we know.
const VERSION: &str = "6.2.";
/// `LOOKUP_NOTOUCH`: a look is no use.
const NO_TOUCH: c_int = 1;
/// Elements that a size is estimated by.
const SAMPLES: usize = 5;
/// Bytes of an object itself.
pub(super) const OBJECT_BYTES: usize = 16;
/// A name that no key has: opening it tells of its database, and of nothing else.
const NO_KEY: &[u8] = b"\0redis-numa: no key\0";

/// The server's object.
#[repr(C)]
struct RawObject {
    /// type: 4, encoding: 4, lru: 24
    bits: u32,
    refcount: c_int,
    ptr: *mut c_void,
}

/// How an open key of the API begins.
#[repr(C)]
struct RawKey {
    ctx: *mut c_void,
    db: *mut c_void,
    name: *mut c_void,
    value: *mut RawObject,
}

type Lookup = unsafe extern "C" fn(*mut c_void, *mut c_void, c_int) -> *mut RawObject;
type Expired = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;
type Overwrite = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut RawObject);
type Release = unsafe extern "C" fn(*mut RawObject);
type Size = unsafe extern "C" fn(*mut RawObject, usize) -> usize;
type Effort = unsafe extern "C" fn(*mut c_void, *mut RawObject) -> usize;
type Idle = unsafe extern "C" fn(*mut RawObject) -> u64;
type Used = unsafe extern "C" fn() -> usize;
type Dup = unsafe extern "C" fn(*mut RawObject) -> *mut RawObject;
type MakeString = unsafe extern "C" fn(*const c_char, usize) -> *mut RawObject;

/// The server's functions.
#[derive(Clone, Copy)]
pub(super) struct Internals {
    lookup: Lookup,
    expired: Expired,
    overwrite: Overwrite,
    release: Release,
    size: Size,
    effort: Effort,
    idle: Idle,
    used: Used,
    embedded: MakeString,
    raw: MakeString,
    list: Dup,
    set: Dup,
    zset: Dup,
    hash: Dup,
    stream: Dup,
}

/// A database of the server's. It lives, at its place, as long as the server.
#[derive(Clone, Copy)]
pub(super) struct Database(*mut c_void);

// SAFETY: an address; only the main thread follows it.
unsafe impl Send for Database {}

/// The databases asked for so far.
#[derive(Default)]
pub(super) struct Databases(BTreeMap<DbIndex, Database>);

impl Databases {
    /// The database of that number, which is the selected one.
    pub(super) fn get(&mut self, ctx: Ctx<'_>, index: DbIndex) -> Option<Database> {
        if let Some(known) = self.0.get(&index) {
            return Some(*known);
        }
        let name = ctx.string(NO_KEY)?;
        let key = ctx.open(name.name(), Mode::Quiet);
        let raw = NonNull::new(key.as_ptr().cast::<RawKey>())?;
        // SAFETY: an open key, whose shape was recognised at load.
        let found = Database(unsafe { raw.as_ref() }.db);
        self.0.insert(index, found);
        Some(found)
    }
}

/// The server's numbers of types, as `OBJ_STRING` and on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Type {
    String,
    List,
    Set,
    SortedSet,
    Hash,
    Stream,
    /// A module's, or one that we do not know.
    Foreign,
}

/// How a value is kept, as far as a move cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// A string of one block with its object.
    Embedded,
    /// A number in the object itself.
    Number,
    /// The object and what it points to.
    Apart,
}

/// A live object of the keyspace.
#[derive(Clone, Copy)]
pub(super) struct Object<'k> {
    raw: NonNull<RawObject>,
    lent: PhantomData<&'k ()>,
}

/// A key of the server's, found without opening it.
#[derive(Clone, Copy)]
pub(super) struct Found<'k> {
    db: *mut c_void,
    name: Name<'k>,
    pub(super) object: Object<'k>,
}

impl Object<'_> {
    fn bits(self) -> u32 {
        // SAFETY: a live object, see the head of the file.
        unsafe { (*self.raw.as_ptr()).bits }
    }

    pub(super) fn kind(self) -> Type {
        match self.bits() & 0xF {
            0 => Type::String,
            1 => Type::List,
            2 => Type::Set,
            3 => Type::SortedSet,
            4 => Type::Hash,
            6 => Type::Stream,
            _ => Type::Foreign,
        }
    }

    fn encoding(self) -> u32 {
        self.bits() >> 4 & 0xF
    }

    pub(super) fn form(self) -> Form {
        match (self.kind(), self.encoding()) {
            (Type::String, 1) => Form::Number,
            (Type::String, 8) => Form::Embedded,
            _ => Form::Apart,
        }
    }

    /// The same without a bound: for whoever keeps to the callback by himself.
    pub(super) fn forever(self) -> Object<'static> {
        Object::from_raw(self.raw)
    }

    /// Where the object lies.
    pub(super) fn address(self) -> usize {
        self.raw.as_ptr().addr()
    }

    /// Whether more than the key points to it.
    pub(super) fn is_shared(self) -> bool {
        // SAFETY: a live object, see the head of the file.
        let count = unsafe { (*self.raw.as_ptr()).refcount };
        count != 1
    }

    fn ptr(self) -> *mut c_void {
        // SAFETY: a live object, see the head of the file.
        unsafe { (*self.raw.as_ptr()).ptr }
    }

    /// The address of what a move moves; nothing of a number, which has no block.
    pub(super) fn block(self) -> Option<usize> {
        match self.form() {
            Form::Number => None,
            Form::Embedded => Some(self.raw.as_ptr().addr()),
            Form::Apart => Some(self.ptr().addr()),
        }
    }

    /// How long ago it was used last, where the stamp is one of frequency: 16 bits of minutes.
    pub(super) fn idle_minutes(self) -> u64 {
        let now = Ctx::unix_ms().unsigned_abs() / 60_000;
        let then = u64::from(self.bits() >> 16);
        now.wrapping_sub(then) & 0xFFFF
    }

    /// The same type and encoding.
    fn is_like(self, other: Self) -> bool {
        (self.bits() ^ other.bits()) & 0xFF == 0
    }

    fn take_stamp_of(self, other: Self) {
        let bits = self.bits() & 0xFF | other.bits() & !0xFF;
        // SAFETY: a live object of ours, that nobody else knows yet.
        unsafe { (*self.raw.as_ptr()).bits = bits };
    }
}

impl Internals {
    /// The insides of this server; why they cannot be used, where they cannot.
    pub(super) fn find(ctx: Ctx<'_>) -> Result<Self, String> {
        let field = |field| ctx.server_info(c"server", field);
        if field(c"valkey_version").is_some() {
            return Err("the insides of Valkey are not known to this version".to_owned());
        }
        let version = field(c"redis_version").unwrap_or_default();
        if !version.starts_with(VERSION) {
            let text = "the insides of Redis {} are not known to this version";
            return Err(text.replace("{}", &version));
        }
        let found = Self::symbols().ok_or("the server does not show its insides")?;
        found.check_objects(ctx)?;
        found.check_keys(ctx)?;
        Ok(found)
    }

    fn symbols() -> Option<Self> {
        /// A function of the server's by its name.
        macro_rules! function {
            ($name:literal, $shape:ty) => {{
                let found = symbol($name)?;
                // SAFETY: the function of that name has this shape in all of 6.2, and a pointer to
                // a function is as wide as any other.
                unsafe { std::mem::transmute::<*mut c_void, $shape>(found) }
            }};
        }
        Some(Self {
            lookup: function!(c"lookupKey", Lookup),
            expired: function!(c"keyIsExpired", Expired),
            overwrite: function!(c"dbOverwrite", Overwrite),
            release: function!(c"decrRefCount", Release),
            size: function!(c"objectComputeSize", Size),
            effort: function!(c"lazyfreeGetFreeEffort", Effort),
            idle: function!(c"estimateObjectIdleTime", Idle),
            used: function!(c"zmalloc_used_memory", Used),
            embedded: function!(c"createEmbeddedStringObject", MakeString),
            raw: function!(c"createRawStringObject", MakeString),
            list: function!(c"listTypeDup", Dup),
            set: function!(c"setTypeDup", Dup),
            zset: function!(c"zsetDup", Dup),
            hash: function!(c"hashTypeDup", Dup),
            stream: function!(c"streamDup", Dup),
        })
    }

    /// Recognises the shape of an object on strings that the API has made.
    fn check_objects(&self, ctx: Ctx<'_>) -> Result<(), String> {
        let wrong = || "an object of the server has another shape".to_owned();
        for (text, form) in [(&b"short"[..], Form::Embedded), (&[b'x'; 99], Form::Apart)] {
            let made = ctx.string(text).ok_or_else(wrong)?;
            let object = Object::of_text(&made).ok_or_else(wrong)?;
            let lies_at = made.name().bytes().as_ptr().addr();
            let right = object.kind() == Type::String
                && object.form() == form
                && !object.is_shared()
                && object.ptr().addr() == lies_at;
            right.then_some(()).ok_or_else(wrong)?;
        }
        Ok(())
    }

    /// Recognises the shape of an open key on one that holds nothing.
    fn check_keys(&self, ctx: Ctx<'_>) -> Result<(), String> {
        let wrong = || "an open key of the server has another shape".to_owned();
        let made = ctx.string(NO_KEY).ok_or_else(wrong)?;
        let key = ctx.open(made.name(), Mode::Quiet);
        let raw = NonNull::new(key.as_ptr().cast::<RawKey>()).ok_or_else(wrong)?;
        // SAFETY: an open key is longer than what is read here in every version.
        let raw = unsafe { raw.as_ref() };
        let right = raw.ctx == ctx.as_ptr().cast()
            && raw.name == made.name().as_ptr().cast()
            && raw.value.is_null()
            && !raw.db.is_null();
        right.then_some(()).ok_or_else(wrong)
    }

    /// The key of that name; nothing where there is none, or its time is up. It is not opened: that
    /// would delete an expired key, with all that follows.
    pub(super) fn find_key<'k>(&self, db: Database, name: Name<'k>) -> Option<Found<'k>> {
        // SAFETY: a database and a string of the server's.
        let raw = unsafe { (self.lookup)(db.0, name.as_ptr().cast(), NO_TOUCH) };
        let object = Object::from_raw(NonNull::new(raw)?);
        let db = db.0;
        let found = Found { db, name, object };
        (!self.is_expired(&found)).then_some(found)
    }

    fn is_expired(&self, key: &Found<'_>) -> bool {
        // SAFETY: a database and a string of the server's.
        unsafe { (self.expired)(key.db, key.name.as_ptr().cast()) != 0 }
    }

    /// What lies behind the key that a scan shows.
    pub(super) fn scanned<'k>(&self, key: &Key<'k>) -> Option<Object<'k>> {
        let raw = NonNull::new(key.as_ptr().cast::<RawKey>())?;
        // SAFETY: the handle of a scan is an open key, whose shape was recognised at load.
        let value = unsafe { raw.as_ref() }.value;
        NonNull::new(value).map(Object::from_raw)
    }

    /// About how many bytes the value takes, the object included.
    pub(super) fn size(&self, object: Object<'_>) -> usize {
        // SAFETY: a live object; the function reads it.
        unsafe { (self.size)(object.raw.as_ptr(), SAMPLES) }
    }

    /// About how many blocks it has.
    pub(super) fn blocks(&self, object: Object<'_>) -> usize {
        // SAFETY: a live object; the name is looked at for module types alone, which are not asked.
        unsafe { (self.effort)(std::ptr::null_mut(), object.raw.as_ptr()) }
    }

    /// How long ago the server has used the object last, to a second.
    pub(super) fn idle_ms(&self, object: Object<'_>) -> u64 {
        // SAFETY: a live object; the function reads its stamp.
        unsafe { (self.idle)(object.raw.as_ptr()) }
    }

    /// What the server counts as used.
    pub(super) fn used_memory(&self) -> Bytes {
        // SAFETY: the function takes nothing and only reads a counter.
        Bytes::from(unsafe { (self.used)() })
    }

    /// A copy of the value, in memory of the arena that the thread is in; nothing for what has no
    /// block or is not ours to copy.
    pub(super) fn copy<'k>(&self, of: Object<'k>) -> Option<Object<'k>> {
        let dup = match of.kind() {
            Type::String => return self.copy_string(of),
            Type::List => self.list,
            Type::Set => self.set,
            Type::SortedSet => self.zset,
            Type::Hash => self.hash,
            Type::Stream => self.stream,
            Type::Foreign => return None,
        };
        // SAFETY: a live object of the type that the function copies; it is only read.
        let made = unsafe { dup(of.raw.as_ptr()) };
        self.alike(of, made)
    }

    /// A copy, and how many bytes it took: the object itself stays where it is if it is not part of
    /// the block, and is not counted.
    pub(super) fn copy_counted<'k>(&self, of: Object<'k>) -> Option<(Object<'k>, i64)> {
        let before = self.used_memory();
        let copy = self.copy(of)?;
        let took = (self.used_memory() - before).0 as i64;
        let own = if copy.form() == Form::Embedded {
            0
        } else {
            OBJECT_BYTES as i64
        };
        Some((copy, took - own))
    }

    fn copy_string<'k>(&self, of: Object<'k>) -> Option<Object<'k>> {
        let make = match of.form() {
            Form::Number => return None,
            Form::Embedded => self.embedded,
            Form::Apart => self.raw,
        };
        let text = of.text();
        // SAFETY: the bytes live as long as their object, and are only read.
        let made = unsafe { make(text.as_ptr().cast(), text.len()) };
        self.alike(of, made)
    }

    /// A copy, if it came out as what it was copied from.
    fn alike<'k>(&self, of: Object<'k>, made: *mut RawObject) -> Option<Object<'k>> {
        let made = Object::from_raw(NonNull::new(made)?);
        if made.is_like(of) {
            return Some(made);
        }
        self.drop_object(made);
        None
    }

    /// Puts the copy in the place of what it was copied from, which is freed. No event, no use: the
    /// key keeps its object, or a new one with the stamp of the old.
    pub(super) fn replace(&self, key: &Found<'_>, copy: Object<'_>) {
        if key.object.form() == Form::Embedded {
            copy.take_stamp_of(key.object);
            // SAFETY: the key is there, it was found in this callback; the server takes the one
            // reference to the copy and frees the old object.
            unsafe { (self.overwrite)(key.db, key.name.as_ptr().cast(), copy.raw.as_ptr()) };
            return;
        }
        let (old, new) = (key.object.raw.as_ptr(), copy.raw.as_ptr());
        let (old_ptr, new_ptr) = (key.object.ptr(), copy.ptr());
        // SAFETY: a live object that only its key points to, and on this thread nobody works on it.
        unsafe { (*old).ptr = new_ptr };
        // SAFETY: the copy is ours alone.
        unsafe { (*new).ptr = old_ptr };
        self.drop_object(copy);
    }

    /// Frees an object that is ours alone.
    pub(super) fn drop_object(&self, object: Object<'_>) {
        // SAFETY: an object that we own the one reference to.
        unsafe { (self.release)(object.raw.as_ptr()) };
    }
}

impl<'k> Object<'k> {
    fn from_raw(raw: NonNull<RawObject>) -> Self {
        Self {
            raw,
            lent: PhantomData,
        }
    }

    /// The object of a string that we have made.
    pub(super) fn of_text(made: &'k OwnedName<'_>) -> Option<Self> {
        NonNull::new(made.name().as_ptr().cast()).map(Self::from_raw)
    }

    /// The bytes of a string that is not a number.
    pub(super) fn text(self) -> &'k [u8] {
        // SAFETY: the API's strings are such objects, and it only reads this one.
        unsafe { Name::from_raw(self.raw.as_ptr().cast()) }.bytes()
    }
}
