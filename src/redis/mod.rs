//! Floor 5: the only floor that knows the server.
//!
//! ```text
//! raw        safe faces of the server's API          callbacks   every entry of the server's
//! server     what the module keeps, in main_cells    guard       no panic reaches C
//! numa_key   a key that may hold a NUMA value        numa_type   a type as the server sees it
//! string_key the string to the server                types       the table of the types
//! table_types the hash and the set to the server
//! pulse      what an access costs                    steering    where new bytes go
//! native     keys of the server's own types
//! reach      the keyspace as lower floors see it     works       what runs on the timer
//! compact    values moved together                   verify      where OS pages really lie
//! slices     big values under way                    convert     from plane to plane
//! plugin     strategies of other modules            state_file heat and pins over a restart
//! ```

#[cfg(not(test))]
pub(crate) mod allocator;
#[cfg(feature = "broken-mover")]
mod broken;
mod bulk_len;
pub(crate) mod callbacks;
mod charge;
mod compact;
pub(crate) mod convert;
pub(crate) mod events;
pub(crate) mod guard;
pub(crate) mod info;
mod late_free;
pub(crate) mod list_type;
pub(crate) mod load;
pub(crate) mod main_cell;
mod native;
pub(crate) mod numa_key;
pub(crate) mod numa_type;
pub(crate) mod plugin;
pub(crate) mod process_bytes;
pub(crate) mod prove;
mod pulse;
pub(crate) mod quick;
pub(crate) mod raw;
mod reach;
#[cfg(feature = "restless")]
mod restless;
pub(crate) mod server;
pub(crate) mod slices;
pub(crate) mod state_file;
mod steering;
pub(crate) mod string_key;
mod survey;
mod table_types;
mod tick;
pub(crate) mod transparent;
mod types;
pub(crate) mod verify;
pub(crate) mod works;
pub(crate) mod zset_type;
