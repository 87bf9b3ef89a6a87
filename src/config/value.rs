//! Words into numbers and back. Strict on purpose: no sign, space, exponent or unit is guessed,
//! since a misread bound places data where nobody asked for it.

use crate::ids::Bytes;

/// A decimal integer with an optional `-`. One with too many digits comes out as the largest (or
/// smallest) integer, so that it is refused for its size and not for its form.
pub(super) fn integer(word: &str) -> Option<i128> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let magnitude: i128 = digits.parse().unwrap_or(i128::MAX);
    Some(if negative { -magnitude } else { magnitude })
}

/// An amount of memory as in redis.conf: `k` is 1000 and `kb` is 1024 bytes, and so on for `m`,
/// `mb`, `g`, `gb`; `b` or nothing is bytes. Too large an amount comes out as [`Bytes::MAX`].
pub(super) fn memory(word: &str) -> Option<Bytes> {
    let split = word
        .bytes()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(word.len());
    let (digits, unit) = word.split_at_checked(split)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1000 * 1000,
        "mb" => 1 << 20,
        "g" => 1000 * 1000 * 1000,
        "gb" => 1 << 30,
        _ => return None,
    };
    let amount = u64::try_from(integer(digits)?).unwrap_or(u64::MAX);
    Some(Bytes(amount.saturating_mul(factor)))
}

/// An amount in `gb` or `mb` where that is exact, else in bytes: what [`memory`] reads back.
pub(super) fn memory_text(amount: Bytes) -> String {
    let units = [("gb", 30), ("mb", 20)];
    let exact = |(_, shift): &&(&str, u32)| amount.0 != 0 && amount.0.trailing_zeros() >= *shift;
    match units.iter().find(exact) {
        Some((unit, shift)) => format!("{}{unit}", amount.0 >> shift),
        None => amount.to_string(),
    }
}

/// A boolean in any of the words that the interface takes.
pub(super) fn switch(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "yes" | "on" | "enabled" | "1" => Some(true),
        "no" | "off" | "disabled" | "0" => Some(false),
        _ => None,
    }
}

/// A plain decimal fraction such as `0.8`: no exponent, no sign, no `inf` or `nan`.
pub(super) fn fraction(word: &str) -> Option<f64> {
    let plain = word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if plain {
        word.parse().ok()
    } else {
        None
    }
}

/// A word of a stranger's, fit for a log line or an error reply: control characters (which the
/// protocol or the log would trip over) replaced, and cut to a bounded length.
pub(super) fn printable(word: &str) -> String {
    const CHARS_MAX: usize = 128;
    let tame = |c: char| if c.is_control() { '?' } else { c };
    word.chars().take(CHARS_MAX).map(tame).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_are_plain_decimals() {
        assert_eq!(integer("0"), Some(0));
        assert_eq!(integer("-17"), Some(-17));
        assert_eq!(integer(&"9".repeat(80)), Some(i128::MAX));
        for junk in [
            "", "-", "+1", " 1", "1 ", "1.0", "0x10", "1e3", "--1", "\u{663}",
        ] {
            assert_eq!(integer(junk), None, "{junk}");
        }
    }

    #[test]
    fn memory_units_are_those_of_redis_conf() {
        let cases = [
            ("7", 7),
            ("7b", 7),
            ("2k", 2000),
            ("2KB", 2048),
            ("3m", 3_000_000),
            ("3mb", 3 << 20),
            ("1g", 1_000_000_000),
            ("1Gb", 1 << 30),
        ];
        for (word, bytes) in cases {
            assert_eq!(memory(word), Some(Bytes(bytes)), "{word}");
        }
        assert_eq!(memory("99999999999999999999gb"), Some(Bytes::MAX));
        for junk in ["", "mb", "-1", "1.5gb", "1 mb", "1tb", "1kib", "1\u{b5}b"] {
            assert_eq!(memory(junk), None, "{junk}");
        }
    }

    #[test]
    fn booleans_take_every_word() {
        for word in ["yes", "ON", "Enabled", "1"] {
            assert_eq!(switch(word), Some(true));
        }
        for word in ["no", "Off", "DISABLED", "0"] {
            assert_eq!(switch(word), Some(false));
        }
        for junk in ["", "true", "y", "2", "yes "] {
            assert_eq!(switch(junk), None, "{junk}");
        }
    }

    #[test]
    fn fractions_are_plain() {
        assert_eq!(fraction("0.8"), Some(0.8));
        assert_eq!(fraction("1"), Some(1.0));
        for junk in ["", ".", "nan", "inf", "1e0", "-0.5", "+0.5", "0.5.5", "0,5"] {
            assert_eq!(fraction(junk), None, "{junk}");
        }
    }

    #[test]
    fn a_printed_word_cannot_break_a_line() {
        assert_eq!(printable("a\r\nb\0c\x7f"), "a??b?c?");
        assert_eq!(printable(&"x".repeat(1000)).len(), 128);
    }

    proptest! {
        #[test]
        fn memory_round_trips(amount: u64) {
            prop_assert_eq!(memory(&memory_text(Bytes(amount))), Some(Bytes(amount)));
        }

        #[test]
        fn junk_is_read_without_harm(word in any::<String>()) {
            let _ = (integer(&word), memory(&word), switch(&word), fraction(&word));
            prop_assert!(!printable(&word).chars().any(char::is_control));
        }
    }
}
