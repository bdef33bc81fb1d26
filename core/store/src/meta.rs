//! Which store this is, how its key is checked, and the data keys wrapped by it. Nothing here is sealed by a data
//! key; the host's key protects it.

use crate::argon::{Argon2Params, SALT, stretch};
use crate::options::StoreKey;
use crate::ring::Ring;
use crate::sqlite::Fault;
use rusqlite::{Connection, OptionalExtension, params};
use subrosa_proto::crypto::{self, Secret32};
use subrosa_proto::entropy::{OsEntropy, random};
use subrosa_proto::{Error, ErrorKind, Result};
use subtle::ConstantTimeEq;

/// The store key is used as it is.
const RAW: i64 = 0;
/// The store key is made from a passphrase by Argon2id.
const ARGON2ID: i64 = 1;

/// The row of `meta`.
pub(crate) struct Meta {
    pub(crate) store: [u8; 16],
    kdf: i64,
    salt: Vec<u8>,
    argon2: Argon2Params,
    pub(crate) key_check: Vec<u8>,
}

/// One row of `data_key`.
pub(crate) struct Wrapped {
    pub(crate) number: u32,
    wrapped: Vec<u8>,
    /// Seals counted, or reserved, under it.
    pub(crate) seals: i64,
}

/// The key that wraps the data keys, and the row that says how it is made.
pub(crate) struct Lock {
    pub(crate) meta: Meta,
    pub(crate) wrapping: Secret32,
}

fn damaged(what: &str) -> Error {
    Error::damaged(format!("the store is damaged: {what}"))
}

impl Lock {
    /// How `key` will open the store `store`, with a fresh salt.
    pub(crate) fn new(store: [u8; 16], key: &StoreKey, argon2: Argon2Params) -> Result<Lock> {
        let (kdf, salt, argon2) = match key {
            StoreKey::Raw(_) => (RAW, Vec::new(), Argon2Params { memory: 0, passes: 0, lanes: 0 }),
            StoreKey::Passphrase(_) => (ARGON2ID, random::<SALT>(&mut OsEntropy)?.to_vec(), argon2),
        };
        let mut meta = Meta { store, kdf, salt, argon2, key_check: Vec::new() };
        let wrapping = meta.wrapping(key)?;
        meta.key_check = meta.check_of(&wrapping);
        Ok(Lock { meta, wrapping })
    }

    /// The wrapped form of data key `number`: `nonce 12 | ciphertext | tag 16`.
    fn wrap(&self, number: u32, key: &Secret32) -> Result<Vec<u8>> {
        let nonce = random::<12>(&mut OsEntropy)?;
        let mut out = nonce.to_vec();
        out.extend(crypto::seal(&self.wrapping, &nonce, &self.meta.place(number), key.as_bytes())?);
        Ok(out)
    }

    /// Writes the row of `meta`, in place of what is there.
    pub(crate) fn put(&self, connection: &Connection) -> Result<()> {
        let Meta { store, kdf, salt, argon2, key_check } = &self.meta;
        let sum = self.meta.sum();
        connection
            .execute(
                "INSERT OR REPLACE INTO meta (id, store, kdf, salt, memory, passes, lanes, key_check, sum) \
                 VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![store, kdf, salt, argon2.memory, argon2.passes, argon2.lanes, key_check, sum],
            )
            .fault()?;
        Ok(())
    }

    /// Writes data key `number`, of which `seals` are reserved.
    pub(crate) fn put_key(
        &self,
        connection: &Connection,
        number: u32,
        key: &Secret32,
        seals: i64,
    ) -> Result<()> {
        let wrapped = self.wrap(number, key)?;
        connection
            .execute(
                "INSERT INTO data_key (id, wrapped, seals) VALUES (?1, ?2, ?3)",
                params![number, wrapped, seals],
            )
            .fault()?;
        Ok(())
    }

    /// Wraps every data key of `ring` anew.
    pub(crate) fn rewrap(&self, connection: &Connection, ring: &Ring) -> Result<()> {
        self.put(connection)?;
        for (number, key) in ring.keys() {
            let wrapped = self.wrap(number, key)?;
            let changed = connection
                .execute("UPDATE data_key SET wrapped = ?2 WHERE id = ?1", params![number, wrapped])
                .fault()?;
            if changed != 1 {
                return Err(Error::internal("a data key to wrap anew is not there"));
            }
        }
        Ok(())
    }
}

