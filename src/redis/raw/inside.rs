//! What every command would else pay the API for: finding a key, and writing a reply.
//!
//! The API's way to a key takes a handle from the heap and gives it back, and its way to a reply
//! writes length, bytes and line end one by one. Beneath both lie functions that a server which is
//! linked with its symbols shown exports. They are no API: they are taken only from a server whose
//! command table reads as that of 6.2 (`arity`) and whose context, client, database, object and
//! module value were recognised at load on those that the API made ([`find`]). Elsewhere every
//! face goes by the API, at its price.
//!
//! Invariant: an object that was found belongs to the keyspace and is looked at within the callback
//! that found it, as the value of an open handle is. Nothing is changed here but the pointer of a
//! module value, which is what `RedisModule_ModuleTypeReplaceValue` changes. Rejected: the
//! server's version as the only sign, which forks keep and change.

use super::arity::CommandTable;
use super::{api, sds, Ctx, Mode, Name};
use crate::redis::charge::symbol;
use once_cell::sync::OnceCell;
use redis_module::raw;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::os::raw::{c_char, c_int, c_void};
use std::ptr::NonNull;

/// `LOOKUP_NOTOUCH`: a look is no use.
const NO_TOUCH: c_int = 1;
/// `OBJ_STRING`, the type of a stock string.
const STRING: u32 = 0;
/// `OBJ_MODULE`, the type of an object that holds a module's value.
const MODULE: u32 = 5;
/// A name that no key has.
const NO_KEY: &[u8] = b"\0redis-numa: no key\0";

/// How a module's context begins.
#[repr(C)]
struct Context {
    get_api: *const c_void,
    module: *const c_void,
    client: *mut Client,
}

/// How a client begins.
#[repr(C)]
pub(crate) struct Client {
    id: u64,
    connection: *const c_void,
    resp: c_int,
    db: *mut Database,
    /// Its name, and what it has sent that was not read yet.
    sent: [*const c_void; 5],
    argc: c_int,
    argv: *mut *mut raw::RedisModuleString,
    original_argc: c_int,
    original_argv: *const c_void,
    argv_bytes: usize,
    command: *mut c_void,
}

/// A database.
#[repr(C)]
pub(super) struct Database {
    dicts: [*const c_void; 5],
    id: c_int,
}

/// How an open key of the API begins.
#[repr(C)]
struct OpenKey {
    ctx: *const c_void,
    db: *mut Database,
    name: *const c_void,
    value: *const RawObject,
}

/// The server's object.
#[repr(C)]
pub(super) struct RawObject {
    /// type: 4, encoding: 4, lru: 24
    bits: u32,
    references: c_int,
    ptr: *mut c_void,
}

/// What an object of type [`MODULE`] points to.
#[repr(C)]
struct ModuleValue {
    kind: *mut raw::RedisModuleType,
    value: *mut c_void,
}

type Lookup = unsafe extern "C" fn(*mut Database, *mut c_void, c_int) -> *mut RawObject;
type Expiry = unsafe extern "C" fn(*mut Database, *mut c_void) -> i64;
type Write = unsafe extern "C" fn(*mut Client, *const c_char, usize);
type Bulk = unsafe extern "C" fn(*mut Client, *mut RawObject);
type Signal = unsafe extern "C" fn(*mut Client, *mut Database, *mut c_void);
type Notify = unsafe extern "C" fn(c_int, *const c_char, *mut c_void, c_int);
type Make = unsafe extern "C" fn(*mut raw::RedisModuleType, *mut c_void) -> *mut RawObject;
type Release = unsafe extern "C" fn(*mut RawObject);

/// The server's functions.
#[derive(Clone, Copy)]
pub(super) struct Inside {
    read: Lookup,
    write: Lookup,
    expiry: Expiry,
    reply: Write,
    bulk: Bulk,
    signal: Signal,
    notify: Notify,
}

static INSIDE: OnceCell<Inside> = OnceCell::new();

/// A function of the server's by its name.
macro_rules! function {
    ($name:literal, $shape:ty) => {{
        let found = symbol($name)?;
        // SAFETY: the function of that name has this shape in all of 6.2, and a pointer to a
        // function is as wide as any other.
        unsafe { std::mem::transmute::<*mut c_void, $shape>(found) }
    }};
}

