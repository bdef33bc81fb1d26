//! The topics that a question to archives names beside those it is about.

use super::Owner;
use subrosa_proto::crypto::derive;
use subrosa_proto::envelope::Topic;
use subrosa_proto::friends::topics::contact_block;
use subrosa_proto::identity::Identity;
use subrosa_proto::whisper::interest::TopicSet;

/// How many topics a question names.
const PADDED: [usize; 3] = [16, 64, 256];
/// The topics among others, 16, 64 or 256 in all (PROTOCOL 9). Each topic brings the same others along every time, so
/// that whoever compares two questions cannot tell which of what they have in common is real. There is at least one.
///
/// A contact topic is one of a public list: others from nowhere would only be a mark by which to know us again. It goes
/// with the rest of its block, for which everybody there asks.
pub(super) fn padded(owner: Owner, topics: &[Topic], identity: &Identity) -> TopicSet {
    if owner == Owner::Contact {
        return contact_block(&identity.person()).into_iter().chain(topics.iter().copied()).collect();
    }
    let secret = identity.secret();
    let room = PADDED.into_iter().find(|room| *room >= topics.len()).unwrap_or(topics.len());
    let mut all = topics.to_vec();
    for round in 0_u32.. {
        for topic in topics {
            if all.len() >= room {
                return TopicSet::new(all);
            }
            let other = derive(secret.as_bytes(), "archive padding", &[&topic.0, &round.to_be_bytes()]);
            let &[a, b, c, d, ..] = other.as_bytes();
            all.push(Topic([a, b, c, d]));
        }
    }
    TopicSet::new(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use subrosa_proto::friends::topics::contact_topic;

    fn identity(number: u16) -> Identity {
        let [high, low] = number.to_be_bytes();
        let mut secret = [7; 32];
        (secret[0], secret[1]) = (high, low);
        Identity::from_secret(&secret).unwrap()
    }

    #[test]
    fn whoever_shares_a_block_asks_the_same_for_requests() {
        let me = identity(0);
        let question = |of: &Identity| padded(Owner::Contact, &[contact_topic(&of.person())], of);
        assert_eq!(question(&me).len(), 16);
        assert!(question(&me).contains(contact_topic(&me.person())));
        let block = contact_block(&me.person());
        let other = (1..).map(identity).find(|other| contact_block(&other.person()) == block).unwrap();
        assert_eq!(question(&other), question(&me));
        // Topics of friends are hidden among others that are ours alone.
        let friends = |of: &Identity| padded(Owner::Friend(1), &[Topic(*b"abcd")], of);
        assert_ne!(friends(&other), friends(&me));
        assert_eq!(friends(&me).len(), 16);
    }
}
