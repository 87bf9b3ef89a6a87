//! The directives file: its lines, read as redis.conf's are, and its bounded way in and out.
//!
//! The syntax is that of the stock server's `sdssplitargs`: words apart by blanks, `"` with
//! backslash escapes, `'` with `\'` only, a line that starts with `#` is a comment. The file is
//! hostile input: it may be binary, endless, or one line without an end, so its size and the
//! length of a line are bounded before anything is copied, and no error shows any of its content:
//! whoever may say NUMACONFIG LOAD could otherwise read the first line of any file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The largest directives file. Every parameter on every node takes a hundredth of it.
const FILE_BYTES_MAX: usize = 1 << 20;
/// The longest line, the longest simulated machine many times over.
const LINE_BYTES_MAX: usize = 1 << 14;

/// Splits a line into words. No words for a blank line or a comment.
///
/// # Errors
/// The reason, without any content of the line.
pub(super) fn words(line: &str) -> Result<Vec<String>, &'static str> {
    if line.len() > LINE_BYTES_MAX {
        return Err("the line is too long");
    }
    if line.contains('\0') {
        return Err("the line holds a NUL byte");
    }
    let line = line.trim_matches([' ', '\t', '\r', '\n']);
    if line.starts_with('#') {
        return Ok(Vec::new());
    }
    let mut rest = line.as_bytes();
    let mut words = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Ok(words);
        }
        let word = next_word(&mut rest)?;
        words.push(String::from_utf8(word).map_err(|_| "a word is not UTF-8")?);
    }
}

fn next_word(rest: &mut &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut word = Vec::new();
    loop {
        match *rest {
            [] => return Ok(word),
            [b, ..] if b.is_ascii_whitespace() => return Ok(word),
            [b'"', tail @ ..] => {
                *rest = double_quoted(tail, &mut word)?;
                return closed(rest, word);
            }
            [b'\'', tail @ ..] => {
                *rest = single_quoted(tail, &mut word)?;
                return closed(rest, word);
            }
            [b, tail @ ..] => {
                word.push(*b);
                *rest = tail;
            }
        }
    }
}

const UNBALANCED: &str = "unbalanced quotes";

/// A closing quote ends its word: a blank or the line's end must follow.
fn closed(rest: &[u8], word: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    match rest {
        [] => Ok(word),
        [b, ..] if b.is_ascii_whitespace() => Ok(word),
        _ => Err(UNBALANCED),
    }
}

/// Reads up to the closing `"` and returns what follows it.
fn double_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], &'static str> {
    loop {
        match rest {
            [] => return Err(UNBALANCED),
            [b'"', tail @ ..] => return Ok(tail),
            [b'\\', b'x', high, low, tail @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                word.push(hex_digit(*high) << 4 | hex_digit(*low));
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] => {
                word.push(unescaped(*escaped));
                rest = tail;
            }
            [b, tail @ ..] => {
                word.push(*b);
                rest = tail;
            }
        }
    }
}

/// Reads up to the closing `'` and returns what follows it.
fn single_quoted<'a>(mut rest: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], &'static str> {
    loop {
        match rest {
            [] => return Err(UNBALANCED),
            [b'\'', tail @ ..] => return Ok(tail),
            [b'\\', b'\'', tail @ ..] => {
                word.push(b'\'');
                rest = tail;
            }
            [b, tail @ ..] => {
                word.push(*b);
                rest = tail;
            }
        }
    }
}

