//! Friends and friends-to-be.

use super::{LONGEST_PAGE, Node};
use crate::engine::Live;
use std::net::SocketAddr;
use subrosa_proto::friends::safety::safety_number;
use subrosa_proto::identity::PersonId;
use subrosa_proto::time::Timestamp;
use subrosa_proto::{Error, ErrorKind, Result};
use subrosa_store::{friend, message};

/// Longest name, in bytes.
const LONGEST_NAME: usize = 256;

/// How far a friendship is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FriendState {
    /// We redeem their invite and have not reached them.
    Redeeming,
    /// They have our request and have not answered it.
    Waiting,
    /// Both said so.
    Friend,
    /// Blocked: whatever comes from them is not answered.
    Blocked,
    /// A friend no more; only what was said is left. [`Node::conversation_list`] alone gives them.
    Removed,
}

/// A friend, in lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FriendInfo {
    /// Who.
    pub person: PersonId,
    /// What the host calls them.
    pub name: Option<String>,
    /// How far it is.
    pub state: FriendState,
    /// Whether links are allowed and they learn our addresses.
    pub direct: bool,
    /// Whether a link stands.
    pub connected: bool,
    /// Where they are, while a link stands.
    pub remote: Option<SocketAddr>,
    /// When a link with them last came up or ended.
    pub last_seen: Option<Timestamp>,
    /// Messages that wait for them.
    pub queued_messages: u64,
    /// What those count against the limit of the queue, in bytes.
    pub queued_bytes: u64,
    /// Since when we know them.
    pub since: Timestamp,
}

impl Node {
    /// Friends and friends-to-be in the order we met them, after `after` (none: from the start), at most `limit`.
    pub async fn friend_list(&self, after: Option<PersonId>, limit: usize) -> Result<Vec<FriendInfo>> {
        self.met(after, limit, |row| Ok(row.record.state != friend::FriendState::Removed)).await
    }

    /// Those with whom there are messages in the store, friends or not: also who was removed or blocked. In the order
    /// we met them, after `after` (none: from the start), at most `limit`.
    pub async fn conversation_list(&self, after: Option<PersonId>, limit: usize) -> Result<Vec<FriendInfo>> {
        let talked =
            |row: &friend::FriendRow| Ok(!self.read(|s| message::list(s, row.row, None, 1))?.is_empty());
        self.met(after, limit, talked).await
    }

    /// A page of those we met and `wanted` wants.
    async fn met(
        &self,
        after: Option<PersonId>,
        limit: usize,
        wanted: impl Fn(&friend::FriendRow) -> Result<bool>,
    ) -> Result<Vec<FriendInfo>> {
        let limit = limit.min(LONGEST_PAGE);
        let mut start = match after {
            Some(person) => self.read(|s| friend::get(s, person))?.map_or(0, |f| f.row),
            None => 0,
        };
        let mut found = Vec::new();
        while found.len() < limit {
            let page = self.read(|s| friend::list(s, start, LONGEST_PAGE))?;
            let Some(last) = page.last() else { break };
            start = last.row;
            for row in page {
                if wanted(&row)? {
                    found.push(row);
                }
            }
        }
        found.truncate(limit);
        self.infos(found).await
    }

    /// One friend, or friend-to-be. [`ErrorKind::NotAFriend`] for strangers.
    pub async fn friend_get(&self, person: PersonId) -> Result<FriendInfo> {
        let row = self.read(|s| friend::get(s, person))?.ok_or_else(stranger)?;
        let live = self.live(vec![row.row]).await?.pop().flatten();
        if row.record.state == friend::FriendState::Removed {
            return Err(stranger());
        }
        Ok(info(row, live))
    }

    /// Ends a friendship at once on our side: link, queue, keys. What waited for them ends as refused. They are not
    /// told. [`ErrorKind::NotAFriend`] for strangers.
    pub async fn friend_remove(&self, person: PersonId) -> Result<()> {
        self.ask(move |engine, reply| engine.friend_remove(person, reply)).await
    }