impl Meta {
    /// Reads the row; `Damaged` unless it is as it was written.
    pub(crate) fn load(connection: &Connection) -> Result<Meta> {
        let (meta, sum) = connection
            .query_row(
                "SELECT store, kdf, salt, memory, passes, lanes, key_check, sum FROM meta WHERE id = 1",
                [],
                |row| {
                    let argon2 =
                        Argon2Params { memory: row.get(3)?, passes: row.get(4)?, lanes: row.get(5)? };
                    let (store, sum): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(7)?);
                    Ok((store, row.get(1)?, row.get(2)?, argon2, row.get(6)?, sum))
                },
            )
            .optional()
            .fault()?
            .map(|(store, kdf, salt, argon2, key_check, sum)| {
                let store = store.try_into().map_err(|_| damaged("its id is not 16 bytes"))?;
                Ok::<_, Error>((Meta { store, kdf, salt, argon2, key_check }, sum))
            })
            .transpose()?
            .ok_or_else(|| damaged("it does not say how its key is checked"))?;
        if meta.sum().as_slice() != sum {
            return Err(damaged("what it says about its key does not add up"));
        }
        Ok(meta)
    }

    /// The lock that `key` opens; `WrongKey` when it does not.
    pub(crate) fn unlock(self, key: &StoreKey) -> Result<Lock> {
        let wrong = |text| Error::new(ErrorKind::WrongKey, text);
        match (self.kdf, key) {
            (RAW, StoreKey::Passphrase(_)) => {
                return Err(wrong("the store opens with a raw key, not with a passphrase"));
            }
            (ARGON2ID, StoreKey::Raw(_)) => {
                return Err(wrong("the store opens with a passphrase, not with a raw key"));
            }
            (RAW | ARGON2ID, _) => (),
            _ => return Err(damaged("its key is made in an unknown way")),
        }
        if self.kdf == ARGON2ID {
            self.argon2.check().map_err(|e| damaged(e.text()))?;
        }
        let wrapping = self.wrapping(key)?;
        if !bool::from(self.check_of(&wrapping).ct_eq(&self.key_check)) {
            return Err(wrong(match key {
                StoreKey::Raw(_) => "this is not the key of the store; nothing was changed",
                StoreKey::Passphrase(_) => "this is not the passphrase of the store; nothing was changed",
            }));
        }
        Ok(Lock { meta: self, wrapping })
    }

    fn wrapping(&self, key: &StoreKey) -> Result<Secret32> {
        let stretched;
        let key = match key {
            StoreKey::Raw(key) => key,
            StoreKey::Passphrase(words) => {
                stretched = stretch(words, &self.salt, self.argon2)?;
                &stretched
            }
        };
        Ok(crypto::derive(key.as_bytes(), "subrosa store wrap", &[&self.store]))
    }

    /// Tells the right key from a wrong one, and tells nothing else.
    fn check_of(&self, wrapping: &Secret32) -> Vec<u8> {
        crypto::mac(wrapping.as_bytes(), &[b"subrosa store check", &self.open_bytes()]).to_vec()
    }

    fn open_bytes(&self) -> Vec<u8> {
        let mut out = self.store.to_vec();
        out.extend(self.kdf.to_be_bytes());
        for number in [self.argon2.memory, self.argon2.passes, self.argon2.lanes] {
            out.extend(number.to_be_bytes());
        }
        out.extend(&self.salt);
        out
    }

    /// Tells damage from a wrong key; protects against accidents, not against people.
    fn sum(&self) -> [u8; 32] {
        crypto::sha256(&[b"subrosa store meta", &self.open_bytes(), &self.key_check])
    }

    fn place(&self, number: u32) -> Vec<u8> {
        [b"subrosa data key".as_slice(), &self.store, &number.to_be_bytes()].concat()
    }
}

impl Wrapped {
    /// All data keys, by number.
    pub(crate) fn list(connection: &Connection) -> Result<Vec<Wrapped>> {
        connection
            .prepare("SELECT id, wrapped, seals FROM data_key ORDER BY id LIMIT 4096")
            .and_then(|mut statement| {
                statement
                    .query_map([], |row| {
                        Ok(Wrapped { number: row.get(0)?, wrapped: row.get(1)?, seals: row.get(2)? })
                    })?
                    .collect()
            })
            .fault()
    }

    /// The data keys, unwrapped. The key was proved to be right, so what does not open is damaged.
    pub(crate) fn unwrap_all(list: &[Wrapped], lock: &Lock) -> Result<Ring> {
        let keys = list
            .iter()
            .map(|row| {
                let broken = || damaged("a data key does not open");
                let (nonce, sealed) = row.wrapped.split_first_chunk::<12>().ok_or_else(broken)?;
                let key = crypto::open(&lock.wrapping, nonce, &lock.meta.place(row.number), sealed)
                    .map_err(|_| broken())?;
                Ok((row.number, Secret32::from_slice(&key).map_err(|_| broken())?))
            })
            .collect::<Result<_>>()?;
        Ring::new(lock.meta.store, keys)
    }
}

/// The row of `progress`: number of the last commit, and the next row number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) serial: i64,
    pub(crate) next_row: i64,
}

impl Progress {
    pub(crate) fn load(connection: &Connection) -> Result<Progress> {
        connection
            .prepare_cached("SELECT serial, next_row FROM progress WHERE id = 1")
            .and_then(|mut s| {
                s.query_row([], |row| Ok(Progress { serial: row.get(0)?, next_row: row.get(1)? }))
            })
            .fault()
    }

    pub(crate) fn put(self, connection: &Connection) -> Result<()> {
        connection
            .prepare_cached(
                "INSERT INTO progress (id, serial, next_row) VALUES (1, ?1, ?2) \
                 ON CONFLICT (id) DO UPDATE SET serial = excluded.serial, next_row = excluded.next_row",
            )
            .and_then(|mut s| s.execute(params![self.serial, self.next_row]))
            .fault()?;
        Ok(())
    }
}

/// Remembers on disk that up to `seals` seals are made under data key `number`.
pub(crate) fn reserve(connection: &Connection, number: u32, seals: i64) -> Result<()> {
    connection.execute("UPDATE data_key SET seals = ?2 WHERE id = ?1", params![number, seals]).fault()?;
    Ok(())
}
