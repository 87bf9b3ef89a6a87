//! Replies to the client.
//!
//! A reply is written here as the protocol has it and handed over in one piece where the server's
//! insides are known (`inside`), and goes by the API elsewhere. Many replies in a row are gathered
//! in [`Replies`] first: handing over costs more than most elements do.

use super::inside::Known;
use super::{api, c_text, Ctx};
use crate::value::number::Digits;
use std::os::raw::c_int;

/// The longest bulk that is copied to be sent in one piece, in bytes.
const SHORT_MAX: usize = 96;
/// A shorter one, which most are, makes do with a buffer that is sooner made.
const TINY_MAX: usize = 25;
/// The head of a bulk of less than 100 bytes.
const SHORT_HEAD: usize = 5;
/// A mark, an integer and an end of line.
const HEAD_MAX: usize = 24;
/// Bytes that are gathered at most.
const PAGE: usize = 2048;
/// Below it every whole number is written without an exponent.
const INTEGRAL_MAX: f64 = 1e15;

/// Bytes on their way, as many as fit.
struct Buffer<const SIZE: usize> {
    bytes: [u8; SIZE],
    len: usize,
}

impl<const SIZE: usize> Buffer<SIZE> {
    const fn new() -> Self {
        Self {
            bytes: [0; SIZE],
            len: 0,
        }
    }

    #[inline]
    fn put(&mut self, more: &[u8]) {
        let end = self.len + more.len();
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            place.copy_from_slice(more);
            self.len = end;
        }
    }

    /// A mark and an integer, as heads of replies are.
    #[inline]
    fn put_head(&mut self, mark: u8, number: i64) {
        self.put(&[mark]);
        self.put(Digits::of(number).text());
        self.put(b"\r\n");
    }

    fn has_room(&self, len: usize) -> bool {
        SIZE - self.len >= len
    }

    #[inline]
    fn send(&mut self, known: Known<'_>) {
        known.send(self.bytes.get(..self.len).unwrap_or(&[]));
        self.len = 0;
    }
}

fn length(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

fn null(resp: c_int) -> &'static [u8] {
    match resp {
        3 => b"_\r\n",
        _ => b"$-1\r\n",
    }
}

fn send_head(known: Known<'_>, mark: u8, number: i64) {
    let mut head = Buffer::<HEAD_MAX>::new();
    head.put_head(mark, number);
    head.send(known);
}

/// The head of a bulk of less than 100 bytes, and where it begins: two digits need no loop.
#[inline]
fn short_head(len: usize) -> ([u8; 5], usize) {
    let (tens, ones) = ((len / 10) as u8, (len % 10) as u8);
    let (mark, start) = if len < 10 {
        (b'$', 1)
    } else {
        (b'0' + tens, 0)
    };
    ([b'$', mark, b'0' + ones, b'\r', b'\n'], start)
}

#[inline]
fn send_bulk(known: Known<'_>, bytes: &[u8]) {
    if bytes.len() <= TINY_MAX {
        return send_copied::<{ SHORT_HEAD + TINY_MAX + 2 }>(known, bytes);
    }
    if bytes.len() <= SHORT_MAX {
        return send_copied::<{ SHORT_HEAD + SHORT_MAX + 2 }>(known, bytes);
    }
    send_head(known, b'$', length(bytes.len()));
    known.send(bytes);
    known.send(b"\r\n");
}

/// Sends a bulk that has room in so many bytes, in one piece.
#[inline]
fn send_copied<const SIZE: usize>(known: Known<'_>, bytes: &[u8]) {
    let (head, start) = short_head(bytes.len());
    let end = SHORT_HEAD + bytes.len();
    let mut whole = [0; SIZE];
    if let Some(place) = whole.first_chunk_mut() {
        *place = head;
    }
    if let Some(place) = whole.get_mut(SHORT_HEAD..end) {
        place.copy_from_slice(bytes);
    }
    if let Some(place) = whole.get_mut(end..end + 2) {
        place.copy_from_slice(b"\r\n");
    }
    known.send(whole.get(start..end + 2).unwrap_or(&[]));
}

/// A score that is written as an integer is: all but -0 and those with an exponent.
fn integral(number: f64) -> Option<i64> {
    let short = number.abs() < INTEGRAL_MAX && number.fract() == 0.0;
    (short && (number != 0.0 || number.is_sign_positive())).then_some(number as i64)
}

/// Replies in a row, gathered and sent when there is no room for more, or this is dropped.
pub(crate) struct Replies<'c> {
    ctx: Ctx<'c>,
    known: Option<Known<'c>>,
    buffer: Buffer<PAGE>,
}

