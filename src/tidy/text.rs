//! Reading Rust as words and braces.
//!
//! `blank` turns comments, strings and character literals into spaces and keeps every line where it
//! was, so that a brace in a string is no brace and a word in a comment is no code.

/// How many bytes of `rest` are one comment or literal; 0 where code goes on.
fn literal_len(rest: &str, after_word: bool) -> usize {
    let end_of = |start: usize, mark: &str| {
        rest[start..]
            .find(mark)
            .map_or(rest.len(), |at| start + at + mark.len())
    };
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_len(rest);
    }
    let raw = rest.trim_start_matches(['b', 'c']);
    let prefix = rest.len() - raw.len();
    if !after_word && prefix <= 1 && raw.starts_with('r') {
        let hashes = raw[1..].len() - raw[1..].trim_start_matches('#').len();
        if raw[1 + hashes..].starts_with('"') {
            return end_of(prefix + 2 + hashes, &format!("\"{}", "#".repeat(hashes)));
        }
    }
    if let Some(inside) = rest.strip_prefix('"') {
        return 1 + quoted_len(inside, '"');
    }
    let mut chars = rest.chars();
    if chars.next() == Some('\'') {
        let (first, second) = (chars.next(), chars.next());
        if first == Some('\\') || second == Some('\'') {
            return 1 + quoted_len(&rest[1..], '\'');
        }
    }
    0
}

/// Block comments nest.
fn block_comment_len(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += 1;
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Bytes up to and with the closing quote, escapes skipped.
fn quoted_len(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        if !escaped && c == quote {
            return at + 1;
        }
        escaped = !escaped && c == '\\';
    }
    rest.len()
}

/// Spaces for every comment, string and character; lines stay lines.
pub(super) fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skip = literal_len(rest, out.ends_with(is_word));
        if skip == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            out.push_str(&spaces_for(&rest[..skip]));
            rest = &rest[skip..];
        }
    }
    out
}

pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The end of the braced piece that begins at or after `start`, just behind its closing brace;
/// where a `;` of the same level comes first there is no piece, and that is the end.
pub(super) fn end_of_braces(code: &str, start: usize) -> usize {
    let (mut depth, mut brackets) = (0usize, 0usize);
    for (at, c) in code[start..].char_indices() {
        match c {
            '[' | '(' => brackets += 1,
            ']' | ')' => brackets = brackets.saturating_sub(1),
            '{' => depth += 1,
            '}' if depth <= 1 => return start + at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 && brackets == 0 => return start + at + 1,
            _ => {}
        }
    }
    code.len()
}

/// The code with every item under `#[cfg(test)]` turned into spaces.
pub(super) fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = code.to_owned();
    while let Some(start) = out.find(MARK) {
        let end = end_of_braces(&out, start + MARK.len());
        let spaces = spaces_for(&out[start..end]);
        out.replace_range(start..end, &spaces);
    }
    out
}

/// As many spaces as there are characters; lines stay lines.
fn spaces_for(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\n' { c } else { ' ' })
        .collect()
}

pub(super) fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// Where `word` stands as a whole word.
pub(super) fn words(code: &str, word: &str) -> Vec<usize> {
    let whole = |at: &usize| {
        !code[..*at].ends_with(is_word) && !code[at + word.len()..].starts_with(is_word)
    };
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(whole)
        .collect()
}

mod tests {
    use super::*;

    #[test]
    fn blanking_keeps_lines_and_code_only() {
        let text = "a \"{\\\"\" b // {\n'{' '\\'' <'a> /* { /* { */ */ r#\"{\"# b'{' c";
        let code = blank(text);
        assert!(!code.contains(['{', '"', '/']), "{code}");
        assert_eq!(code.lines().count(), 2);
        assert!(code.contains("<'a>") && code.ends_with(" c"));
    }

    #[test]
    fn tests_are_not_shipped() {
        let code =
            "use a;\n#[cfg(test)]\nmod tests { fn x() { {} } }\nuse b;\n#[cfg(test)]\nmod t;\n";
        let shipped = without_tests(code);
        assert!(shipped.contains("use a;") && shipped.contains("use b;"));
        assert!(!shipped.contains("mod") && shipped.lines().count() == 6);
    }
}
