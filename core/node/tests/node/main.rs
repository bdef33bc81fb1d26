//! Nodes over real sockets, seen as a host sees them. One program, so that it links once.
#![allow(unreachable_pub)]

mod friends;
mod host;
mod lifecycle;
mod messages;
