//! Subscribing to envelopes.

use super::publish::corrected;
use super::{LONGEST_PAGE, Node};
use crate::event::SubscriptionId;
use std::fmt;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::entropy::{OsEntropy, random};
use subrosa_proto::envelope::password;
use subrosa_proto::identity::{Identity, PersonId};
use subrosa_proto::time::Timestamp;
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::Secret;
use subrosa_store::subscription::{self, MOST_TOPICS, Source};
use zeroize::Zeroizing;

/// Whose envelopes are opened.
#[derive(Clone)]
#[non_exhaustive]
pub enum SubscribeKey {
    /// Those to our identity.
    Own,
    /// Those to another private key.
    Private(Identity),
    /// Those under this symmetric key.
    Symmetric(Secret32),
    /// Those under this password. Only the key that is made from it is kept.
    Password(Zeroizing<String>),
}

/// What to subscribe to. Make one with [`Subscription::new`] and change the fields that matter.
#[derive(Clone)]
#[non_exhaustive]
pub struct Subscription {
    /// What opens the envelopes.
    pub key: SubscribeKey,
    /// Only these topics, at most 1 024. None at all: every topic, which a symmetric key or password does not allow,
    /// and which costs an attempt per envelope of the whole network.
    pub topics: Vec<[u8; 4]>,
    /// Only what this person signed.
    pub sender: Option<PersonId>,
    /// Only what shows at least so much proof of work.
    pub least_pow: f64,
    /// Only what was sent since, give or take half a minute, since senders date back and clocks differ. Archives are
    /// asked for what came in between; the default is now.
    pub since: Option<Timestamp>,
    /// A note of the host, given back in lists; at most 256 bytes.
    pub label: Option<String>,
}

impl Subscription {
    /// Everything on these topics that the key opens, from now on.
    pub fn new(key: SubscribeKey, topics: Vec<[u8; 4]>) -> Subscription {
        Subscription { key, topics, sender: None, least_pow: 0.0, since: None, label: None }
    }
}

impl fmt::Debug for SubscribeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SubscribeKey::Own => "Own",
            SubscribeKey::Private(_) => "Private",
            SubscribeKey::Symmetric(_) => "Symmetric",
            SubscribeKey::Password(_) => "Password",
        })
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("key", &self.key)
            .field("topics", &self.topics.len())
            .finish_non_exhaustive()
    }
}

/// Which kind of key a subscription has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SubscriptionKind {
    /// Our identity.
    Own,
    /// Another private key.
    Private,
    /// A symmetric key.
    Symmetric,
    /// A password.
    Password,
}

/// A subscription, in lists.
#[derive(Clone, Debug, PartialEq)]
pub struct SubscriptionInfo {
    /// Its name.
    pub id: SubscriptionId,
    /// Which kind of key it has.
    pub kind: SubscriptionKind,
    /// Its topics; none for all.
    pub topics: Vec<[u8; 4]>,
    /// Whose signature it asks for.
    pub sender: Option<PersonId>,
    /// The least proof of work.
    pub least_pow: f64,
    /// What was sent earlier is not wanted.
    pub since: Timestamp,
    /// Archives gave everything that was sent before this.
    pub complete: Option<Timestamp>,
    /// The host's note.
    pub label: Option<String>,
}

impl Node {
    /// Subscribes: every envelope that matches becomes one durable `envelope` event, also what came while the node was
    /// away, as far as archives have it. Lasts until [`Node::unsubscribe`], over restarts.
    ///
    /// [`ErrorKind::InvalidArgument`] for a symmetric key or password without topics, too many topics, or numbers that
    /// make no sense; [`ErrorKind::QueueFull`] beyond 1 024 subscriptions.
    pub async fn subscribe(&self, what: Subscription) -> Result<SubscriptionId> {
        let running = self.running()?;
        let shared = matches!(what.key, SubscribeKey::Symmetric(_) | SubscribeKey::Password(_));
        if shared && what.topics.is_empty() {
            return Err(Error::invalid("a symmetric key or password needs at least one topic"));
        }
        if what.topics.len() > MOST_TOPICS {
            return Err(Error::invalid(format!("at most {MOST_TOPICS} topics in one subscription")));
        }
        if !what.least_pow.is_finite() || what.least_pow < 0.0 {
            return Err(Error::invalid("the least proof of work is a number from 0"));
        }
        if what.label.as_ref().is_some_and(|label| label.len() > 256) {
            return Err(Error::new(ErrorKind::TooLarge, "a label has at most 256 bytes"));
        }
        let id = subscription::SubscriptionId(random(&mut OsEntropy)?);
        // By the clock that envelopes are stamped by.
        let since =
            what.since.unwrap_or(corrected(self.0.config.clock.wall(), running.whisper.clock_offset()));
        let key = what.key;
        let source = self.off_thread(move || match key {
            SubscribeKey::Own => Source::Own,
            SubscribeKey::Private(identity) => Source::Private(Secret::new(*identity.secret().as_bytes())),
            SubscribeKey::Symmetric(secret) => Source::Symmetric(Secret::new(*secret.as_bytes())),
            SubscribeKey::Password(text) => {
                Source::Password(Secret::new(*password::key(text.as_bytes()).as_bytes()))
            }
        });
        let row = subscription::Subscription {
            id,
            source: source.await?,
            topics: what.topics,
            sender: what.sender,
            least_pow: what.least_pow,
            since,
            complete: None,
            label: what.label,
        };
        self.write(move |tx| subscription::insert(tx, &row)).await?;
        running.whisper.change(|wanted| wanted.subscriptions = true);
        Ok(SubscriptionId(id.0))
    }

    /// Ends a subscription; events that wait still come. [`ErrorKind::NotFound`] if there is none.
    pub async fn unsubscribe(&self, subscription: SubscriptionId) -> Result<()> {
        let running = self.running()?;
        let id = subscription::SubscriptionId(subscription.0);
        if !self.write(move |tx| subscription::remove(tx, id)).await? {
            return Err(Error::new(ErrorKind::NotFound, "there is no such subscription"));
        }
        running.whisper.change(|wanted| wanted.subscriptions = true);
        Ok(())
    }

    /// Subscriptions, the oldest first, after `after` (none: from the start), at most `limit`.
    pub async fn subscription_list(
        &self,
        after: Option<SubscriptionId>,
        limit: usize,
    ) -> Result<Vec<SubscriptionInfo>> {
        let rows = self.read(|s| subscription::list(s, 0, subscription::MOST_SUBSCRIPTIONS))?;
        let start = match after {
            Some(after) => {
                rows.iter().position(|(_, row)| row.id.0 == after.0).map_or(rows.len(), |at| at + 1)
            }
            None => 0,
        };
        let page = rows.into_iter().skip(start).take(limit.min(LONGEST_PAGE));
        Ok(page.map(|(_, row)| info(row)).collect())
    }
}

fn info(row: subscription::Subscription) -> SubscriptionInfo {
    SubscriptionInfo {
        id: SubscriptionId(row.id.0),
        kind: match row.source {
            Source::Own => SubscriptionKind::Own,
            Source::Private(_) => SubscriptionKind::Private,
            Source::Symmetric(_) => SubscriptionKind::Symmetric,
            Source::Password(_) => SubscriptionKind::Password,
        },
        topics: row.topics,
        sender: row.sender,
        least_pow: row.least_pow,
        since: row.since,
        complete: row.complete,
        label: row.label,
    }
}
