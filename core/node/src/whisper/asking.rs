//! Asking archives what came while we were away: over connections of their own, which carry no envelopes of ours and
//! share no key with those to peers (PROTOCOL 9), and which end when there is nothing more to ask.

mod padding;
mod standing;

use super::common::Common;
use super::gossip::{ASKS, any_address, close_all};
use super::subscribing::Subscribing;
use super::{Arrival, Ask, Owner};
use padding::padded;
use standing::{Standing, is_settled};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;
use subrosa_net::gossip::{
    Bytes, Capabilities, DialFailure, DialId, GossipConfig, GossipEndpoint, GossipEvent, PeerAddress,
    PeerHandle, PeerId, RequestError,
};
use subrosa_proto::Result;
use subrosa_proto::envelope::Envelope;
use subrosa_proto::time::Timestamp;
use subrosa_proto::whisper::archive::catch_up::{
    ArchiveId, CatchUp, Ending, Input, Limits, Output, Range, Source, Summary,
};
use subrosa_proto::whisper::archive::{Grant, MAX_REPLY, Question, Reply, Submit};
use subrosa_store::peer;
use tokio::sync::mpsc;

/// Questions of owners that are asked at once; others wait.
const AT_ONCE: usize = 4;
/// An archive that is asked nothing for so long is let go.
const IDLE: Duration = Duration::from_secs(20);
/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(30);
/// What news wait for the task, a megabyte each at most; beyond, archives are slowed.
const NEWS: usize = 8;
/// Envelopes of ours that wait for archives beside the gossip, counted once for each archive; more wait for their turn.
const SUBMISSIONS: usize = 256;
/// An archive that gave so many that nobody else had, and none that is wrong, did not flood us: somebody else did.
const FLOOD: u32 = 4_096;
/// That an archive answered is noted so often at most.
const NOTED: Duration = Duration::from_secs(3_600);

/// What the tasks beside this one report.
pub(super) enum News {
    /// Of the connections.
    Gossip(GossipEvent),
    /// The reply to a question, or that there is none.
    Reply { errand: Errand, archive: ArchiveId, reply: Result<Bytes, RequestError> },
}

/// For what an archive is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Errand {
    /// The question of this number that this owner's machine put, in this of its lives.
    Ask(Owner, u64, u64),
    /// To take the envelope of the publication in this row.
    Submit(i64),
}

struct Archive {
    address: PeerAddress,
    grant: Option<Grant>,
    way: Way,
    /// What waits for the connection.
    waiting: VecDeque<(Errand, Vec<u8>)>,
    used: Timestamp,
    under_way: usize,
    standing: Standing,
}

enum Way {
    None,
    Dialling(DialId, usize),
    Up(PeerHandle),
}

struct Running {
    ask: Ask,
    /// Another one for each question of an owner, so that late replies to the last one are known.
    life: u64,
    /// Archives that should have been asked, and are left out.
    left_out: bool,
    machine: CatchUp,
}

pub(super) struct Asking {
    archives: BTreeMap<ArchiveId, Archive>,
    names: HashMap<String, ArchiveId>,
    next_archive: u64,
    running: BTreeMap<Owner, Running>,
    waiting: BTreeMap<Owner, Ask>,
    /// Whose turn was last, so that everybody's comes.
    turn: Option<Owner>,
    lives: u64,
    /// Publications that an archive has taken, for the task.
    pub(super) taken: Vec<i64>,
    submitting: BTreeSet<(i64, ArchiveId)>,
    endpoints: Vec<GossipEndpoint>,
    events: mpsc::Sender<GossipEvent>,
    news: mpsc::Sender<News>,
    outputs: Vec<Output>,
}

impl Asking {
    pub(super) fn new(common: &mut Common) -> Result<(Asking, mpsc::Receiver<News>)> {
        let (news, receiver) = mpsc::channel(NEWS);
        let (events, mut gossip) = mpsc::channel(NEWS);
        let forward = news.clone();
        tokio::spawn(async move {
            while let Some(event) = gossip.recv().await {
                if forward.send(News::Gossip(event)).await.is_err() {
                    return;
                }
            }
        });
        let mut asking = Asking {
            archives: BTreeMap::new(),
            names: HashMap::new(),
            next_archive: 0,
            running: BTreeMap::new(),
            waiting: BTreeMap::new(),
            turn: None,
            lives: 0,
            taken: Vec::new(),
            submitting: BTreeSet::new(),
            endpoints: Vec::new(),
            events,
            news,
            outputs: Vec::new(),
        };
        asking.load_archives(common)?;
        Ok((asking, receiver))
    }

