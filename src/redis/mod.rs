//! Floor 5: the only floor that knows the server.
//!
//! ```text
//! raw        safe faces of the server's API          callbacks   every entry of the server's
//! server     what the module keeps, in main_cells    guard       no panic reaches C
//! string_key a key that may hold a NUMA string       string_type the type as the server sees it
//! pulse      what an access costs                    steering    where new bytes go
//! native     keys of the server's own types
//! reach      the keyspace as lower floors see it     works       what runs on the timer
//! ```

#[cfg(not(test))]
pub(crate) mod allocator;
#[cfg(feature = "broken-mover")]
mod broken;
mod bulk_len;
pub(crate) mod callbacks;
mod charge;
pub(crate) mod convert;
pub(crate) mod events;
pub(crate) mod guard;
pub(crate) mod info;
pub(crate) mod load;
pub(crate) mod main_cell;
mod native;
mod pace;
pub(crate) mod process_bytes;
pub(crate) mod prove;
mod pulse;
pub(crate) mod raw;
mod reach;
#[cfg(feature = "restless")]
mod restless;
pub(crate) mod server;
mod steering;
pub(crate) mod string_key;
mod string_type;
mod survey;
mod tick;
mod verify;
pub(crate) mod works;
