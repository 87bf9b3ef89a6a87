//! NUMA PLAN: what the next pass of slot 1's strategy would move, without moving.

use crate::command::reply::{as_list, Value};
use crate::command::{Call, Done, Fail};
use crate::ids::SlotIndex;
use crate::migrate::Move;

/// `NUMA PLAN [COUNT <n>]`: a row a move, best first as the strategy gives them.
pub(super) fn run(call: &Call<'_>, keys: usize) -> Done {
    let db = call.ctx.selected_db();
    let config = call.server.config();
    let slot = SlotIndex::new(1).ok_or_else(Fail::busy)?;
    let planned = call.server.works.with(|works| {
        let (mut reach, runner, _) = works.reach(call.ctx, call.server, &config);
        runner.dry_pass(slot, keys, &mut reach)
    });
    call.ctx.select_db(db);
    let plan = planned.ok_or_else(Fail::busy)?.map_err(Fail::text)?;
    Value::List(plan.moves().iter().map(row).collect()).send(call.ctx);
    Ok(())
}

fn row(step: &Move) -> Value {
    as_list(vec![
        ("key", Value::Bytes(step.key.name.to_vec())),
        ("db", Value::count(step.key.db.0)),
        ("to", Value::count(step.to.index() as u64)),
        ("why", Value::text(step.why.name())),
        ("benefit", Value::count(step.benefit)),
    ])
}
