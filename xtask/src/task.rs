//! The tasks, one file each.

pub(crate) mod bench;
pub(crate) mod crash;
pub(crate) mod demo;
pub(crate) mod deny;
pub(crate) mod fmt;
pub(crate) mod fuzz;
pub(crate) mod header;
pub(crate) mod lint;
pub(crate) mod networks;
pub(crate) mod sim;
pub(crate) mod test;
