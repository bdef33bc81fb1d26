//! How this store stands among its copies, as `subrosa_proto::friends::standing` judges it. One sealed record beside
//! that of the identity; a store that was always alone has none.

use crate::ring::{Place, RECORD, Table};
use crate::session::{Session, Tx};
use crate::sqlite::Fault;
use minicbor::{Decode, Encode};
use rusqlite::{OptionalExtension, params};
use subrosa_proto::friends::standing::{Claim, Role, Standing};
use subrosa_proto::wire::Record;
use subrosa_proto::{Error, Result};

/// The row after that of the identity.
const ROW: i64 = 2;

#[derive(Encode, Decode)]
#[cbor(map)]
pub(crate) struct StandingRecord {
    #[n(0)]
    claim: u16,
    #[n(1)]
    decided: bool,
    #[n(2)]
    highest: u16,
    /// 1 one, 2 restored, 3 held, 4 stood down.
    #[n(3)]
    role: u8,
}

impl Record for StandingRecord {
    const NAME: &'static str = "standing";
    const KEYS: &'static [u64] = &[0, 1, 2, 3];
}

const ROLES: [(u8, Role); 4] = [(1, Role::One), (2, Role::Restored), (3, Role::Held), (4, Role::StoodDown)];

fn place() -> Place {
    Place { table: Table::Secret, column: RECORD, row: ROW, owner: 0, look: [0; 16] }
}

/// Keeps `standing` in place of what was kept before.
pub fn save(tx: &Tx<'_>, standing: &Standing) -> Result<()> {
    let role = ROLES.iter().find(|(_, role)| *role == standing.role).map_or(0, |(number, _)| *number);
    let Claim { number, decided } = standing.claim;
    let record = StandingRecord { claim: number, decided, highest: standing.highest, role };
    let record = tx.seal_record(place(), &record)?;
    tx.sql("INSERT INTO secret (id, record) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET record = excluded.record")?
        .execute(params![ROW, record])
        .fault()?;
    Ok(())
}

/// What [`save`] kept; that of a store that was always alone if there is nothing.
pub fn load(session: &Session<'_>) -> Result<Standing> {
    let record = session
        .sql("SELECT record FROM secret WHERE id = ?1")?
        .query_row(params![ROW], |row| row.get::<_, Vec<u8>>(0))
        .optional()
        .fault()?;
    let Some(record) = record else { return Ok(Standing::default()) };
    let record: StandingRecord = session.open_record(place(), &record)?;
    let (_, role) = ROLES
        .into_iter()
        .find(|(number, _)| *number == record.role)
        .ok_or_else(|| Error::damaged("the store is damaged: it stands among its copies in no known way"))?;
    let claim = Claim { number: record.claim.min(Claim::MOST), decided: record.decided };
    Ok(Standing { claim, highest: record.highest, role })
}