    /// Reads which archives the host wants asked, from configuration and store. Whether there is a new one.
    pub(super) fn load_archives(&mut self, common: &mut Common) -> Result<bool> {
        // By their addresses written in one way, so that one that is in both counts once.
        let mut wanted: BTreeMap<String, Option<Vec<u8>>> = BTreeMap::new();
        for archive in &common.config().whisper.archives {
            wanted.insert(archive.address.parse::<PeerAddress>()?.to_string(), archive.grant.clone());
        }
        let kept =
            common.parts.store.read(|s| peer::list(s, peer::List::Archives, 0, peer::MOST_ARCHIVES))?;
        for (_, archive) in kept {
            let grant = wanted.entry(archive.address.clone()).or_default();
            *grant = archive.grant.clone().or(grant.take());
        }
        let gone: Vec<ArchiveId> =
            self.names.iter().filter(|(name, _)| !wanted.contains_key(*name)).map(|(_, id)| *id).collect();
        for id in gone {
            self.names.retain(|_, other| *other != id);
            if let Some(mut archive) = self.archives.remove(&id) {
                let waiting = std::mem::take(&mut archive.waiting);
                archive.end();
                self.no_reply(waiting.into_iter().map(|(errand, _)| errand), id);
            }
        }
        let mut new = false;
        for (name, grant) in wanted {
            let address: PeerAddress = name.parse()?;
            let grant = grant.map(Grant::new).transpose()?;
            if let Some(known) = self.names.get(&name).and_then(|id| self.archives.get_mut(id)) {
                known.grant = grant;
                continue;
            }
            let id = ArchiveId(self.next_archive);
            self.next_archive += 1;
            self.names.insert(name, id);
            new = true;
            let archive = Archive {
                address,
                grant,
                way: Way::None,
                waiting: VecDeque::new(),
                used: common.wall,
                under_way: 0,
                standing: Standing::default(),
            };
            self.archives.insert(id, archive);
        }
        Ok(new)
    }

    /// How many archives there are to ask.
    pub(super) fn archives(&self) -> usize {
        self.archives.len()
    }

    /// Whether this owner's last question is still being asked, or waits.
    pub(super) fn is_busy(&self, owner: Owner) -> bool {
        self.running.contains_key(&owner) || self.waiting.contains_key(&owner)
    }

    /// Whether this very question is being asked, or waits.
    pub(super) fn has(&self, owner: Owner, tag: u64) -> bool {
        self.waiting.get(&owner).is_some_and(|ask| ask.tag == tag)
            || self.running.get(&owner).is_some_and(|running| running.ask.tag == tag)
    }

    /// Takes a question. One that waits is replaced.
    pub(super) fn ask(&mut self, owner: Owner, ask: Ask) {
        self.waiting.insert(owner, ask);
    }

    /// Ends the questions of this owner.
    pub(super) fn forget(&mut self, owner: Owner) {
        for archive in self.archives.values_mut() {
            archive.standing.lacking.remove(&owner);
        }
        self.waiting.remove(&owner);
        self.running.remove(&owner);
    }

    fn start(&mut self, common: &mut Common, subscribing: &mut Subscribing) {
        while self.running.len() < AT_ONCE {
            // Round and round, so that those who ask often leave the others their turn.
            let free = |owner: &&Owner| !self.running.contains_key(owner);
            let after = self.waiting.keys().filter(free).find(|owner| Some(**owner) > self.turn);
            let next = after.or_else(|| self.waiting.keys().find(free)).copied();
            let Some((owner, ask)) = next.and_then(|owner| self.waiting.remove_entry(&owner)) else { return };
            self.turn = Some(owner);
            let wall = common.wall;
            let (mut sources, mut left_out) = (Vec::new(), false);
            for (id, archive) in &self.archives {
                match archive.standing.is_out(wall) {
                    true => left_out |= !archive.standing.is_lost(wall),
                    false => sources.push(Source { id: *id, grant: archive.grant.clone(), mark: None }),
                }
            }
            let topics = (!ask.topics.is_empty()).then(|| padded(owner, &ask.topics, &common.parts.identity));
            let range = Range { from: seconds(ask.from), to: seconds(ask.to), topics };
            // Archives that serve a network with less work are believed as its peers are.
            let usual = Limits::default();
            let limits = Limits { floor: usual.floor.min(common.config().whisper.least_pow), ..usual };
            let machine = CatchUp::new(limits, range, sources, wall);
            self.lives += 1;
            self.running.insert(owner, Running { ask, life: self.lives, left_out, machine });
            self.drive(owner, Input::Tick, common, subscribing);
        }
    }

