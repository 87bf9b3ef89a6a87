//! Stock commands that we run ourselves: what the API has no function for, or none that leaves a
//! value's encoding as it is (its way to a string's bytes does not).
//!
//! Nothing that is run here goes to replicas or the AOF: the command that we serve does, or what
//! it says instead.

use super::{api, Ctx, Name};
use redis_module::raw;
use std::ffi::CStr;
use std::marker::PhantomData;

/// What the server answered; it is freed with this.
pub(crate) struct Answer<'c> {
    ptr: *mut raw::RedisModuleCallReply,
    lent: PhantomData<&'c ()>,
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        api!(RedisModule_FreeCallReply(self.ptr));
    }
}

impl<'c> Ctx<'c> {
    /// Runs a stock command, which goes to no replica and to no file.
    pub(crate) fn ask(self, command: &CStr, words: &[Name<'_>]) -> Option<Answer<'c>> {
        let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
        let (start, count) = (pointers.as_mut_ptr(), pointers.len());
        let format = c"v".as_ptr();
        let ptr = api!(RedisModule_Call(
            self.as_ptr(),
            command.as_ptr(),
            format,
            start,
            count
        ))?;
        if ptr.is_null() {
            // Renamed away, or in a cluster the key is another's. No `Answer` may be made of it,
            // not even one to drop: the server frees what it is given unseen.
            return None;
        }
        let lent = PhantomData;
        Some(Answer { ptr, lent })
    }

    /// Runs `command key words...`; false where the server answers an error.
    pub(crate) fn run(self, command: &CStr, key: Name<'_>, words: &[Name<'_>]) -> bool {
        let mut all = vec![key];
        all.extend(words);
        self.ask(command, &all)
            .is_some_and(|answer| !answer.is_error())
    }

    /// The bytes of a stock string; a use of it.
    pub(crate) fn native_bytes(self, name: Name<'_>) -> Option<Vec<u8>> {
        Some(self.ask(c"GET", &[name])?.bytes()?.to_vec())
    }
}

impl<'c> Ctx<'c> {
    /// Runs a stock command as the client's own: it goes to replicas and files by its own name,
    /// and its answer is the client's. False where the server has no such command of so many words.
    pub(crate) fn forward(self, command: &CStr, words: &[Name<'_>]) -> bool {
        let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
        let (start, count) = (pointers.as_mut_ptr(), pointers.len());
        let (command, format) = (command.as_ptr(), c"!v".as_ptr());
        let ptr = api!(RedisModule_Call(
            self.as_ptr(),
            command,
            format,
            start,
            count
        ));
        let Some(ptr) = ptr.filter(|ptr| !ptr.is_null()) else {
            return false;
        };
        let lent = PhantomData;
        Answer { ptr, lent }.pass_on(self);
        true
    }

    /// The rules of every ACL user, a line each.
    pub(crate) fn acl_rules(self) -> Option<Vec<String>> {
        let list = self.string(b"LIST")?;
        let answer = self.ask(c"ACL", &[list.name()])?;
        let mut rules = Vec::new();
        let told = answer.each(&mut |rule| {
            rules.push(String::from_utf8_lossy(rule).into_owned());
            true
        });
        told.then_some(rules)
    }
}

impl Answer<'_> {
    /// Makes it the answer of this command.
    pub(crate) fn pass_on(&self, ctx: Ctx<'_>) {
        api!(RedisModule_ReplyWithCallReply(ctx.as_ptr(), self.ptr));
    }

    /// An array's element, as long as this.
    pub(crate) fn element(&self, index: usize) -> Option<std::mem::ManuallyDrop<Answer<'_>>> {
        let ptr = api!(RedisModule_CallReplyArrayElement(self.ptr, index))?;
        let lent = PhantomData;
        (!ptr.is_null()).then(|| std::mem::ManuallyDrop::new(Answer { ptr, lent }))
    }

    /// The text of an array's element.
    pub(crate) fn text_at(&self, index: usize) -> Option<&[u8]> {
        text_of(api!(RedisModule_CallReplyArrayElement(self.ptr, index))?)
    }

    /// Shows every string of an array reply, until `visit` answers false; whether it was an array.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let kind = api!(RedisModule_CallReplyType(self.ptr));
        if kind != Some(raw::REDISMODULE_REPLY_ARRAY as i32) {
            return false;
        }
        let len = api!(RedisModule_CallReplyLength(self.ptr)).unwrap_or(0);
        (0..len)
            .map_while(|index| api!(RedisModule_CallReplyArrayElement(self.ptr, index)))
            .map_while(text_of)
            .all(visit);
        true
    }

    /// Whether the server refused.
    pub(crate) fn is_error(&self) -> bool {
        let kind = api!(RedisModule_CallReplyType(self.ptr));
        kind.is_none_or(|kind| kind == raw::REDISMODULE_REPLY_ERROR as i32)
    }

    /// The bytes of a string reply.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        text_of(self.ptr)
    }
}

fn text_of<'a>(reply: *mut raw::RedisModuleCallReply) -> Option<&'a [u8]> {
    let mut len = 0;
    let start = api!(RedisModule_CallReplyStringPtr(reply, &mut len))?;
    if start.is_null() {
        return None;
    }
    // SAFETY: the server says that `len` bytes lie there until the reply is freed, which the
    // callers' borrow of the answer keeps from happening.
    Some(unsafe { std::slice::from_raw_parts(start.cast(), len) })
}
