//! Publishing envelopes: sealed, put into the store, worked on, and spread by peers.

use super::Node;
use crate::event::PublicationId;
use crate::whisper::work;
use std::fmt;
use std::time::Duration;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::entropy::{OsEntropy, random, random_below};
use subrosa_proto::envelope::plaintext::Padding;
use subrosa_proto::envelope::seal::{Letter, To};
use subrosa_proto::envelope::work::Cost;
use subrosa_proto::envelope::{Draft, HEADER, LARGEST_OWN, LONGEST_TTL, Topic, password};
use subrosa_proto::identity::PersonId;
use subrosa_proto::time::Timestamp;
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::Tx;
use subrosa_store::peer::{self, List};
use subrosa_store::publication::{self, Belongs, State};
use zeroize::Zeroizing;

/// Own envelopes are dated back by up to so many seconds (PROTOCOL 9).
const BACKDATED: u64 = 10;

/// Who can open a publication.
#[derive(Clone)]
#[non_exhaustive]
pub enum PublishTo {
    /// This person: the envelope is sealed to the key of the identity.
    Person(PersonId),
    /// Whoever has this key.
    Symmetric(Secret32),
    /// Whoever knows this password; as good as the password is.
    Password(Zeroizing<String>),
}

/// What to publish. Make one with [`Publication::new`] and change the fields that matter.
#[derive(Clone)]
#[non_exhaustive]
pub struct Publication {
    /// Who can open it.
    pub to: PublishTo,
    /// Where those who can open it look for it. Everybody sees it.
    pub topic: [u8; 4],
    /// What is said: with all that goes around it the envelope stays below 64 KiB, so at most about 65 000 bytes.
    pub body: Vec<u8>,
    /// How long it lives, from a second to 30 days. Work grows with it.
    pub ttl: Duration,
    /// Whether our identity signs it. Whoever opens it can show the signature to others.
    pub signed: bool,
    /// The proof of work it shall show; none for the least that peers and archives take.
    pub pow: Option<f64>,
    /// How long the search for it may take. None: as long as it needs.
    pub pow_limit: Option<Duration>,
}

impl Publication {
    /// Unsigned, for an hour, with the least proof of work, for which the search may take five minutes.
    pub fn new(to: PublishTo, topic: [u8; 4], body: impl Into<Vec<u8>>) -> Publication {
        Publication {
            to,
            topic,
            body: body.into(),
            ttl: Duration::from_secs(3_600),
            signed: false,
            pow: None,
            pow_limit: Some(Duration::from_secs(300)),
        }
    }
}

impl fmt::Debug for PublishTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PublishTo::Person(_) => "Person",
            PublishTo::Symmetric(_) => "Symmetric",
            PublishTo::Password(_) => "Password",
        })
    }
}

impl fmt::Debug for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publication")
            .field("to", &self.to)
            .field("body", &self.body.len())
            .field("ttl", &self.ttl)
            .field("signed", &self.signed)
            .finish_non_exhaustive()
    }
}

/// What some proof of work will cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowCost {
    /// Leading zero bits to be found.
    pub bits: u32,
    /// Hashes that this takes on average: 2 ^ bits. One search in three takes longer, one in fifty four times as long.
    pub hashes: f64,
    /// Seconds that this takes on average on one thread of this machine, as just measured.
    pub seconds: f64,
}

impl Node {
    /// Publishes an envelope. Returns once it is on disk; the search for its proof of work goes on by itself, over
    /// restarts as well, and ends in a durable `published` event. `progress` events tell how it goes.
    ///
    /// [`ErrorKind::TooLarge`] for a body that fits no envelope, [`ErrorKind::InvalidArgument`] for a TTL outside a
    /// second to 30 days or a proof of work that is no number from 0, [`ErrorKind::NoWay`] without peers or a grant,
    /// [`ErrorKind::QueueFull`] when 1 024 publications, or 64 MiB of them, wait to leave.
    pub async fn publish(&self, what: Publication) -> Result<PublicationId> {
        let running = self.running()?;
        if !running.whisper.is_on() || !self.can_leave()? {
            return Err(Error::new(
                ErrorKind::NoWay,
                "there is no peer to give envelopes to: add one with peer_add, or in the configuration",
            ));
        }
        let ttl = ttl_seconds(what.ttl)?;
        let signer = match what.signed {
            true => Some(self.identity_export().await?),
            false => None,
        };
        let pow = what.pow.unwrap_or(self.0.config.whisper.least_pow);
        let (hide, clock) = (self.0.config.whisper.hide_author, self.0.config.clock.clone());
        let offset = running.whisper.clock_offset();
        // Sealing is quick but for a password, which takes tens of milliseconds.
        let sealed = self.off_thread(move || -> Result<_> {
            let key;
            let to = match &what.to {
                PublishTo::Person(person) => To::Person(person),
                PublishTo::Symmetric(secret) => To::Symmetric(secret),
                PublishTo::Password(text) => {
                    key = password::key(text.as_bytes());
                    To::Symmetric(&key)
                }
            };
            let letter =
                Letter { to, payload: &what.body, padding: Padding::Random, signer: signer.as_ref() };
            if letter.sealed_length() + HEADER > LARGEST_OWN {
                let most = LARGEST_OWN - HEADER - 512;
                let text = format!("{} bytes fit no envelope: about {most} do", what.body.len());
                return Err(Error::new(ErrorKind::TooLarge, text));
            }
            // Too dear is said at once where that can be known.
            Cost::of(letter.sealed_length(), ttl, pow)?;
            let data = letter.seal(&mut OsEntropy)?;
            let back = if hide { random_below(&mut OsEntropy, BACKDATED + 1)? } else { 0 };
            let wall = corrected(clock.wall(), offset);
            let sent = u32::try_from(wall.as_millis() / 1_000).unwrap_or(u32::MAX);
            // What lives for seconds only must not lose most of its life before it leaves.
            let back = u32::try_from(back).unwrap_or(0).min(ttl / 4);
            let draft = Draft::new(sent.saturating_sub(back), ttl, Topic(what.topic), &data)?;
            Ok((draft.with_nonce(0), wall, what.pow_limit))
        });
        let (envelope, created, work_limit) = sealed.await??;
        let id = publication::PublicationId(random(&mut OsEntropy)?);
        let row = publication::Publication {
            id,
            belongs: Belongs::Host,
            state: State::Work,
            pow,
            work_limit,
            expires: Timestamp::from_millis(u64::from(envelope.expiry) * 1_000),
            created,
            hash: None,
            raw: envelope.raw().clone(),
        };
        self.write(move |tx| insert(tx, &row)).await?;
        running.whisper.look();
        Ok(PublicationId(id.0))
    }

