//! The task: one loop that owns the gossip node and everything beside it, and its restart when it crashes.

use super::asking::Asking;
use super::common::Common;
pub(crate) use super::common::Parts;
use super::gossip::Gossip;
use super::keeping::Keeping;
use super::named::OfHost;
use super::outgoing::Outgoing;
use super::subscribing::Subscribing;
use super::{Answered, Arrival, Owner, Wanted, Whisper};
use crate::event::EventKind;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;
use subrosa_net::gossip::GossipEvent;
use subrosa_proto::Result;
use subrosa_proto::envelope::Topic;
use subrosa_proto::whisper::interest::Interest;
use subrosa_proto::whisper::node::{Delivery, Input};
use tokio::sync::mpsc;

/// Gossip events that wait for the task, a megabyte each at most; beyond, peers are slowed.
const GOSSIP_EVENTS: usize = 32;
/// Arrivals that wait for a place on the engine's channel; beyond, peers and archives are slowed.
const MOST_PENDING: usize = 64;
/// The wait before a task that crashed is started again; it doubles while it goes on crashing.
const FIRST_RESTART: Duration = Duration::from_millis(200);
/// The longest wait before that, and the longest sleep.
const LONGEST: Duration = Duration::from_secs(60);

/// Runs tasks, one after the other, from when there is a reason until it is told to stop.
pub(crate) async fn run(parts: Parts) {
    let mut wait = FIRST_RESTART;
    loop {
        while !parts.whisper.is_on() {
            if parts.whisper.wanted().stop {
                return;
            }
            parts.whisper.changed().await;
        }
        let since = tokio::time::Instant::now();
        let ended = tokio::spawn(live(parts.clone())).await;
        parts.whisper.set_ports(Vec::new(), Vec::new());
        if parts.whisper.set_reach(0, 0) {
            let gone = parts.arrivals.send(Arrival::Reach { peers: 0, archives: 0 });
            tokio::select! {
                _ = gone => {}
                () = stopped(&parts.whisper) => return,
            }
        }
        match ended {
            Ok(Ok(End::Stopped)) => return,
            Ok(Ok(End::Resting)) => {
                // Friends hear that nobody is left; what the task had to say ended with it.
                tokio::select! {
                    _ = parts.arrivals.send(Arrival::Named) => continue,
                    () = stopped(&parts.whisper) => return,
                }
            }
            Ok(Err(error)) => {
                let text = format!("whisper cannot start, and is tried again: {error}");
                parts.events.push(EventKind::Fault { text });
            }
            Err(crash) => {
                log::error!("the task of whisper crashed and is started again: {crash}");
                let text = "the task of whisper crashed and is started again".to_owned();
                parts.events.push(EventKind::Fault { text });
            }
        }
        if since.elapsed() > LONGEST {
            wait = FIRST_RESTART;
        }
        if tokio::time::timeout(wait, stopped(&parts.whisper)).await.is_ok() {
            return;
        }
        wait = (wait * 2).min(LONGEST);
    }
}

async fn stopped(whisper: &Whisper) {
    while !whisper.wanted().stop {
        whisper.changed().await;
    }
}

/// Why a task ended.
enum End {
    /// It was told to, or nobody is left who could.
    Stopped,
    /// There is nobody to talk to.
    Resting,
}

struct Task {
    common: Common,
    gossip: Gossip,
    outgoing: Outgoing,
    asking: Asking,
    keeping: Option<Keeping>,
    subscribing: Subscribing,
    /// The edition of the topics that the gossip node has.
    edition: u64,
    /// Who listens to what, but for subscriptions.
    listeners: HashMap<Topic, Vec<Owner>>,
}

enum Step {
    Wanted,
    Gossip(GossipEvent),
    Asking(super::asking::News),
    Report(super::outgoing::Report),
    Opened(super::opening::Opened),
    Sent,
    Wake,
}

