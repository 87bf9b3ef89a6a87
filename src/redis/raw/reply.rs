//! Replies to the client.

use super::{api, c_text, Ctx};

impl Ctx<'_> {
    /// A bulk string.
    pub(crate) fn reply_bulk(self, bytes: &[u8]) {
        let (start, len) = (bytes.as_ptr().cast(), bytes.len());
        api!(RedisModule_ReplyWithStringBuffer(self.as_ptr(), start, len));
    }

    /// A status line, such as `OK`.
    pub(crate) fn reply_status(self, text: &str) {
        let text = c_text(text);
        api!(RedisModule_ReplyWithSimpleString(
            self.as_ptr(),
            text.as_ptr()
        ));
    }

    /// `OK`.
    pub(crate) fn reply_ok(self) {
        api!(RedisModule_ReplyWithSimpleString(
            self.as_ptr(),
            c"OK".as_ptr()
        ));
    }

    /// A whole number.
    pub(crate) fn reply_int(self, number: i64) {
        api!(RedisModule_ReplyWithLongLong(self.as_ptr(), number));
    }

    /// A count; beyond what a reply can hold it stays at the largest.
    pub(crate) fn reply_count(self, count: impl TryInto<i64>) {
        self.reply_int(count.try_into().unwrap_or(i64::MAX));
    }

    /// A score, written as the client's protocol writes one.
    pub(crate) fn reply_double(self, number: f64) {
        api!(RedisModule_ReplyWithDouble(self.as_ptr(), number));
    }

    /// No value.
    pub(crate) fn reply_null(self) {
        api!(RedisModule_ReplyWithNull(self.as_ptr()));
    }

    /// The head of an array of `len` replies that follow.
    pub(crate) fn reply_array(self, len: usize) {
        api!(RedisModule_ReplyWithArray(self.as_ptr(), len as _));
    }

    /// An error, with its code in front; a line break in it becomes a space.
    pub(crate) fn reply_error(self, text: &str) {
        let line = c_text(text.replace(['\r', '\n'], " "));
        api!(RedisModule_ReplyWithError(self.as_ptr(), line.as_ptr()));
    }
}
