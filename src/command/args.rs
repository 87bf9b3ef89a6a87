//! Words into numbers, nodes and options.

use super::{Call, Fail};
use crate::ids::NodeId;
use crate::value::number;

/// A whole number as the stock commands read one.
pub(crate) fn integer(word: &[u8]) -> Result<i64, Fail> {
    number::parse_integer(word).ok_or(Fail::NotInteger)
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
            Some(2) if is(self.word(index)?, "NODE") => self.node_hint(self.word(index + 1)?),
            Some(2) => Err(Fail::Syntax),
            _ => Err(Fail::Arity),
        }
    }

    /// The node that a `NODE` hint names, or nothing where hints do not count.
    pub(crate) fn node_hint(&self, word: &[u8]) -> Result<Option<NodeId>, Fail> {
        let flags = self.ctx.flags();
        // A script may come from the master whole; its commands do not say from where.
        let by_master = flags.by_master() || (flags.replica() && flags.scripted());
        if flags.loading() || by_master {
            return Ok(None);
        }
        self.node(word).map(Some)
    }
}
