//! Scores in text: read as the C library of the server reads them, written as it writes them.
//!
//! Rust reads decimal numbers just as well, but stock also takes `0x1p3`, and a bound of a range
//! may be empty or begin with spaces. The same function of the same library leaves no difference.

use std::ffi::{c_char, CStr};

/// What `%.17g` writes at most: a sign, 17 digits, a point, an exponent of three digits.
const TEXT_MAX: usize = 32;

/// The number at the start of `text`, how many bytes it has, and whether it is out of range.
fn scan(text: &[u8]) -> (f64, usize, bool) {
    let mut copy = text.to_vec();
    copy.push(0);
    let start: *const c_char = copy.as_ptr().cast();
    let mut end: *mut c_char = std::ptr::null_mut();
    // SAFETY: the function only answers where this thread's error number lies.
    let error = unsafe { libc::__errno_location() };
    // SAFETY: the address is good while the thread lives, and nobody else has it.
    let error = unsafe { &mut *error };
    *error = 0;
    // SAFETY: the text ends with a NUL byte; the function writes one pointer into it.
    let number = unsafe { libc::strtod(start, &mut end) };
    let out_of_range = *error == libc::ERANGE && (number.is_infinite() || number == 0.0);
    (number, end.addr() - start.addr(), out_of_range)
}

/// The number that this is the text of, as the arguments of commands are read: nothing before it,
/// nothing after it, no NaN.
#[must_use]
pub fn parse(text: &[u8]) -> Option<f64> {
    let starts_well = text
        .first()
        .is_some_and(|first| !matches!(first, b' ' | b'\t'..=b'\r'));
    let (number, len, out_of_range) = scan(text);
    let good = starts_well && len == text.len() && !out_of_range && !number.is_nan();
    good.then_some(number)
}

/// The same as the bounds of a range are read: up to the first NUL byte, spaces before it or
/// nothing at all, which is zero.
#[must_use]
pub fn parse_bound(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or(text);
    let (number, len, _) = scan(text);
    (len == text.len() && !number.is_nan()).then_some(number)
}

/// The text of a score: `%.17g`, from which the same number is read back.
#[must_use]
pub fn show(number: f64) -> Vec<u8> {
    let mut text = [0_u8; TEXT_MAX];
    let format: &CStr = c"%.17g";
    // SAFETY: the format takes one double; no more than the length of `text` is written.
    let len =
        unsafe { libc::snprintf(text.as_mut_ptr().cast(), TEXT_MAX, format.as_ptr(), number) };
    let len = usize::try_from(len).unwrap_or(0);
    text.get(..len).unwrap_or(&[]).to_vec()
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_as_stock_reads_them() {
        for (text, number) in [
            ("1", 1.0),
            ("-1.5e3", -1500.0),
            ("+3", 3.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("0x10", 16.0),
            ("inf", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
            ("infinity", f64::INFINITY),
            ("4.9e-324", 4.9e-324),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(number), "{text}");
            assert_eq!(parse_bound(text.as_bytes()), Some(number), "{text}");
        }
        for text in [
            "", " 1", "1 ", "nan", "1e400", "-1e400", "1e-400", "abc", "1\0", "--1",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        for (text, number) in [
            ("", 0.0),
            ("  1", 1.0),
            ("1\0x", 1.0),
            ("1e400", f64::INFINITY),
        ] {
            assert_eq!(parse_bound(text.as_bytes()), Some(number), "{text}");
        }
        for text in ["1 ", "nan", "abc", "(1", "-"] {
            assert_eq!(parse_bound(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn scores_as_stock_writes_them() {
        for (number, text) in [
            (0.1, "0.10000000000000001"),
            (3.0, "3"),
            (-0.0, "-0"),
            (1e17, "1e+17"),
            (12345678901234567.0, "12345678901234568"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (-1.7976931348623157e308, "-1.7976931348623157e+308"),
            (4.9e-324, "4.9406564584124654e-324"),
        ] {
            assert_eq!(show(number), text.as_bytes());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn every_score_is_read_back(number in any::<f64>()) {
            prop_assert_eq!(parse(&show(number)).map(f64::to_bits), Some(number.to_bits()));
        }
    }
}