/// Looks for the insides of this server, once at load; whether they were recognised. An object is
/// made, and freed, of the value of that type that `make` makes.
pub(crate) fn find(
    ctx: Ctx<'_>,
    kind: *mut raw::RedisModuleType,
    make: impl FnOnce() -> Option<NonNull<u8>>,
) -> bool {
    let right = is_6_2(ctx)
        && checks_clients(ctx)
        && checks_keys(ctx)
        && checks_objects(kind, make) == Some(true)
        && sds::recognise();
    let found = right.then(Inside::symbols).flatten();
    // A second load in one process does not happen; it would find the same.
    found.is_some_and(|found| INSIDE.set(found).is_ok())
}

/// Whether the insides were recognised: keys are found and replies written without the API.
pub(crate) fn is_known() -> bool {
    inside().is_some()
}

/// Whether commands go to replicas and the AOF without it too (`verbatim`).
pub(crate) fn propagates() -> bool {
    super::verbatim::is_direct()
}

/// The functions, where they were recognised.
#[inline]
fn inside() -> Option<&'static Inside> {
    INSIDE.get()
}

fn is_6_2(ctx: Ctx<'_>) -> bool {
    let field = |field| ctx.server_info(c"server", field);
    CommandTable::find().is_some()
        && field(c"valkey_version").is_none()
        && field(c"redis_version").is_some_and(|version| version.starts_with("6.2."))
}

/// Recognises context, client and database by the id of the client and the numbers of databases.
fn checks_clients(ctx: Ctx<'_>) -> bool {
    let was = ctx.selected_db();
    let right = (0..2).filter(|db| ctx.select_db(*db)).all(|db| {
        let client = client_of(ctx);
        // SAFETY: more than a client's first words is read of no client, of whatever version.
        let known = client.map(|client| unsafe { (*client.as_ptr()).id });
        known.is_some() && known == api!(RedisModule_GetClientId(ctx.as_ptr())) && {
            let database = client.and_then(database_of);
            // SAFETY: more than a database's first words is read of none.
            database.map(|place| unsafe { (*place.as_ptr()).id }) == i32::try_from(db).ok()
        }
    });
    ctx.select_db(was);
    right
}

/// Recognises that a context's database is the one that its keys are opened in.
fn checks_keys(ctx: Ctx<'_>) -> bool {
    let Some(name) = ctx.string(NO_KEY) else {
        return false;
    };
    let key = ctx.open(name.name(), Mode::Quiet);
    let Some(open) = NonNull::new(key.as_ptr().cast::<OpenKey>()) else {
        return false;
    };
    // SAFETY: an open key is longer than what is read here in every version.
    let open = unsafe { open.as_ref() };
    open.ctx == ctx.as_ptr().cast_const().cast()
        && open.name == name.name().as_ptr().cast_const().cast()
        && open.value.is_null()
        && NonNull::new(open.db) == client_of(ctx).and_then(database_of)
}

/// Recognises an object on one that the server makes of a value of ours, and frees.
fn checks_objects(
    kind: *mut raw::RedisModuleType,
    make: impl FnOnce() -> Option<NonNull<u8>>,
) -> Option<bool> {
    let object_of = function!(c"createModuleObject", Make);
    let release = function!(c"decrRefCount", Release);
    let value = make()?;
    // SAFETY: the type is registered, and the value is one of that type, which the object takes.
    let made = unsafe { object_of(kind, value.as_ptr().cast()) };
    let object = Object {
        raw: NonNull::new(made)?,
        lent: PhantomData,
    };
    // SAFETY: the server has just made it.
    let alone = unsafe { (*made).references } == 1;
    let right = alone && object.module_kind() == Some(kind) && object.value() == Some(value);
    // SAFETY: the one reference is ours; the type's own function frees the value with it.
    unsafe { release(made) };
    Some(right)
}

fn client_of(ctx: Ctx<'_>) -> Option<NonNull<Client>> {
    let context = ctx.as_ptr().cast::<Context>();
    // SAFETY: a context is at least as long in every version; what lies there is only followed
    // where it was recognised, or to recognise it.
    NonNull::new(unsafe { (*context).client })
}

