//! Maps and sets in replies, which RESP3 has and the API of 6.2 has not.
//!
//! The server exports what its own commands use, `addReplyMapLen` and `addReplySetLen`; they take
//! the client, which is the third word of a module's context, and a client begins with its id, its
//! connection and the version of the protocol it speaks.
//! Invariant: none of these is touched unless the server's rows read as 6.2's do (`arity`) and the
//! id found there is the one that the API answers, in each call anew. Otherwise the reply is that
//! of RESP2, which every client understands. Rejected: to reply by way of a stock command, which
//! would cost a call for the head of an array.

use super::arity::CommandTable;
use super::{api, Ctx};
use once_cell::sync::OnceCell;
use std::os::raw::{c_int, c_long, c_void};

/// How a module's context begins in 6.2.
#[repr(C)]
struct Context {
    get_api: *const c_void,
    module: *const c_void,
    client: *mut Client,
}

/// How a client begins in 6.2.
#[repr(C)]
struct Client {
    id: u64,
    connection: *const c_void,
    resp: c_int,
}

/// What begins a map or a set of so many elements.
type Begin = unsafe extern "C" fn(*mut Client, c_long);

/// The server's own functions.
struct Heads {
    map: Begin,
    set: Begin,
}

fn heads() -> Option<&'static Heads> {
    static HEADS: OnceCell<Option<Heads>> = OnceCell::new();
    let found = HEADS.get_or_init(|| {
        CommandTable::find()?;
        Some(Heads {
            map: find(c"addReplyMapLen")?,
            set: find(c"addReplySetLen")?,
        })
    });
    found.as_ref()
}

fn find(name: &std::ffi::CStr) -> Option<Begin> {
    // SAFETY: a search by name among what the program exports.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if found.is_null() {
        return None;
    }
    // SAFETY: the functions of these names take a client and a length in every version that has
    // them; a pointer to a function is as wide as any other.
    Some(unsafe { std::mem::transmute::<*mut c_void, Begin>(found) })
}

impl Ctx<'_> {
    /// The client, where it speaks RESP3 and that is certain.
    fn resp3_client(self) -> Option<(&'static Heads, *mut Client)> {
        let heads = heads()?;
        let id = api!(RedisModule_GetClientId(self.as_ptr()))?;
        // SAFETY: in a server whose rows are those of 6.2, a context begins like this.
        let client = unsafe { (*self.as_ptr().cast::<Context>()).client };
        if client.is_null() {
            return None;
        }
        // SAFETY: the same for the client behind it.
        let known = unsafe { (*client).id };
        // SAFETY: as above.
        let resp = unsafe { (*client).resp };
        (known == id && resp == 3).then_some((heads, client))
    }

    /// Whether the client speaks RESP3.
    pub(crate) fn resp3(self) -> bool {
        self.resp3_client().is_some()
    }

    /// The head of a map of `len` pairs; in RESP2 of an array of twice as many replies.
    pub(crate) fn reply_map(self, len: usize) {
        match self.resp3_client() {
            // SAFETY: the client was just recognised, and the function is the server's own.
            Some((heads, client)) => unsafe { (heads.map)(client, len as c_long) },
            None => self.reply_array(2 * len),
        }
    }

    /// The head of a set of `len` replies; in RESP2 of an array.
    pub(crate) fn reply_set(self, len: usize) {
        match self.resp3_client() {
            // SAFETY: as for a map.
            Some((heads, client)) => unsafe { (heads.set)(client, len as c_long) },
            None => self.reply_array(len),
        }
    }
}
