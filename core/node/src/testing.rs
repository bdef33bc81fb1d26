//! For tests of this crate and those above: paths that lose, delay, reorder and repeat datagrams.

pub use subrosa_net::path::PathWrap as Wrap;
pub use subrosa_net::path::fault;
