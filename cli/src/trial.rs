//! Trials: two real processes, each with its own store, that are killed while they talk, and a ledger that knows
//! what must come of it. `demo` and `crash` are scripts for the same stage.
//!
//! The parent decides what is sent, under ids it chose, and says what is acked; the children (`trial-peer`) only do
//! it and report. So the parent's memory is the truth that a killed child is measured against: a message counts as
//! sent when the child reported that `send` returned, and is sent again under its id when the child died before.

pub(crate) mod actor;
pub(crate) mod chance;
pub(crate) mod content;
pub(crate) mod interrupt;
pub(crate) mod ledger;
pub(crate) mod line;
pub(crate) mod lives;
pub(crate) mod peer;
pub(crate) mod scratch;
pub(crate) mod server;
pub(crate) mod stage;
pub(crate) mod story;
