//! A conversation with a model of its store, and the rules that hold whatever the friend says: what is said is durable
//! before it is said, nothing is shown twice, a message has one end, and nothing grows without bound.

use crate::disk::{Disk, Effect, Sealed};
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;
use subrosa_proto::entropy::SeededEntropy;
use subrosa_proto::friends::conversation::change::{Batch, Change, Outgoing, Query};
use subrosa_proto::friends::conversation::{Config, Conversation, Dark, Input, LinkId, Output};
use subrosa_proto::friends::frame::Frame;
use subrosa_proto::friends::message::{End, Epoch, Lane, Message, MessageId, Position};
use subrosa_proto::time::Timestamp;

/// The friend, as the model of the store names it.
const FRIEND: usize = 0;
/// A machine that is left alone comes to rest after so many steps.
const RESTLESS: usize = 1_000;
/// Longest frame that a link takes (`subrosa_net::link::MAX_FRAME`).
const LONGEST_FRAME: usize = 65_536 + 1_024;

/// What waits to become durable.
enum Work {
    Commit(u64, Batch),
    Load(Query),
}

/// One side.
pub struct Party {
    machine: Conversation,
    config: Config,
    disk: Disk,
    work: VecDeque<Work>,
    link: Option<LinkId>,
    seed: u64,
    now: Timestamp,
    /// What goes to the friend, in order.
    pub said: VecDeque<(LinkId, Frame)>,
    /// What the host was shown, in order.
    pub shown: Vec<(Lane, Message)>,
    /// Envelopes that were sealed for the friend, in order, and when.
    pub posted: Vec<Envelope>,
    /// Since when archives are to be asked again.
    pub asks: Option<Timestamp>,
    dark: Option<Dark>,
    direct: bool,
    held: bool,
    /// Whether one of the stores was found to be older than the other remembers.
    pub alarmed: bool,
    numbered: HashMap<(Epoch, Lane, u64), MessageId>,
    once_numbered: HashSet<MessageId>,
    /// Ids that the friend named as shown in a copy. If our store is an older one, it may have said them under numbers it
    /// does not know of.
    named: HashSet<MessageId>,
    voids: HashSet<(Epoch, Lane, u64)>,
    marks: HashMap<(u32, Epoch, Lane), u64>,
    ever_shown: HashSet<MessageId>,
    costs: HashMap<MessageId, u64>,
    /// What the friend said stands at a position; none for a void and for what we refused.
    heard: HashMap<Position, HashSet<Option<MessageId>>>,
    /// Epochs of the friend that were retired once. A friend that goes back to one may hear that a message is held
    /// while the store is still about to drop it and take it again; no promise rests on what is held.
    retired: HashSet<(u32, Epoch)>,
}

/// A copy for the friend.
pub struct Envelope {
    sealed: Sealed,
    sent: Timestamp,
    opened: bool,
}

impl Envelope {
    /// When it was sealed.
    pub fn sent(&self) -> Timestamp {
        self.sent
    }
}

/// Small limits, so that they are reached.
pub fn small_limits(pick: [u8; 8]) -> Config {
    let [window, bytes, held, epochs, lanes, queue, delay, after] = pick.map(u64::from);
    Config {
        device: 0,
        queue_messages: 4 + queue,
        queue_bytes: 4_000 + queue * 200,
        lanes: 1 + lanes as usize % 8,
        largest_body: if lanes & 0x80 == 0 { 60_000 } else { 300 },
        window_messages: 1 + window as usize % 40,
        window_bytes: 300 + bytes * 64,
        held: 1 + held as usize % 40,
        epochs: 2 + epochs as usize % 8,
        receipt_delay: Duration::from_millis(delay % 64),
        receipt_after: 1 + after as usize % 32,
        retransmit: (Duration::from_millis(300), Duration::from_millis(300 * (1 + delay % 16))),
        opening: Duration::from_secs(2),
        fallback: Duration::from_millis(100 * (1 + delay % 4)),
        copy_messages: 1 + held as usize % 40,
        copy_bytes: 300 + bytes * 64,
        copy_ttl: Duration::from_secs(60),
        copy_slack: Duration::from_secs(5),
        receipt_wait: Duration::from_millis(500),
        receipt_again: Duration::from_secs(10),
        ask_again: Duration::from_secs(5),
    }
}

