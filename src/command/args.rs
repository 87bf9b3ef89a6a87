//! Words into numbers, nodes and options.

use super::{Call, Fail};
use crate::ids::NodeId;
use crate::value::number;

/// A whole number as the stock commands read one.
pub(crate) fn integer(word: &[u8]) -> Result<i64, Fail> {
    number::parse_integer(word).ok_or(Fail::NotInteger)
}

/// A whole number that is not negative; `text` is the error for anything else.
pub(crate) fn positive(word: &[u8], text: &'static str) -> Result<u64, Fail> {
    let number = number::parse_integer(word).and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| Fail::text(text))
}

/// Whether `word` is the option `name`, in whatever case.
pub(crate) fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

impl Call<'_> {
    /// The node that a word names.
    pub(crate) fn node(&self, word: &[u8]) -> Result<NodeId, Fail> {
        let number = number::parse_integer(word).ok_or_else(Fail::invalid_node)?;
        let topology = self.server.machine.topology();
        let found = usize::try_from(number).ok().and_then(NodeId::new);
        let known = found.filter(|node| topology.node(*node).is_some_and(|node| node.allowed));
        known.ok_or_else(|| {
            let max = topology.ids().map(NodeId::index).max().unwrap_or(0);
            Fail::node_out_of_range(number, max)
        })
    }

    /// The node of `NODE <n>` at `index`, the last two words or none at all.
    ///
    /// The hint is for the machine that the client talks to: it is dropped when the words come
    /// from a master or from the append-only file.
    pub(crate) fn trailing_node(&self, index: usize) -> Result<Option<NodeId>, Fail> {
        match self.args.len().checked_sub(index) {
            Some(0) => Ok(None),
            Some(2) if !self.plain && is(self.word(index)?, "NODE") => {
                self.node_hint(self.word(index + 1)?)
            }
            _ => Err(Fail::Arity),
        }
    }

    /// The node that a `NODE` hint names, or nothing where hints do not count.
    ///
    /// A script may go to replicas as its text, and then it must do there what it did here: a
    /// node that one machine has and the other has not must not end it. So an unknown node is
    /// an error to a client and no hint to a script, and only a word that is no number at all,
    /// which it is everywhere, is an error to both.
    pub(crate) fn node_hint(&self, word: &[u8]) -> Result<Option<NodeId>, Fail> {
        let flags = self.ctx.flags();
        if flags.loading() || flags.by_master() || (flags.script() && flags.replica()) {
            return Ok(None);
        }
        match self.node(word) {
            Err(_) if flags.script() && number::parse_integer(word).is_some() => Ok(None),
            found => found.map(Some),
        }
    }
}
