//! Friends: how two people become friends, find each other's door, prove who they are, and talk.

pub mod address;
pub mod choice;
pub mod conversation;
pub mod copy;
pub mod dialer;
pub mod door;
pub mod frame;
pub mod hello;
pub mod invite;
pub mod knock;
pub mod message;
pub mod neighbours;
pub mod onetime;
mod oneway;
pub mod pair;
pub mod request;
pub mod safety;
pub mod standing;
pub mod topics;
mod wrap;
