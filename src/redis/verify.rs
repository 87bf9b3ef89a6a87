//! Where the pool's OS pages really lie: a slow walk that asks the kernel, a few pages a tick.
//!
//! The pool believes that a mapping lies on the node it was bound to; a full node spills. Each
//! whole walk yields, by node, the bytes that the kernel says lie there, and how many lie
//! elsewhere than believed (`numa_drift_bytes`). Pages never touched lie nowhere.
//!
//! The walk goes up the addresses and asks the pool at each step which mapping comes next: of the
//! mappings that a walk began with, some are gone before it reaches them, and where one lay there
//! may now be one of another node. Rejected: a list made when the walk begins, which did bring OS
//! pages of the new mapping to the node of the old one.
//!
//! What the kernel has spilled it brings back when it is asked, once the node has room again: the
//! walk asks for a few OS pages each time it meets some, which takes some tens of microseconds.
//! Invariant: OS pages asked back in one step <= [`BRING_PAGES`].

use super::server::Server;
use crate::ids::{Bytes, NodeId};
use crate::machine::{os_page, Residency};
use std::collections::BTreeMap;

/// OS pages brought back in one step, at most.
const BRING_PAGES: usize = 8;
/// Room that a node must have before anything is brought back to it: what spills again at once
/// would go to and fro.
const BRING_ROOM: Bytes = Bytes::mib(64);

/// What the walk has counted.
#[derive(Clone, Default)]
pub(crate) struct Count {
    by_node: BTreeMap<NodeId, Bytes>,
    drift: Bytes,
}

/// The part of a mapping that lies ahead of the walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Span {
    node: NodeId,
    start: usize,
    end: usize,
}

impl Span {
    /// What of the mapping lies at `from` or behind; nothing where all of it lies before.
    fn of(node: NodeId, start: usize, len: usize, from: usize) -> Option<Self> {
        let (start, end) = (start.max(from), start.saturating_add(len));
        (start < end).then_some(Self { node, start, end })
    }
}

/// A walk under way, and the last whole one.
#[derive(Default)]
pub(crate) struct Verifier {
    /// Addresses below have been asked about.
    reached: usize,
    under_way: Count,
    whole: Count,
    returned: Bytes,
}

impl Verifier {
    /// Bytes that the kernel says lie on `node`.
    pub(crate) fn bytes_on(&self, node: NodeId) -> Bytes {
        self.whole.by_node.get(&node).copied().unwrap_or_default()
    }

    /// Bytes that lie on another node than believed.
    pub(crate) fn drift(&self) -> Bytes {
        self.whole.drift
    }

    /// Bytes that were brought back to their node so far.
    pub(crate) fn returned(&self) -> Bytes {
        self.returned
    }

    /// Asks about the next OS pages, at most `pages_max`.
    pub(crate) fn step(&mut self, server: &Server, pages_max: usize) {
        let Some(span) = self.next_span(server) else {
            self.whole = std::mem::take(&mut self.under_way);
            self.reached = 0;
            return;
        };
        let page = os_page().as_usize();
        let pages: Vec<usize> = (span.start..span.end)
            .step_by(page)
            .take(pages_max)
            .collect();
        self.ask(server, span.node, &pages);
        self.reached = span.start + pages.len() * page;
    }

    /// The mapping that the walk meets next, as the pool has it now.
    fn next_span(&self, server: &Server) -> Option<Span> {
        let mut next: Option<Span> = None;
        server.pool.mappings(None, &mut |node, start, len| {
            let ahead = Span::of(node, start, len, self.reached);
            let nearer = |span: &Span| next.is_none_or(|next| span.start < next.start);
            next = ahead.filter(nearer).or(next);
        });
        next
    }

    fn ask(&mut self, server: &Server, believed: NodeId, pages: &[usize]) {
        let mut answers = vec![Residency::Unknown; pages.len()];
        server.machine.residency(pages, &mut answers);
        let mut spilled = Vec::new();
        for (page, answer) in pages.iter().zip(answers) {
            if let Residency::On(node) = answer {
                *self.under_way.by_node.entry(node).or_default() += os_page();
                if node != believed {
                    self.under_way.drift += os_page();
                    spilled.push(*page);
                }
            }
        }
        spilled.truncate(BRING_PAGES);
        if !spilled.is_empty() && server.has_room(believed, BRING_ROOM) {
            self.bring(server, believed, &spilled);
        }
    }

    fn bring(&mut self, server: &Server, believed: NodeId, spilled: &[usize]) {
        server.machine.bring(spilled, believed);
        let mut answers = vec![Residency::Unknown; spilled.len()];
        server.machine.residency(spilled, &mut answers);
        let back = |answer: &&Residency| **answer == Residency::On(believed);
        self.returned += Bytes(os_page().0 * answers.iter().filter(back).count() as u64);
    }
}

/// OS pages, and blocks, that one question about a value asks about.
pub(crate) const ASKED_PAGES: usize = 1024;

/// The OS pages that a piece of memory touches.
pub(crate) fn pages(start: usize, len: usize) -> Vec<usize> {
    let page = os_page().as_usize();
    (start - start % page..start + len).step_by(page).collect()
}

/// What of some pieces of memory the kernel was asked about, and what it answered.
#[derive(Default)]
pub(crate) struct Physical {
    /// Bytes by the node that they lie on.
    pub(crate) by_node: BTreeMap<NodeId, Bytes>,
    /// Bytes that were asked about.
    pub(crate) asked: Bytes,
}

impl Server {
    /// Where those pieces of memory lie. Of more than [`ASKED_PAGES`] OS pages about so many are
    /// asked about, evenly spread: the kernel takes most of a microsecond for each.
    pub(crate) fn physical(&self, spans: &[(usize, usize)]) -> Physical {
        let page = os_page().as_usize();
        let count: usize = spans.iter().map(|(_, len)| len.div_ceil(page)).sum();
        let mut every = (0..count.div_ceil(ASKED_PAGES).max(1)).cycle();
        let (mut asked, mut sizes) = (Vec::new(), Vec::new());
        for (start, len) in spans.iter().copied() {
            for at in pages(start, len) {
                if every.next() == Some(0) {
                    asked.push(at);
                    sizes.push((at + page).min(start + len) - at.max(start));
                }
            }
        }
        let mut answers = vec![Residency::Unknown; asked.len()];
        self.machine.residency(&asked, &mut answers);
        let mut found = Physical::default();
        for (size, answer) in sizes.into_iter().map(Bytes::from).zip(answers) {
            found.asked += size;
            if let Residency::On(node) = answer {
                *found.by_node.entry(node).or_default() += size;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_mapping_only_what_lies_ahead_is_asked_about() {
        let ahead = |from| Span::of(NodeId::FIRST, 0x4000, 0x3000, from).map(|s| (s.start, s.end));
        assert_eq!(ahead(0), Some((0x4000, 0x7000)));
        assert_eq!(ahead(0x5000), Some((0x5000, 0x7000)));
        assert_eq!(ahead(0x7000), None);
    }
}
