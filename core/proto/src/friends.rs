//! Friends: how two people become friends, find each other's door, prove who they are, and talk.

pub mod choice;
pub mod conversation;
pub mod dialer;
pub mod door;
pub mod frame;
pub mod hello;
pub mod invite;
pub mod knock;
pub mod message;
pub mod pair;
pub mod safety;
