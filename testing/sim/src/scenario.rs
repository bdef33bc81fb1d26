//! What may happen in a run: presets by name, and the ways to break the machine on purpose.

use subrosa_proto::entropy::SeededEntropy;

/// How hosts, disks and the network behave. All times are milliseconds of virtual time.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name, for the command line.
    pub name: &'static str,
    /// How many hosts; all are friends of each other.
    pub hosts: usize,
    /// How long faults happen; afterwards everything heals and must drain.
    pub faults_for: u64,
    /// Most messages each host sends.
    pub sends: u32,
    /// The mean time between two actions of one host.
    pub pace: u64,
    /// Percent of frames that vanish, that come twice, and that are overtaken. All zero is an ordered link.
    pub loss: u64,
    /// See `loss`.
    pub duplicate: u64,
    /// See `loss`.
    pub reorder: u64,
    /// The mean life of a link; 0 is for ever.
    pub link_life: u64,
    /// The mean time until two hosts without a link get one.
    pub link_gap: u64,
    /// Percent of dialling attempts that replace a link which is still up.
    pub redial: u64,
    /// The mean time between two crashes of one host; 0 is never.
    pub crash: u64,
    /// Percent of commits that fail, with an unknown outcome.
    pub failing_commits: u64,
    /// The mean time between two jumps of one host's clock by a year; 0 is never.
    pub clock: u64,
    /// The mean time between two periods in which a host reads nothing; 0 is never.
    pub full: u64,
    /// The mean time between two restored backups of one host; 0 is never.
    pub rollback: u64,
    /// The mean time between two copies made of one host's store and used beside it; 0 is never.
    pub clones: u64,
    /// Most copies of one store beside the first.
    pub most_clones: usize,
    /// Whether stores of more than one person are copied.
    pub all_cloned: bool,
    /// The mean time for which a copied store is in use, and not in use.
    pub away: u64,
    /// How friends fare who are not online together; none where only links count.
    pub dark: Option<DarkNet>,
    /// Whether a restored host waits for a decision before its outbox goes on.
    pub held: bool,
    /// Whether each seed draws rates of its own from those given, some of them never.
    pub varied: bool,
    /// How the machine is broken on purpose.
    pub sabotage: Option<Sabotage>,
}

/// Envelopes and archives.
#[derive(Clone, Debug)]
pub struct DarkNet {
    /// Hosts take turns to be online in so many milliseconds; 0 is always online.
    pub shift: u64,
    /// Whether friends may have links.
    pub direct: bool,
    /// How long copies live, in milliseconds.
    pub ttl: u64,
    /// Percent of envelopes that reach nobody, and that reach a friend at once who is online.
    pub lost: u64,
    /// See `lost`.
    pub live: u64,
    /// Some envelopes reach the archives so many milliseconds late.
    pub delay: u64,
    /// Percent of envelopes an archive gives twice, and of its answers that are not complete.
    pub repeat: u64,
    /// See `repeat`.
    pub partial: u64,
    /// One-time keys at the start.
    pub keys: u64,
    /// Percent of the time in which copies are refused, or only small ones are not.
    pub refusals: u64,
    /// The mean time between two questions to the archives.
    pub catch_up: u64,
}

/// A defect put around the machine, which the oracle must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The end of a delivered message is never written.
    DropDone,
    /// A delivery event is written twice.
    RepeatDone,
    /// The machine hears that a message is kept before that is durable.
    KeepEarly,
    /// The machine hears that a number is kept before that is durable.
    AssignEarly,
    /// A commit with a message in it is answered and never applied.
    SwallowReceive,
    /// A commit with a watermark in it is answered and the watermark not moved.
    SwallowWatermark,
    /// Watermarks are lost when a host starts.
    ForgetWatermarks,
    /// The ids of messages that were shown are lost when a host starts.
    ForgetIds,
    /// A message above a hole is shown at once.
    ShowEarly,
    /// Messages of the outbox are given back in reverse order.
    ReverseOutbox,
    /// Voids are never transmitted.
    DropVoids,
    /// The number of a message is not committed.
    ForgetAssign,
    /// A message with a number can still be cancelled.
    CancelLate,
    /// Frames say that a message has the place after its own.
    ShiftPosition,
    /// Opening receipts say nothing.
    EmptyOpening,
    /// Receipts vanish.
    DropReceipts,
    /// Times to live end messages by a clock that nobody confirmed.
    TrustAnyClock,
    /// Receipts by copy name messages that did not come.
    ForgeKept,
    /// Receipts by copy name nothing.
    DropKept,
    /// A one-time key is taken twice.
    ReuseKeys,
    /// That a message was copied is not kept.
    ForgetCopied,
    /// Voids vanish from copies.
    DropCopiedVoids,
    /// A copy leaves before it is durable.
    PostEarly,
    /// Copies outlive their messages.
    LongCopies,
    /// A restored store does not wait for the decision.
    IgnoreHeld,
    /// By which way a message may go is not kept.
    ForgetWays,
    /// A held copy comes for links with friends who met the other one.
    TakeLinksHeld,
    /// What a replaced copy of a friend's says of ours is not judged.
    JudgeLinkedOnly,
    /// That a copy is held is lost when it is opened again.
    ForgetStanding,
    /// The runs of a store are lost when it is opened again.
    ForgetRuns,
    /// Nobody is told of copies.
    TellNobody,
    /// What a held copy had queued is lost when its host decides.
    DropHeld,
}

