//! The server's jemalloc, spoken to by name: found at run time or not at all.
//!
//! Stock `redis-server` exports its vendored copy with the prefix `je_`; distributions link the
//! system's library, which has none. A `mallctl` counts only where the server says that it runs on
//! jemalloc and `malloc` comes from the same library: a process may well hold another copy.
//!
//! Invariant: outside of [`Jemalloc::within`] the calling thread allocates from the arena that it
//! had before, and its cache holds no block of the arena that was borrowed. Rejected: disabling the
//! thread's cache instead of flushing it, which destroys and remakes it at each move.

use crate::ids::Bytes;
use crate::redis::charge::{library_of, symbol};
use std::ffi::{c_void, CStr};
use std::os::raw::{c_char, c_int};
use std::ptr::null_mut;

type Mallctl =
    unsafe extern "C" fn(*const c_char, *mut c_void, *mut usize, *mut c_void, usize) -> c_int;
type NameToMib = unsafe extern "C" fn(*const c_char, *mut usize, *mut usize) -> c_int;
type ByMib =
    unsafe extern "C" fn(*const usize, usize, *mut c_void, *mut usize, *mut c_void, usize) -> c_int;

/// An arena, by jemalloc's own number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ArenaIndex(u32);

/// See the head of the file.
pub(super) struct Jemalloc {
    mallctl: Mallctl,
    by_mib: ByMib,
    thread_arena: [usize; 2],
    flush: [usize; 3],
    /// Bytes of small and of large values in use, of arena 0.
    allocated: [[usize; 5]; 2],
}

impl Jemalloc {
    /// The allocator of the server; why it cannot be used, where it cannot.
    pub(super) fn find(allocator: &str) -> Result<Self, String> {
        if !allocator.starts_with("jemalloc") {
            return Err(format!(
                "the server's allocator is {allocator}, not jemalloc"
            ));
        }
        let (mallctl, name_to_mib, by_mib) =
            functions().ok_or("the server does not show its jemalloc")?;
        // SAFETY: the control function of that name has this shape in every jemalloc from 3 on.
        let mallctl = unsafe { std::mem::transmute::<*mut c_void, Mallctl>(mallctl) };
        // SAFETY: the same.
        let name_to_mib = unsafe { std::mem::transmute::<*mut c_void, NameToMib>(name_to_mib) };
        // SAFETY: the same.
        let by_mib = unsafe { std::mem::transmute::<*mut c_void, ByMib>(by_mib) };
        let thread_arena = mib(name_to_mib, c"thread.arena").ok_or("it has no thread.arena")?;
        let flush = mib(name_to_mib, c"thread.tcache.flush").ok_or("it has no thread cache")?;
        let counts = [
            mib(name_to_mib, c"stats.arenas.0.small.allocated"),
            mib(name_to_mib, c"stats.arenas.0.large.allocated"),
        ];
        let [Some(small), Some(large)] = counts else {
            return Err("the server's jemalloc counts nothing".to_owned());
        };
        Ok(Self {
            mallctl,
            by_mib,
            thread_arena,
            flush,
            allocated: [small, large],
        })
    }

    /// A new arena that takes its memory from these hooks.
    ///
    /// # Safety
    /// * `hooks` points to a table of jemalloc's shape that lives as long as the process.
    pub(super) unsafe fn create_arena(&self, hooks: *mut c_void) -> Option<ArenaIndex> {
        let (mut index, mut len) = (0_u32, size_of::<u32>());
        let mut hooks = hooks;
        let (to, from) = ((&raw mut index).cast(), (&raw mut hooks).cast());
        let size = size_of::<*mut c_void>();
        let name = c"arenas.create".as_ptr();
        // SAFETY: the name's contract: an unsigned is written, a pointer to hooks is read.
        let status = unsafe { (self.mallctl)(name, to, &mut len, from, size) };
        (status == 0).then_some(ArenaIndex(index))
    }

    /// Bytes in use in an arena, as they were when the server refreshed its statistics last, which
    /// it does ten times a second.
    pub(super) fn allocated(&self, arena: ArenaIndex) -> Bytes {
        let one = |mib: &[usize; 5]| self.count_of(mib, arena);
        self.allocated.iter().map(one).sum()
    }

