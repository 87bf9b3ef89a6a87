//! The real machine: the kernel's calls, and [`Machine`] on top of them.
//!
//! Binding is `mbind(MPOL_PREFERRED)`: a full node spills to the next one. `MPOL_BIND` was
//! rejected, since there a full node wakes the OOM killer while other nodes have room. Spilled OS
//! pages are found by [`Machine::residency`].
//!
//! An aligned mapping is had by mapping `len + align` and trimming both ends. Rejected: a hint
//! address, which the kernel may ignore, and `MAP_FIXED`, which may hit a neighbour.
//!
//! The calls are raw system calls (libc has no wrapper for `mbind` and `move_pages`), so libnuma is
//! not needed. Everything `unsafe` of this floor is here; `simulated` uses it through safe faces.

use super::cgroup::Cgroup;
use super::degraded;
use super::ledger::Ledger;
use super::residency;
use super::sysfs::{self, NodeMemory};
use super::{Machine, MapError, Mapping, Residency, Topology};
use crate::ids::{Bytes, NodeId};
use lazy_static::lazy_static;
use std::ffi::CString;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};

lazy_static! {
    /// The size of an OS page: asked once, read on each mapping.
    static ref OS_PAGE: Bytes = Bytes::from(ask_os_page());

    /// Which calls this kernel and this container let us make. They cannot change while the
    /// process runs (a seccomp filter is never widened), so one probe serves every machine.
    static ref PROBE: Probe = Probe::run();
}

/// The size of an OS page.
#[must_use]
pub fn os_page() -> Bytes {
    *OS_PAGE
}

fn ask_os_page() -> usize {
    const USUAL: usize = 4096;
    // SAFETY: sysconf only reads a number.
    let answer = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(answer)
        .ok()
        .filter(|size| size.is_power_of_two())
        .unwrap_or(USUAL)
}

/// `len` rounded up to whole OS pages, at least one; nothing where that overflows.
pub(super) fn whole_pages(len: Bytes) -> Option<usize> {
    let page = os_page().as_usize();
    usize::try_from(len.0)
        .ok()?
        .max(1)
        .checked_next_multiple_of(page)
        .filter(|&len| len <= isize::MAX as usize)
}

/// The part of `range` that is whole OS pages within the mapping; empty where there is none.
pub(super) fn inner_pages(mapping: &Mapping, range: &Range<usize>) -> Range<usize> {
    let page = os_page().as_usize();
    let end = range.end.min(mapping.len.as_usize()) / page * page;
    let start = range.start.checked_next_multiple_of(page).unwrap_or(end);
    start.min(end)..end
}

/// Maps `len` bytes (whole OS pages) of zeroes, aligned to `align`; nothing where the kernel has
/// no address space left.
pub(super) fn reserve(len: usize, align: usize) -> Option<NonNull<u8>> {
    let spare = align.saturating_sub(os_page().as_usize());
    let wide = map_anonymous(len.checked_add(spare)?)?;
    let head = wide.as_ptr().addr().wrapping_neg() & (align - 1);
    let tail = spare.checked_sub(head)?;
    // SAFETY: head <= spare, so this stays within the `len + spare` bytes mapped above.
    let base = unsafe { wide.add(head) };
    // SAFETY: base + len == the end of the mapping minus tail.
    let end = unsafe { base.add(len) };
    // SAFETY: the head of our own fresh mapping, before base; nobody knows it.
    unsafe { release(wide, head) };
    // SAFETY: the tail of our own fresh mapping, beyond base + len; nobody knows it.
    unsafe { release(end, tail) };
    Some(base)
}

fn map_anonymous(len: usize) -> Option<NonNull<u8>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: an anonymous mapping at an address of the kernel's choosing touches nothing of ours.
    let address = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
    if address == libc::MAP_FAILED {
        return None;
    }
    NonNull::new(address.cast())
}

/// Unmaps `len` bytes from `base`; nothing where `len` is 0.
///
/// # Safety
/// * the range is whole OS pages of a mapping of ours;
/// * nobody uses it any more.
pub(super) unsafe fn release(base: NonNull<u8>, len: usize) {
    if len == 0 {
        return;
    }
    // SAFETY: the caller's duties are munmap's.
    let answer = unsafe { libc::munmap(base.as_ptr().cast(), len) };
    if answer != 0 {
        // Unmapping the middle of a range would pass vm.max_map_count: the address space is lost,
        // the OS pages need not be.
        // SAFETY: the caller's duties include discard's.
        unsafe { discard(base, len) };
    }
}

/// Gives OS pages back while the address space stays; they read as zero afterwards.
///
/// # Safety
/// * the range is whole OS pages of a private anonymous mapping of ours;
/// * nobody holds a reference into it, and nobody counts on its bytes.
pub(super) unsafe fn discard(base: NonNull<u8>, len: usize) {
    if len > 0 {
        // SAFETY: the caller's duties are madvise's.
        unsafe { libc::madvise(base.as_ptr().cast(), len, libc::MADV_DONTNEED) };
    }
}

