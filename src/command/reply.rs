//! Replies of several fields: names and values, one after the other.

use crate::redis::raw::Ctx;

/// A value of a field.
pub(crate) enum Value {
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
}

impl Value {
    /// A count.
    pub(crate) fn count(count: impl TryInto<i64>) -> Self {
        Self::Int(count.try_into().unwrap_or(i64::MAX))
    }

    /// A text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn send(&self, ctx: Ctx<'_>) {
        match self {
            Self::Int(number) => ctx.reply_int(*number),
            Self::Text(text) => ctx.reply_bulk(text.as_bytes()),
            Self::Bytes(bytes) => ctx.reply_bulk(bytes),
            Self::List(values) => {
                ctx.reply_array(values.len());
                values.iter().for_each(|value| value.send(ctx));
            }
        }
    }
}

/// Flat pairs: name, value, name, value.
pub(crate) fn pairs<N: AsRef<str>>(ctx: Ctx<'_>, fields: &[(N, Value)]) {
    ctx.reply_array(fields.len() * 2);
    for (name, value) in fields {
        ctx.reply_bulk(name.as_ref().as_bytes());
        value.send(ctx);
    }
}

/// Flat pairs as one array among others.
pub(crate) fn as_list<N: Into<String>>(fields: Vec<(N, Value)>) -> Value {
    let flat = fields
        .into_iter()
        .flat_map(|(name, value)| [Value::Text(name.into()), value]);
    Value::List(flat.collect())
}

/// The lines of a HELP.
pub(crate) fn help(ctx: Ctx<'_>, lines: &[&str]) {
    ctx.reply_array(lines.len());
    lines.iter().for_each(|line| ctx.reply_status(line));
}
