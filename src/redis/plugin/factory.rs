//! A registered strategy: the checked copy of what a module handed in.
//!
//! Everything is read here, once, with bounds: names and lengths are another author's. What was
//! wrong has a number for the caller and a line for the log.

use super::abi::{self, NumaStrategy};
use super::hold::Hold;
use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// The longest name of a strategy or a module.
const NAME_MAX: usize = 64;
/// The longest line that is read of another module.
const LINE_MAX: usize = 256;
/// The most settings of one strategy.
const SETTINGS_MAX: usize = 64;
/// The highest level of hotness.
const LEVEL_MAX: u32 = 7;

/// Why a strategy is not taken, or not let go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    Abi(u32),
    Size(u32),
    Null(&'static str),
    Name(&'static str),
    Taken(String),
    Slot(c_int),
    Full,
    Unknown,
    Busy,
    Init(String),
}

impl Refusal {
    /// The number in the header.
    pub(super) const fn code(&self) -> c_int {
        match self {
            Self::Abi(_) => abi::ERR_ABI,
            Self::Size(_) => abi::ERR_SIZE,
            Self::Null(_) => abi::ERR_NULL,
            Self::Name(_) => abi::ERR_NAME,
            Self::Taken(_) => abi::ERR_TAKEN,
            Self::Slot(_) => abi::ERR_SLOT,
            Self::Full => abi::ERR_FULL,
            Self::Unknown => abi::ERR_UNKNOWN,
            Self::Busy => abi::ERR_BUSY,
            Self::Init(_) => abi::ERR_INIT,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abi(theirs) => write!(
                f,
                "it was built for version {theirs} of numa_strategy.h, this is version {}",
                abi::ABI
            ),
            Self::Size(theirs) => write!(
                f,
                "its NumaStrategy has {theirs} bytes, that of this version has {}",
                size_of::<NumaStrategy>()
            ),
            Self::Null(what) => write!(f, "it gives no {what}"),
            Self::Name(what) => write!(f, "its {what} is not 1 to {NAME_MAX} of a-z 0-9 - _"),
            Self::Taken(what) => write!(f, "{what}"),
            Self::Slot(slot) => write!(f, "slot {slot} is none of 2 to 15"),
            Self::Full => f.write_str("there are too many strategies"),
            Self::Unknown => f.write_str("the module has registered none of that name"),
            Self::Busy => f.write_str("a strategy is running, or this is not the main thread"),
            Self::Init(name) => write!(f, "the init of {name} failed"),
        }
    }
}

/// See the head of the file.
#[derive(Debug)]
pub(super) struct Factory {
    pub(super) module: CString,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) settings: Vec<CString>,
    pub(super) hot_level: u8,
    functions: Functions,
    alive: AtomicBool,
    /// Last, so that the library outlives everything that may call into it.
    _hold: Hold,
}

/// What the module does when asked.
#[derive(Clone, Copy, Debug)]
struct Functions {
    init: unsafe extern "C" fn(*mut *mut c_void) -> c_int,
    cleanup: unsafe extern "C" fn(*mut c_void),
    execute: abi::Execute,
    set: Option<abi::Set>,
    get: Option<abi::Get>,
}

impl Factory {
    /// Reads what a module hands in.
    ///
    /// # Safety
    /// * `given` is null, or points to a `NumaStrategy` of the version and size that it names,
    ///   whose strings are C strings.
    pub(super) unsafe fn read(given: *const NumaStrategy) -> Result<Self, Refusal> {
        if given.is_null() {
            return Err(Refusal::Null("NumaStrategy"));
        }
        // SAFETY: the first two fields stand where they stand in every version.
        let head = unsafe { given.cast::<[u32; 2]>().read() };
        let [version, size] = head;
        if version != abi::ABI {
            return Err(Refusal::Abi(version));
        }
        if size as usize != size_of::<NumaStrategy>() {
            return Err(Refusal::Size(size));
        }
        // SAFETY: of our version and our size.
        let given = unsafe { given.read() };
        // SAFETY: the caller vouches for its strings.
        unsafe { Self::check(&given) }
    }

