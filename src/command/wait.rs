//! What every command shares that lets its client wait.

use super::{Call, Fail};
use crate::redis::raw::{Args, Ctx, Name};
use crate::redis::server::server;
use crate::value::double;

/// How long a client will wait, in ms; 0 is for ever. Parts of a millisecond are cut off.
pub(super) fn timeout_ms(word: &[u8]) -> Result<i64, Fail> {
    let seconds =
        double::parse(word).ok_or_else(|| Fail::text("timeout is not a float or out of range"))?;
    let ms = seconds * 1000.0;
    // What does not fit becomes negative in the stock command, and so it is refused here too.
    if ms < 0.0 || ms >= i64::MAX as f64 {
        return Err(Fail::text("timeout is negative"));
    }
    Ok(ms as i64)
}

impl Call<'_> {
    /// Serves a client that was woken; whether it was served, with an error if need be.
    pub(super) fn wake(
        ctx: Ctx<'_>,
        args: Args<'_>,
        serve: impl FnOnce(&Call<'_>, Name<'_>) -> Result<bool, Fail>,
    ) -> bool {
        let (Some(server), Some(key)) = (server(), ctx.ready_key()) else {
            return false;
        };
        let call = Call {
            ctx,
            args,
            server,
            plain: false,
        };
        match serve(&call, key) {
            Ok(served) => served,
            Err(fail) => {
                fail.reply(ctx, c"numa", false);
                true
            }
        }
    }
}
