//! Stock commands that we run ourselves: what the API has no function for.
//!
//! Nothing that is run here goes to replicas or the AOF: the command that we serve does, or what
//! it says instead.

use super::{api, Ctx, Name};
use std::ffi::CStr;

impl Ctx<'_> {
    /// Runs `command key words...`; false where the server answers an error.
    pub(crate) fn run(self, command: &CStr, key: Name<'_>, words: &[Name<'_>]) -> bool {
        let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
        let (start, count) = (pointers.as_mut_ptr(), pointers.len());
        let (command, format) = (command.as_ptr(), c"sv".as_ptr());
        let reply = api!(RedisModule_Call(
            self.as_ptr(),
            command,
            format,
            key.as_ptr(),
            start,
            count
        ));
        let Some(reply) = reply.filter(|reply| !reply.is_null()) else {
            return false;
        };
        let kind = api!(RedisModule_CallReplyType(reply));
        api!(RedisModule_FreeCallReply(reply));
        kind.is_some_and(|kind| kind != redis_module::raw::REDISMODULE_REPLY_ERROR as i32)
    }
}