    /// # Safety
    /// * The strings of `given` are C strings or null.
    unsafe fn check(given: &NumaStrategy) -> Result<Self, Refusal> {
        // SAFETY: the caller's promise.
        let module = unsafe { line(given.module) }.ok_or(Refusal::Null("module"))?;
        // SAFETY: the caller's promise.
        let name = unsafe { line(given.name) }.ok_or(Refusal::Null("name"))?;
        // SAFETY: the caller's promise.
        let description = unsafe { line(given.description) }.unwrap_or_default();
        if module.is_empty() || module.len() > NAME_MAX {
            return Err(Refusal::Name("module's name"));
        }
        if !is_name(&name) {
            return Err(Refusal::Name("name"));
        }
        // SAFETY: the caller's promise.
        let settings = unsafe { list(given.settings) };
        if !settings.is_empty() && (given.set.is_none() || given.get.is_none()) {
            return Err(Refusal::Null("set or get for its settings"));
        }
        let functions = Functions {
            init: given.init.ok_or(Refusal::Null("init"))?,
            cleanup: given.cleanup.ok_or(Refusal::Null("cleanup"))?,
            execute: given.execute.ok_or(Refusal::Null("execute"))?,
            set: given.set,
            get: given.get,
        };
        let code = functions.execute as *const c_void;
        Ok(Self {
            module: CString::new(module).unwrap_or_default(),
            name,
            description,
            settings,
            hot_level: given.hot_level.min(LEVEL_MAX) as u8,
            functions,
            alive: AtomicBool::new(true),
            _hold: Hold::on(code).ok_or(Refusal::Null("execute that lies in a library"))?,
        })
    }

    /// Whether its module still stands behind it.
    pub(super) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }

    /// Its module is gone: none of its functions is called any more.
    pub(super) fn bury(&self) {
        self.alive.store(false, Ordering::Relaxed);
    }

    /// An instance of the module's own; nothing where it would not make one.
    pub(super) fn init(&self) -> Option<*mut c_void> {
        let mut instance = std::ptr::null_mut();
        // SAFETY: the module's own function, called as the header says; its code is held.
        let status = unsafe { (self.functions.init)(&mut instance) };
        (status == abi::OK).then_some(instance)
    }

    pub(super) fn cleanup(&self, instance: *mut c_void) {
        // SAFETY: as in `init`; the instance is the one that it made, and given back once.
        unsafe { (self.functions.cleanup)(instance) };
    }

    /// Status and plan.
    pub(super) fn execute(
        &self,
        instance: *mut c_void,
        view: *const abi::NumaView,
    ) -> (c_int, abi::NumaPlan) {
        let mut plan = abi::NumaPlan {
            moves: std::ptr::null(),
            count: 0,
            error: std::ptr::null(),
        };
        // SAFETY: as in `init`; the view is lent for this call.
        let status = unsafe { (self.functions.execute)(instance, view, &mut plan) };
        (status, plan)
    }

    /// Whether the module took the value.
    pub(super) fn set(&self, instance: *mut c_void, name: &CStr, value: &CStr) -> bool {
        let Some(set) = self.functions.set else {
            return false;
        };
        // SAFETY: as in `init`; both strings live for the call.
        (unsafe { set(instance, name.as_ptr(), value.as_ptr()) }) == abi::OK
    }

    pub(super) fn get(&self, instance: *mut c_void, name: &CStr) -> Option<String> {
        let get = self.functions.get?;
        let mut value = [0_u8; LINE_MAX];
        let start = value.as_mut_ptr().cast();
        // SAFETY: as in `init`; the buffer is as long as it is said to be.
        let status = unsafe { get(instance, name.as_ptr(), start, value.len()) };
        let text = CStr::from_bytes_until_nul(&value).ok()?;
        (status == abi::OK).then(|| text.to_string_lossy().into_owned())
    }
}

