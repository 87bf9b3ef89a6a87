//! Every error that a command may answer, its text once.

use crate::pool::OutOfMemory;
use crate::redis::raw::{Ctx, Known};
use crate::redis::transparent::PREFIX;
use std::borrow::Cow;
use std::ffi::CStr;

/// Why a command did nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fail {
    /// Too few or too many words.
    Arity,
    /// The key holds another type.
    WrongType,
    /// Words that make no sense together.
    Syntax,
    /// A word or a value that should be a whole number.
    NotInteger,
    /// A word or a value that should be a number.
    NotFloat,
    /// No memory on any node; nothing was changed.
    OutOfMemory,
    /// A write to a replica that follows its master.
    ReadOnly,
    /// A value over `proto-max-bulk-len`.
    TooLong,
    /// Anything else, the error's code in front.
    Text(Cow<'static, str>),
}

impl Fail {
    /// An error of the common code `ERR`.
    pub(crate) fn text(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Text(Cow::Owned(format!("ERR {}", text.into())))
    }

    /// A time to live that is not in the future, or cannot be counted.
    pub(crate) fn invalid_expire(command: &str) -> Self {
        Self::text(format!("invalid expire time in {command}"))
    }

    /// `NODE` or a target that is no number of a node.
    pub(crate) fn invalid_node() -> Self {
        Self::text("Invalid target node")
    }

    /// A node that this machine does not have; `max` is its last.
    pub(crate) fn node_out_of_range(node: i64, max: usize) -> Self {
        Self::text(format!("Target node {node} out of range (0-{max})"))
    }

    /// A word that is no subcommand, or one with the wrong number of words.
    pub(crate) fn subcommand(word: &[u8], command: &str) -> Self {
        let word: String = String::from_utf8_lossy(word).chars().take(64).collect();
        Self::text(format!(
            "Unknown subcommand or wrong number of arguments for '{word}'. Try {command} HELP."
        ))
    }

    /// Something of ours was in use, which no command should ever meet.
    pub(crate) fn busy() -> Self {
        Self::text("The module is busy; nothing was done")
    }

    /// Sends it, as the answer to `command`; where the client wrote the `plain` name, under that.
    pub(crate) fn reply(&self, ctx: Ctx<'_>, command: &CStr, plain: bool) {
        let line = self.line(command);
        if plain {
            ctx.reply_error(&line.replace(PREFIX, ""));
        } else {
            ctx.reply_error(&line);
        }
    }

    /// The same for a call without a context, of a fail that is told by its kind alone.
    pub(crate) fn reply_known(&self, known: Known<'_>) {
        known.reply_error(&self.line(c""));
    }

    /// The text of the reply. The server's own function for a wrong arity would repeat the
    /// command's name in whatever case the client wrote it, which stock commands do not.
    fn line(&self, command: &CStr) -> Cow<'_, str> {
        match self {
            Self::Arity => return arity_line(command).into(),
            Self::Text(text) => text.as_ref(),
            Self::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            Self::Syntax => "ERR syntax error",
            Self::NotInteger => "ERR value is not an integer or out of range",
            Self::NotFloat => "ERR value is not a valid float",
            Self::OutOfMemory => "OOM command not allowed when used memory > 'maxmemory'.",
            Self::ReadOnly => "READONLY You can't write against a read only replica.",
            Self::TooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
        }
        .into()
    }
}

fn arity_line(command: &CStr) -> String {
    let command = command.to_string_lossy();
    format!("ERR wrong number of arguments for '{command}' command")
}

impl From<OutOfMemory> for Fail {
    fn from(_: OutOfMemory) -> Self {
        Self::OutOfMemory
    }
}