    fn drive(&mut self, owner: Owner, input: Input<'_>, common: &mut Common, subscribing: &mut Subscribing) {
        let Some(running) = self.running.get_mut(&owner) else { return };
        let mut outputs = std::mem::take(&mut self.outputs);
        running.machine.handle(input, common.wall, &mut outputs);
        let life = running.life;
        for output in outputs.drain(..) {
            match output {
                Output::Ask { archive, number, question } => {
                    self.errand(Errand::Ask(owner, life, number), archive, question, common);
                }
                Output::Envelope(_, envelope) => {
                    // What comes on topics that only hide ours is nobody's.
                    if self.running.get(&owner).is_some_and(|running| asked(&running.ask, &envelope)) {
                        found(owner, envelope, common, subscribing);
                    }
                }
                // A question that was cut off is asked again as a whole: the same envelopes collapse by their ids.
                Output::Mark(..) => {}
                Output::Done(summary) => self.done(owner, &summary, common, subscribing),
            }
        }
        self.outputs = outputs;
    }

    fn done(&mut self, owner: Owner, summary: &Summary, common: &mut Common, subscribing: &mut Subscribing) {
        let Some(Running { ask, left_out, .. }) = self.running.remove(&owner) else { return };
        let (wall, now) = (common.wall, common.now);
        // One that lies or hides something must not make the others' answers look complete before they are there. One
        // that lies all the time, or is gone for days, does not count.
        let (mut answered, mut complete) = (false, !left_out);
        for tale in &summary.archives {
            log::debug!("archive {:?}: {:?}, {} envelopes", tale.archive, tale.ending, tale.envelopes);
            let Some(archive) = self.archives.get_mut(&tale.archive) else { continue };
            match tale.ending {
                Ending::Complete => {
                    answered = true;
                    archive.standing.lacking.remove(&owner);
                }
                Ending::Short(since) if is_settled(since, now) => {
                    answered = true;
                    archive.standing.lacking.remove(&owner);
                }
                // One that says so all the time may lie.
                Ending::Short(_) => complete &= archive.standing.lacks(owner, wall),
                Ending::Flooded if tale.wrong == 0 && tale.first >= FLOOD => {
                    complete &= archive.standing.lacks(owner, wall);
                }
                Ending::Unreachable => complete &= archive.standing.is_lost(wall),
                // Also one that answers each question, but late, has held up everybody.
                Ending::OutOfTime | Ending::Refused(_) | Ending::Lied | Ending::Flooded => {
                    archive.standing.failed(wall);
                    complete &= archive.standing.is_lost(wall);
                    continue;
                }
            }
            if tale.failures == 0 {
                archive.standing.answered();
                let noted = archive.standing.noted.is_some_and(|at| wall.distance(at) < NOTED);
                if !noted {
                    archive.standing.noted = Some(wall);
                    common.note_good(peer::List::Archives, archive.address.to_string());
                }
            }
        }
        let complete = answered && complete;
        match owner {
            Owner::Subscription(id) => subscribing.caught_up(id, ask.to, complete, common),
            _ => {
                common.parts.whisper.wanted().open.remove(&(owner, ask.tag));
                common.tell(Arrival::CaughtUp { owner, tag: ask.tag, complete });
            }
        }
    }

    /// The archives that take envelopes of ours.
    fn granting(&self, now: Timestamp) -> impl Iterator<Item = (ArchiveId, Option<Grant>)> {
        let granting = self.archives.iter().filter(move |(_, archive)| !archive.standing.is_out(now));
        granting
            .filter(|(_, archive)| archive.grant.is_some())
            .map(|(id, archive)| (*id, archive.grant.clone()))
    }

    /// How many envelopes [`Asking::submit`] would take.
    pub(super) fn room_to_submit(&self, now: Timestamp) -> usize {
        match self.granting(now).next() {
            Some(_) => SUBMISSIONS.saturating_sub(self.submitting.len()),
            None => 0,
        }
    }

    /// Gives an envelope of ours to the archives that have given us a grant. If one takes it, its row comes out in
    /// `taken`; otherwise it is up to the caller to try again.
    pub(super) fn submit(&mut self, row: i64, envelope: &Envelope, common: &mut Common) {
        let granting: Vec<(ArchiveId, Option<Grant>)> = self.granting(common.wall).collect();
        for (id, grant) in granting {
            if self.submitting.len() >= SUBMISSIONS || !self.submitting.insert((row, id)) {
                continue;
            }
            let question = Question::Submit(Submit { envelope: envelope.raw().clone(), grant }).encode();
            self.errand(Errand::Submit(row), id, question, common);
        }
    }

