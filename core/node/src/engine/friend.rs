//! One friend, or friend-to-be, as the engine keeps it in memory.

use super::Reply;
use super::dark::Pair;
use super::neighbours::News;
use crate::config::Config;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use subrosa_net::link::{DialId, LinkHandle};
use subrosa_proto::entropy::OsEntropy;
use subrosa_proto::friends::choice::LinkFacts;
use subrosa_proto::friends::conversation::{Config as TalkConfig, Conversation, Input};
use subrosa_proto::friends::dialer::Dialer;
use subrosa_proto::friends::message::{Lane, MessageId};
use subrosa_proto::friends::pair::{DoorKeys, Half, door_keys};
use subrosa_proto::friends::standing::{FriendCopy, Sightings};
use subrosa_proto::identity::{Certificate, DevicePublic, PersonId};
use subrosa_proto::time::Timestamp;
use subrosa_proto::wire::Bytes;
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::friend::{FriendRecord, FriendRow, FriendState};
use subrosa_store::{Chain, Session, conversation, event};

/// A link with a friend.
pub(super) struct FriendLink {
    pub(super) handle: LinkHandle,
    pub(super) facts: LinkFacts,
    pub(super) since: Timestamp,
    /// Whether the friend said something on it.
    pub(super) heard: bool,
    /// The copy of the friend's store at its other end, until it has been met.
    pub(super) copy: Option<FriendCopy>,
}

/// The conversation and what belongs to this life of it.
pub(super) struct Talk {
    pub(super) machine: Conversation,
    /// Once one of its writes fails, the later ones are not run.
    pub(super) chain: Chain,
    /// Which life: answers to an earlier one are not for this one.
    pub(super) life: u64,
}

/// A message that is being committed.
pub(super) struct Sending {
    pub(super) lane: Lane,
    pub(super) body: Bytes,
    /// Who waits for it: more than one if it was sent again meanwhile.
    pub(super) replies: Vec<Reply<MessageId>>,
}

pub(super) struct Friend {
    pub(super) person: PersonId,
    pub(super) record: FriendRecord,
    /// None while it must be read from the store again, and the store cannot be read.
    pub(super) talk: Option<Talk>,
    pub(super) lives: u64,
    pub(super) dialer: Dialer,
    pub(super) dial: Option<DialId>,
    /// Whether what that dial says, which is fixed when it begins, is still so; see [`Friend::give_dial_up`].
    pub(super) dial_holds: Arc<AtomicBool>,
    /// How often we dialled.
    pub(super) tries: u32,
    pub(super) link: Option<FriendLink>,
    pub(super) sends: HashMap<MessageId, Sending>,
    pub(super) cancels: HashMap<MessageId, Vec<Reply<bool>>>,
    pub(super) restarts: Vec<(Lane, Reply<()>)>,
    /// Messages the host has not acked, and their bytes.
    pub(super) inbox: (u64, u64),
    /// Those that came and are being committed; they count, too.
    pub(super) arriving: (u64, u64),
    pub(super) inbox_full: bool,
    /// What this opening of our store saw of copies of stores, ours and theirs.
    pub(super) sightings: Sightings,
    /// What goes by envelope.
    pub(super) pair: Pair,
    /// Words about nodes and archives that came on this link.
    pub(super) words: u32,
    /// How often they named somebody new lately.
    pub(super) news: News,
    /// When the engine wants to hear of it again.
    pub(super) timer: Option<Timestamp>,
}

/// Our device number. One device per person is policy, not format.
pub(super) const DEVICE: u32 = 1;
/// Messages on their way to a friend at once. Half of what a link's queue takes, and twice what one commit at the
/// friend's side tends to hold, so that its disk and ours work at the same time.
const WINDOW: usize = 512;

impl Friend {
    /// Reads the friend's conversation from the store. `held` as for [`Input::Held`].
    pub(super) fn load(
        session: &Session<'_>,
        row: FriendRow,
        config: &Config,
        held: bool,
        now: Timestamp,
    ) -> Result<Friend> {
        let talk = Talk::load(session, row.row, 0, config, held, now)?;
        let inbox = event::unacked_messages(session, row.row)?;
        let pair = Pair::load(session, row.row, now)?;
        let mut dialer = Dialer::new(config.redial.0, config.redial.1);
        dialer.set_addresses(row.record.addresses.iter().map(|a| a.at).collect());
        let mut friend = Friend {
            person: row.person,
            record: row.record,
            talk: Some(talk),
            lives: 0,
            dialer,
            dial: None,
            dial_holds: Arc::new(true.into()),
            tries: 0,
            link: None,
            sends: HashMap::new(),
            cancels: HashMap::new(),
            restarts: Vec::new(),
            inbox,
            arriving: (0, 0),
            inbox_full: false,
            sightings: Sightings::default(),
            pair,
            words: 0,
            news: News::default(),
            timer: None,
        };
        friend.switch_dialer(now);
        Ok(friend)
    }

