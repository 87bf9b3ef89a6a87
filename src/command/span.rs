//! Parts of a sequence as clients name them: from a first to a last index, both included, negative
//! ones counted from the end.

use std::ops::Range;

/// The numbers from `start` to `end` of `len`; an end that reaches out is cut, a range that lies
/// outside or goes backwards is empty.
pub(crate) fn span(len: u64, start: i64, end: i64) -> Range<u64> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let from_end = |at: i64| if at < 0 { at.saturating_add(len) } else { at };
    let (start, end) = (from_end(start).max(0), from_end(end).min(len - 1));
    if start > end {
        return 0..0;
    }
    start.unsigned_abs()..end.unsigned_abs() + 1
}

/// The number of the one index, if it is in there.
pub(crate) fn number(len: u64, index: i64) -> Option<u64> {
    let range = span(len, index, index);
    (!range.is_empty())
        .then_some(range.start)
        .filter(|_| index >= 0 || index.unsigned_abs() <= len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_as_stock_cuts() {
        for (len, start, end, wanted) in [
            (5, 0, -1, 0..5),
            (5, 1, 2, 1..3),
            (5, -2, -1, 3..5),
            (5, -100, 1, 0..2),
            (5, 3, 100, 3..5),
            (5, 3, 2, 0..0),
            (5, 5, 9, 0..0),
            (5, 0, -6, 0..0),
            (0, 0, -1, 0..0),
            (5, i64::MIN, i64::MAX, 0..5),
        ] {
            assert_eq!(span(len, start, end), wanted, "{len} {start} {end}");
        }
    }

    #[test]
    fn an_index_is_there_or_not() {
        let all = [
            (5, 0, Some(0)),
            (5, -1, Some(4)),
            (5, 4, Some(4)),
            (5, -5, Some(0)),
        ];
        let none = [(5, 5, None), (5, -6, None), (0, 0, None), (0, -1, None)];
        for (len, index, wanted) in all.into_iter().chain(none) {
            assert_eq!(number(len, index), wanted, "{len} {index}");
        }
    }
}