impl Sabotage {
    /// Every one of them.
    pub const ALL: &'static [Sabotage] = &[
        Sabotage::DropDone,
        Sabotage::RepeatDone,
        Sabotage::KeepEarly,
        Sabotage::AssignEarly,
        Sabotage::SwallowReceive,
        Sabotage::SwallowWatermark,
        Sabotage::ForgetWatermarks,
        Sabotage::ForgetIds,
        Sabotage::ShowEarly,
        Sabotage::ReverseOutbox,
        Sabotage::DropVoids,
        Sabotage::ForgetAssign,
        Sabotage::CancelLate,
        Sabotage::ShiftPosition,
        Sabotage::EmptyOpening,
        Sabotage::DropReceipts,
        Sabotage::TrustAnyClock,
        Sabotage::ForgeKept,
        Sabotage::DropKept,
        Sabotage::ReuseKeys,
        Sabotage::ForgetCopied,
        Sabotage::DropCopiedVoids,
        Sabotage::PostEarly,
        Sabotage::LongCopies,
        Sabotage::IgnoreHeld,
        Sabotage::ForgetWays,
        Sabotage::TakeLinksHeld,
        Sabotage::JudgeLinkedOnly,
        Sabotage::ForgetStanding,
        Sabotage::ForgetRuns,
        Sabotage::TellNobody,
        Sabotage::DropHeld,
    ];
}