/// A C string of another module, as far as it is read; nothing for null.
///
/// # Safety
/// * `text` is null or a C string.
pub(super) unsafe fn line(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: a C string, and not read beyond its end.
    let len = unsafe { libc::strnlen(text, LINE_MAX) };
    // SAFETY: that many bytes lie before its end.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len) };
    Some(String::from_utf8_lossy(bytes).into_owned())
}

/// A list of C strings with a null at its end.
///
/// # Safety
/// * `names` is null or such a list.
unsafe fn list(names: *const *const c_char) -> Vec<CString> {
    let mut read = Vec::new();
    for at in 0..SETTINGS_MAX {
        if names.is_null() {
            break;
        }
        // SAFETY: the list has not ended before this element.
        let place = unsafe { names.add(at) };
        // SAFETY: an element, or the null at the end.
        let name = unsafe { place.read() };
        // SAFETY: the caller's promise.
        let Some(name) = (unsafe { line(name) }) else {
            break;
        };
        read.extend(CString::new(name));
    }
    read
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    (1..=NAME_MAX).contains(&name.len()) && name.chars().all(fits)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::ptr::null;

    extern "C" fn init(_: *mut *mut c_void) -> c_int {
        abi::OK
    }
    extern "C" fn cleanup(_: *mut c_void) {}
    extern "C" fn execute(_: *mut c_void, _: *const abi::NumaView, _: *mut abi::NumaPlan) -> c_int {
        abi::OK
    }

    /// A strategy that may be registered.
    pub(in super::super) fn sound() -> NumaStrategy {
        NumaStrategy {
            abi: abi::ABI,
            size: size_of::<NumaStrategy>() as u32,
            module: c"mod".as_ptr(),
            name: c"some-name_1".as_ptr(),
            description: null(),
            settings: null(),
            hot_level: 0,
            reserved: 0,
            init: Some(init),
            cleanup: Some(cleanup),
            execute: Some(execute),
            set: None,
            get: None,
        }
    }

    fn refused(change: impl FnOnce(&mut NumaStrategy)) -> c_int {
        let mut given = sound();
        change(&mut given);
        // SAFETY: it is what it says, or says what it is not and is not read further.
        let read = unsafe { Factory::read(&given) };
        read.err().map_or(abi::OK, |refusal| refusal.code())
    }

    #[test]
    fn what_is_whole_is_taken_and_what_is_not_has_its_number() {
        // In a test the functions lie in the program itself, which has a name but no handle of its
        // own to count: everything before the hold was right then.
        assert!([abi::OK, abi::ERR_NULL].contains(&refused(|_| {})));
        assert_eq!(refused(|given| given.abi = 2), abi::ERR_ABI);
        assert_eq!(refused(|given| given.size -= 8), abi::ERR_SIZE);
        assert_eq!(refused(|given| given.execute = None), abi::ERR_NULL);
        assert_eq!(refused(|given| given.module = null()), abi::ERR_NULL);
        for name in [c"", c"Upper", c"a b", c"a\xff"] {
            assert_eq!(refused(|given| given.name = name.as_ptr()), abi::ERR_NAME);
        }
        let settings = [c"depth".as_ptr(), null()];
        let code = refused(|given| given.settings = settings.as_ptr());
        assert_eq!(code, abi::ERR_NULL, "settings without set and get");
        // SAFETY: null is refused.
        let nothing = unsafe { Factory::read(null()) };
        assert_eq!(
            nothing.map(drop).unwrap_err(),
            Refusal::Null("NumaStrategy")
        );
    }

    #[test]
    fn lines_of_others_are_read_with_bounds() {
        let long = CString::new("x".repeat(10_000)).unwrap();
        // SAFETY: a C string.
        let read = unsafe { line(long.as_ptr()) };
        assert_eq!(read.map(|line| line.len()), Some(LINE_MAX));
        // SAFETY: null is nothing.
        assert_eq!(unsafe { line(null()) }, None);
    }
}
