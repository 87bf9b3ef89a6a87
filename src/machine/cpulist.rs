//! Lists of numbers as the kernel and Redis write them: `0-3,8`, and with a stride `0-20:2`.

/// More numbers than any machine has CPUs: a list cannot be made to fill memory.
const NUMBERS_MAX: usize = 1 << 16;

/// The numbers of a list, sorted, each once. An empty list has none.
///
/// # Errors
/// Names the part of the list that is no number or range.
pub fn parse_list(text: &str) -> Result<Vec<usize>, String> {
    let mut numbers = Vec::new();
    for part in text.trim().split(',').map(str::trim) {
        if part.is_empty() {
            continue;
        }
        let numbers_of_part = parse_part(part).ok_or_else(|| format!("bad range '{part}'"))?;
        numbers.extend(numbers_of_part);
        if numbers.len() > NUMBERS_MAX {
            return Err(format!("more than {NUMBERS_MAX} numbers"));
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

/// `4`, `0-3` or `0-20:2`.
fn parse_part(part: &str) -> Option<impl Iterator<Item = usize>> {
    let (range, stride) = part.split_once(':').unwrap_or((part, "1"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    let stride = stride.parse().ok().filter(|&stride| stride > 0)?;
    let sound = first <= last && last - first < NUMBERS_MAX;
    sound.then(|| (first..=last).step_by(stride))
}

/// The shortest list of sorted numbers: `0-2,7`.
#[must_use]
pub fn format_list(numbers: &[usize]) -> String {
    let runs = numbers.chunk_by(|a, b| a + 1 == *b);
    let runs = runs.filter_map(|run| match (run.first()?, run.last()?) {
        (first, last) if first == last => Some(first.to_string()),
        (first, last) => Some(format!("{first}-{last}")),
    });
    runs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_kernels_and_redis_forms_are_read() {
        assert_eq!(parse_list("0-3,8\n").unwrap(), [0, 1, 2, 3, 8]);
        assert_eq!(parse_list("1-7:3").unwrap(), [1, 4, 7]);
        assert_eq!(parse_list("5, 5,2").unwrap(), [2, 5]);
        assert!(parse_list("\n").unwrap().is_empty());
    }

    #[test]
    fn nonsense_is_named() {
        for text in ["x", "3-1", "1-", "-1", "0-4:0", "0-99999999999", "0:x"] {
            let error = parse_list(text).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
        assert!(parse_list("0-60000,0-60000").is_err(), "too many");
    }

    proptest! {
        #[test]
        fn what_is_formatted_reads_back(mut numbers in prop::collection::vec(0_usize..200, 0..40)) {
            numbers.sort_unstable();
            numbers.dedup();
            prop_assert_eq!(parse_list(&format_list(&numbers)).unwrap(), numbers);
        }
    }
}
