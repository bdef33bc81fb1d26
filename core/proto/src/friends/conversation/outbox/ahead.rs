//! What was read from the outbox before there was room for it in the window, so that the next messages are at hand when
//! receipts come. Its rows have no number that was not in the store already, and can be read again at any time.

use super::super::Config;
use super::super::change::OutboxItem;
use crate::friends::message::MessageId;
use std::collections::VecDeque;

/// In the order of the outbox; about as much as a window.
#[derive(Default)]
pub(super) struct Ahead {
    items: VecDeque<OutboxItem>,
    bytes: u64,
}

impl Ahead {
    pub(super) fn push(&mut self, item: OutboxItem) {
        self.bytes += cost(&item);
        self.items.push_back(item);
    }

    pub(super) fn pop(&mut self) -> Option<OutboxItem> {
        let item = self.items.pop_front()?;
        self.bytes -= cost(&item);
        Some(item)
    }

    /// What the next one costs in the window.
    pub(super) fn next_cost(&self) -> Option<u64> {
        self.items.front().map(cost)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// The cost of all of it.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_half_empty(&self, config: &Config) -> bool {
        self.items.len() * 2 <= config.window_messages && self.bytes * 2 <= config.window_bytes
    }

    /// The message ends: the host takes it back, or its time is over. It must get no number: the void in its place would
    /// stand behind everything queued since, where a full window never reads it. Whether it was here.
    pub(super) fn forget(&mut self, id: MessageId) -> bool {
        let is_it = |item: &OutboxItem| matches!(item, OutboxItem::Message(m) if m.message.id == id);
        if let Some(at) = self.items.iter().position(is_it)
            && let Some(item) = self.items.remove(at)
        {
            self.bytes -= cost(&item);
            return true;
        }
        false
    }
}

fn cost(item: &OutboxItem) -> u64 {
    match item {
        OutboxItem::Message(m) => m.message.cost(),
        OutboxItem::Void { .. } => 0,
    }
}