    fn count_of(&self, mib: &[usize; 5], arena: ArenaIndex) -> Bytes {
        let [stats, arenas, _, kind, allocated] = *mib;
        let mib = [stats, arenas, arena.0 as usize, kind, allocated];
        let (mut count, mut len) = (0_usize, size_of::<usize>());
        let to = (&raw mut count).cast();
        let (start, parts) = (mib.as_ptr(), mib.len());
        // SAFETY: the name's contract: a size is written, nothing is read.
        let status = unsafe { (self.by_mib)(start, parts, to, &mut len, null_mut(), 0) };
        Bytes::from(if status == 0 { count } else { 0 })
    }

    /// Has the calling thread allocate from `arena`; the arena it had.
    fn switch(&self, arena: ArenaIndex) -> Option<ArenaIndex> {
        let (mut was, mut len) = (0_u32, size_of::<u32>());
        let mut next = arena.0;
        let (to, from) = ((&raw mut was).cast(), (&raw mut next).cast());
        let (mib, parts) = (self.thread_arena.as_ptr(), self.thread_arena.len());
        // SAFETY: the name's contract: an unsigned is written, another one is read.
        let status = unsafe { (self.by_mib)(mib, parts, to, &mut len, from, size_of::<u32>()) };
        (status == 0).then_some(ArenaIndex(was))
    }

    /// Gives what the calling thread's cache holds back to the arenas it came from.
    pub(super) fn flush(&self) {
        let (mib, parts) = (self.flush.as_ptr(), self.flush.len());
        // SAFETY: the name's contract: nothing is read or written.
        unsafe { (self.by_mib)(mib, parts, null_mut(), null_mut(), null_mut(), 0) };
    }

    /// Runs `work` while the calling thread allocates from `arena`; nothing where that cannot be.
    pub(super) fn within<R>(&self, arena: ArenaIndex, work: impl FnOnce() -> R) -> Option<R> {
        self.flush();
        let was = self.switch(arena)?;
        let _back = Back { of: self, was };
        Some(work())
    }
}

/// Goes back to the thread's own arena when it is dropped, on a panic as well.
struct Back<'j> {
    of: &'j Jemalloc,
    was: ArenaIndex,
}

impl Drop for Back<'_> {
    fn drop(&mut self) {
        self.of.switch(self.was);
        self.of.flush();
    }
}

/// `mallctl`, `mallctlnametomib` and `mallctlbymib` of the allocator that the server runs on.
fn functions() -> Option<(*mut c_void, *mut c_void, *mut c_void)> {
    let prefixed = || {
        let rest = (symbol(c"je_mallctlnametomib")?, symbol(c"je_mallctlbymib")?);
        Some((symbol(c"je_mallctl")?, rest.0, rest.1))
    };
    let plain = || {
        let found = symbol(c"mallctl")?;
        let home = library_of(found)?;
        (library_of(symbol(c"malloc")?)? == home).then_some(())?;
        Some((
            found,
            symbol(c"mallctlnametomib")?,
            symbol(c"mallctlbymib")?,
        ))
    };
    prefixed().or_else(plain)
}

/// The number form of a name of `N` parts.
fn mib<const N: usize>(name_to_mib: NameToMib, name: &CStr) -> Option<[usize; N]> {
    let (mut mib, mut parts) = ([0_usize; N], N);
    // SAFETY: at most `parts` numbers are written.
    let status = unsafe { name_to_mib(name.as_ptr(), mib.as_mut_ptr(), &mut parts) };
    (status == 0 && parts == N).then_some(mib)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_allocator_is_declined_by_name() {
        let said = Jemalloc::find("libc").err().unwrap_or_default();
        assert!(said.contains("libc"), "{said}");
    }

    #[test]
    fn a_server_that_says_jemalloc_and_shows_none_is_declined() {
        // This process has no jemalloc.
        assert!(Jemalloc::find("jemalloc-5.1.0").is_err());
    }
}