fn database_of(client: NonNull<Client>) -> Option<NonNull<Database>> {
    // SAFETY: as in `client_of`.
    NonNull::new(unsafe { (*client.as_ptr()).db })
}

impl Inside {
    fn symbols() -> Option<Self> {
        Some(Self {
            read: function!(c"lookupKeyReadWithFlags", Lookup),
            write: function!(c"lookupKeyWriteWithFlags", Lookup),
            expiry: function!(c"getExpire", Expiry),
            reply: function!(c"addReplyProto", Write),
            bulk: function!(c"addReplyBulk", Bulk),
            signal: function!(c"signalModifiedKey", Signal),
            notify: function!(c"notifyKeyspaceEvent", Notify),
        })
    }
}

/// The client of a context, on a server whose insides are known.
#[derive(Clone, Copy)]
pub(crate) struct Known<'c> {
    inside: &'static Inside,
    client: NonNull<Client>,
    lent: PhantomData<&'c ()>,
}

impl<'c> Ctx<'c> {
    /// The client, where there is one and the insides are known.
    #[inline]
    pub(super) fn known(self) -> Option<Known<'c>> {
        let inside = inside()?;
        let client = client_of(self)?;
        Some(Known {
            inside,
            client,
            lent: PhantomData,
        })
    }
}

impl<'c> Known<'c> {
    /// A client of the server's, where the insides are known.
    ///
    /// # Safety
    /// * `client` is the server's for all of `'c`.
    #[inline]
    pub(super) unsafe fn of_client(client: NonNull<Client>) -> Option<Self> {
        let lent = PhantomData;
        inside().map(|inside| Self {
            inside,
            client,
            lent,
        })
    }

    /// The client itself, for functions of the server that take one.
    pub(super) fn client(self) -> NonNull<Client> {
        self.client
    }

    /// The version of the protocol that it speaks.
    #[inline]
    pub(super) fn resp(self) -> c_int {
        // SAFETY: the client of a live context, whose shape was recognised at load.
        unsafe { (*self.client.as_ptr()).resp }
    }

    /// Whether it has a connection: clients of scripts, other modules and the AOF have none.
    #[inline]
    pub(crate) fn is_connected(self) -> bool {
        // SAFETY: as in `resp`.
        unsafe { !(*self.client.as_ptr()).connection.is_null() }
    }

    /// The row of the command that it runs, for who has seen that it lies there (`verbatim`).
    #[inline]
    pub(super) fn command(self) -> *mut c_void {
        // SAFETY: a client is longer than that in every version.
        unsafe { (*self.client.as_ptr()).command }
    }

    /// The words of that command, for the same.
    #[inline]
    pub(super) fn words(self) -> (*mut *mut raw::RedisModuleString, c_int) {
        // SAFETY: as in `command`.
        let argv = unsafe { (*self.client.as_ptr()).argv };
        // SAFETY: as in `command`.
        (argv, unsafe { (*self.client.as_ptr()).argc })
    }

    /// The number of its database.
    #[inline]
    pub(crate) fn db_index(self) -> c_int {
        // SAFETY: as in `resp`.
        let db = unsafe { (*self.client.as_ptr()).db };
        // SAFETY: a database whose shape was recognised at load.
        unsafe { (*db).id }
    }

    /// Tells watchers and client-side caches that the key changed.
    #[inline]
    pub(crate) fn signal(self, key: Name<'_>) {
        let client = self.client.as_ptr();
        // SAFETY: as in `resp`.
        let db = unsafe { (*client).db };
        // SAFETY: the client, its database, and a string of the server's.
        unsafe { (self.inside.signal)(client, db, key.as_ptr().cast()) };
    }

    /// Gives a keyspace event of that class.
    #[inline]
    pub(super) fn notify_as(self, class: u32, word: &CStr, key: Name<'_>) {
        let (word, key) = (word.as_ptr(), key.as_ptr().cast());
        // SAFETY: the server reads the word and keeps nothing; the key is a string of its own.
        unsafe { (self.inside.notify)(class as c_int, word, key, self.db_index()) };
    }

    /// Adds bytes of the protocol to what the client is sent.
    #[inline]
    pub(crate) fn send(self, bytes: &[u8]) {
        // SAFETY: the server copies the bytes before it returns.
        unsafe { (self.inside.reply)(self.client.as_ptr(), bytes.as_ptr().cast(), bytes.len()) };
    }

