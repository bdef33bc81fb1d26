//! What the fuzz targets share: people with fixed keys, a conversation with a model of its store, and how a friend who
//! lies speaks. The targets are in `targets/`, one file each; `cargo xtask fuzz` builds and runs them.

#[allow(dead_code, reason = "shared with the simulator, which looks at more of it")]
#[path = "../../testing/sim/src/disk.rs"]
mod disk;

pub mod pages;
pub mod party;
pub mod people;
pub mod speech;
