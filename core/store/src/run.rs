//! The runs: each opening of a store, and each time it takes the place of a copy of itself, draws an id by which
//! friends tell copies apart. What an id says, only the store and its copies can read; to everybody else it is 16
//! random bytes, and none that somebody else made up is taken for one of ours.
//!
//! An id is `tag 6 | masked 10`. The ten bytes under the mask are `claim u16 | opening u32 | random 4`, big endian,
//! the lowest bit of the claim being whether a host decided it. The tag is the start of a keyed hash of them, the mask
//! that of a keyed hash of the tag; the key is the look-up key of this table, which copies share.

use crate::ring::{Place, RECORD, Table};
use crate::session::{Session, Tx};
use crate::sqlite::Fault;
use crate::standing;
use rusqlite::params;
use subrosa_proto::entropy::{OsEntropy, random};
use subrosa_proto::friends::standing::Claim;
use subrosa_proto::{Error, Result};

/// 16 bytes that name one run of a store.
pub type RunId = [u8; 16];

/// Runs that are remembered.
pub const MOST_RUNS: usize = 256;

const TAG: usize = 6;
const MARK: usize = 10;

/// What the id of a run says to the store that made it, and to its copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The claim of the copy.
    pub claim: Claim,
    /// How many runs it and the copies it comes from had before.
    pub opening: u32,
}

fn place(row: i64) -> Place {
    Place { table: Table::Run, column: RECORD, row, owner: 0, look: [0; 16] }
}

/// Begins a run under the present claim: it is the latest, and those beyond [`MOST_RUNS`] are forgotten.
pub fn begin(tx: &Tx<'_>) -> Result<RunId> {
    let claim = standing::load(tx)?.claim;
    let before = newest(tx, 1)?.first().map(|run| read(tx, run)).transpose()?.flatten();
    let opening = before.map_or(0, |mark| mark.opening.saturating_add(1));
    let run = name(tx, Mark { claim, opening }, random(&mut OsEntropy)?)?;
    let row = tx.next_row();
    let record = tx.seal(place(row), &run)?;
    tx.sql("INSERT INTO run (id, record) VALUES (?1, ?2)")?.execute(params![row, record]).fault()?;
    tx.sql("DELETE FROM run WHERE id NOT IN (SELECT id FROM run ORDER BY id DESC LIMIT ?1)")?
        .execute(params![MOST_RUNS as i64])
        .fault()?;
    Ok(run)
}

/// The runs, the latest first; at most [`MOST_RUNS`].
pub fn list(session: &Session<'_>) -> Result<Vec<RunId>> {
    newest(session, MOST_RUNS)
}

fn newest(session: &Session<'_>, limit: usize) -> Result<Vec<RunId>> {
    let mut statement = session.sql("SELECT id, record FROM run ORDER BY id DESC LIMIT ?1")?;
    let mut rows = statement.query(params![limit as i64]).fault()?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next().fault()? {
        let (id, record): (i64, Vec<u8>) = (row.get(0).fault()?, row.get(1).fault()?);
        let run = session.open(place(id), &record)?;
        runs.push(run.as_slice().try_into().map_err(|_| Error::damaged("a run id is not 16 bytes"))?);
    }
    Ok(runs)
}

fn name(session: &Session<'_>, mark: Mark, random: [u8; 4]) -> Result<RunId> {
    let mut plain = [0; MARK];
    let claim = mark.claim.number << 1 | u16::from(mark.claim.decided);
    plain[..2].copy_from_slice(&claim.to_be_bytes());
    plain[2..6].copy_from_slice(&mark.opening.to_be_bytes());
    plain[6..].copy_from_slice(&random);
    let mut run = [0; TAG + MARK];
    run[..TAG].copy_from_slice(&tag(session, &plain)?);
    run[TAG..].copy_from_slice(&plain);
    mask(session, &mut run)?;
    Ok(run)
}

/// What the id of a run says; none if no copy of this store made it.
pub fn read(session: &Session<'_>, run: &RunId) -> Result<Option<Mark>> {
    let mut run = *run;
    mask(session, &mut run)?;
    let (found, plain) = run.split_at(TAG);
    if found != tag(session, plain)? {
        return Ok(None);
    }
    let [high, low, a, b, c, d, ..] = *plain else { return Ok(None) };
    let claim = u16::from_be_bytes([high, low]);
    Ok(Some(Mark {
        claim: Claim { number: claim >> 1, decided: claim & 1 == 1 },
        opening: u32::from_be_bytes([a, b, c, d]),
    }))
}

fn tag(session: &Session<'_>, plain: &[u8]) -> Result<[u8; TAG]> {
    let mut tag = [0; TAG];
    tag.copy_from_slice(&session.look(Table::Run, &[b"tag ", plain])?[..TAG]);
    Ok(tag)
}

/// Puts the mask on, or takes it off.
fn mask(session: &Session<'_>, run: &mut RunId) -> Result<()> {
    let (tag, rest) = run.split_at_mut(TAG);
    let mask = session.look(Table::Run, &[b"mask", tag])?;
    rest.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Store, StoreKey};
    use subrosa_proto::crypto::Secret32;
    use subrosa_proto::friends::standing::{Decision, Role, Standing};

    fn options(folder: &tempfile::TempDir, name: &str) -> Options {
        Options::new(folder.path().join(name), StoreKey::Raw(Secret32::new([1; 32])))
    }

    fn mark(store: &Store, run: &RunId) -> Option<Mark> {
        store.read(|s| read(s, run)).unwrap()
    }

    #[test]
    fn a_copy_reads_the_runs_of_its_store_and_nobody_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name| Store::open(options(&folder, name)).unwrap();
        let first = open("store");
        assert_eq!(mark(&first, &first.run()), Some(Mark { claim: Claim::default(), opening: 0 }));
        first.close().unwrap();
        std::fs::copy(folder.path().join("store"), folder.path().join("copy")).unwrap();
        let (first, copy, stranger) = (open("store"), open("copy"), open("stranger"));
        assert_ne!(first.run(), copy.run());
        assert_eq!(mark(&copy, &first.run()).map(|mark| mark.opening), Some(1));
        assert!(!copy.read(list).unwrap().contains(&first.run()));
        assert_eq!(mark(&stranger, &first.run()), None);
        // Not one bit of it can be changed, and none is made up.
        for bit in 0..128 {
            let mut other = first.run();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(mark(&first, &other), None);
        }
    }

    #[test]
    fn the_standing_is_kept_and_a_run_carries_the_claim() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(options(&folder, "store")).unwrap();
        assert_eq!(store.read(standing::load).unwrap(), Standing::default());
        let mut held = Standing { role: Role::Held, highest: Claim::MOST - 1, ..Standing::default() };
        held.decide(Decision::GoOn).unwrap();
        let run = store.write_wait(move |tx| {
            standing::save(tx, &held)?;
            begin(tx)
        });
        let run = run.unwrap();
        assert_eq!(mark(&store, &run), Some(Mark { claim: held.claim, opening: 1 }));
        assert_eq!(held.claim, Claim { number: Claim::MOST, decided: true });
        store.close().unwrap();
        let store = Store::open(options(&folder, "store")).unwrap();
        assert_eq!(store.read(standing::load).unwrap(), held);
        assert_eq!(store.read(list).unwrap()[..2], [store.run(), run]);
        assert_eq!(mark(&store, &store.run()).map(|mark| mark.opening), Some(2));
    }
}
