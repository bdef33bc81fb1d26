//! Whom a command means: a whole identity, a name we gave, or enough of the identity's beginning to be one of those
//! at hand. And the other way round: what a person is called when something is shown.

use crate::output::{is_unsafe, one_line};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use subrosa::{Error, ErrorKind, FriendInfo, FriendState, Node, PersonId};

/// Characters after `subrosa1` that must be given at least.
const LEAST: usize = 4;
const PAGE: usize = 256;

/// Whom `text` means among friends and requests. Who is blocked is meant only where nobody else fits.
pub(crate) fn find(node: &Node, text: &str) -> Result<PersonId, Error> {
    find_among(&known(node)?, text, || blocked(node))
}

/// With whom a conversation is meant: as by [`find`], and also somebody who is a friend no more.
pub(crate) fn find_conversation(node: &Node, text: &str) -> Result<PersonId, Error> {
    let mut people = known(node)?;
    people.extend(gone(node)?.into_iter().map(|friend| (friend.person, None)));
    find_among(&people, text, || blocked(node))
}

/// Who is a friend no more, and with whom there are messages here still.
pub(crate) fn gone(node: &Node) -> Result<Vec<FriendInfo>, Error> {
    let mut people = Vec::new();
    let mut after = None;
    loop {
        let page = subrosa::wait(node.conversation_list(after, PAGE))?;
        after = page.last().map(|friend| friend.person);
        let whole = page.len() == PAGE;
        people.extend(page.into_iter().filter(|friend| friend.state == FriendState::Removed));
        if !whole {
            return Ok(people);
        }
    }
}

/// The same, for what only a friend or friend-to-be can be meant by. Who is blocked is an error that says so.
pub(crate) fn find_friend(node: &Node, text: &str) -> Result<PersonId, Error> {
    let person = find(node, text)?;
    match subrosa::wait(node.friend_get(person)) {
        Ok(friend) if friend.state == FriendState::Blocked => Err(Error::new(
            ErrorKind::NotAFriend,
            format!(
                "you have blocked {}: `subrosa unblock {}` ends that; then an invite or a request makes you friends again",
                name_of(&friend),
                friend.person
            ),
        )),
        // Who is a stranger is told so by what was asked for.
        _ => Ok(person),
    }
}

/// `name` as it can be given to this person: something that is seen, on one line, and not taken for somebody's
/// identity.
pub(crate) fn good_name(node: &Node, person: &PersonId, name: &str) -> Result<String, Error> {
    let name = name.trim();
    if name.is_empty() {
        return Err(Error::invalid("the name is empty: write one, or leave it out to take the name away"));
    }
    if name.chars().any(is_unsafe) {
        return Err(Error::invalid(
            "a name is one line, without control characters and those that reorder text: write it without",
        ));
    }
    let lower = name.to_lowercase();
    let start = lower.trim_end_matches('.');
    let begins =
        |other: &PersonId| other.text().strip_prefix("subrosa1").is_some_and(|t| t.starts_with(start));
    let others = known(node)?;
    if lower.starts_with("subrosa1")
        || start.len() >= LEAST && others.iter().any(|(other, _)| other != person && begins(other))
    {
        return Err(Error::invalid(
            "the name is like the beginning of an identity, and would be taken for one: choose another",
        ));
    }
    Ok(name.to_owned())
}

/// Whether somebody else has a name that [`find`] takes for this one.
pub(crate) fn is_shared(node: &Node, person: &PersonId, name: &str) -> Result<bool, Error> {
    let same =
        |other: &Option<String>| other.as_ref().is_some_and(|it| it.to_lowercase() == name.to_lowercase());
    Ok(friends(node)?.iter().any(|(other, it)| other != person && same(it)))
}

/// Whom `text` means among those who are blocked.
pub(crate) fn find_blocked(node: &Node, text: &str) -> Result<PersonId, Error> {
    find_among(&blocked(node)?, text, || Ok(Vec::new()))
}

/// Whom `text` means among these; the `last` of them only where nobody else fits.
fn find_among(
    known: &[(PersonId, Option<String>)],
    text: &str,
    last: impl FnOnce() -> Result<Vec<(PersonId, Option<String>)>, Error>,
) -> Result<PersonId, Error> {
    let text = text.trim().to_lowercase();
    match PersonId::parse(&text) {
        Ok(person) => return Ok(person),
        // As long as an identity, so it was meant as one: what is wrong with it is the answer.
        Err(error) if text.len() >= 60 || text.contains(':') => return Err(error),
        Err(_) => {}
    }
    let named =
        known.iter().filter(|(_, name)| name.as_ref().is_some_and(|name| name.to_lowercase() == text));
    let mut found: Vec<PersonId> = named.map(|(person, _)| *person).collect();
    if found.is_empty() {
        let start = text.strip_prefix("subrosa1").unwrap_or(&text).trim_end_matches('.');
        if start.len() < LEAST {
            return Err(Error::invalid(format!(
                "nobody you know has this name: write a name that `subrosa friends` lists, the identity (subrosa1...), or \
                 at least {LEAST} characters of it after subrosa1"
            )));
        }
        let fits =
            |person: &PersonId| person.text().strip_prefix("subrosa1").is_some_and(|t| t.starts_with(start));
        found = known.iter().map(|(person, _)| *person).filter(fits).collect();
    }
    found.sort();
    found.dedup();
    if found.len() > 1 {
        let last = last()?;
        let (others, _): (Vec<_>, Vec<_>) =
            found.iter().copied().partition(|person| last.iter().all(|(blocked, _)| blocked != person));
        if !others.is_empty() {
            found = others;
        }
    }
    match found.as_slice() {
        [person] => Ok(*person),
        [] => Err(Error::new(
            ErrorKind::NotFound,
            "nobody you know has this name, or an identity that starts so: `subrosa friends`, `subrosa friends --all` \
             (who is one no more) and `subrosa requests` list whom you know",
        )),
        _ => Err(Error::invalid(
            "several people have this name, or an identity that starts so: give the identity, as `subrosa friends` \
             lists it",
        )),
    }
}

