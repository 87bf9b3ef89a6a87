//! Redis's glob, to the letter: what KEYS and SCAN MATCH take, PATTERN takes.
//!
//! `*` any bytes, `?` any one byte, `[ab]` `[a-z]` `[^a]` one byte of a set, `\` the next byte as
//! it is. The corners are those of Redis's `stringmatchlen`:
//!
//! * a range may be written backwards (`[z-a]`), a set may lack its `]` at the end of the pattern,
//!   and `-` counts itself where no range can end; an empty set matches nothing, `[^]` anything,
//! * a lone `\` at the end of the pattern means itself,
//! * an empty string is matched by the empty pattern alone: not even by `*` (the loop that reads
//!   the pattern never starts). No key of a walk has to care, but whoever compares byte for byte
//!   does.
//!
//! Redis recurses at each star. Here the last star is remembered instead: when the rest fails,
//! that star takes one byte more. Earlier stars need no second try, since a longer match of theirs
//! would leave the later part a shorter string to be found in. Patterns of many stars take
//! `pattern * string` steps at most, and no stack.

use std::ffi::c_char;

/// Whether the whole of `string` matches `pattern`, upper and lower case apart.
#[must_use]
pub fn matches(pattern: &[u8], string: &[u8]) -> bool {
    if string.is_empty() {
        return pattern.is_empty();
    }
    let (mut pattern, mut string) = (pattern, string);
    // The pattern behind the last star, and the string where that star would end one byte later.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some((b'*', rest)) = pattern.split_first() {
            pattern = rest;
            retry = string.split_first().map(|(_, later)| (rest, later));
            continue;
        }
        match step(pattern, string) {
            Step::End => return true,
            Step::Next(rest_pattern, rest_string) => {
                pattern = rest_pattern;
                string = rest_string;
            }
            Step::Differs => {
                let Some((again, later)) = retry else {
                    return false;
                };
                retry = later.split_first().map(|(_, later)| (again, later));
                pattern = again;
                string = later;
            }
        }
    }
}

/// What one step through pattern and string found.
enum Step<'p, 's> {
    /// Both ended.
    End,
    /// One byte matched; what is left.
    Next(&'p [u8], &'s [u8]),
    /// They differ here.
    Differs,
}

/// Matches one byte of `string` with the first piece of `pattern`, which is no star.
fn step<'p, 's>(pattern: &'p [u8], string: &'s [u8]) -> Step<'p, 's> {
    let (Some((&first, rest)), Some((&byte, later))) =
        (pattern.split_first(), string.split_first())
    else {
        return if pattern.is_empty() && string.is_empty() {
            Step::End
        } else {
            Step::Differs
        };
    };
    let (fits, rest) = match (first, rest.split_first()) {
        (b'?', _) => (true, rest),
        (b'[', _) => in_set(rest, byte),
        (b'\\', Some((&literal, rest))) => (literal == byte, rest),
        _ => (first == byte, rest),
    };
    if fits {
        Step::Next(rest, later)
    } else {
        Step::Differs
    }
}

/// Whether the set that `pattern` goes on with (behind its `[`) holds `byte`, and the pattern
/// behind the set.
fn in_set(pattern: &[u8], byte: u8) -> (bool, &[u8]) {
    let (inverted, mut pattern) = match pattern.split_first() {
        Some((b'^', rest)) => (true, rest),
        _ => (false, pattern),
    };
    let mut found = false;
    loop {
        pattern = match pattern {
            [] => break,
            [b'\\', literal, rest @ ..] => {
                found |= *literal == byte;
                rest
            }
            [b']', rest @ ..] => {
                pattern = rest;
                break;
            }
            [start, b'-', end, rest @ ..] => {
                found |= in_range(*start, *end, byte);
                rest
            }
            [member, rest @ ..] => {
                found |= *member == byte;
                rest
            }
        };
    }
    (found != inverted, pattern)
}

/// Whether `byte` lies between two others, in either order. The server compares C's `char`, whose
/// sign is the machine's choice: a range across 0x80 means another set of bytes on ARM.
fn in_range(one: u8, other: u8, byte: u8) -> bool {
    let (one, other) = (one as c_char, other as c_char);
    (one.min(other)..=one.max(other)).contains(&(byte as c_char))
}