async fn live(parts: Parts) -> Result<End> {
    let (sender, mut gossip_events) = mpsc::channel(GOSSIP_EVENTS);
    let arrivals = parts.arrivals.clone();
    let whisper = parts.whisper.clone();
    let keeping = Keeping::open(&parts).await?;
    let mut common = Common::new(parts);
    let gossip = Gossip::start(&mut common, sender, keeping.is_some())?;
    let (outgoing, mut reports) = Outgoing::new(&common);
    let (asking, mut news) = Asking::new(&mut common)?;
    let (subscribing, mut opened) = Subscribing::start(&common)?;
    let (edition, listeners) = (u64::MAX, HashMap::new());
    let mut task = Task { common, gossip, outgoing, asking, keeping, subscribing, edition, listeners };
    task.outgoing.put_back(&mut task.common, &mut task.gossip)?;
    whisper.change(|wanted| wanted.subscriptions = true);
    task.show_named();
    task.wanted()?;
    loop {
        task.read_clock();
        if task.is_alone() && whisper.rest() {
            return task.end().await.map(|()| End::Resting);
        }
        let sleep = task.tick();
        let room = task.common.pending.len() < MOST_PENDING;
        let calm = room && task.subscribing.has_room();
        let step = tokio::select! {
            () = whisper.changed() => Step::Wanted,
            permit = arrivals.reserve(), if !task.common.pending.is_empty() => {
                match (permit, task.common.pending.pop_front()) {
                    (Ok(permit), Some(arrival)) => permit.send(arrival),
                    // The engine is gone for good, and so is whoever would stop us.
                    (Err(_), _) => return task.end().await.map(|()| End::Stopped),
                    (Ok(_), None) => {}
                }
                Step::Sent
            }
            Some(report) = reports.recv() => Step::Report(report),
            Some(done) = opened.recv() => Step::Opened(done),
            Some(event) = gossip_events.recv(), if calm => Step::Gossip(event),
            Some(event) = news.recv(), if calm => Step::Asking(event),
            () = tokio::time::sleep(sleep) => Step::Wake,
        };
        task.read_clock();
        match step {
            Step::Wanted => {
                if whisper.wanted().stop {
                    return task.end().await.map(|()| End::Stopped);
                }
                #[cfg(feature = "testing")]
                crash_if_wanted(&whisper);
                task.wanted()?;
            }
            Step::Gossip(event) => task.gossip_event(event),
            Step::Asking(event) => task.asking.news(event, &mut task.common, &mut task.subscribing),
            Step::Report(report) => task.outgoing.report(report, &mut task.common, &mut task.gossip),
            Step::Opened(done) => task.subscribing.opened(done, &mut task.common, &mut task.asking),
            Step::Sent | Step::Wake => {}
        }
    }
}

#[cfg(feature = "testing")]
fn crash_if_wanted(whisper: &Whisper) {
    let wanted = std::mem::take(&mut whisper.wanted().crash);
    if wanted {
        crate::testing::crash("the task of whisper");
    }
}

impl Task {
    fn read_clock(&mut self) {
        if self.common.read_clock() {
            self.gossip.clock_jumped(&mut self.common);
            self.common.now = self.common.wall;
            if let Some(keeping) = &mut self.keeping {
                keeping.clock_jumped(&self.common);
            }
            // What gossip refused while the clock was wrong is only in archives.
            self.subscribing.hurry();
        }
    }

    /// Whether there is neither a node port nor anybody to talk to.
    fn is_alone(&self) -> bool {
        !self.common.config().whisper.is_wanted() && !self.gossip.has_peers() && self.asking.archives() == 0
    }

    /// Takes over what engine and hosts want since the last look.
    fn wanted(&mut self) -> Result<()> {
        let whisper = self.common.parts.whisper.clone();
        let (forgotten, asks, look, neighbours, subscriptions, network, clocks) = {
            let mut wanted = whisper.wanted();
            let taken = |flag: &mut bool| std::mem::replace(flag, false);
            (
                std::mem::take(&mut wanted.forgotten),
                std::mem::take(&mut wanted.asks),
                taken(&mut wanted.look),
                taken(&mut wanted.neighbours),
                taken(&mut wanted.subscriptions),
                taken(&mut wanted.network),
                std::mem::take(&mut wanted.clocks),
            )
        };
        for (row, ahead) in clocks {
            self.gossip.friend_clock(row, ahead, &mut self.common);
        }
        if network {
            self.gossip.network_changed(&mut self.common);
            self.asking.network_changed();
            self.outgoing.submit_soon(self.common.wall);
        }
        if neighbours {
            self.gossip.load_peers(&mut self.common)?;
            if self.asking.load_archives(&mut self.common)? {
                self.subscribing.hurry();
                self.outgoing.submit_soon(self.common.wall);
            }
            self.show_named();
        }
        if subscriptions {
            self.subscribing.load(&mut self.common, &mut self.asking)?;
        }
        self.listen();
        for owner in forgotten {
            self.asking.forget(owner);
            if let Owner::Friend(row) = owner {
                self.gossip.friend_gone(row, &mut self.common);
            }
        }
        for (owner, ask) in asks {
            self.asking.ask(owner, ask);
        }
        // Replaced by another, or lost with a task that crashed.
        let mut lost = Vec::new();
        {
            let mut wanted = whisper.wanted();
            let Wanted { asks, open, .. } = &mut *wanted;
            open.retain(|(owner, tag)| {
                let new = asks.get(owner).is_some_and(|ask| ask.tag == *tag);
                let open = new || self.asking.has(*owner, *tag);
                if !open {
                    lost.push((*owner, *tag));
                }
                open
            });
        }
        for (owner, tag) in lost {
            self.common.tell(Arrival::CaughtUp { owner, tag, answer: Answered::Partly });
        }
        if look {
            self.outgoing.look(&mut self.common, &mut self.gossip);
        }
        self.follow();
        Ok(())
    }

