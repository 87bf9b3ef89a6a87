//! Members with scores in a reply: flat in RESP2, in pairs in RESP3.

use super::super::Call;
use crate::redis::raw::Replies;

/// How a reply shows its elements.
pub(super) struct Scored<'c> {
    replies: Replies<'c>,
    with_scores: bool,
    /// Whether an element is an array of its own.
    paired: bool,
}

impl<'c> Call<'c> {
    /// The shape for this client.
    pub(super) fn scored(&self, with_scores: bool) -> Scored<'c> {
        Scored {
            replies: self.ctx.replies(),
            with_scores,
            paired: with_scores && self.ctx.resp3(),
        }
    }
}

impl Scored<'_> {
    /// The shape of RESP2, for every client.
    pub(super) fn flat(self) -> Self {
        Self {
            paired: false,
            ..self
        }
    }

    /// The head for so many elements.
    pub(super) fn head(&mut self, count: usize) {
        let flat = self.with_scores && !self.paired;
        self.replies.array(if flat { 2 * count } else { count });
    }

    /// One element.
    pub(super) fn element(&mut self, member: &[u8], score: f64) {
        if self.paired {
            self.replies.array(2);
        }
        self.replies.bulk(member);
        if self.with_scores {
            self.replies.double(score);
        }
    }
}