/// Moves the OS pages of a mapping to the beginning of another place, which is `wider` bytes long
/// and lies there as one mapping afterwards, under the policy of the moved one; false where the
/// kernel refuses, and nothing has changed but that the other place may be unmapped.
///
/// # Safety
/// * `base` and `len` are whole OS pages of a mapping of ours, mapped by one call;
/// * the other place is a fresh mapping of ours, apart from it; nobody uses it;
/// * nobody holds a reference into the first one, and nobody uses its addresses any more.
pub(super) unsafe fn move_pages_to(
    base: NonNull<u8>,
    len: usize,
    place: NonNull<u8>,
    wider: usize,
) -> bool {
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    let (from, to) = (base.as_ptr().cast(), place.as_ptr());
    // SAFETY: the caller's duties: the pages are ours to move, and the place ours to give up.
    let answer = unsafe { libc::mremap(from, len, wider, flags, to) };
    answer != libc::MAP_FAILED
}

/// Address space of `len` bytes (whole OS pages) that nothing may touch yet; nothing where the
/// kernel has none. It costs no memory, whatever the kernel's accounting.
pub(super) fn reserve_space(len: usize) -> Option<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let (anywhere, protection) = (ptr::null_mut(), libc::PROT_NONE);
    // SAFETY: an anonymous mapping at an address of the kernel's choosing touches nothing of ours.
    let address = unsafe { libc::mmap(anywhere, len, protection, flags, -1, 0) };
    if address == libc::MAP_FAILED {
        return None;
    }
    NonNull::new(address.cast())
}

/// Memory on no node in particular, aligned to `align` (a power of two); nothing where the kernel
/// has none. A few system calls and nothing else: no lock, no allocation, any thread.
#[must_use]
pub fn unbound(len: usize, align: usize) -> Option<NonNull<u8>> {
    reserve(len, align)
}

/// Makes a piece of reserved address space usable; false where the kernel refuses. A system call
/// and nothing else: no lock, no allocation, any thread.
///
/// # Safety
/// * the range is whole OS pages of what [`Machine::reserve`] gave out.
#[must_use]
pub unsafe fn open_space(base: NonNull<u8>, len: usize) -> bool {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the caller's duty; making memory usable takes nothing from anyone.
    unsafe { libc::mprotect(base.as_ptr().cast(), len, protection) == 0 }
}

/// Gives the OS pages of opened address space back; it stays open and reads as zero. A system call
/// and nothing else: no lock, no allocation, any thread.
///
/// # Safety
/// * the range is whole OS pages of what [`Machine::reserve`] gave out;
/// * nobody counts on its bytes.
pub unsafe fn empty_space(base: NonNull<u8>, len: usize) {
    // SAFETY: the caller's duties include discard's.
    unsafe { discard(base, len) };
}

/// Asks the kernel to prefer `node` for OS pages of the range that are not there yet.
fn bind(base: NonNull<u8>, len: usize, node: NodeId) -> io::Result<()> {
    let mask: u64 = 1 << node.index();
    // The kernel reads maxnode - 1 bits, so 65 says "all 64 of them".
    let maxnode = NodeId::COUNT_MAX + 1;
    let (mask, mode) = (ptr::from_ref(&mask), libc::MPOL_PREFERRED as libc::c_ulong);
    let address = base.as_ptr();
    // SAFETY: mbind changes where pages will come from, never what they hold; the mask outlives
    // the call and is as long as maxnode says.
    let answer =
        unsafe { libc::syscall(libc::SYS_mbind, address, len, mode, mask, maxnode, 0_usize) };
    succeeded(answer)
}

fn succeeded(answer: libc::c_long) -> io::Result<()> {
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Names the range for readers of smaps; kernels without `CONFIG_ANON_VMA_NAME` refuse, and
/// nothing is lost.
pub(super) fn name_range(base: NonNull<u8>, len: usize, name: &str) {
    let Ok(name) = CString::new(name) else { return };
    let (set_vma, anon_name) = (
        libc::PR_SET_VMA,
        libc::PR_SET_VMA_ANON_NAME as libc::c_ulong,
    );
    let (address, len) = (base.as_ptr(), len as libc::c_ulong);
    // SAFETY: the kernel copies the name and touches no byte of the range.
    unsafe { libc::prctl(set_vma, anon_name, address, len, name.as_ptr()) };
}

/// The kernel's answer for the OS page at each address, by `move_pages` with no target nodes.
pub(super) fn query(pages: &[usize], answers: &mut [Residency]) -> io::Result<()> {
    /// OS pages asked about at once: bounds the buffer on the stack.
    const BATCH: usize = 512;
    for (pages, answers) in pages.chunks(BATCH).zip(answers.chunks_mut(BATCH)) {
        let mut status = [i32::MIN; BATCH];
        let (count, nodes) = (pages.len().min(answers.len()), ptr::null::<i32>());
        let (from, to) = (pages.as_ptr(), status.as_mut_ptr());
        // SAFETY: pid 0 is this process; `count` addresses are read from `pages` and `count`
        // answers written to `status`, both at least that long; without nodes nothing moves, and
        // addresses are looked up, not dereferenced.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_move_pages,
                0_usize,
                count,
                from,
                nodes,
                to,
                0_usize,
            )
        };
        succeeded(answer)?;
        for (answer, status) in answers.iter_mut().zip(status) {
            *answer = residency::from_status(status);
        }
    }
    Ok(())
}