    /// Whether we want a link, or to redeem an invite.
    pub(super) fn wants_link(&self) -> bool {
        match self.record.state {
            FriendState::Friend => self.record.direct || self.record.invite.is_some(),
            // Who was asked by envelope has no address.
            FriendState::Redeeming | FriendState::Waiting => self.record.invite.is_some(),
            FriendState::Removed | FriendState::Blocked => false,
        }
    }

    pub(super) fn switch_dialer(&mut self, now: Timestamp) {
        if self.wants_link() {
            self.dialer.on(now, &mut OsEntropy);
        } else {
            self.dialer.off();
        }
    }

    /// What the dial under way says is not so any more: it ends instead of saying it.
    pub(super) fn give_dial_up(&mut self) {
        std::mem::replace(&mut self.dial_holds, Arc::new(true.into())).store(false, Ordering::Relaxed);
    }

    pub(super) fn is_friend(&self) -> bool {
        self.record.state == FriendState::Friend
    }

    /// The friend's device, from its certificate.
    pub(super) fn device(&self) -> Option<DevicePublic> {
        let certificate = self.record.certificate.as_deref()?;
        Certificate::decode(certificate).ok().map(|c| c.key())
    }

    /// Whether this is an older certificate of another key than the one we know: that of a device that was replaced.
    pub(super) fn distrusts(&self, certificate: &Certificate) -> bool {
        certificate.counter() < self.record.certificate_counter && self.device() != Some(certificate.key())
    }

    /// Our half of the pair secret that is being made.
    pub(super) fn my_half(&self) -> Option<Half> {
        self.record.my_half.as_ref().and_then(|half| Half::from_slice(half.as_bytes()).ok())
    }

    /// The keys of the door that is open to this friend, under which we are the responder.
    pub(super) fn own_door(&self, me: &PersonId) -> Option<DoorKeys> {
        let secret = self.record.pair_secret.as_ref().filter(|_| self.is_friend() && self.record.direct)?;
        Some(door_keys(secret.as_bytes(), me))
    }

    /// Tells everybody who waits for this conversation that it failed.
    pub(super) fn fail_waiting(&mut self, error: &Error) {
        for (_, sending) in self.sends.drain() {
            sending.replies.into_iter().for_each(|r| drop(r.send(Err(error.clone()))));
        }
        for (_, replies) in self.cancels.drain() {
            replies.into_iter().for_each(|r| drop(r.send(Err(error.clone()))));
        }
        for (_, reply) in self.restarts.drain(..) {
            let _ = reply.send(Err(error.clone()));
        }
    }

    pub(super) fn talk(&mut self) -> Result<&mut Talk> {
        self.talk.as_mut().ok_or_else(|| {
            Error::new(
                ErrorKind::Io,
                "the store cannot be read at the moment; try again when the disk is well",
            )
        })
    }
}

impl Talk {
    pub(super) fn load(
        session: &Session<'_>,
        row: i64,
        life: u64,
        config: &Config,
        held: bool,
        now: Timestamp,
    ) -> Result<Talk> {
        let saved = conversation::saved(session, row)?;
        let settings = TalkConfig {
            device: DEVICE,
            queue_messages: config.queue_messages,
            queue_bytes: config.queue_bytes,
            largest_body: config.largest_body,
            window_messages: WINDOW,
            fallback: config.fallback,
            copy_ttl: config.copy_ttl,
            receipt_wait: config.receipt_wait,
            ..TalkConfig::default()
        };
        let mut machine = Conversation::new(settings, saved, Box::new(OsEntropy), now);
        if held {
            // A machine that is held wants nothing. What another one wants, it says when it is first driven.
            machine.handle(Input::Held(true), now, &mut Vec::new());
        }
        Ok(Talk { machine, chain: Chain::new(), life })
    }
}
