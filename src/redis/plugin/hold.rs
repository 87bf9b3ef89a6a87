//! A hold on the library that a function lies in: its code stays mapped as long as this lives.
//!
//! The server closes a module's library when it is unloaded, whether or not the module took back
//! what it had registered. With one more reference on the library the worst that is left is a call
//! of code that nobody needs any more, never a call of code that is gone.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Hold(NonNull<c_void>);

// SAFETY: a handle of the loader may be closed on any thread.
unsafe impl Send for Hold {}
// SAFETY: nothing can be done with a shared one.
unsafe impl Sync for Hold {}

impl Hold {
    /// On the library that `code` lies in; nothing where it lies in none that the loader knows.
    pub(super) fn on(code: *const c_void) -> Option<Self> {
        let mut found = MaybeUninit::<libc::Dl_info>::uninit();
        // SAFETY: any address may be asked for, and the answer is ours to write into.
        if unsafe { libc::dladdr(code, found.as_mut_ptr()) } == 0 {
            return None;
        }
        // SAFETY: the loader has filled it, for it answered that it knows the address.
        let file = unsafe { found.assume_init() }.dli_fname;
        if file.is_null() {
            return None;
        }
        // SAFETY: the loader's own C string; a library that is loaded is only counted once more.
        let handle = unsafe { libc::dlopen(file, libc::RTLD_NOW | libc::RTLD_NOLOAD) };
        NonNull::new(handle).map(Self)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // SAFETY: our own reference, given back once.
        unsafe { libc::dlclose(self.0.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_code_and_nothing_else() {
        let code = libc::malloc as *const c_void;
        assert!(Hold::on(code).is_some());
        let data = Box::new(1_u8);
        assert!(Hold::on((&raw const *data).cast()).is_none());
        assert!(Hold::on(std::ptr::null()).is_none());
    }
}