/// Asks the kernel to move the OS page of each address to `node`, by `move_pages`.
fn migrate(pages: &[usize], node: NodeId) -> io::Result<()> {
    /// OS pages moved by one call: bounds the buffers on the stack.
    const BATCH: usize = 512;
    /// `MPOL_MF_MOVE`: pages that no other process maps.
    const MOVE_OWN: libc::c_long = 1 << 1;
    let target = libc::c_int::try_from(node.index()).map_err(io::Error::other)?;
    for pages in pages.chunks(BATCH) {
        let (nodes, mut status) = ([target; BATCH], [0_i32; BATCH]);
        let (count, from) = (pages.len(), pages.as_ptr());
        let (to, told) = (nodes.as_ptr(), status.as_mut_ptr());
        // SAFETY: pid 0 is this process; `count` addresses and nodes are read and `count` answers
        // written, all arrays at least that long. A page is moved with what it holds while its
        // address stays, so no reference notices; addresses are looked up, not dereferenced.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_move_pages,
                0_usize,
                count,
                from,
                to,
                told,
                MOVE_OWN,
            )
        };
        succeeded(answer)?;
    }
    Ok(())
}

/// The CPU that the calling thread runs on now.
fn current_cpu() -> Option<usize> {
    // SAFETY: sched_getcpu only reads a number.
    let cpu = unsafe { libc::sched_getcpu() };
    usize::try_from(cpu).ok()
}

/// The nodes that `numactl --membind` (or a parent) confines the calling thread to, as a set of
/// bits; nothing where it does not.
fn membind() -> Option<u64> {
    /// The kernel refuses a mask shorter than its own count of nodes, which is 1024 at most.
    const WORDS: usize = 1024 / u64::BITS as usize;
    /// Static, relative, balancing: said beside the mode.
    const MODE_FLAGS: i32 = 0b111 << 13;
    let (mut mode, mut mask) = (0_i32, [0_u64; WORDS]);
    let (to_mode, to_mask) = (ptr::from_mut(&mut mode), mask.as_mut_ptr());
    let (maxnode, address) = (WORDS * u64::BITS as usize, ptr::null::<u8>());
    // SAFETY: the kernel writes one i32 to mode and at most 1024 bits to mask.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_get_mempolicy,
            to_mode,
            to_mask,
            maxnode,
            address,
            0_usize,
        )
    };
    let bound = succeeded(answer).is_ok() && mode & !MODE_FLAGS == libc::MPOL_BIND;
    mask.first().copied().filter(|_| bound)
}

/// What the kernel let us do when asked once, with one OS page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Probe {
    /// Why `mbind` is refused.
    pub(super) bind_error: Option<String>,
    /// Why `move_pages` is refused.
    pub(super) query_error: Option<String>,
    /// The nodes that a memory policy of the thread confines it to.
    pub(super) membind: Option<u64>,
}

impl Probe {
    /// A kernel that lets us do everything.
    #[cfg(test)]
    #[cfg(not(miri))]
    pub(super) const GOOD: Self = Self {
        bind_error: None,
        query_error: None,
        membind: None,
    };

    fn run() -> Self {
        let page = os_page().as_usize();
        let Some(base) = reserve(page, page) else {
            let error = Some(MapError::OutOfMemory.to_string());
            return Self {
                bind_error: error.clone(),
                query_error: error,
                membind: None,
            };
        };
        let probe = Self {
            bind_error: Self::try_bind(base, page),
            query_error: Self::try_query(base),
            membind: membind(),
        };
        // SAFETY: the one page reserved above; its address has gone nowhere else.
        unsafe { release(base, page) };
        probe
    }

    /// A node that this process may not use answers EINVAL, so any node that works will do.
    fn try_bind(base: NonNull<u8>, len: usize) -> Option<String> {
        let mut refused = io::Error::from_raw_os_error(libc::EINVAL);
        for node in (0..NodeId::COUNT_MAX).filter_map(NodeId::new) {
            match bind(base, len, node) {
                Ok(()) => return None,
                Err(error) => refused = error,
            }
            if refused.raw_os_error() != Some(libc::EINVAL) {
                break;
            }
        }
        Some(refused.to_string())
    }

