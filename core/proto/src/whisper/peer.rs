//! What a gossip node knows of one peer. Data and small rules; what happens when is in the node.

use super::interest::Demand;
use super::limits::{Allowance, Limits};
use super::score::Score;
use crate::time::Timestamp;
use std::collections::VecDeque;

/// Names one connection to the owner. Never reused within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u64);

/// What is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// A node of ours, over QUIC.
    Own,
    /// A DEVp2p node that speaks shh/6, over RLPx.
    Devp2p,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Our status is sent; theirs is awaited until then.
    Greeting(Timestamp),
    /// Both are there.
    Ready,
}

#[derive(Debug)]
pub(crate) struct Peer {
    /// Its bit in the marks of the pool.
    pub(crate) slot: usize,
    pub(crate) flavour: Flavour,
    pub(crate) origin: u64,
    pub(crate) state: State,
    pub(crate) light: bool,
    pub(crate) trusted: bool,
    pub(crate) demand: Demand,
    /// The largest packet it takes.
    pub(crate) largest: usize,
    /// The generation of our demands that it heard last.
    pub(crate) told: u64,
    /// Everything released before this place was considered for it.
    pub(crate) cursor: u32,
    /// When to look for more to send.
    pub(crate) flush: Option<Timestamp>,
    /// When to consider the whole pool again, since its wishes grew.
    pub(crate) rewind: Option<Timestamp>,
    pub(crate) rewound: Option<Timestamp>,
    pub(crate) packets_in: Allowance,
    pub(crate) bytes_in: Allowance,
    pub(crate) packets_out: Allowance,
    pub(crate) bytes_out: Allowance,
    /// It takes nothing since then.
    pub(crate) blocked: Option<Timestamp>,
    /// What it did not take, and what was to follow.
    pub(crate) kept: VecDeque<(u8, Vec<u8>)>,
    /// How many of those came back, before any that was to follow.
    pub(crate) returned: usize,
    pub(crate) score: Score,
}

impl Peer {
    pub(crate) fn new(
        slot: usize,
        flavour: Flavour,
        origin: u64,
        score: Score,
        limits: &Limits,
        now: Timestamp,
    ) -> Peer {
        Peer {
            slot,
            flavour,
            origin,
            state: State::Greeting(now.after(limits.handshake)),
            light: false,
            trusted: false,
            demand: Demand::EVERYTHING,
            largest: limits.packet,
            told: 0,
            cursor: 0,
            flush: None,
            rewind: None,
            rewound: None,
            packets_in: Allowance::new(limits.packets_in, now),
            bytes_in: Allowance::new(limits.bytes_in, now),
            packets_out: Allowance::new(limits.packets_out, now),
            bytes_out: Allowance::new(limits.bytes_out, now),
            blocked: None,
            kept: VecDeque::new(),
            returned: 0,
            score,
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    pub(crate) fn is_own(&self) -> bool {
        self.flavour == Flavour::Own
    }

    /// When something is to be done about it.
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<Timestamp> {
        let greeting = match self.state {
            State::Greeting(until) => Some(until),
            State::Ready => None,
        };
        let stalled = self.blocked.map(|since| since.after(limits.stalled));
        let flush = if self.blocked.is_none() { self.flush } else { None };
        [greeting, stalled, flush, self.rewind].into_iter().flatten().min()
    }

    /// The clock was set back by so much: what was to come in a while still comes in a while.
    pub(crate) fn shift(&mut self, back: std::time::Duration) {
        if let State::Greeting(until) = &mut self.state {
            *until = until.before(back);
        }
        for time in
            [&mut self.flush, &mut self.rewind, &mut self.rewound, &mut self.blocked].into_iter().flatten()
        {
            *time = time.before(back);
        }
    }
}
