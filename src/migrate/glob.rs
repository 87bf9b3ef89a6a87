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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn examples() {
        let yes: [(&str, &str); 31] = [
            ("*", "a"),
            ("**", "abc"),
            ("h?llo", "hello"),
            ("h*llo", "hllo"),
            ("h*llo", "heeeello"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hbllo"),
            ("h[a-b]llo", "hbllo"),
            ("h[b-a]llo", "hallo"),
            ("user:*:name", "user:17:name"),
            ("*a*b*", "xxaxxbxx"),
            ("a*", "a"),
            ("a**", "a"),
            ("*a", "aaa"),
            ("\\*", "*"),
            ("\\", "\\"),
            ("a\\", "a\\"),
            ("[a", "a"),
            ("[^", "x"),
            ("[^]", "x"),
            ("[a-]", "]"),
            ("[a-]", "a"),
            ("[\\]]", "]"),
            ("[a\\-z]", "-"),
            ("[-a]", "-"),
            ("[ab-]", "a"),
            ("]", "]"),
            ("-", "-"),
            ("a-c", "a-c"),
            ("[*]", "*"),
            ("", ""),
        ];
        for (pattern, string) in yes {
            assert!(
                matches(pattern.as_bytes(), string.as_bytes()),
                "{pattern} {string}"
            );
        }
        let no = [
            ("", "a"),
            ("*", ""),
            ("a", ""),
            ("h?llo", "hllo"),
            ("h[ae]llo", "hillo"),
            ("h[^e]llo", "hello"),
            ("HELLO", "hello"),
            ("*a", "ab"),
            ("a*b", "abc"),
            ("\\*", "a"),
            ("[]", "]"),
            ("[]a]", "a"),
            ("[", "["),
            ("[", "a"),
            ("a?", "a"),
            ("*?", ""),
            ("[a\\-z]", "b"),
        ];
        for (pattern, string) in no {
            assert!(
                !matches(pattern.as_bytes(), string.as_bytes()),
                "{pattern} {string}"
            );
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = b"*a".repeat(200);
        let string = b"a".repeat(100_000);
        assert!(matches(&pattern, &string));
        let mut pattern = b"*a".repeat(50);
        pattern.push(b'b');
        assert!(!matches(&pattern, &b"a".repeat(10_000)));
    }

    /// The loop's part for `[`: whether it found the byte, whether that is negated, and where it
    /// stopped.
    fn stock_class(whole: &[u8], byte: u8) -> (bool, bool, usize) {
        let at = |p: &[u8], i: usize| p.get(i).copied().unwrap_or(0);
        // Position and length apart, as in C: the length may be put back by one.
        let mut i = 1;
        let not = at(whole, i) == b'^';
        i += usize::from(not);
        let mut found = false;
        loop {
            let left = whole.len() - i;
            if at(whole, i) == b'\\' && left >= 2 {
                i += 1;
                found |= whole[i] == byte;
            } else if left > 0 && whole[i] == b']' {
                break;
            } else if left == 0 {
                i -= 1;
                break;
            } else if left >= 3 && whole[i + 1] == b'-' {
                let (mut start, mut end) = (whole[i] as c_char, whole[i + 2] as c_char);
                if start > end {
                    std::mem::swap(&mut start, &mut end);
                }
                i += 2;
                let c = byte as c_char;
                found |= c >= start && c <= end;
            } else {
                found |= whole[i] == byte;
            }
            i += 1;
        }
        (found, not, i)
    }

    /// Redis's loop as it stands, with its recursion at the star; an index past the end of the
    /// pattern reads the zero byte that ends a string of the server.
    fn stock(mut p: &[u8], mut s: &[u8], skip: &mut bool) -> bool {
        let at = |p: &[u8], i: usize| p.get(i).copied().unwrap_or(0);
        while !p.is_empty() && !s.is_empty() {
            match p[0] {
                b'*' => {
                    while at(p, 1) == b'*' {
                        p = &p[1..];
                    }
                    if p.len() == 1 {
                        return true;
                    }
                    while !s.is_empty() {
                        if stock(&p[1..], s, skip) {
                            return true;
                        }
                        if *skip {
                            return false;
                        }
                        s = &s[1..];
                    }
                    *skip = true;
                    return false;
                }
                b'?' => s = &s[1..],
                b'[' => {
                    let (found, not, i) = stock_class(p, s[0]);
                    let whole = p;
                    if found == not {
                        return false;
                    }
                    s = &s[1..];
                    p = &whole[i..];
                }
                first => {
                    let mut literal = first;
                    if first == b'\\' && p.len() >= 2 {
                        p = &p[1..];
                        literal = p[0];
                    }
                    if literal != s[0] {
                        return false;
                    }
                    s = &s[1..];
                }
            }
            p = &p[1..];
            if s.is_empty() {
                while at(p, 0) == b'*' {
                    p = &p[1..];
                }
                break;
            }
        }
        p.is_empty() && s.is_empty()
    }

    /// Strings shorter than `len` over that alphabet.
    fn corners(alphabet: &[u8], len: usize) -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop::sample::select(alphabet.to_vec()), 0..len)
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 4096,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// Byte for byte what the server's own matcher says, over an alphabet of corners.
        #[test]
        fn agrees_with_the_server(
            pattern in corners(b"ab-]^[*?\\\x80\xff", 9),
            string in corners(b"ab-]^[*\\\x80\xff", 7),
        ) {
            let expected = stock(&pattern, &string, &mut false);
            prop_assert_eq!(matches(&pattern, &string), expected);
        }
    }
}
