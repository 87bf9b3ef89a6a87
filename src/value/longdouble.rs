//! Sums of floats as text, digit for digit what stock Redis answers.
//!
//! The server computes INCRBYFLOAT in C's `long double` and prints 17 digits: `0.1 + 0.2` is
//! `0.3` there, where `f64` would say `0.30000000000000004`. The work is done in `longdouble.c`;
//! this file is its one safe door.

use std::ffi::{c_char, c_int};

/// Room for any finite sum: 4,933 digits, a point, 17 digits, a sign.
const SUM_MAX: usize = 5 * 1024;

/// Why two texts have no sum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FloatError {
    /// The stored value is not a float.
    Value,
    /// The increment is not a float.
    Increment,
    /// The sum would be infinite, or none.
    NotFinite,
}

extern "C" {
    fn redis_numa_add_floats(
        value: *const c_char,
        value_len: usize,
        increment: *const c_char,
        increment_len: usize,
        sum: *mut c_char,
        room: usize,
    ) -> c_int;
}

/// The sum as INCRBYFLOAT writes it: no exponent, no zeros at the end.
///
/// # Errors
/// [`FloatError`] as stock Redis tells them apart; the value is looked at before the increment.
pub fn add_floats(value: &[u8], increment: &[u8]) -> Result<Vec<u8>, FloatError> {
    let mut sum = [0_u8; SUM_MAX];
    // SAFETY: both texts are valid for reading over their lengths, `sum` for writing over its
    // own, and the function keeps none of the three.
    let answer = unsafe {
        redis_numa_add_floats(
            value.as_ptr().cast(),
            value.len(),
            increment.as_ptr().cast(),
            increment.len(),
            sum.as_mut_ptr().cast(),
            sum.len(),
        )
    };
    match answer {
        -1 => Err(FloatError::Value),
        -2 => Err(FloatError::Increment),
        len => {
            let text = usize::try_from(len).ok().and_then(|len| sum.get(..len));
            text.map(<[u8]>::to_vec).ok_or(FloatError::NotFinite)
        }
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use super::*;

    fn sum(value: &str, increment: &str) -> Result<String, FloatError> {
        add_floats(value.as_bytes(), increment.as_bytes())
            .map(|text| String::from_utf8(text).unwrap())
    }

    /// What a stock Redis 6.2.14 on x86-64 answered to `SET k value`, `INCRBYFLOAT k increment`.
    #[test]
    fn sums_are_those_of_stock() {
        let table = [
            ("0.1", "0.2", "0.3"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("3", "1.1", "4.1"),
            ("1", "-1.1", "-0.1"),
            ("-0.0", "0", "0"),
            ("-1", "1", "0"),
            ("17179869184", "1.5", "17179869185.5"),
            ("0x10", "1", "17"),
            ("1e-20", "0", "0"),
            ("-0.000000000000000004", "0", "0"),
            ("1", "1e-18", "1"),
            ("9007199254740993", "0.5", "9007199254740993.5"),
            ("+5", "1", "6"),
            (".5", ".25", "0.75"),
            ("5.", "1", "6"),
            ("1.1e1", "0", "11"),
            ("99999999999999999.9", "0.1", "100000000000000000"),
        ];
        for (value, increment, answer) in table {
            assert_eq!(
                sum(value, increment).as_deref(),
                Ok(answer),
                "{value} + {increment}"
            );
        }
    }

    /// The digits that only the 80-bit format gives.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn sums_have_the_precision_of_the_x87() {
        let table = [
            ("3.0e-4950", "1", "1"),
            ("3.141592653589793238", "0", "3.14159265358979324"),
            ("100", "-0.00000000000000001", "99.99999999999999999"),
            (
                "123456789012345678901234567890",
                "0.1",
                "123456789012345678899921813504",
            ),
        ];
        for (value, increment, answer) in table {
            assert_eq!(
                sum(value, increment).as_deref(),
                Ok(answer),
                "{value} + {increment}"
            );
        }
        let large = sum("1e300", "1e-5").unwrap();
        assert!(large.starts_with("1000000000000000000008997324079559193870523944"));
        assert_eq!(large.len(), 301);
        assert_eq!(sum("1e4932", "0").unwrap().len(), 4933);
        assert_eq!(sum("1e-4951", "0"), Err(FloatError::Value));
        assert_eq!(sum("1e5000", "0"), Err(FloatError::Value));
    }

    #[test]
    fn what_is_no_float_is_told_apart() {
        for text in [
            "", " 1", "1 ", "abc", "nan", "1e", "1,5", "1\0", "0x", "--1", "\n1",
        ] {
            assert_eq!(sum(text, "1"), Err(FloatError::Value), "{text:?}");
            assert_eq!(sum("1", text), Err(FloatError::Increment), "{text:?}");
        }
        assert_eq!(sum("abc", "abc"), Err(FloatError::Value));
        let long = "1".repeat(SUM_MAX);
        assert_eq!(sum(&long, "1"), Err(FloatError::Value));
    }

    #[test]
    fn sums_that_are_not_finite() {
        for (value, increment) in [
            ("inf", "1"),
            ("inf", "-inf"),
            ("1", "inf"),
            ("infinity", "0"),
        ] {
            assert_eq!(sum(value, increment), Err(FloatError::NotFinite));
        }
        #[cfg(target_arch = "x86_64")]
        assert_eq!(sum("1e4932", "1e4932"), Err(FloatError::NotFinite));
    }
}
