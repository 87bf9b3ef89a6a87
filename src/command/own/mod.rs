//! The module's own commands: NUMA, NUMACONFIG, NUMAMIGRATE.

mod doctor;
mod explain;
mod numa;
mod numaconfig;
mod numamigrate;
mod pin;
mod plan;
mod strategy;

use super::{MANY, NONE};

commands! {
    c"numaconfig", c"admin deny-script allow-loading allow-stale", NONE, (2, MANY),
        numaconfig::run;
    c"numamigrate", c"admin getkeys-api", NONE, (2, MANY), numamigrate::run;
    // Not `write`, though CONVERT and RELEASE write: a read-only replica must serve the rest. These
    // two look at the replica themselves; `may-replicate` makes them wait while clients are paused.
    c"numa", c"admin deny-script may-replicate getkeys-api", NONE, (2, MANY), numa::run;
}