impl Scenario {
    /// The names of all presets, from calm to everything at once.
    pub const NAMES: &'static [&'static str] = &[
        "calm",
        "lossy",
        "partitions",
        "restarts",
        "clocks",
        "full-inboxes",
        "rollback",
        "clones",
        "clones-varied",
        "everything",
        "varied",
        "dark",
        "dark-faults",
        "dark-rollback",
        "dusk",
        "ways",
        "lost-futures",
        "dark-varied",
        "dark-clones",
    ];

    /// The preset of this name for so many hosts (at least two).
    pub fn preset(name: &str, hosts: usize) -> Option<Scenario> {
        let calm = Scenario {
            name: "calm",
            hosts: hosts.max(2),
            faults_for: 30_000,
            sends: 60,
            pace: 200,
            loss: 0,
            duplicate: 0,
            reorder: 0,
            link_life: 0,
            link_gap: 500,
            redial: 0,
            crash: 0,
            failing_commits: 0,
            clock: 0,
            full: 0,
            rollback: 0,
            clones: 0,
            most_clones: 1,
            all_cloned: false,
            away: 0,
            dark: None,
            held: false,
            varied: false,
            sabotage: None,
        };
        let lossy = Scenario {
            name: "lossy",
            loss: 10,
            duplicate: 10,
            reorder: 20,
            link_life: 20_000,
            ..calm.clone()
        };
        let partitions = Scenario { name: "partitions", link_life: 2_000, redial: 20, ..calm.clone() };
        let restarts = Scenario { name: "restarts", crash: 4_000, failing_commits: 2, ..partitions.clone() };
        let clones = Scenario {
            name: "clones",
            link_life: 3_000,
            clones: 15_000,
            away: 3_000,
            crash: 8_000,
            failing_commits: 1,
            ..partitions.clone()
        };
        let everything = Scenario {
            name: "everything",
            loss: 5,
            duplicate: 5,
            reorder: 10,
            clock: 10_000,
            full: 8_000,
            rollback: 20_000,
            ..restarts.clone()
        };
        let net = DarkNet {
            shift: 1_200_000,
            direct: false,
            ttl: 4 * 3_600_000,
            lost: 0,
            live: 50,
            delay: 0,
            repeat: 10,
            partial: 0,
            keys: 8,
            refusals: 0,
            catch_up: 300_000,
        };
        let faulty =
            DarkNet { lost: 10, delay: 8 * 3_600_000, repeat: 30, partial: 30, refusals: 10, ..net.clone() };
        let dark = Scenario {
            name: "dark",
            faults_for: 6 * 3_600_000,
            pace: 120_000,
            link_gap: 0,
            dark: Some(net.clone()),
            ..calm.clone()
        };
        let dark_faults = Scenario {
            name: "dark-faults",
            crash: 900_000,
            failing_commits: 2,
            clock: 3 * 3_600_000,
            full: 1_800_000,
            dark: Some(faulty.clone()),
            ..dark.clone()
        };
        let dark_rollback =
            Scenario { name: "dark-rollback", rollback: 5_400_000, held: true, ..dark_faults.clone() };
        let scenario = match name {
            "dark" => dark,
            "dark-faults" => dark_faults,
            "dusk" => Scenario {
                name: "dusk",
                link_gap: 600_000,
                link_life: 300_000,
                redial: 20,
                dark: Some(DarkNet { shift: 0, direct: true, ..faulty }),
                ..dark_rollback
            },
            "ways" => Scenario {
                name: "ways",
                faults_for: 3_600_000,
                pace: 20_000,
                link_gap: 60_000,
                link_life: 300_000,
                redial: 20,
                crash: 900_000,
                failing_commits: 2,
                dark: Some(DarkNet { direct: true, shift: 0, ..faulty.clone() }),
                ..calm.clone()
            },
            // Backups are restored between two links, and what was copied in between arrives while the next is up.
            "lost-futures" => Scenario {
                name: "lost-futures",
                faults_for: 600_000,
                sends: 150,
                pace: 3_000,
                link_gap: 4_000,
                link_life: 2_000,
                redial: 40,
                rollback: 15_000,
                dark: Some(DarkNet {
                    direct: true,
                    shift: 0,
                    live: 0,
                    delay: 60_000,
                    catch_up: 5_000,
                    ..net
                }),
                ..calm.clone()
            },
            "dark-varied" => Scenario { name: "dark-varied", varied: true, ..dark_rollback },
            "dark-rollback" => dark_rollback,
            "calm" => calm,
            "lossy" => lossy,
            "partitions" => partitions,
            "restarts" => restarts,
            "clocks" => Scenario { name: "clocks", clock: 5_000, ..partitions },
            "full-inboxes" => Scenario { name: "full-inboxes", full: 4_000, ..restarts },
            "rollback" => Scenario {
                name: "rollback",
                rollback: 8_000,
                crash: 15_000,
                failing_commits: 1,
                ..partitions
            },
            "clones" => clones,
            "clones-varied" => Scenario {
                name: "clones-varied",
                loss: 5,
                duplicate: 5,
                reorder: 10,
                clock: 10_000,
                full: 8_000,
                most_clones: 2,
                all_cloned: true,
                varied: true,
                ..clones
            },
            "dark-clones" => Scenario {
                name: "dark-clones",
                rollback: 0,
                held: false,
                link_gap: 600_000,
                link_life: 300_000,
                redial: 20,
                clones: 5_400_000,
                away: 1_800_000,
                dark: Some(DarkNet { shift: 0, direct: true, ..faulty }),
                ..dark_rollback
            },
            "everything" => everything,
            "varied" => Scenario { name: "varied", varied: true, ..everything },
            _ => return None,
        };
        Some(scenario)
    }

    /// The same, broken on purpose.
    #[must_use]
    pub fn with(self, sabotage: Sabotage) -> Scenario {
        Scenario { sabotage: Some(sabotage), ..self }
    }

    /// The rates of one seed.
    pub(crate) fn drawn(mut self, rng: &mut SeededEntropy) -> Scenario {
        if !self.varied {
            return self;
        }
        if rng.chance(70) {
            (self.loss, self.duplicate, self.reorder) = (0, 0, 0);
        }
        let means = [
            &mut self.pace,
            &mut self.link_gap,
            &mut self.link_life,
            &mut self.crash,
            &mut self.clock,
            &mut self.full,
            &mut self.rollback,
            &mut self.clones,
            &mut self.away,
        ];
        for (place, mean) in means.into_iter().enumerate() {
            if *mean == 0 {
                continue;
            }
            // Hosts always act and always find each other; the rest may never happen.
            let never = (2..7).contains(&place) && rng.chance(30);
            *mean = if never { 0 } else { (*mean * (1 + rng.below(16)) / 6).max(1) };
        }
        if let Some(dark) = &mut self.dark {
            dark.direct = rng.chance(50);
            if rng.chance(50) {
                dark.shift = 0;
            }
            if rng.chance(50) {
                self.link_gap = 300_000 + rng.below(3_000_000);
                self.link_life = 30_000 + rng.below(600_000);
            }
            for percent in [&mut dark.lost, &mut dark.repeat, &mut dark.partial, &mut dark.refusals] {
                *percent = if rng.chance(30) { 0 } else { rng.below(60) };
            }
            dark.live = rng.below(101);
            dark.delay = rng.below(24 * 3_600_000);
            dark.keys = rng.below(33);
            dark.ttl = 1_800_000 + rng.below(8 * 3_600_000);
            self.held = rng.chance(50);
        }
        self.redial = rng.below(60);
        self.failing_commits = rng.below(6);
        self.sends = 20 + u32::try_from(rng.below(120)).unwrap_or(0);
        self
    }

    /// Whether hosts say on links which run of their stores they are, and which they met.
    pub(crate) fn tells_runs(&self) -> bool {
        self.clones > 0
    }

    /// Whether all hosts have links with each other in the end.
    pub(crate) fn meets(&self) -> bool {
        self.link_gap > 0 && self.dark.as_ref().is_none_or(|dark| dark.direct)
    }

    /// Whether frames of one link may vanish or overtake each other.
    pub(crate) fn is_unordered(&self) -> bool {
        self.loss + self.duplicate + self.reorder > 0
    }
}
