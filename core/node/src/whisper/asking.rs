//! Asking archives what came while we were away: over connections of their own, which carry no envelopes of ours and
//! share no key with those to peers (PROTOCOL 9), and which end when there is nothing more to ask.

mod answers;
mod list;
mod progress;
mod standing;
mod submitting;
mod ways;

use super::common::Common;
use super::gossip::close_all;
use super::subscribing::Subscribing;
use super::{Arrival, Ask, Owner};
use list::NamedBy;
use progress::Going;
use standing::Standing;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;
use subrosa_net::gossip::{
    Bytes, DialId, GossipEndpoint, GossipEvent, PeerAddress, PeerHandle, PeerId, RequestError,
};
use subrosa_proto::Result;
use subrosa_proto::envelope::Envelope;
use subrosa_proto::time::Timestamp;
use subrosa_proto::whisper::archive::catch_up::{ArchiveId, CatchUp, Input, Output};
use subrosa_proto::whisper::archive::{Grant, Reply};
use tokio::sync::mpsc;

/// Questions of owners that are asked at once; others wait.
const AT_ONCE: usize = 4;
/// An archive that is asked nothing for so long is let go.
const IDLE: Duration = Duration::from_secs(20);
/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(30);
/// What news wait for the task, a megabyte each at most; beyond, archives are slowed.
const NEWS: usize = 8;
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
    by: NamedBy,
    /// Of those of friends: every friend's first comes before anybody's second.
    turn: usize,
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
    /// How far those that are asked have come.
    going: BTreeMap<ArchiveId, Going>,
    machine: CatchUp,
}

pub(super) struct Asking {
    archives: BTreeMap<ArchiveId, Archive>,
    /// Those of the host, in its order.
    pub(super) named: Vec<PeerAddress>,
    names: HashMap<String, ArchiveId>,
    next_archive: u64,
    running: BTreeMap<Owner, Running>,
    waiting: BTreeMap<Owner, Ask>,
    /// Whose turn was last, so that everybody's comes.
    turn: Option<Owner>,
    lives: u64,
    /// Whether what is kept of archives that are not asked any more was forgotten.
    swept: bool,
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
            named: Vec::new(),
            names: HashMap::new(),
            next_archive: 0,
            running: BTreeMap::new(),
            waiting: BTreeMap::new(),
            turn: None,
            lives: 0,
            swept: false,
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
            archive.standing.forget(owner);
        }
        self.waiting.remove(&owner);
        self.running.remove(&owner);
    }

    fn drive(&mut self, owner: Owner, input: Input<'_>, common: &mut Common, subscribing: &mut Subscribing) {
        let Some(running) = self.running.get_mut(&owner) else { return };
        let mut outputs = std::mem::take(&mut self.outputs);
        running.machine.handle(input, common.wall, &mut outputs);
        let life = running.life;
        let ends = outputs.iter().any(|output| matches!(output, Output::Done(_)));
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
                Output::Mark(archive, mark) => self.page_came(owner, archive, mark, common, subscribing),
                // Otherwise what the answer is worth says what is to be kept.
                Output::Given(archive, ending) if !ends => {
                    self.given(owner, archive, ending, common, subscribing);
                }
                Output::Given(..) => {}
                Output::Done(summary) => self.done(owner, &summary, common, subscribing),
            }
        }
        self.outputs = outputs;
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
            let dial = self.dial(0, id);
            match (dial, self.archives.get_mut(&id)) {
                (Some(dial), Some(archive)) => archive.way = Way::Dialling(dial, 0),
                _ => return self.fail(id),
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