    /// Allows or forbids links with a friend. While forbidden, its door is closed, it learns no address of ours, and
    /// messages go by envelope at once, or wait where there is no Whisper. Once both allow it, each tells the other by
    /// envelope where it is, and links come up by themselves. [`ErrorKind::NotAFriend`] for strangers.
    pub async fn friend_set_direct(&self, person: PersonId, direct: bool) -> Result<()> {
        self.ask(move |engine, reply| engine.friend_set_direct(person, direct, reply)).await
    }

    /// Gives a friend the name the host calls them by, or takes it away; at most 256 bytes. They never see it.
    /// [`ErrorKind::NotAFriend`] for strangers.
    pub async fn friend_rename(&self, person: PersonId, name: Option<String>) -> Result<()> {
        if name.as_ref().is_some_and(|n| n.len() > LONGEST_NAME) {
            return Err(Error::new(ErrorKind::TooLarge, format!("a name has at most {LONGEST_NAME} bytes")));
        }
        self.ask(move |engine, reply| engine.friend_rename(person, name, reply)).await
    }

    /// Blocks a person, friend or not: a friendship ends as by [`Node::friend_remove`], a request of theirs is gone,
    /// and from now on they get what a stranger gets: nothing, whatever invite they hold. A name that the host gave
    /// them stays until the block ends. Blocking twice is fine.
    pub async fn friend_block(&self, person: PersonId) -> Result<()> {
        self.ask(move |engine, reply| engine.friend_block(person, reply)).await
    }

    /// Ends a block. The person is a stranger then, and may redeem an invite again.
    /// [`ErrorKind::NotFound`] if they were not blocked.
    pub async fn friend_unblock(&self, person: PersonId) -> Result<()> {
        self.ask(move |engine, reply| engine.friend_unblock(person, reply)).await
    }

    /// The safety number of us and a person: 60 digits that both see alike. Compare them by voice or side by side; if
    /// they match, each has the other's real identity. The algorithm is in [`subrosa_proto::friends::safety`].
    pub fn friend_safety_number(&self, person: PersonId) -> Result<String> {
        if person == self.identity() {
            return Err(Error::invalid("a safety number is of two people, and this is yourself"));
        }
        Ok(safety_number(&self.identity(), &person))
    }

    async fn infos(&self, found: Vec<friend::FriendRow>) -> Result<Vec<FriendInfo>> {
        let rows: Vec<i64> = found.iter().map(|f| f.row).collect();
        let live = self.live(rows).await?;
        Ok(found.into_iter().zip(live).map(|(row, live)| info(row, live)).collect())
    }

    async fn live(&self, rows: Vec<i64>) -> Result<Vec<Option<Live>>> {
        self.ask(move |engine, reply| {
            let _ = reply.send(Ok(rows.into_iter().map(|row| engine.live_friend(row)).collect()));
        })
        .await
    }
}

fn info(row: friend::FriendRow, live: Option<Live>) -> FriendInfo {
    let record = row.record;
    let state = match record.state {
        friend::FriendState::Redeeming => FriendState::Redeeming,
        friend::FriendState::Waiting => FriendState::Waiting,
        friend::FriendState::Friend => FriendState::Friend,
        friend::FriendState::Blocked => FriendState::Blocked,
        friend::FriendState::Removed => FriendState::Removed,
    };
    let live = live.unwrap_or_default();
    FriendInfo {
        person: row.person,
        name: record.name.clone(),
        state,
        direct: record.direct,
        connected: live.remote.is_some(),
        remote: live.remote,
        last_seen: live.last_seen.or(record.last_seen),
        queued_messages: live.queued_messages,
        queued_bytes: live.queued_bytes,
        since: record.created,
    }
}

fn stranger() -> Error {
    Error::new(ErrorKind::NotAFriend, "no friend with this identity: exchange an invite first")
}
