//! SCAN with TYPE, where NUMA types have the stock names.
//!
//! The server's own SCAN walks, without the type; what it answers is looked at here, key by key,
//! as the server itself does with the types that it knows.

use super::super::args::is;
use super::super::{Call, Done, Fail};
use crate::redis::raw::Name;

pub(super) fn scan(call: &Call<'_>) -> Done {
    let (words, wanted) = without_type(call)?;
    let Some(answer) = call.ctx.ask(c"SCAN", &words) else {
        return Err(Fail::Arity);
    };
    if answer.is_error() {
        answer.pass_on(call.ctx);
        return Ok(());
    }
    let cursor = answer.text_at(0).unwrap_or(b"0").to_vec();
    let mut found = Vec::new();
    if let Some(names) = answer.element(1) {
        names.each(&mut |name| {
            if wanted.is_none_or(|wanted| call.is_of_type(name, wanted)) {
                found.push(name.to_vec());
            }
            true
        });
    }
    call.ctx.reply_array(2);
    call.ctx.reply_bulk(&cursor);
    call.ctx.reply_array(found.len());
    found.iter().for_each(|name| call.ctx.reply_bulk(name));
    Ok(())
}

/// The words without the last `TYPE <type>`, which is the one that counts, and the type. Plain
/// SCAN comes here for the sake of TYPE alone, NUMA.SCAN without it too.
fn without_type<'c>(call: &Call<'c>) -> Result<(Vec<Name<'c>>, Option<&'c [u8]>), Fail> {
    let mut words: Vec<_> = call.args.names_from(1).take(1).collect();
    let (mut wanted, mut at) = (None, 2);
    while let Some(option) = call.args.name(at) {
        let value = call.args.name(at + 1).ok_or(Fail::Syntax)?;
        if is(option.bytes(), "TYPE") {
            wanted = Some(value.bytes());
        } else {
            words.extend([option, value]);
        }
        at += 2;
    }
    Ok((words, wanted))
}

impl Call<'_> {
    /// Whether a key is there and of the type that a client calls `wanted`.
    fn is_of_type(&self, name: &[u8], wanted: &[u8]) -> bool {
        let Some(name) = self.ctx.string(name) else {
            return false;
        };
        if let Some(word) = self.stock_type_of(name.name()) {
            return is(wanted, word);
        }
        let answer = self.ctx.ask(c"TYPE", &[name.name()]);
        let word = answer.as_ref().and_then(|answer| answer.bytes());
        word.is_some_and(|word| word.eq_ignore_ascii_case(wanted))
    }
}
