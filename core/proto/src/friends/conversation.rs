//! A conversation with one friend: outbox, window, receipts, order, epochs. See [`change`] for what it asks of a
//! store.

pub mod change;
