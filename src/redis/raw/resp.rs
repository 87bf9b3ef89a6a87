//! Maps and sets in replies, which RESP3 has and the API of 6.2 has not.
//!
//! The server exports what its own commands use, `addReplyMapLen` and `addReplySetLen`; they take
//! the client, and which protocol it speaks is read off it (`inside`). Where the server's insides
//! are not known the reply is that of RESP2, which every client understands. Rejected: to reply by
//! way of a stock command, which would cost a call for the head of an array.

use super::inside::Client;
use super::Ctx;
use crate::redis::charge::symbol;
use once_cell::sync::OnceCell;
use std::os::raw::{c_long, c_void};

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
        Some(Heads {
            map: find(c"addReplyMapLen")?,
            set: find(c"addReplySetLen")?,
        })
    });
    found.as_ref()
}

fn find(name: &std::ffi::CStr) -> Option<Begin> {
    let found = symbol(name)?;
    // SAFETY: the functions of these names take a client and a length in every version that has
    // them; a pointer to a function is as wide as any other.
    Some(unsafe { std::mem::transmute::<*mut c_void, Begin>(found) })
}

impl Ctx<'_> {
    /// The client, where it speaks RESP3 and that is certain.
    fn resp3_client(self) -> Option<(&'static Heads, *mut Client)> {
        let known = self.known().filter(|known| known.resp() == 3)?;
        Some((heads()?, known.client().as_ptr()))
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
