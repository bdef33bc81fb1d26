//! Links between hosts: they come up at different instants on both sides, carry encoded frames, and die.

use super::{Event, World, trace};
use crate::Sabotage;
use crate::disk::Peer;
use subrosa_proto::friends::conversation::Input;
use subrosa_proto::friends::frame::{Frame, Receipt};
use subrosa_proto::friends::hello::Hello;
use subrosa_proto::friends::message::SendWay;

/// A connection of two hosts. Its id on side `s` is `2 * number + s`.
pub(crate) struct Link {
    pub(super) ends: [Peer; 2],
    up_at: [u64; 2],
    pub(super) dead: Option<u64>,
    latency: u64,
    /// What each end says about its store, where that counts.
    pub(super) hellos: Option<[Hello; 2]>,
    /// Whether each end heard something of the other.
    pub(super) heard: [bool; 2],
    /// When the last frame of each direction and urgency arrives, on an ordered link.
    last: [[u64; 2]; 2],
}

impl World<'_> {
    pub(super) fn dial(&mut self, a: Peer, b: Peer) {
        self.after_about(self.scenario.link_gap, Event::Dial(a, b));
        let Some((a, b)) = self.who_dials(a, b) else { return };
        let live = self.links.iter().find(|(_, l)| l.ends == [a, b] && l.dead.is_none()).map(|(n, _)| *n);
        if let Some(old) = live {
            if self.healing || !self.rng.chance(self.scenario.redial) {
                return;
            }
            self.kill(old);
        }
        let hellos = self.scenario.tells_runs().then(|| self.hellos(a, b));
        let number = self.report.links + 1;
        self.report.links = number;
        let up_at = [self.now + 1 + self.rng.below(150), self.now + 1 + self.rng.below(150)];
        let latency = 1 + self.rng.below(120);
        trace!(self, "link {number} between {a} and {b}");
        self.links.insert(
            number,
            Link {
                ends: [a, b],
                up_at,
                dead: None,
                latency,
                hellos,
                heard: [false; 2],
                last: [up_at, up_at],
            },
        );
        for (side, at) in up_at.into_iter().enumerate() {
            self.later(at - self.now, Event::Up(number, side));
        }
        self.after_about(self.scenario.link_life, Event::Kill(number));
    }

    pub(super) fn up(&mut self, number: u64, side: usize) {
        let Some(link) = self.links.get(&number).filter(|l| l.dead.is_none()) else { return };
        let (host, peer) = (link.ends[side], self.person(link.ends[1 - side]));
        if link.hellos.is_some() {
            return self.meet(number, side);
        }
        trace!(self, "{host}>{peer} link {} up", number * 2 + side as u64);
        let now = self.now;
        if let Some(m) = self.hosts[host].machines.get_mut(&peer) {
            m.linked = Some((number * 2 + side as u64, now));
        }
        self.feed(host, peer, Input::LinkUp(number * 2 + side as u64));
        self.keys_by_link(host, peer);
    }

    pub(super) fn down(&mut self, number: u64, side: usize) {
        let Some(link) = self.links.get(&number) else { return };
        let (host, peer) = (link.ends[side], self.person(link.ends[1 - side]));
        let id = number * 2 + side as u64;
        trace!(self, "{host}>{peer} link {id} down");
        if let Some(m) = self.hosts[host].machines.get_mut(&peer)
            && m.linked.is_some_and(|(l, _)| l == id)
        {
            m.linked = None;
        }
        self.feed(host, peer, Input::LinkDown(id));
    }

    /// The link dies now; what is on its way is lost, and each side learns of it in its own time.
    pub(super) fn kill(&mut self, number: u64) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&number).filter(|l| l.dead.is_none()) else { return };
        link.dead = Some(now);
        trace!(self, "link {number} dies");
        for side in 0..2 {
            let delay = self.rng.below(1_500);
            self.later(delay, Event::Down(number, side));
        }
    }

    /// Ends every link of a host, or that with one peer.
    pub(super) fn hang_up(&mut self, host: Peer, with: Option<Peer>) {
        let of = |ends: &[Peer; 2]| {
            ends.contains(&host)
                && with.is_none_or(|p| ends.iter().any(|end| *end != host && self.person(*end) == p))
        };
        let numbers: Vec<u64> =
            self.links.iter().filter(|(_, l)| l.dead.is_none() && of(&l.ends)).map(|(n, _)| *n).collect();
        for number in numbers {
            self.kill(number);
        }
    }

    pub(super) fn transmit(&mut self, host: Peer, peer: Peer, id: u64, frame: Frame, urgent: bool) {
        trace!(self, "{host}>{peer} transmit on {id}: {frame:?}");
        let held = !self.sends(host) || self.forgot_standing(host);
        self.check_transmit(host, peer, &frame, held);
        self.check_way(host, peer, &frame, SendWay::EnvelopesOnly);
        let Some(frame) = self.spoil_frame(frame) else { return };
        self.report.frames += 1;
        let (number, side) = (id / 2, (id % 2) as usize);
        let (loss, duplicate, reorder) = if self.healing {
            (0, 0, 0)
        } else {
            (self.scenario.loss, self.scenario.duplicate, self.scenario.reorder)
        };
        let bytes = frame.encode();
        let now = self.now;
        let copies = match (self.rng.chance(loss), self.rng.chance(duplicate)) {
            (true, _) => 0,
            (_, true) => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let late = self.rng.chance(reorder);
            let extra = if late { self.rng.below(3_000) } else { self.rng.below(10) };
            let Some(link) = self.links.get_mut(&number).filter(|l| l.dead.is_none()) else { return };
            let mut at = (now + link.latency + extra).max(link.up_at[1 - side] + 1);
            let last = &mut link.last[side][usize::from(urgent)];
            if !late {
                at = at.max(*last);
                *last = at;
            }
            self.later(at - now, Event::Arrive { link: number, side: 1 - side, bytes: bytes.clone() });
        }
    }

    fn spoil_frame(&mut self, frame: Frame) -> Option<Frame> {
        Some(match (self.scenario.sabotage, frame) {
            (Some(Sabotage::DropVoids), Frame::Void(_)) => return None,
            (Some(Sabotage::DropReceipts), Frame::Receipt(r)) if !r.opening => return None,
            (Some(Sabotage::EmptyOpening), Frame::Receipt(r)) if r.opening => {
                Frame::Receipt(Receipt { lanes: Vec::new(), ..r })
            }
            (Some(Sabotage::ShiftPosition), Frame::Message { mut position, transmitted, message })
                if self.rng.chance(5) =>
            {
                position.seq += 1;
                Frame::Message { position, transmitted, message }
            }
            (_, frame) => frame,
        })
    }

    /// A frame arrives, and with it what arrives at the same instant right behind it: that is heard in one go.
    pub(super) fn arrive(&mut self, number: u64, side: usize, bytes: &[u8]) {
        let mut together = vec![bytes.to_vec()];
        while let Some(entry) = self.queue.first_entry()
            && entry.key().0 == self.now
            && matches!(entry.get(), Event::Arrive { link, side: at, .. } if (*link, *at) == (number, side))
        {
            if let Event::Arrive { bytes, .. } = entry.remove() {
                together.push(bytes);
            }
        }
        let Some(link) = self.links.get(&number).filter(|l| l.dead.is_none()) else { return };
        let (host, peer) = (link.ends[side], self.person(link.ends[1 - side]));
        let mut frames = Vec::with_capacity(together.len());
        for bytes in together {
            match Frame::decode(&bytes) {
                Ok(Some(frame)) => {
                    if !self.is_heard(number, side) {
                        return;
                    }
                    trace!(self, "{host}<{peer} {frame:?}");
                    frames.push(frame);
                }
                other => self.broken("every frame can be read", format!("{host} from {peer}: {other:?}")),
            }
        }
        self.report.together += frames.len().saturating_sub(1) as u64;
        self.feed(host, peer, Input::Frames(number * 2 + side as u64, frames));
    }
}
