//! Whom a command means: a whole identity, a name we gave, or enough of the identity's beginning to be one of those
//! at hand.

use subrosa::{Error, ErrorKind, Node, PersonId};

/// Characters after `subrosa1` that must be given at least.
const LEAST: usize = 4;
const PAGE: usize = 256;

/// Whom `text` means among friends and requests.
pub(crate) fn find(node: &Node, text: &str) -> Result<PersonId, Error> {
    let text = text.trim().to_lowercase();
    match PersonId::parse(&text) {
        Ok(person) => return Ok(person),
        // As long as an identity, so it was meant as one: what is wrong with it is the answer.
        Err(error) if text.len() >= 60 || text.contains(':') => return Err(error),
        Err(_) => {}
    }
    let known = known(node)?;
    let named =
        known.iter().filter(|(_, name)| name.as_ref().is_some_and(|name| name.to_lowercase() == text));
    let mut found: Vec<PersonId> = named.map(|(person, _)| *person).collect();
    if found.is_empty() {
        let start = text.strip_prefix("subrosa1").unwrap_or(&text).trim_end_matches('.');
        if start.len() < LEAST {
            return Err(Error::invalid(format!(
                "no friend has this name: write a name, the identity (subrosa1...), or at least {LEAST} characters of \
                 it after subrosa1"
            )));
        }
        let fits =
            |person: &PersonId| person.text().strip_prefix("subrosa1").is_some_and(|t| t.starts_with(start));
        found = known.iter().map(|(person, _)| *person).filter(fits).collect();
    }
    found.sort();
    found.dedup();
    match found.as_slice() {
        [person] => Ok(*person),
        [] => Err(Error::new(
            ErrorKind::NotFound,
            "nobody you know has this name, or an identity that starts so",
        )),
        _ => Err(Error::invalid(
            "several people have this name, or an identity that starts so: give the identity",
        )),
    }
}

/// Friends, friends-to-be and who asks to be one, with the names we gave.
fn known(node: &Node) -> Result<Vec<(PersonId, Option<String>)>, Error> {
    let mut people = Vec::new();
    let mut after = None;
    loop {
        let page = subrosa::wait(node.friend_list(after, PAGE))?;
        people.extend(page.iter().map(|friend| (friend.person, friend.name.clone())));
        after = page.last().map(|friend| friend.person);
        if page.len() < PAGE {
            break;
        }
    }
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

/// The beginning of an identity, for people: enough for [`find`].
pub(crate) fn short(person: &PersonId) -> String {
    let text = person.text();
    format!("{}...", text.get(..16).unwrap_or(&text))
}