impl Party {
    /// A fresh store.
    pub fn new(config: Config, seed: u64, now: Timestamp) -> Party {
        let disk = Disk::default();
        let machine = Conversation::new(config.clone(), disk.saved(FRIEND), entropy(seed), now);
        Party {
            machine,
            config,
            disk,
            work: VecDeque::new(),
            link: None,
            seed,
            now,
            said: VecDeque::new(),
            shown: Vec::new(),
            posted: Vec::new(),
            asks: None,
            dark: None,
            direct: true,
            held: false,
            alarmed: false,
            numbered: HashMap::new(),
            once_numbered: HashSet::new(),
            named: HashSet::new(),
            voids: HashSet::new(),
            marks: HashMap::new(),
            ever_shown: HashSet::new(),
            costs: HashMap::new(),
            heard: HashMap::new(),
            retired: HashSet::new(),
        }
    }

    /// Our sending epoch.
    pub fn epoch(&self) -> Option<Epoch> {
        self.machine.epoch()
    }

    /// The link, while it is up on this side.
    pub fn link(&self) -> Option<LinkId> {
        self.link
    }

    /// Sends, if there is room and the id is new. Whether it was taken.
    pub fn send(&mut self, outgoing: Outgoing) -> bool {
        let id = outgoing.message.id;
        let queued = |work: &Work| {
            matches!(work, Work::Commit(_, batch) if batch.iter().any(|change| {
                matches!(change, Change::Queue(other) if other.message.id == id)
            }))
        };
        let known = self.disk.friends.get(&FRIEND).is_some_and(|friend| friend.sent.contains_key(&id));
        if known || self.work.iter().any(queued) || self.machine.admit(&outgoing).is_err() {
            return false;
        }
        self.costs.insert(id, outgoing.message.cost());
        self.feed(Input::Send(outgoing));
        true
    }

    /// Takes a message back, if there ever was one.
    pub fn cancel(&mut self, id: MessageId) {
        if let Some(cost) = self.costs.get(&id) {
            self.feed(Input::Cancel(id, *cost));
        }
    }

    /// Lanes that are stopped on disk.
    pub fn stopped(&self) -> Vec<Lane> {
        self.disk.friends.get(&FRIEND).map(|friend| friend.stopped()).unwrap_or_default()
    }