impl<'c> Replies<'c> {
    /// Where that many bytes go, if they are gathered.
    #[inline]
    fn room(&mut self, len: usize) -> Option<&mut Buffer<PAGE>> {
        let known = self.known.filter(|_| len <= PAGE)?;
        if !self.buffer.has_room(len) {
            self.buffer.send(known);
        }
        Some(&mut self.buffer)
    }

    /// A bulk string.
    #[inline]
    pub(crate) fn bulk(&mut self, bytes: &[u8]) {
        match self.room(HEAD_MAX + bytes.len() + 2) {
            Some(buffer) => {
                buffer.put_head(b'$', length(bytes.len()));
                buffer.put(bytes);
                buffer.put(b"\r\n");
            }
            None => self.aside().reply_bulk(bytes),
        }
    }

    /// A whole number.
    pub(crate) fn int(&mut self, number: i64) {
        match self.room(HEAD_MAX) {
            Some(buffer) => buffer.put_head(b':', number),
            None => self.ctx.reply_int(number),
        }
    }

    /// The head of an array of `len` replies that follow.
    pub(crate) fn array(&mut self, len: usize) {
        match self.room(HEAD_MAX) {
            Some(buffer) => buffer.put_head(b'*', length(len)),
            None => self.ctx.reply_array(len),
        }
    }

    /// A score, written as the client's protocol writes one.
    pub(crate) fn double(&mut self, number: f64) {
        let resp3 = self.known.is_some_and(|known| known.resp() == 3);
        match integral(number).filter(|_| self.known.is_some()) {
            None => self.aside().reply_double(number),
            Some(number) if !resp3 => self.bulk(Digits::of(number).text()),
            Some(number) => {
                if let Some(buffer) = self.room(HEAD_MAX) {
                    buffer.put_head(b',', number);
                }
            }
        }
    }

    /// Sends what is gathered, for a reply that goes another way.
    pub(crate) fn aside(&mut self) -> Ctx<'c> {
        if let Some(known) = self.known.filter(|_| self.buffer.len > 0) {
            self.buffer.send(known);
        }
        self.ctx
    }
}

impl Drop for Replies<'_> {
    fn drop(&mut self) {
        self.aside();
    }
}

impl<'c> Ctx<'c> {
    /// Gathers replies in a row.
    pub(crate) fn replies(self) -> Replies<'c> {
        Replies {
            ctx: self,
            known: self.known(),
            buffer: Buffer::new(),
        }
    }
}

impl Known<'_> {
    /// A bulk string.
    #[inline]
    pub(crate) fn reply_bulk(self, bytes: &[u8]) {
        send_bulk(self, bytes);
    }

    /// A whole number.
    #[inline]
    pub(crate) fn reply_int(self, number: i64) {
        send_head(self, b':', number);
    }

    /// An error, with its code in front, of one line.
    pub(crate) fn reply_error(self, line: &str) {
        self.send(format!("-{line}\r\n").as_bytes());
    }

    /// `OK`.
    #[inline]
    pub(crate) fn reply_ok(self) {
        self.send(b"+OK\r\n");
    }

    /// No value.
    #[inline]
    pub(crate) fn reply_null(self) {
        self.send(null(self.resp()));
    }
}

impl Ctx<'_> {
    /// A bulk string.
    pub(crate) fn reply_bulk(self, bytes: &[u8]) {
        if let Some(known) = self.known() {
            return known.reply_bulk(bytes);
        }
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
        if let Some(known) = self.known() {
            return known.reply_ok();
        }
        api!(RedisModule_ReplyWithSimpleString(
            self.as_ptr(),
            c"OK".as_ptr()
        ));
    }

    /// A whole number.
    pub(crate) fn reply_int(self, number: i64) {
        if let Some(known) = self.known() {
            return known.reply_int(number);
        }
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
        if let Some(known) = self.known() {
            return known.reply_null();
        }
        api!(RedisModule_ReplyWithNull(self.as_ptr()));
    }

    /// The head of an array of `len` replies that follow.
    pub(crate) fn reply_array(self, len: usize) {
        if let Some(known) = self.known() {
            return send_head(known, b'*', length(len));
        }
        api!(RedisModule_ReplyWithArray(self.as_ptr(), len as _));
    }

    /// An error, with its code in front; a line break in it becomes a space.
    pub(crate) fn reply_error(self, text: &str) {
        let line = c_text(text.replace(['\r', '\n'], " "));
        api!(RedisModule_ReplyWithError(self.as_ptr(), line.as_ptr()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_that_look_like_integers_are_those_without_sign_of_zero_or_exponent() {
        for (number, wanted) in [
            (0.0, Some(0)),
            (-0.0, None),
            (-17.0, Some(-17)),
            (0.5, None),
            (999_999_999_999_999.0, Some(999_999_999_999_999)),
            (1e15, None),
            (f64::INFINITY, None),
            (f64::NAN, None),
        ] {
            assert_eq!(integral(number), wanted, "{number}");
        }
    }
}
