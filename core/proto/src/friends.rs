//! Friends: how two people become friends, find each other's door, prove who they are, and talk.

pub mod conversation;
pub mod message;
