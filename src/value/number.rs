//! Integers in text, as strictly as stock Redis reads them.
//!
//! A value counts as an integer only when it is the one text that the integer itself would be
//! written as: no spaces, no plus, no zeros in front, no "-0". INCR on anything else is an error
//! there, so it is one here; Rust's own `parse` takes `+1` and `007`.

/// The longest text an `i64` has: a sign and 19 digits.
const TEXT_MAX: usize = 20;

/// The integer that this is the text of.
#[must_use]
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    if text.len() > TEXT_MAX {
        return None;
    }
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_canonical = match digits {
        [b'0'] => text.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !is_canonical {
        return None;
    }
    // Only digits and one sign are left: all that can fail now is the range.
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The text of an integer, made without taking memory.
#[derive(Clone, Copy, Debug)]
pub struct Digits {
    bytes: [u8; TEXT_MAX],
    start: usize,
}

impl Digits {
    /// The text of that integer.
    #[must_use]
    #[inline]
    pub fn of(number: i64) -> Self {
        let (mut bytes, mut start) = ([0; TEXT_MAX], TEXT_MAX);
        let mut left = number.unsigned_abs();
        for byte in bytes.iter_mut().rev() {
            *byte = b'0' + (left % 10) as u8;
            (left, start) = (left / 10, start - 1);
            if left == 0 {
                break;
            }
        }
        if number < 0 {
            start -= 1;
            if let Some(sign) = bytes.get_mut(start) {
                *sign = b'-';
            }
        }
        Self { bytes, start }
    }

    /// Its bytes.
    #[must_use]
    #[inline]
    pub fn text(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn digits_are_those_that_everyone_writes(number: i64, shift in 0_u32..64) {
            let number = number >> shift;
            let digits = Digits::of(number);
            let wanted = number.to_string();
            prop_assert_eq!(digits.text(), wanted.as_bytes());
        }
    }

    #[test]
    fn the_ends_have_digits_too() {
        for number in [0, -1, 9, 10, i64::MIN, i64::MAX] {
            assert_eq!(Digits::of(number).text(), number.to_string().as_bytes());
        }
    }

    #[test]
    fn integers_as_stock_reads_them() {
        let good: [(&str, i64); 7] = [
            ("0", 0),
            ("-1", -1),
            ("10", 10),
            ("99999999999999999", 99_999_999_999_999_999),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("-9223372036854775807", -i64::MAX),
        ];
        for (text, number) in good {
            assert_eq!(parse_integer(text.as_bytes()), Some(number), "{text}");
        }
        let bad = [
            "",
            "-",
            "+1",
            "01",
            "-0",
            "00",
            "-01",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "0x1",
            "--1",
            "1-",
            "abc",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
            "99999999999999999999",
            "000000000000000000000000000000",
        ];
        for text in bad {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_integer(b"1\0"), None);
        assert_eq!(parse_integer(b"\xff"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn every_integer_is_read_back(number in any::<i64>()) {
            prop_assert_eq!(parse_integer(number.to_string().as_bytes()), Some(number));
        }

        #[test]
        fn what_is_read_is_its_own_text(text in "[-+ 0-9]{0,21}") {
            if let Some(number) = parse_integer(text.as_bytes()) {
                prop_assert_eq!(number.to_string(), text);
            }
        }
    }
}