const fn unescaped(letter: u8) -> u8 {
    match letter {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

const fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// Reads a directives file of bounded size. Anything but a regular file (a device, a FIFO that
/// nobody writes to) is refused without waiting for it.
///
/// # Errors
/// The path and the reason, never any content.
pub fn read_file(path: &Path) -> Result<String, String> {
    let refused = |reason: &str| format!("{}: {reason}", path.display());
    let failed = |error: io::Error| refused(&error.to_string());
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
    let file = options.open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(refused("not a regular file"));
    }
    let mut bytes = Vec::new();
    let mut bounded = file.take(FILE_BYTES_MAX as u64 + 1);
    bounded.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(refused(&format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error
            .as_bytes()
            .iter()
            .take(error.utf8_error().valid_up_to());
        let line = 1 + good.filter(|b| **b == b'\n').count();
        refused(&format!("line {line}: not UTF-8"))
    })
}

/// Replaces a directives file as a whole: whoever reads it, a crash included, sees the old text or
/// the new one. The file keeps its permissions.
///
/// # Errors
/// The path and the reason; the file is as it was.
pub fn replace_file(path: &Path, text: &str) -> Result<(), String> {
    let refused = |reason: &str| format!("{}: {reason}", path.display());
    if text.len() > FILE_BYTES_MAX {
        return Err(refused(&format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(refused("not a file's path"));
    };
    let draft = format!("{}.{}.tmp", name.to_string_lossy(), std::process::id());
    let draft = folder.join(draft);
    let replaced = write_draft(&draft, path, text).and_then(|()| fs::rename(&draft, path));
    if replaced.is_err() {
        // The first error is the one to tell; a draft that was never made cannot be removed.
        let _ = fs::remove_file(&draft);
    }
    replaced.map_err(|error| refused(&error.to_string()))?;
    // The new text is in place; a folder that cannot be synced only weakens the crash guarantee.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

fn write_draft(draft: &PathBuf, original: &Path, text: &str) -> io::Result<()> {
    const MODE_OF_A_NEW_FILE: u32 = 0o644;
    let mode = match fs::metadata(original) {
        Ok(metadata) => metadata.permissions().mode() & 0o777,
        Err(_) => MODE_OF_A_NEW_FILE,
    };
    let mut options = OpenOptions::new();
    // A draft of an earlier life that crashed has our name too, so it may be there already.
    options.write(true).create(true).truncate(true);
    options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    let mut file = options.open(draft)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A folder that goes away with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let name = format!("redis-numa-{test}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn lines_are_split_as_redis_splits_them() {
        let cases: [(&str, &[&str]); 12] = [
            ("", &[]),
            (" \t\r", &[]),
            ("# numa-debug yes", &[]),
            ("  # numa-debug yes", &[]),
            ("numa-debug yes\r", &["numa-debug", "yes"]),
            ("\tnuma-debug\t yes ", &["numa-debug", "yes"]),
            ("a # b", &["a", "#", "b"]),
            (r#"a "b c" d"#, &["a", "b c", "d"]),
            (r#"a """#, &["a", ""]),
            (r#"a "\x41\n\"\q\x4""#, &["a", "A\n\"qx4"]),
            (r"a 'b\'c\n'", &["a", r"b'c\n"]),
            (r#"pre"post""#, &["prepost"]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn broken_lines_are_refused() {
        for line in [r#"a "b"#, "a 'b", r#"a "b"c"#, "a 'b'c", r#"a "b\"#] {
            assert_eq!(words(line), Err(UNBALANCED), "{line}");
        }
        assert!(words("a\0b").unwrap_err().contains("NUL"));
        assert!(words("# a\0b").unwrap_err().contains("NUL"));
        assert!(words(r#"a "\xff""#).unwrap_err().contains("UTF-8"));
        assert!(words(&"a".repeat(LINE_BYTES_MAX + 1))
            .unwrap_err()
            .contains("long"));
    }

    #[test]
    fn hostile_files_are_refused_with_their_content_unsaid() {
        let folder = Folder::new("hostile");
        let path = folder.0.join("numa.conf");
        fs::write(&path, b"ok\nsecret\xff").unwrap();
        let error = read_file(&path).unwrap_err();
        assert!(error.ends_with("line 2: not UTF-8"), "{error}");
        fs::write(&path, vec![b'a'; FILE_BYTES_MAX + 1]).unwrap();
        assert!(read_file(&path).unwrap_err().contains("larger than"));
        assert!(read_file(&folder.0)
            .unwrap_err()
            .contains("not a regular file"));
        assert!(read_file(Path::new("/dev/zero"))
            .unwrap_err()
            .contains("not a regular file"));
        assert!(read_file(&folder.0.join("none")).is_err());
    }

    #[test]
    fn a_fifo_is_refused_without_waiting_for_a_writer() {
        let folder = Folder::new("fifo");
        let path = folder.0.join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        if made.is_ok_and(|status| status.success()) {
            assert!(read_file(&path).unwrap_err().contains("not a regular file"));
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_permissions() {
        let folder = Folder::new("replace");
        let path = folder.0.join("numa.conf");
        replace_file(&path, "one\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        replace_file(&path, "two\n").unwrap();
        assert_eq!(read_file(&path).unwrap(), "two\n");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let too_large = "x".repeat(FILE_BYTES_MAX + 1);
        assert!(replace_file(&path, &too_large).is_err());
        assert_eq!(read_file(&path).unwrap(), "two\n");
        assert_eq!(
            fs::read_dir(&folder.0).unwrap().count(),
            1,
            "no draft is left"
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = Folder::new("gone");
        let error = replace_file(&folder.0.join("no/numa.conf"), "x").unwrap_err();
        assert!(error.contains("numa.conf"), "{error}");
    }

    proptest! {
        #[test]
        fn any_line_is_split_without_harm(line in any::<String>()) {
            let _ = words(&line);
        }

        #[test]
        fn a_word_in_quotes_comes_back(word in "[^\0]*") {
            let escaped = word.replace('\\', r"\\").replace('"', "\\\"");
            let line = format!("a \"{}\"", escaped);
            prop_assert_eq!(words(&line).unwrap(), vec!["a".to_owned(), word]);
        }
    }
}