    /// Puts a question to an archive, dialling it if need be. Ends in [`News::Reply`].
    fn errand(&mut self, errand: Errand, id: ArchiveId, question: Vec<u8>, common: &mut Common) {
        // Sockets that the system took away.
        self.endpoints.retain(GossipEndpoint::is_up);
        if self.endpoints.is_empty() {
            self.bind();
        }
        let Some(archive) = self.archives.get_mut(&id) else {
            return self.no_reply([errand], id);
        };
        archive.used = common.wall;
        archive.waiting.push_back((errand, question));
        if matches!(archive.way, Way::None) {
            match self.endpoints.first() {
                Some(endpoint) => archive.way = Way::Dialling(endpoint.dial(archive.address.clone()), 0),
                None => return self.fail(id),
            }
        }
        self.send(id);
    }

    /// Sends what waits, as much as may be under way at once.
    fn send(&mut self, id: ArchiveId) {
        let Some(archive) = self.archives.get_mut(&id) else { return };
        let Way::Up(handle) = &archive.way else { return };
        while archive.under_way < AT_ONCE {
            let Some((errand, question)) = archive.waiting.pop_front() else { return };
            archive.under_way += 1;
            let (asked, news) = (handle.request(Bytes::from(question), QUESTION), self.news.clone());
            tokio::spawn(async move {
                let reply = asked.await;
                let _ = news.send(News::Reply { errand, archive: id, reply }).await;
            });
        }
    }

    /// From beside, so that the machine is not called from within itself.
    fn no_reply(&self, errands: impl IntoIterator<Item = Errand>, archive: ArchiveId) {
        let (news, errands) = (self.news.clone(), errands.into_iter().collect::<Vec<Errand>>());
        tokio::spawn(async move {
            for errand in errands {
                let reply = Err(RequestError::Ended);
                let _ = news.send(News::Reply { errand, archive, reply }).await;
            }
        });
    }

    fn bind(&mut self) {
        let settings = GossipConfig {
            capabilities: Capabilities(ASKS),
            longest_answer: MAX_REPLY + 1_024,
            inbound: 0,
            ..GossipConfig::default()
        };
        for addr in any_address() {
            match GossipEndpoint::bind(settings.clone(), addr, self.events.clone()) {
                Ok(endpoint) => self.endpoints.push(endpoint),
                Err(error) => log::debug!("no socket for questions to archives on {addr}: {error}"),
            }
        }
    }

    /// The questions that wait for this archive will get no reply.
    fn fail(&mut self, id: ArchiveId) {
        let Some(archive) = self.archives.get_mut(&id) else { return };
        archive.way = Way::None;
        let waiting = std::mem::take(&mut archive.waiting);
        archive.under_way += waiting.len();
        self.no_reply(waiting.into_iter().map(|(errand, _)| errand), id);
    }

    pub(super) fn news(&mut self, news: News, common: &mut Common, subscribing: &mut Subscribing) {
        match news {
            News::Gossip(event) => self.event(event, common),
            News::Reply { errand, archive: id, reply } => {
                if let Some(archive) = self.archives.get_mut(&id) {
                    archive.under_way = archive.under_way.saturating_sub(1);
                    archive.used = common.wall;
                    if let Err(why) = &reply {
                        log::debug!("no reply from archive {}: {why:?}", archive.address);
                        if matches!(why, RequestError::TimedOut) {
                            archive.standing.failed(common.wall);
                        }
                    }
                }
                match errand {
                    Errand::Ask(owner, life, number) => {
                        if self.running.get(&owner).is_some_and(|running| running.life == life) {
                            let input = match &reply {
                                Ok(bytes) => Input::Reply(id, number, bytes),
                                Err(_) => Input::Failed(id, number),
                            };
                            self.drive(owner, input, common, subscribing);
                        }
                    }
                    Errand::Submit(row) => {
                        self.submitting.remove(&(row, id));
                        match reply.map(|bytes| Reply::decode(&bytes)) {
                            Ok(Ok(Reply::Taken)) => self.taken.push(row),
                            Ok(other) => log::info!("an archive does not take an envelope: {other:?}"),
                            Err(_) => {}
                        }
                    }
                }
                self.send(id);
            }
        }
    }