    /// Shows whom the host named, for friends to be told.
    fn show_named(&mut self) {
        let (peers, archives) = (self.gossip.named.clone(), self.asking.named.clone());
        self.common.named = peers.iter().chain(&archives).collect::<BTreeSet<_>>().len();
        if self.common.parts.whisper.set_of_host(OfHost { peers, archives }) {
            self.common.tell(Arrival::Named);
        }
    }

    /// Tells the gossip node what is listened to, if that has changed.
    fn listen(&mut self) {
        let mut listeners: HashMap<Topic, Vec<Owner>> = HashMap::new();
        let mut topics: HashSet<Topic> = HashSet::new();
        {
            let wanted = self.common.parts.whisper.wanted();
            if self.edition == wanted.edition {
                return;
            }
            self.edition = wanted.edition;
            for (owner, of) in &wanted.topics {
                topics.extend(of);
                if !matches!(owner, Owner::Subscription(_)) {
                    of.iter().for_each(|topic| listeners.entry(*topic).or_default().push(*owner));
                }
            }
        }
        self.listeners = listeners;
        // What nobody listens to by topic is delivered all the same if a subscription wants every topic.
        let interest = match (self.subscribing.wants_everything(), topics.is_empty()) {
            (true, _) => Interest::Everything,
            (false, true) => Interest::Nothing,
            (false, false) => Interest::Topics(topics.into_iter().collect()),
        };
        self.handle(Input::SetInterest(interest));
    }

    fn handle(&mut self, input: Input<'_>) {
        self.gossip.handle(input, &mut self.common);
        self.follow();
    }

    fn gossip_event(&mut self, event: GossipEvent) {
        if let GossipEvent::Request { peer, body, answer } = event {
            if let Some(keeping) = &mut self.keeping {
                let client = self.gossip.client(peer, self.common.wall);
                if !keeping.request(client, &body, answer, &self.common) {
                    self.gossip.refused(peer, self.common.wall);
                }
            }
            return;
        }
        self.gossip.event(event, &mut self.common);
        self.follow();
    }

    /// Does what the gossip node put out.
    fn follow(&mut self) {
        while let Some(delivery) = self.gossip.deliveries.pop_front() {
            self.deliver(delivery);
        }
        while let Some(envelope) = self.gossip.stored.pop_front() {
            if let Some(keeping) = &mut self.keeping {
                keeping.keep(&envelope, &self.common);
            }
        }
        while let Some(fate) = self.gossip.fates.pop_front() {
            self.outgoing.fate(fate, &mut self.common);
        }
        while let Some((row, envelope)) = self.outgoing.submissions.pop_front() {
            self.asking.submit(row, &envelope, &mut self.common);
        }
        while let Some(row) = self.asking.taken.pop() {
            self.outgoing.left(row, &mut self.common);
        }
        let archives = self.asking.archives();
        let peers = self.gossip.ready();
        if self.common.parts.whisper.set_reach(peers, archives) {
            self.common.tell(Arrival::Reach { peers, archives });
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        if delivery.own {
            return;
        }
        for owner in self.listeners.get(&delivery.envelope.topic).into_iter().flatten() {
            let envelope = delivery.envelope.clone();
            self.common.tell(Arrival::Envelope { owner: *owner, envelope });
        }
        self.subscribing.arrived(&delivery.envelope, Some(delivery.pow));
    }

    /// Does what is due; how long to sleep at most.
    fn tick(&mut self) -> Duration {
        let wall = self.common.wall;
        self.gossip.tick(&mut self.common);
        self.subscribing.tick(&mut self.common, &mut self.asking);
        self.asking.tick(&mut self.common, &mut self.subscribing);
        self.outgoing.tick(&mut self.common, &mut self.gossip);
        let room = self.asking.room_to_submit(wall);
        self.outgoing.submit_again(room, &self.common);
        if let Some(keeping) = &mut self.keeping {
            keeping.tick(&self.common);
        }
        self.follow();
        let subscribing = self.subscribing.deadline(&self.asking).filter(|_| self.asking.archives() > 0);
        let keeping = self.keeping.as_ref().map(Keeping::deadline);
        let submitting = self.outgoing.next_submission().filter(|_| self.asking.room_to_submit(wall) > 0);
        let deadlines = [
            self.gossip.deadline(),
            self.asking.deadline(),
            self.outgoing.deadline(),
            submitting,
            subscribing,
            keeping,
        ];
        deadlines.into_iter().flatten().map(|at| at.since(wall)).min().unwrap_or(LONGEST).min(LONGEST)
    }

    async fn end(mut self) -> Result<()> {
        self.outgoing.stop();
        tokio::join!(self.asking.close(), self.gossip.close());
        match self.keeping.take() {
            Some(keeping) => keeping.close().await,
            None => Ok(()),
        }
    }
}