/// Who is blocked, with the names they had.
fn blocked(node: &Node) -> Result<Vec<(PersonId, Option<String>)>, Error> {
    let mut people = Vec::new();
    let mut after = None;
    loop {
        let page = subrosa::wait(node.friend_list(after, PAGE))?;
        let blocked = page.iter().filter(|friend| friend.state == FriendState::Blocked);
        people.extend(blocked.map(|friend| (friend.person, friend.name.clone())));
        after = page.last().map(|friend| friend.person);
        if page.len() < PAGE {
            return Ok(people);
        }
    }
}

/// Friends, friends-to-be and who asks to be one, with the names we gave.
fn known(node: &Node) -> Result<Vec<(PersonId, Option<String>)>, Error> {
    let mut people = friends(node)?;
    let mut after = None;
    loop {
        let page = subrosa::wait(node.request_list(after, PAGE))?;
        people.extend(page.iter().map(|request| (request.person, None)));
        after = page.last().map(|request| request.person);
        if page.len() < PAGE {
            return Ok(people);
        }
    }
}

/// Friends, friends-to-be and who is blocked, with the names we gave.
fn friends(node: &Node) -> Result<Vec<(PersonId, Option<String>)>, Error> {
    let mut people = Vec::new();
    let mut after = None;
    loop {
        let page = subrosa::wait(node.friend_list(after, PAGE))?;
        people.extend(page.iter().map(|friend| (friend.person, friend.name.clone())));
        after = page.last().map(|friend| friend.person);
        if page.len() < PAGE {
            return Ok(people);
        }
    }
}

/// The beginning of an identity, for people: enough for [`find`].
pub(crate) fn short(person: &PersonId) -> String {
    let text = person.text();
    format!("{}...", text.get(..16).unwrap_or(&text))
}

/// What people are called: by the name that the user gave, else by the beginning of the identity. Where several have
/// one name, that beginning stands beside it.
#[derive(Clone)]
pub(crate) struct Names {
    node: Node,
    /// Who has a name, as it is shown. Read when first needed: nobody but this process can change it meanwhile.
    given: Arc<Mutex<Option<HashMap<PersonId, String>>>>,
}

impl Names {
    pub(crate) fn new(node: &Node) -> Names {
        Names { node: node.clone(), given: Arc::default() }
    }

    /// What a person is called.
    pub(crate) fn of(&self, person: &PersonId) -> String {
        self.given(person).unwrap_or_else(|| short(person))
    }

    /// The same with the beginning of the identity beside it: where it matters who it really is.
    pub(crate) fn with_short(&self, person: &PersonId) -> String {
        match self.given(person) {
            Some(name) if name.ends_with(&beside(person)) => name,
            Some(name) => name + &beside(person),
            None => short(person),
        }
    }

    /// The name with the whole identity beside it; the identity alone where there is no name.
    pub(crate) fn with_identity(&self, person: &PersonId) -> String {
        match self.given(person) {
            Some(name) => {
                let name = name.strip_suffix(&beside(person)).unwrap_or(&name);
                format!("{name} ({person})")
            }
            None => person.text(),
        }
    }

    /// A name was given or taken away, or a friendship changed: they are read anew.
    pub(crate) fn forget(&self) {
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn given(&self, person: &PersonId) -> Option<String> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if given.is_none() {
            // What is shown must not fail for want of a name.
            *given = friends(&self.node).ok().map(as_shown);
        }
        given.as_ref()?.get(person).cloned()
    }
}

/// What a friend is called in a line that has the identity beside it, or needs none.
pub(crate) fn name_of(friend: &FriendInfo) -> String {
    friend.name.as_ref().map_or_else(|| short(&friend.person), |name| one_line(name))
}

fn beside(person: &PersonId) -> String {
    format!(" ({})", short(person))
}

/// The names of those who have one. Names that [`find`] takes for one another are told apart.
fn as_shown(people: Vec<(PersonId, Option<String>)>) -> HashMap<PersonId, String> {
    let named: Vec<(PersonId, String)> =
        people.into_iter().filter_map(|(person, name)| Some((person, one_line(&name?)))).collect();
    let mut times: HashMap<String, usize> = HashMap::new();
    for (_, name) in &named {
        *times.entry(name.to_lowercase()).or_default() += 1;
    }
    let shown = |person: &PersonId, name: String| match times.get(&name.to_lowercase()) {
        Some(2..) => name + &beside(person),
        _ => name,
    };
    named.into_iter().map(|(person, name)| (person, shown(&person, name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(names: &[&str]) -> Vec<(PersonId, Option<String>)> {
        let person = |byte| subrosa::Identity::from_secret(&[byte; 32]).unwrap().person();
        (1..).zip(names).map(|(byte, name)| (person(byte), Some((*name).to_owned()))).collect()
    }

    #[test]
    fn who_shares_a_name_is_told_apart() {
        let people = people(&["Ada", "ben", "ada"]);
        let shown = as_shown(people.clone());
        assert_eq!(shown[&people[1].0], "ben");
        assert_eq!(shown[&people[0].0], format!("Ada ({})", short(&people[0].0)));
        assert_eq!(shown[&people[2].0], format!("ada ({})", short(&people[2].0)));
    }

    #[test]
    fn a_name_is_one_line() {
        let people = people(&["a\u{1b}[2J\nb"]);
        assert_eq!(as_shown(people.clone())[&people[0].0], "a\u{fffd}[2J\u{21b5}b");
    }
}