    fn try_query(base: NonNull<u8>) -> Option<String> {
        // SAFETY: the first byte of a fresh page that only we know.
        unsafe { base.write_volatile(1) };
        let mut answer = [Residency::Unknown];
        let asked = query(&[base.as_ptr().addr()], &mut answer);
        match (asked, answer) {
            (Ok(()), [Residency::On(_)]) => None,
            (Ok(()), _) => Some("it does not name the node of a page".to_owned()),
            (Err(error), _) => Some(error.to_string()),
        }
    }
}

/// The machine that this process runs on, as the kernel shows it.
#[derive(Debug)]
pub struct LinuxMachine {
    topology: Topology,
    /// Where a thread on each CPU is at home, by the kernel's number of the CPU.
    cpu_nodes: Vec<Option<NodeId>>,
    /// Where each node's free memory is read.
    memory: Vec<(NodeId, NodeMemory)>,
    cgroup: Cgroup,
    numa_maps: PathBuf,
    /// Whether `mbind` works at all; without it mappings come unbound.
    binds: bool,
    degraded: Option<String>,
    ledger: Mutex<Ledger>,
}

impl LinuxMachine {
    /// Reads `/sys` and `/proc` and tries the kernel's calls once. Never fails: what cannot be
    /// had is named by [`Machine::degraded`].
    #[must_use]
    pub fn discover() -> Self {
        Self::discover_at(Path::new("/"))
    }

    /// The same with another root of the file system: `<root>/sys`, `<root>/proc`.
    #[must_use]
    pub fn discover_at(root: &Path) -> Self {
        Self::assemble(root, &PROBE)
    }