    /// Whether somebody is named who would take an envelope, or may come: archives do with a grant only.
    fn can_leave(&self) -> Result<bool> {
        let whisper = &self.0.config.whisper;
        if !whisper.peers.is_empty() || !whisper.listen.is_empty() {
            return Ok(true);
        }
        if whisper.archives.iter().any(|archive| archive.grant.is_some()) {
            return Ok(true);
        }
        if self.running()?.whisper.of_friends().iter().any(|friend| !friend.peers.is_empty()) {
            return Ok(true);
        }
        self.read(|s| {
            let archives = peer::list(s, List::Archives, 0, peer::MOST_ARCHIVES)?;
            let granted = archives.iter().any(|(_, archive)| archive.grant.is_some());
            Ok(granted || !peer::list(s, List::Nodes, 0, 1)?.is_empty())
        })
    }

    /// Takes a publication back. True if it had not left, as far as the store knows; then `published` says that it was
    /// cancelled. False if it left or ended before.
    pub async fn publish_cancel(&self, publication: PublicationId) -> Result<bool> {
        let running = self.running()?;
        let id = publication::PublicationId(publication.0);
        let cancelled = publication::PublishResult::Cancelled;
        let was = self.write(move |tx| publication::finish(tx, id, cancelled)).await?;
        if was {
            self.0.events.durable();
            running.whisper.look();
        }
        Ok(was)
    }

    /// What the proof of work of a message would cost: `size` bytes of body, unsigned, sealed to a person, that live
    /// for `ttl`; `pow` as in [`Publication::pow`]. Measures this machine for some milliseconds.
    ///
    /// [`ErrorKind::InvalidArgument`] for numbers that make no sense, [`ErrorKind::TooLarge`] for a body that fits no
    /// envelope, [`ErrorKind::PowTooDear`] for what nobody can do.
    pub async fn pow_cost(&self, size: usize, ttl: Duration, pow: Option<f64>) -> Result<PowCost> {
        let pow = pow.unwrap_or(self.0.config.whisper.least_pow);
        let ttl = ttl_seconds(ttl)?;
        let person = self.identity();
        self.off_thread(move || {
            if size > LARGEST_OWN {
                return Err(Error::new(ErrorKind::TooLarge, format!("{size} bytes fit no envelope")));
            }
            let payload = vec![0; size];
            let to = To::Person(&person);
            let letter = Letter { to, payload: &payload, padding: Padding::Random, signer: None };
            let cost = Cost::of(letter.sealed_length(), ttl, pow)?;
            Ok(PowCost { bits: cost.bits, hashes: cost.hashes, seconds: cost.seconds(work::hash_rate()) })
        })
        .await?
    }
}

/// Those that left are kept to be said again, as long as there is room.
fn insert(tx: &Tx<'_>, row: &publication::Publication) -> Result<()> {
    let mut gone = publication::rows(tx, State::Out, true)?.into_iter();
    loop {
        match publication::insert(tx, row) {
            Err(error) if error.kind() == ErrorKind::QueueFull => {
                let Some(oldest) = gone.next() else { return Err(error) };
                if let Some(oldest) = publication::at(tx, oldest)? {
                    publication::remove(tx, oldest.id)?;
                }
            }
            inserted => return inserted.map(|_| ()),
        }
    }
}

fn ttl_seconds(ttl: Duration) -> Result<u32> {
    let seconds = ttl.as_secs().saturating_add(u64::from(ttl.subsec_nanos() > 0));
    match u32::try_from(seconds) {
        Ok(seconds @ 1..=LONGEST_TTL) => Ok(seconds),
        _ => Err(Error::invalid("the time to live of an envelope is from 1 second to 30 days")),
    }
}

/// The wall clock as others' clocks correct it.
pub(super) fn corrected(wall: Timestamp, offset: i64) -> Timestamp {
    let by = Duration::from_millis(offset.unsigned_abs());
    if offset >= 0 { wall.after(by) } else { wall.before(by) }
}
