//! Stock commands of no one type that must know NUMA types when a client's plain commands act on
//! them: TYPE and SCAN TYPE, which answer the stock names, and SORT, GEO and PF commands, which
//! know native values alone.

mod native_only;
mod scan_type;

use super::{Call, Done, ALL, MANY, NONE, ONE, TWO};
use crate::redis::numa_key::AnyKey;
use crate::redis::raw::{Mode, Name};

commands! {
    c"numa.type", c"readonly fast", ONE, (2, 2), key_type;
    c"numa.scan", c"readonly random", NONE, (2, MANY), scan_type::scan;
    c"numa.sort", c"write deny-oom getkeys-api", ONE, (2, MANY), native_only::sort;
    c"numa.geoadd", c"write deny-oom", ONE, (5, MANY), native_only::geoadd;
    c"numa.georadius", c"write getkeys-api", ONE, (6, MANY), native_only::georadius;
    c"numa.georadius_ro", c"readonly", ONE, (6, MANY), native_only::georadius_ro;
    c"numa.georadiusbymember", c"write getkeys-api", ONE, (5, MANY),
        native_only::georadiusbymember;
    c"numa.georadiusbymember_ro", c"readonly", ONE, (5, MANY),
        native_only::georadiusbymember_ro;
    c"numa.geohash", c"readonly", ONE, (2, MANY), native_only::geohash;
    c"numa.geopos", c"readonly", ONE, (2, MANY), native_only::geopos;
    c"numa.geodist", c"readonly", ONE, (4, 5), native_only::geodist;
    c"numa.geosearch", c"readonly", ONE, (7, MANY), native_only::geosearch;
    c"numa.geosearchstore", c"write deny-oom", TWO, (8, MANY), native_only::geosearchstore;
    c"numa.pfadd", c"write deny-oom fast", ONE, (2, MANY), native_only::pfadd;
    c"numa.pfcount", c"readonly may-replicate", ALL, (2, MANY), native_only::pfcount;
    c"numa.pfmerge", c"write deny-oom", ALL, (2, MANY), native_only::pfmerge;
}

/// TYPE.
fn key_type(call: &Call<'_>) -> Done {
    match call.stock_type_of(call.name(1)?) {
        Some(word) => call.ctx.reply_status(word),
        None => call.forward(b"type")?,
    }
    Ok(())
}

impl Call<'_> {
    /// The stock name of a NUMA key's type.
    fn stock_type_of(&self, name: Name<'_>) -> Option<&'static str> {
        let key = AnyKey::open(self.server, self.ctx, name, Mode::Quiet);
        key.numa_kind().map(|kind| kind.name())
    }
}