    /// What lies at a key of the selected database: as opening it in that mode finds it, with the
    /// hit, the use and the expiry that belong to it.
    #[inline(always)]
    pub(crate) fn find<'k>(self, name: Name<'k>, mode: Mode) -> Found<'k> {
        let (lookup, flags) = match mode {
            Mode::Read => (self.inside.read, 0),
            Mode::Write => (self.inside.write, 0),
            Mode::Quiet => (self.inside.write, NO_TOUCH),
        };
        // SAFETY: as in `resp`.
        let db = unsafe { (*self.client.as_ptr()).db };
        // SAFETY: a database and a string of the server's.
        let raw = unsafe { lookup(db, name.as_ptr().cast(), flags) };
        let object = NonNull::new(raw).map(|raw| Object {
            raw,
            lent: PhantomData,
        });
        Found {
            inside: self.inside,
            db,
            name,
            object,
        }
    }
}

/// What was found at a key.
#[derive(Clone, Copy)]
pub(crate) struct Found<'k> {
    inside: &'static Inside,
    db: *mut Database,
    pub(super) name: Name<'k>,
    pub(super) object: Option<Object<'k>>,
}

impl Found<'_> {
    /// Whether nothing lies there.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.object.is_none()
    }

    /// The pointer that a module's type keeps there, where it is of that type.
    #[inline]
    pub(crate) fn value_of(&self, kind: *mut raw::RedisModuleType) -> Option<NonNull<u8>> {
        let object = self.object?;
        object
            .value()
            .filter(|_| object.module_kind() == Some(kind))
    }

    /// Sends a stock string's bytes; false where it is none.
    pub(crate) fn send_native_string(&self, known: Known<'_>) -> bool {
        let Some(object) = self.object.filter(|object| object.kind() == STRING) else {
            return false;
        };
        // SAFETY: a client and a live object of the server's.
        unsafe { (self.inside.bulk)(known.client.as_ptr(), object.raw.as_ptr()) };
        true
    }

    /// The time of expiry in ms since 1970; nothing where the key lives on.
    #[inline]
    pub(crate) fn expires_at(&self) -> Option<i64> {
        // SAFETY: a database and a string of the server's.
        let at = unsafe { (self.inside.expiry)(self.db, self.name.as_ptr().cast()) };
        (at >= 0).then_some(at)
    }
}

/// A live object of the keyspace.
#[derive(Clone, Copy)]
pub(super) struct Object<'k> {
    raw: NonNull<RawObject>,
    lent: PhantomData<&'k ()>,
}

impl Object<'_> {
    /// The server's number of its type.
    #[inline]
    pub(super) fn kind(self) -> u32 {
        // SAFETY: a live object, see the head of the file.
        unsafe { (*self.raw.as_ptr()).bits & 0xF }
    }

    #[inline]
    fn module_value(self) -> Option<NonNull<ModuleValue>> {
        if self.kind() != MODULE {
            return None;
        }
        // SAFETY: as above.
        NonNull::new(unsafe { (*self.raw.as_ptr()).ptr }.cast())
    }

    /// The type of a module's value; nothing where it is none.
    #[inline]
    pub(super) fn module_kind(self) -> Option<*mut raw::RedisModuleType> {
        let value = self.module_value()?;
        // SAFETY: such an object points to such a pair; recognised at load.
        Some(unsafe { (*value.as_ptr()).kind })
    }

    /// The pointer that a module's type keeps there.
    #[inline]
    pub(super) fn value(self) -> Option<NonNull<u8>> {
        let value = self.module_value()?;
        // SAFETY: as above.
        NonNull::new(unsafe { (*value.as_ptr()).value }.cast())
    }

    /// Exchanges that pointer where the value is of that type; the old one.
    pub(super) fn replace(
        self,
        kind: *mut raw::RedisModuleType,
        new: NonNull<u8>,
    ) -> Option<NonNull<u8>> {
        let old = self.value().filter(|_| self.module_kind() == Some(kind))?;
        let pair = self.module_value()?;
        // SAFETY: as above; the main thread alone works on the keyspace.
        unsafe { (*pair.as_ptr()).value = new.as_ptr().cast() };
        Some(old)
    }
}
