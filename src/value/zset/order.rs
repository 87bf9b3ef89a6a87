//! The order of a sorted set, and places in it.
//!
//! Elements are ordered by score, those of one score by the bytes of their members. A [`Bound`] is
//! a place between two elements: everything before it comes first, so a rank is how many elements
//! lie before a bound. `-0` and `0` are one score. There is no NaN: commands refuse it.

use std::cmp::Ordering;

/// A place between two elements.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Bound<'b> {
    /// Before every element of that score or more.
    Below(f64),
    /// Behind every element of that score or less.
    Above(f64),
    /// Before the element of that score and member, or where it would be.
    Before(f64, &'b [u8]),
    /// Before that member, whatever the scores: for sets whose elements have all one score.
    BelowMember(&'b [u8]),
    /// Behind that member, whatever the scores.
    AboveMember(&'b [u8]),
}

pub(super) fn compare(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

impl Bound<'_> {
    /// Whether an element lies before the bound. `member` is asked only where the score does not
    /// decide.
    #[inline]
    pub(super) fn is_behind<'m>(&self, score: f64, member: impl FnOnce() -> &'m [u8]) -> bool {
        match *self {
            Self::Below(bound) => compare(score, bound).is_lt(),
            Self::Above(bound) => compare(score, bound).is_le(),
            Self::Before(bound, bound_member) => compare(score, bound)
                .then_with(|| member().cmp(bound_member))
                .is_lt(),
            Self::BelowMember(bound) => member() < bound,
            Self::AboveMember(bound) => member() <= bound,
        }
    }
}