    /// Sets the clock.
    pub fn set_clock(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Something happens.
    pub fn feed(&mut self, input: Input) {
        match &input {
            Input::LinkUp(link) => self.link = Some(*link),
            Input::LinkDown(link) if self.link == Some(*link) => self.link = None,
            Input::Frame(_, frame) => self.hear(frame),
            Input::Frames(_, frames) => frames.iter().for_each(|frame| self.hear(frame)),
            Input::Copy { frames, .. } => {
                for frame in frames {
                    self.hear(frame);
                    if let Frame::Kept(ids) = frame {
                        self.named.extend(ids);
                    }
                }
            }
            Input::Dark(dark) => self.dark = *dark,
            Input::Direct(direct) => self.direct = *direct,
            Input::Held(held) => self.held = *held,
            _ => {}
        }
        let mut out = Vec::new();
        self.machine.handle(input, self.now, &mut out);
        // What goes in envelopes only has a window of its own beside that of the link.
        let window = self.config.window_messages + self.config.copy_messages;
        assert!(self.machine.stats().in_flight <= window, "the window is kept");
        let mut closed = None;
        for output in out {
            match output {
                Output::Commit(number, batch) => {
                    self.check_batch(&batch);
                    self.work.push_back(Work::Commit(number, batch));
                }
                Output::Load(query) => self.work.push_back(Work::Load(query)),
                Output::Transmit { link, frame, .. } => {
                    assert_eq!(Some(link), self.link, "speaks on the link that is up");
                    let ours = matches!(frame, Frame::Message { .. } | Frame::Void(_));
                    assert!(!(ours && self.held), "nothing of the outbox is said while it is held");
                    self.check_frame(&frame);
                    if let Frame::Refuse { position, .. } = &frame {
                        self.heard.entry(*position).or_default().insert(None);
                    }
                    self.said.push_back((link, frame));
                }
                Output::Close(link, _) => closed = Some(link),
                Output::Sent(id) => {
                    let friend = self.disk.friends.get(&FRIEND).expect("a friend");
                    assert!(friend.sent.contains_key(&id), "what is accepted is durable");
                }
                Output::Rollback { .. } => self.alarmed = true,
                Output::AskAgain(since) => self.asks = Some(since),
                Output::Cancelled(..)
                | Output::Started(..)
                | Output::Transient(_)
                | Output::Events
                | Output::Waiting { .. }
                | Output::Stopped(..) => {}
            }
        }
        if let Some(link) = closed {
            self.feed(Input::LinkDown(link));
        }
    }

    fn hear(&mut self, frame: &Frame) {
        match frame {
            Frame::Message { position, message, .. } => {
                self.heard.entry(*position).or_default().insert(Some(message.id));
            }
            Frame::Void(position) => {
                self.heard.entry(*position).or_default().insert(None);
            }
            _ => {}
        }
    }

    /// An envelope of the friend's comes, for the first time or again; what it says of keys is learnt.
    pub fn open(&mut self, envelope: &mut Envelope) {
        if envelope.sealed.until <= self.now {
            return;
        }
        let Sealed { key, secret, frames, fresh, .. } = &envelope.sealed;
        let keys = &mut self.disk.friends.entry(FRIEND).or_default().keys;
        let opens = *key == 0 || keys.own.get(key) == Some(secret);
        let (taken, first) = (keys.taken, !std::mem::replace(&mut envelope.opened, true));
        keys.theirs.extend(fresh.iter().filter(|(number, _)| *number > taken).copied());
        if opens {
            let (frames, key, sent) = (frames.clone(), *key, envelope.sent);
            self.feed(Input::Copy { frames, key, sent });
        } else if first {
            self.feed(Input::StaleCopy);
        }
    }

    /// Whether copies are refused by the store from now on, as too dear after all.
    pub fn refuse_copies(&mut self, refuse: bool) {
        self.disk.refuses_copies = refuse;
    }

    /// The oldest of what waits becomes durable, or is read. False when nothing waits.
    pub fn work(&mut self) -> bool {
        match self.work.pop_front() {
            Some(Work::Commit(number, batch)) => {
                let (outcomes, effects) = self.disk.apply(FRIEND, &batch);
                for effect in effects {
                    self.effect(effect);
                }
                self.check_disk();
                self.feed(Input::Committed(number, outcomes));
                true
            }
            Some(Work::Load(query)) => {
                let loaded = self.disk.load(FRIEND, &query);
                self.feed(Input::Loaded(loaded));
                true
            }
            None => false,
        }
    }

    /// All that waits becomes durable, and what came of that. The counts of the machine are those of the disk then.
    pub fn settle(&mut self) {
        let mut steps = 0;
        while self.work() {
            steps += 1;
            assert!(steps < RESTLESS, "comes to rest");
        }
        let (stats, saved) = (self.machine.stats(), self.disk.saved(FRIEND));
        assert_eq!(
            (stats.queued_messages, stats.queued_bytes),
            (saved.queued_messages, saved.queued_bytes),
            "counts what is queued"
        );
        assert_eq!(self.machine.epoch(), saved.epoch);
    }

    /// All deadlines up to now, with everything durable at once. A machine that wakes for nothing again and again does
    /// not come to rest.
    pub fn tick(&mut self) {
        self.settle();
        let mut steps = 0;
        while self.machine.deadline().is_some_and(|at| at <= self.now) {
            self.feed(Input::Tick);
            self.settle();
            steps += 1;
            assert!(steps < RESTLESS, "a deadline passes");
        }
    }

    /// The process is killed and starts again: what was not durable is gone.
    pub fn restart(&mut self) {
        self.work.clear();
        self.said.clear();
        self.link = None;
        self.seed = self.seed.wrapping_add(0x1_0000);
        let saved = self.disk.saved(FRIEND);
        self.machine = Conversation::new(self.config.clone(), saved, entropy(self.seed), self.now);
        for said in [Input::Direct(self.direct), Input::Dark(self.dark), Input::Held(self.held)] {
            self.feed(said);
        }
    }

    /// How a message that was sent ended; none while it is under way or if it was lost before it was durable.
    pub fn end(&self, id: MessageId) -> Option<End> {
        self.disk.friends.get(&FRIEND)?.sent.get(&id)?.end
    }

    /// Whether a message that was sent was ever durable.
    pub fn has(&self, id: MessageId) -> bool {
        self.disk.friends.get(&FRIEND).is_some_and(|friend| friend.sent.contains_key(&id))
    }

    /// Messages in the outbox.
    pub fn queued(&self) -> u64 {
        self.disk.saved(FRIEND).queued_messages
    }

    fn check_batch(&mut self, batch: &Batch) {
        for change in batch {
            match change {
                Change::Done { id, end: End::Delivered } | Change::Void { id, end: End::Delivered } => {
                    let known = self.once_numbered.contains(id) || self.named.contains(id);
                    assert!(known, "what is delivered was numbered, or named by the friend");
                }
                Change::Assign { .. } => assert!(!self.held, "nothing is numbered while it is held"),
                Change::Copy { frames, .. } => {
                    let message = frames.iter().any(|frame| matches!(frame, Frame::Message { .. }));
                    assert!(!(message && self.held), "nothing is copied while it is held");
                    assert!(self.dark.is_some(), "copies are made where they can be");
                }
                Change::Retire { device, epoch } => {
                    self.retired.insert((*device, *epoch));
                }
                _ => {}
            }
        }
    }

    fn check_frame(&self, frame: &Frame) {
        let bytes = frame.encode();
        assert!(bytes.len() <= LONGEST_FRAME, "a link takes it");
        let read = Frame::decode(&bytes).expect("the friend can read it");
        assert_eq!(read.as_ref(), Some(frame));
        match frame {
            Frame::Message { position: p, message, .. } => {
                let durable = self.numbered.get(&(p.epoch, p.lane, p.seq));
                assert_eq!(durable, Some(&message.id), "numbered before it is said");
            }
            Frame::Void(p) => {
                assert!(self.voids.contains(&(p.epoch, p.lane, p.seq)), "void before it is said")
            }
            Frame::Receipt(receipt) => receipt.lanes.iter().for_each(|lane| {
                let p = lane.next;
                let mark = self.marks.get(&(p.device, p.epoch, p.lane)).copied().unwrap_or(0);
                assert!(p.seq <= mark, "durable before it is receipted");
                for (first, last) in &lane.held {
                    assert!(last - first < 1 << 20, "a range of what is held");
                    for seq in *first..=*last {
                        let at = Position { seq, ..p };
                        assert!(
                            self.is_kept(at),
                            "durable before it is receipted: {at:?}, heard {:?}, kept {:?}",
                            self.heard.get(&at),
                            self.disk.friends.get(&FRIEND).map(|friend| &friend.kept)
                        );
                    }
                }
            }),
            Frame::Kept(ids) => {
                assert!(ids.iter().all(|id| self.ever_shown.contains(id)), "shown before it is receipted");
            }
            _ => {}
        }
    }

    /// Whether what stands at this position is kept, or is nothing.
    fn is_kept(&self, at: Position) -> bool {
        let friend = self.disk.friends.get(&FRIEND);
        let remembered = |id: &Option<MessageId>| {
            id.is_none_or(|id| friend.is_some_and(|friend| friend.ids.contains_key(&id)))
        };
        friend.is_some_and(|friend| friend.kept.contains_key(&at))
            || self.heard.get(&at).is_some_and(|heard| heard.iter().any(remembered))
            || self.retired.contains(&(at.device, at.epoch))
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Queued(_) => {}
            Effect::Numbered(id, epoch, lane, seq) => {
                let before = self.numbered.insert((epoch, lane, seq), id);
                assert!(before.is_none_or(|before| before == id), "a number is given once");
                self.once_numbered.insert(id);
            }
            Effect::Voided(epoch, lane, seq) => {
                self.voids.insert((epoch, lane, seq));
            }
            Effect::Settled(next) => {
                let mark = self.marks.entry((next.device, next.epoch, next.lane)).or_insert(0);
                *mark = (*mark).max(next.seq);
            }
            Effect::Shown(position, message) => {
                assert!(self.ever_shown.insert(message.id), "nothing is shown twice");
                self.shown.push((position.lane, message));
            }
            Effect::Sealed(sealed) => {
                for frame in &sealed.frames {
                    self.check_frame(frame);
                    if let Frame::Refuse { position, .. } = frame {
                        self.heard.entry(*position).or_default().insert(None);
                    }
                }
                self.posted.push(Envelope { sealed, sent: self.now, opened: false });
            }
            Effect::Unsealed(_) => {}
            Effect::Ended(id, _) => {
                let friend = self.disk.friends.get(&FRIEND).expect("a friend");
                assert_eq!(friend.sent.get(&id).map(|sent| sent.finals), Some(1), "one end");
            }
        }
    }

    fn check_disk(&self) {
        let Some(friend) = self.disk.friends.get(&FRIEND) else { return };
        assert!(friend.kept.len() <= self.config.held + 1, "what is held is bounded");
        assert!(friend.epochs() <= self.config.epochs, "epochs are bounded");
        assert!(friend.messages().count() as u64 <= self.config.queue_messages, "the queue is bounded");
        let saved = self.disk.saved(FRIEND);
        assert!(saved.lanes_out.len() <= self.config.lanes, "our lanes are bounded");
        let lanes = self.config.lanes * self.config.epochs;
        assert!(saved.lanes_in.len() <= lanes, "the friend's lanes are bounded");
    }
}

fn entropy(seed: u64) -> Box<SeededEntropy> {
    Box::new(SeededEntropy::new(seed))
}