    /// A machine out of what the files say and what the probe found.
    fn assemble(root: &Path, probe: &Probe) -> Self {
        let cgroup = Cgroup::find(root);
        let numa_maps = root.join("proc/self/numa_maps");
        let mut shape = sysfs::read(root);
        let found = degraded::Found {
            probe,
            restriction: cgroup.confine(&mut shape.topology, probe.membind),
            totals_error: residency::readable(&numa_maps).err(),
            shape: &shape,
        };
        Self {
            degraded: found.line(),
            cpu_nodes: shape.topology.cpu_homes(),
            topology: shape.topology,
            memory: shape.memory,
            cgroup,
            numa_maps,
            binds: probe.bind_error.is_none(),
            ledger: Mutex::default(),
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bind_if_possible(&self, base: NonNull<u8>, len: usize, to: NodeId) -> Result<(), MapError> {
        if !self.binds {
            return Ok(());
        }
        bind(base, len, to).map_err(|error| match error.raw_os_error() {
            Some(libc::ENOMEM) => MapError::OutOfMemory,
            _ => MapError::NodeUnavailable(to),
        })
    }
}

impl Machine for LinuxMachine {
    fn topology(&self) -> &Topology {
        &self.topology
    }

    fn map(&self, len: Bytes, align: Bytes, node: NodeId) -> Result<Mapping, MapError> {
        let usable = self.topology.node(node).is_some_and(|info| info.allowed);
        if !usable {
            return Err(MapError::NodeUnavailable(node));
        }
        let len = whole_pages(len).ok_or(MapError::OutOfMemory)?;
        let align = align.max(os_page()).0.checked_next_power_of_two();
        let align = align.ok_or(MapError::OutOfMemory)?;
        let base = reserve(len, Bytes(align).as_usize()).ok_or(MapError::OutOfMemory)?;
        if let Err(error) = self.bind_if_possible(base, len, node) {
            // SAFETY: reserved above, and its address has gone nowhere else.
            unsafe { release(base, len) };
            return Err(error);
        }
        name_range(base, len, &format!("redis-numa node {node}"));
        let len = Bytes::from(len);
        let mapping = Mapping { base, len, node };
        self.ledger().enter(&mapping);
        Ok(mapping)
    }

    fn unmap(&self, mapping: Mapping) {
        if self.ledger().strike(&mapping) {
            // SAFETY: `map` gave out this very range; it was struck just now, so it goes back
            // once, and its one owner gave it up by handing it over.
            unsafe { release(mapping.base, mapping.len.as_usize()) };
        }
    }

    fn widen(&self, old: Mapping, wider: Mapping) -> Result<Mapping, Mapping> {
        let mut ledger = self.ledger();
        if !ledger.can_widen(&old, &wider) {
            drop(ledger);
            self.unmap(wider);
            return Err(old);
        }
        let (len, wide) = (old.len.as_usize(), wider.len.as_usize());
        // SAFETY: both are mappings that we gave out, the ledger says so, and not the same; their
        // one owner handed them over, so nobody else uses either.
        let moved = unsafe { move_pages_to(old.base, len, wider.base, wide) };
        if !moved {
            // The kernel may have unmapped the place, and someone else be there by now: what is
            // lost is address space that was never touched.
            ledger.strike(&wider);
            return Err(old);
        }
        ledger.strike(&old);
        drop(ledger);
        name_range(wider.base, wide, &format!("redis-numa node {}", wider.node));
        Ok(wider)
    }

    fn reserve(&self, len: Bytes, node: NodeId) -> Result<Mapping, MapError> {
        let usable = self.topology.node(node).is_some_and(|info| info.allowed);
        if !usable {
            return Err(MapError::NodeUnavailable(node));
        }
        let bytes = whole_pages(len).ok_or(MapError::OutOfMemory)?;
        let base = reserve_space(bytes).ok_or(MapError::OutOfMemory)?;
        if let Err(error) = self.bind_if_possible(base, bytes, node) {
            // SAFETY: reserved above, and its address has gone nowhere else.
            unsafe { release(base, bytes) };
            return Err(error);
        }
        name_range(base, bytes, &format!("redis-numa native {node}"));
        let len = Bytes::from(bytes);
        Ok(Mapping { base, len, node })
    }

    fn discard(&self, mapping: &Mapping, range: Range<usize>) {
        let pages = inner_pages(mapping, &range);
        if pages.is_empty() || !self.ledger().holds(mapping) {
            return;
        }
        // SAFETY: `inner_pages` keeps the offset within the mapping, which the ledger knows.
        let base = unsafe { mapping.base.add(pages.start) };
        // SAFETY: whole OS pages of a mapping that we gave out; the borrow keeps it mapped, and
        // its owner gives these bytes up.
        unsafe { discard(base, pages.len()) };
    }

    fn room(&self, node: NodeId) -> Bytes {
        let info = self.topology.node(node).filter(|info| info.allowed);
        let Some(info) = info else { return Bytes::ZERO };
        let memory = self.memory.iter().find(|(id, _)| *id == node);
        let free = memory.and_then(|(_, memory)| memory.available());
        // The capacity bounds too: it is all there is where the kernel never said, and memory
        // plugged in later is not ours to count on. Of a node that is gone it says no more.
        let free = free.unwrap_or_else(|| info.capacity - self.lost(node));
        let free = free.min(info.capacity);
        free.min(self.cgroup.headroom())
    }

    fn lost(&self, node: NodeId) -> Bytes {
        let memory = self.memory.iter().find(|(id, _)| *id == node);
        let known = self.topology.node(node).zip(memory);
        // A machine whose kernel never said what it has has lost nothing.
        let known = known.filter(|(info, _)| info.capacity != Bytes::MAX);
        known.map_or(Bytes::ZERO, |(info, (_, memory))| {
            info.capacity - memory.total().unwrap_or(Bytes::ZERO)
        })
    }

    fn residency(&self, pages: &[usize], answers: &mut [Residency]) {
        if query(pages, answers).is_err() {
            answers.fill(Residency::Unknown);
        }
    }

    fn bring(&self, pages: &[usize], node: NodeId) {
        if self.topology.node(node).is_some_and(|info| info.allowed) {
            // What it did not move shows in the residency, which is asked anyway.
            migrate(pages, node).ok();
        }
    }

    fn process_bytes(&self) -> Result<Vec<(NodeId, Bytes)>, String> {
        residency::totals(&self.numa_maps)
    }

    fn current_cpu_node(&self) -> Option<NodeId> {
        self.cpu_nodes.get(current_cpu()?).copied().flatten()
    }

    fn degraded(&self) -> Option<&str> {
        self.degraded.as_deref()
    }

    fn is_simulated(&self) -> bool {
        false
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use super::super::fixture::Tree;
    use super::*;

    fn id(number: usize) -> NodeId {
        NodeId::new(number).unwrap()
    }

    /// The first node of the machine that the test runs on, and that machine.
    fn real() -> (LinuxMachine, NodeId) {
        let machine = LinuxMachine::discover();
        let node = machine.topology.usable().next().unwrap();
        (machine, node)
    }

    fn bytes(mapping: &mut Mapping) -> &mut [u8] {
        let base = mapping.base.as_ptr();
        // SAFETY: our own mapping, used by this one test, for as long as it is borrowed.
        unsafe { std::slice::from_raw_parts_mut(base, mapping.len.as_usize()) }
    }

    #[test]
    fn brought_pages_keep_their_bytes_and_strangers_do_no_harm() {
        let (machine, node) = real();
        let page = os_page().as_usize();
        let mut mapping = machine
            .map(Bytes::from(600 * page), os_page(), node)
            .unwrap();
        bytes(&mut mapping).fill(7);
        let base = mapping.base.as_ptr().addr();
        let mut pages: Vec<usize> = (0..600).map(|at| base + at * page).collect();
        pages.push(0);
        machine.bring(&pages, node);
        assert!(bytes(&mut mapping).iter().all(|byte| *byte == 7));
        machine.bring(&pages, id(63));
        machine.unmap(mapping);
    }

    #[test]
    fn a_mapping_is_aligned_rounded_zero_and_writable() {
        let (machine, node) = real();
        for align in [Bytes(1), os_page(), Bytes::mib(2), Bytes::mib(256)] {
            let mut mapping = machine.map(Bytes(5000), align, node).unwrap();
            assert_eq!(mapping.base.as_ptr().addr() % align.as_usize(), 0);
            assert_eq!(mapping.len.0 % os_page().0, 0);
            assert!(mapping.len >= Bytes(5000));
            let bytes = bytes(&mut mapping);
            assert!(bytes.iter().all(|&byte| byte == 0));
            bytes.fill(7);
            machine.unmap(mapping);
        }
    }

    #[test]
    fn trimming_leaves_neighbours_alone() {
        let (machine, node) = real();
        let each = |_| machine.map(Bytes::mib(2), Bytes::mib(2), node).unwrap();
        let mut mappings: Vec<Mapping> = (0..8).map(each).collect();
        for (mark, mapping) in (1..).zip(&mut mappings) {
            bytes(mapping).fill(mark);
        }
        for (mark, mut mapping) in (1..).zip(mappings) {
            assert!(bytes(&mut mapping).iter().all(|&byte| byte == mark));
            machine.unmap(mapping);
        }
        assert_eq!(machine.ledger().mapped(node), Bytes::ZERO);
    }

    #[test]
    fn residency_tells_touched_from_untouched() {
        let (machine, node) = real();
        let mut mapping = machine.map(Bytes::mib(1), Bytes::ZERO, node).unwrap();
        let page = os_page().as_usize();
        bytes(&mut mapping)[page] = 1;
        let base = mapping.base.as_ptr().addr();
        let mut answers = [Residency::Unknown; 3];
        machine.residency(&[base, base + page, 0], &mut answers);
        assert_eq!(answers[0], Residency::Absent, "never touched");
        assert_eq!(answers[1], Residency::On(node));
        assert_eq!(answers[2], Residency::Absent, "not mapped");
        machine.unmap(mapping);
    }

    #[test]
    fn residency_answers_every_page_of_many() {
        let (machine, node) = real();
        let mut mapping = machine.map(Bytes::mib(8), Bytes::ZERO, node).unwrap();
        bytes(&mut mapping).fill(1);
        let base = mapping.base.as_ptr().addr();
        let end = base + mapping.len.as_usize();
        let pages: Vec<usize> = (base..end).step_by(os_page().as_usize()).collect();
        let mut answers = vec![Residency::Unknown; pages.len()];
        machine.residency(&pages, &mut answers);
        assert!(answers.iter().all(|&answer| answer == Residency::On(node)));
        machine.unmap(mapping);
    }

    #[test]
    fn discarded_pages_read_as_zero_and_others_stay() {
        let (machine, node) = real();
        let page = os_page().as_usize();
        let mut mapping = machine
            .map(Bytes::from(4 * page), Bytes::ZERO, node)
            .unwrap();
        bytes(&mut mapping).fill(9);
        machine.discard(&mapping, 1..3 * page);
        let after = bytes(&mut mapping);
        let all = |range: Range<usize>, byte: u8| after[range].iter().all(|&b| b == byte);
        assert!(all(0..page, 9), "the range covers this page in part only");
        assert!(all(page..3 * page, 0));
        assert!(all(3 * page..4 * page, 9));
        machine.discard(&mapping, 3 * page..usize::MAX);
        assert_eq!(
            bytes(&mut mapping)[3 * page],
            0,
            "the range is cut at the end"
        );
        machine.unmap(mapping);
    }

    #[test]
    fn a_made_up_mapping_is_left_alone() {
        let (machine, node) = real();
        let mut precious = vec![5_u8; 3 * os_page().as_usize()];
        let made_up = Mapping {
            base: NonNull::new(precious.as_mut_ptr()).unwrap(),
            len: os_page(),
            node,
        };
        machine.discard(&made_up, 0..os_page().as_usize());
        machine.unmap(made_up);
        assert!(precious.iter().all(|&byte| byte == 5));
    }

    #[test]
    fn absurd_lengths_are_out_of_memory() {
        let (machine, node) = real();
        for (len, align) in [
            (Bytes::MAX, Bytes(1)),
            (Bytes(1), Bytes::MAX),
            (Bytes(1 << 62), Bytes(1)),
            (Bytes(1), Bytes(1 << 63)),
        ] {
            let error = machine.map(len, align, node).unwrap_err();
            assert_eq!(error, MapError::OutOfMemory, "{len} {align}");
        }
    }

    #[test]
    fn a_node_that_is_not_there_is_unavailable() {
        let (machine, _) = real();
        let error = machine.map(os_page(), os_page(), id(63)).unwrap_err();
        assert_eq!(error, MapError::NodeUnavailable(id(63)));
        assert_eq!(machine.room(id(63)), Bytes::ZERO);
    }

    /// The files promise node 1, this machine's kernel knows better (or has one: then it serves).
    #[test]
    fn the_kernel_has_the_last_word_on_a_node() {
        let tree = Tree::two_sockets();
        let machine = LinuxMachine::assemble(tree.root(), &Probe::GOOD);
        let has_two = LinuxMachine::discover().topology.node(id(1)).is_some();
        match machine.map(os_page(), os_page(), id(1)) {
            Ok(mapping) => {
                assert!(has_two);
                machine.unmap(mapping);
            }
            Err(error) => assert_eq!(error, MapError::NodeUnavailable(id(1))),
        }
        assert_eq!(machine.ledger().each().count(), 0);
    }

    #[test]
    fn memory_taken_offline_is_lost_and_a_node_that_is_gone_has_no_room() {
        let tree = Tree::two_sockets();
        let machine = LinuxMachine::assemble(tree.root(), &Probe::GOOD);
        let capacity = machine.topology.node(id(1)).unwrap().capacity;
        assert_eq!(machine.lost(id(1)), Bytes::ZERO);
        let meminfo = "sys/devices/system/node/node1/meminfo";
        let half = capacity.0 / 2;
        let text = format!("Node 1 MemTotal: {} kB\nNode 1 MemFree: 8 kB\n", half >> 10);
        tree.file(meminfo, &text);
        assert_eq!(machine.lost(id(1)), Bytes(half));
        std::fs::remove_file(tree.root().join(meminfo)).unwrap();
        assert_eq!(machine.lost(id(1)), capacity);
        assert_eq!(machine.room(id(1)), Bytes::ZERO);
        assert_eq!(
            machine.lost(id(0)),
            Bytes::ZERO,
            "the other node is untouched"
        );
    }

    #[test]
    fn without_mbind_it_serves_unbound_and_says_so() {
        let tree = Tree::two_sockets();
        let probe = Probe {
            bind_error: Some("Operation not permitted".to_owned()),
            ..Probe::GOOD
        };
        let machine = LinuxMachine::assemble(tree.root(), &probe);
        let line = machine.degraded().unwrap();
        assert!(
            line.contains("mbind is refused (Operation not permitted)"),
            "{line}"
        );
        let mut mapping = machine.map(os_page(), os_page(), id(1)).unwrap();
        bytes(&mut mapping).fill(3);
        machine.unmap(mapping);
    }

    #[test]
    fn a_mapping_shows_its_node_in_maps() {
        let (machine, node) = real();
        let mapping = machine.map(Bytes::mib(3), Bytes::mib(2), node).unwrap();
        let base = mapping.base.as_ptr().addr();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        // The kernel may have joined it to a neighbour of the same policy and name.
        let starts_before = |line: &&str| {
            let (start, _) = line.split_once('-').unwrap();
            usize::from_str_radix(start, 16).unwrap() <= base
        };
        let line = maps.lines().rfind(starts_before).unwrap();
        let named = maps.contains("[anon:");
        assert!(
            !named || line.contains(&format!("[anon:redis-numa node {node}]")),
            "{line}"
        );
        machine.unmap(mapping);
    }

    #[test]
    fn process_totals_follow_touched_bytes() {
        let (machine, node) = real();
        let on_node = || {
            let totals = machine.process_bytes().unwrap();
            let total = totals.into_iter().find(|(id, _)| *id == node);
            total.map_or(Bytes::ZERO, |(_, bytes)| bytes)
        };
        let mut mapping = machine.map(Bytes::mib(96), Bytes::mib(2), node).unwrap();
        let before = on_node();
        bytes(&mut mapping).fill(1);
        let risen = on_node() - before;
        // Other tests run beside this one and give back a little meanwhile.
        assert!(risen > Bytes::mib(48), "{risen} of 96 MiB");
        machine.unmap(mapping);
    }

    #[test]
    fn a_mapping_carries_the_preferred_policy() {
        let (machine, node) = real();
        if !machine.binds {
            return;
        }
        let mapping = machine.map(Bytes::mib(2), Bytes::mib(2), node).unwrap();
        let ranges = numa_maps::NumaMap::from_file(&machine.numa_maps)
            .unwrap()
            .ranges;
        let base = mapping.base.as_ptr().addr();
        // The kernel may have joined it to a neighbour of the same policy and name.
        let range = ranges.iter().rfind(|range| range.address <= base).unwrap();
        assert_eq!(range.policy, format!("prefer:{node}"));
        machine.unmap(mapping);
    }

    #[test]
    fn a_bound_thread_is_seen_and_a_free_one_is_not() {
        let (_, node) = real();
        let bound = std::thread::spawn(move || {
            let mask: u64 = 1 << node.index();
            let (mode, mask) = (libc::MPOL_BIND as libc::c_ulong, ptr::from_ref(&mask));
            // SAFETY: sets the policy of this short-lived thread; the mask outlives the call.
            let set = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, 65_usize) };
            (succeeded(set).is_ok(), membind())
        });
        let (set, bound) = bound.join().unwrap();
        assert_eq!(bound, set.then_some(1 << node.index()));
        let free = std::thread::spawn(|| {
            let (mode, mask) = (libc::MPOL_DEFAULT as libc::c_ulong, ptr::null::<u64>());
            // SAFETY: sets the policy of this short-lived thread; there is no mask.
            unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, 0_usize) };
            membind()
        });
        assert_eq!(free.join().unwrap(), None);
    }

    #[test]
    fn many_threads_map_discard_and_unmap() {
        let (machine, node) = real();
        std::thread::scope(|scope| {
            for mark in 1..=4 {
                let machine = &machine;
                scope.spawn(move || {
                    for _ in 0..50 {
                        let mut mapping =
                            machine.map(Bytes::kib(64), Bytes::kib(256), node).unwrap();
                        bytes(&mut mapping).fill(mark);
                        machine.discard(&mapping, 0..32 << 10);
                        let after = bytes(&mut mapping);
                        assert!(after[..32 << 10].iter().all(|&byte| byte == 0));
                        assert!(after[32 << 10..].iter().all(|&byte| byte == mark));
                        machine.unmap(mapping);
                    }
                });
            }
        });
        assert_eq!(machine.ledger().each().count(), 0);
    }

    #[test]
    fn one_probe_serves_all_and_fits_the_calls() {
        let mut answer = [Residency::Unknown];
        let asked = query(&[0], &mut answer);
        assert_eq!(PROBE.query_error.is_none(), asked.is_ok());
        assert!(ptr::eq(&raw const *PROBE, &raw const *PROBE));
        assert!(os_page().0.is_power_of_two());
    }

    #[test]
    fn discovery_fits_the_machine_it_runs_on() {
        let (machine, node) = real();
        let capacity = machine.topology.node(node).unwrap().capacity;
        let room = machine.room(node);
        assert!(
            room > Bytes::ZERO && room <= capacity,
            "{room} of {capacity}"
        );
        let cpu_node = machine.current_cpu_node().unwrap();
        assert!(machine.topology.node(cpu_node).is_some());
        assert!(!machine.is_simulated());
        if machine.topology.nodes.len() == 1 {
            assert!(machine.degraded().unwrap().contains("one memory node"));
        }
    }

    /// The mode and the nodes of the policy that the kernel keeps for an address.
    fn policy_at(addr: usize) -> (i32, u64) {
        const OF_ADDRESS: usize = 1 << 1;
        let (mut mode, mut mask) = (0_i32, [0_u64; 16]);
        let (to_mode, to_mask) = (ptr::from_mut(&mut mode), mask.as_mut_ptr());
        // SAFETY: the kernel writes one i32 to mode and at most 1024 bits to mask.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_get_mempolicy,
                to_mode,
                to_mask,
                1024_usize,
                addr,
                OF_ADDRESS,
            )
        };
        assert!(answer == 0, "{}", io::Error::last_os_error());
        (mode, mask[0])
    }

    #[test]
    fn a_widened_mapping_keeps_bytes_and_policy() {
        let machine = LinuxMachine::discover();
        let node = machine.topology().nodes[0].id;
        let (short, long) = (Bytes::mib(4), Bytes::mib(6));
        let old = machine.map(short, Bytes::mib(2), node).unwrap();
        // SAFETY: the first page of a mapping that only this test knows.
        unsafe { old.base.as_ptr().write_bytes(7, 4096) };
        let before = policy_at(old.base.addr().get());
        let first = machine.map(long, Bytes::mib(2), node).unwrap();
        let widened = machine.widen(old, first).unwrap();
        let second = machine.map(Bytes::mib(9), Bytes::mib(2), node).unwrap();
        let widened = machine.widen(widened, second).unwrap();
        assert_eq!(widened.len, Bytes::mib(9));
        // SAFETY: the whole mapping, which only this test knows.
        let bytes = unsafe { std::slice::from_raw_parts(widened.base.as_ptr(), 9 << 20) };
        assert!(bytes.iter().take(4096).all(|byte| *byte == 7));
        assert!(bytes.iter().skip(4096).step_by(4096).all(|byte| *byte == 0));
        let base = widened.base.addr().get();
        for offset in [0, short.as_usize(), Bytes::mib(9).as_usize() - 4096] {
            assert_eq!(policy_at(base + offset), before, "at {offset}");
        }
        machine.unmap(widened);
    }

    #[test]
    fn what_was_never_given_out_is_not_widened() {
        let machine = LinuxMachine::discover();
        let node = machine.topology().nodes[0].id;
        let old = machine.map(Bytes::mib(4), Bytes::mib(2), node).unwrap();
        let short = machine.map(Bytes::mib(2), Bytes::mib(2), node).unwrap();
        let old = machine.widen(old, short).unwrap_err();
        let base = old.base;
        let made_up = Mapping {
            len: Bytes::mib(8),
            ..old
        };
        let wide = machine.map(Bytes::mib(8), Bytes::mib(2), node).unwrap();
        let made_up = machine.widen(made_up, wide).unwrap_err();
        assert_eq!(made_up.base, base);
        machine.unmap(Mapping {
            len: Bytes::mib(4),
            ..made_up
        });
    }
}
