//! The tasks, one file each.

pub(crate) mod crash;
pub(crate) mod demo;
pub(crate) mod fmt;
pub(crate) mod header;
pub(crate) mod lint;
pub(crate) mod sim;
pub(crate) mod test;
