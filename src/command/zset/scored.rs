//! Members with scores in a reply: flat in RESP2, in pairs in RESP3.

use super::super::Call;
use crate::redis::raw::Ctx;

/// How a reply shows its elements.
#[derive(Clone, Copy)]
pub(super) struct Scored<'c> {
    ctx: Ctx<'c>,
    with_scores: bool,
    /// Whether an element is an array of its own.
    paired: bool,
}

impl<'c> Call<'c> {
    /// The shape for this client.
    pub(super) fn scored(&self, with_scores: bool) -> Scored<'c> {
        Scored {
            ctx: self.ctx,
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
    pub(super) fn head(self, count: usize) {
        let flat = self.with_scores && !self.paired;
        self.ctx.reply_array(if flat { 2 * count } else { count });
    }

    /// One element.
    pub(super) fn element(self, member: &[u8], score: f64) {
        if self.paired {
            self.ctx.reply_array(2);
        }
        self.ctx.reply_bulk(member);
        if self.with_scores {
            self.ctx.reply_double(score);
        }
    }
}