    fn event(&mut self, event: GossipEvent, common: &mut Common) {
        match event {
            GossipEvent::Up(up) => {
                let dial = up.dial;
                let found = self
                    .archives
                    .iter_mut()
                    .find(|(_, archive)| matches!(archive.way, Way::Dialling(id, _) if Some(id) == dial));
                let Some((id, archive)) = found else {
                    // Nobody dials us here.
                    up.peer.close();
                    return;
                };
                let id = *id;
                archive.way = Way::Up(up.peer);
                self.send(id);
            }
            GossipEvent::DialFailed { dial, why } => {
                let found = self.archives.iter_mut().find_map(|(id, archive)| match archive.way {
                    Way::Dialling(of, at) if of == dial => Some((*id, at, archive)),
                    _ => None,
                });
                let Some((id, at, archive)) = found else { return };
                log::debug!("archive {}: {why:?}", archive.address);
                // Perhaps the name has an address of the other family.
                match self.endpoints.get(at + 1).filter(|_| why == DialFailure::Address) {
                    Some(endpoint) => {
                        archive.way = Way::Dialling(endpoint.dial(archive.address.clone()), at + 1);
                    }
                    None => {
                        archive.standing.failed(common.wall);
                        self.fail(id);
                    }
                }
            }
            GossipEvent::Down { peer, .. } => {
                let found = self.archives.iter_mut().find(|(_, archive)| archive.is_up(peer));
                if let Some(id) = found.map(|(id, _)| *id) {
                    self.fail(id);
                }
            }
            // An archive may gossip to whoever connects; we do not listen here.
            GossipEvent::Packet { .. }
            | GossipEvent::Request { .. }
            | GossipEvent::Writable(_)
            | GossipEvent::Fault(_) => {}
        }
    }

    pub(super) fn tick(&mut self, common: &mut Common, subscribing: &mut Subscribing) {
        let now = common.wall;
        let due: Vec<Owner> = self
            .running
            .iter()
            .filter(|(_, running)| running.machine.deadline().is_some_and(|at| at <= now))
            .map(|(owner, _)| *owner)
            .collect();
        for owner in due {
            self.drive(owner, Input::Tick, common, subscribing);
        }
        self.start(common, subscribing);
        if !self.running.is_empty() {
            return;
        }
        let idle = |archive: &Archive| {
            archive.under_way == 0 && archive.waiting.is_empty() && now.distance(archive.used) >= IDLE
        };
        if !self.endpoints.is_empty() && self.archives.values().all(idle) {
            for archive in self.archives.values_mut() {
                archive.way = Way::None;
            }
            self.hang_up();
        }
    }

    /// The next questions go out under another key, from another port.
    fn hang_up(&mut self) {
        tokio::spawn(close_all(std::mem::take(&mut self.endpoints)));
    }

    /// When something is due, by the wall clock.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let machines = self.running.values().filter_map(|running| running.machine.deadline()).min();
        let idle = self.archives.values().map(|archive| archive.used.after(IDLE)).max();
        let busy = |archive: &Archive| archive.under_way > 0 || !archive.waiting.is_empty();
        let busy = !self.running.is_empty() || self.archives.values().any(busy);
        let idle = idle.filter(|_| !busy && !self.endpoints.is_empty());
        [machines, idle].into_iter().flatten().min()
    }

    /// Sockets may be gone with the old network; questions under way fail and are asked again.
    pub(super) fn network_changed(&mut self) {
        for archive in self.archives.values_mut() {
            if let Way::Up(handle) = &archive.way {
                handle.close();
            }
            archive.way = Way::None;
        }
        let ids: Vec<ArchiveId> = self.archives.keys().copied().collect();
        for id in ids {
            self.fail(id);
        }
        for archive in self.archives.values_mut() {
            archive.standing.answered();
        }
        self.hang_up();
    }

    pub(super) async fn close(self) {
        close_all(self.endpoints).await;
    }
}

impl Archive {
    fn is_up(&self, peer: PeerId) -> bool {
        matches!(&self.way, Way::Up(handle) if handle.id() == peer)
    }

    fn end(self) {
        if let Way::Up(handle) = self.way {
            handle.close();
        }
    }
}

/// An archive had this.
fn found(owner: Owner, envelope: Envelope, common: &mut Common, subscribing: &mut Subscribing) {
    match owner {
        Owner::Subscription(_) => subscribing.arrived(&envelope, None),
        _ => common.tell(Arrival::Envelope { owner, envelope }),
    }
}

fn asked(ask: &Ask, envelope: &Envelope) -> bool {
    ask.topics.is_empty() || ask.topics.contains(&envelope.topic)
}

fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.as_millis() / 1_000).unwrap_or(u32::MAX)
}

impl std::fmt::Debug for Asking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Asking({} archives, {} questions)", self.archives.len(), self.running.len())
    }
}
