//! Another key for the store, and the end of both. The store, the key file and the settings cannot change in one
//! step: what is about to change is written down first, and a change that was cut short is settled by trying which
//! key opens the store.

use super::files::{new_key_file, read_key, read_passphrase};
use super::{Home, KEY, KeyKind, NEXT_KEY, Network, Settings};
use crate::failure::file_error;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use subrosa::{Config, Error, ErrorKind, Node, Preset, StoreKey};

/// What shall open the store from now on.
#[derive(Clone, Debug)]
pub(crate) enum NewKey {
    /// A new random key in `store.key`.
    File,
    /// The passphrase in the first line of this file.
    Passphrase(PathBuf),
}

impl Home {
    /// Gives the store another key, and forgets the old one.
    pub(crate) fn change_key(&self, new: &NewKey) -> Result<KeyKind, Error> {
        // Read before anything changes.
        let words = match new {
            NewKey::Passphrase(path) => Some(read_passphrase(path)?),
            NewKey::File => None,
        };
        let node = self.open(Network::Off)?;
        let changed = self.change_key_of(&node, words.map(StoreKey::Passphrase));
        let closed = subrosa::wait(node.close());
        let kind = changed?;
        closed?;
        Ok(kind)
    }

    fn change_key_of(&self, node: &Node, passphrase: Option<StoreKey>) -> Result<KeyKind, Error> {
        let settings = self.settings()?;
        let (kind, key) = match passphrase {
            Some(key) => (KeyKind::Passphrase, key),
            None => {
                remove(&self.dir.join(NEXT_KEY))?;
                (KeyKind::File, StoreKey::Raw(new_key_file(&self.dir.join(NEXT_KEY))?))
            }
        };
        // From one passphrase to another there is nothing here to keep in step.
        if kind == KeyKind::File || settings.key == KeyKind::File {
            self.write_settings(&Settings { changing: Some(kind), ..settings })?;
        }
        subrosa::wait(node.store_change_key(key))?;
        self.settled(kind, kind == KeyKind::File)?;
        Ok(kind)
    }

    /// Ends a change of the key that was cut short, one way or the other.
    pub(super) fn settle_key(&self) -> Result<(), Error> {
        let next = self.dir.join(NEXT_KEY);
        for (path, is_next) in [(&next, true), (&self.key_path(), false)] {
            // One that is not whole was never the store's.
            let Ok(key) = read_key(path) else { continue };
            if self.opens_with(StoreKey::Raw(key))? {
                return self.settled(KeyKind::File, is_next);
            }
        }
        let words = self.passphrase()?.ok_or_else(|| {
            Error::new(
                ErrorKind::WrongKey,
                "a change of the key was cut short, and the store has a passphrase: give it with --passphrase-file \
                 FILE or SUBROSA_PASSPHRASE",
            )
        })?;
        if !self.opens_with(StoreKey::Passphrase(words))? {
            return Err(Error::new(ErrorKind::WrongKey, "this passphrase does not open the store"));
        }
        self.settled(KeyKind::Passphrase, false)
    }

    fn opens_with(&self, key: StoreKey) -> Result<bool, Error> {
        let mut config = Config::new(Preset::Desktop, self.store_path(), key);
        config.bind = Vec::new();
        match subrosa::wait(Node::open(config)) {
            Ok(node) => subrosa::wait(node.close()).map(|()| true),
            Err(error) if error.kind() == ErrorKind::WrongKey => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The store is known to open with this kind of key: makes the files say so. The settings come between putting
    /// the new key in place and removing the old one, so that at each moment the key that opens the store is there.
    fn settled(&self, kind: KeyKind, next: bool) -> Result<(), Error> {
        let (key_path, next_path) = (self.dir.join(KEY), self.dir.join(NEXT_KEY));
        if next {
            fs::rename(&next_path, &key_path).map_err(|e| file_error("rename", &next_path, &e))?;
            sync_dir(&self.dir)?;
        }
        self.write_settings(&Settings { key: kind, changing: None, ..self.settings()? })?;
        remove(&next_path)?;
        if kind == KeyKind::Passphrase { remove(&key_path) } else { Ok(()) }
    }

    /// Removes store, keys and settings for good, without opening the store: nobody has to know its key.
    pub(crate) fn wipe(&self) -> Result<(), Error> {
        self.settings()?;
        if self.store_path().exists() {
            subrosa::wipe_closed_store(self.store_path())?;
        }
        remove(&self.dir.join(NEXT_KEY))?;
        remove(&self.key_path())?;
        // Last: with the settings there, this can be called again.
        remove(&self.settings_path())?;
        // What else is in it is not ours.
        let _ = fs::remove_dir(&self.dir);
        Ok(())
    }
}

/// Overwrites a small file, as far as the disk does that in place, and removes it. One that is not there is fine.
fn remove(path: &Path) -> Result<(), Error> {
    let overwrite = || -> io::Result<()> {
        let length = usize::try_from(fs::metadata(path)?.len()).unwrap_or(0).min(4096);
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.write_all(&vec![0u8; length])?;
        file.sync_all()?;
        fs::remove_file(path)
    };
    match overwrite() {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error("remove", path, &error)),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn sync_dir(dir: &Path) -> Result<(), Error> {
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| file_error("write", dir, &e))
}

#[cfg(not(unix))]
fn sync_dir(_: &Path) -> Result<(), Error> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A home in which a change to a new key file was cut short, before or after the store took it.
    fn cut_short(taken: bool) -> (tempfile::TempDir, Home, subrosa::PersonId) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::without_passphrase(dir.path().join("data"));
        let node = home.make(None, &["127.0.0.1:9".parse().unwrap()], &[]).unwrap();
        let person = node.identity();
        let key = new_key_file(&home.dir.join(NEXT_KEY)).unwrap();
        let settings = home.settings().unwrap();
        home.write_settings(&Settings { changing: Some(KeyKind::File), ..settings }).unwrap();
        if taken {
            subrosa::wait(node.store_change_key(StoreKey::Raw(key))).unwrap();
        }
        subrosa::wait(node.close()).unwrap();
        (dir, home, person)
    }

    #[test]
    fn a_change_that_was_cut_short_is_settled() {
        for taken in [false, true] {
            let (_dir, home, person) = cut_short(taken);
            let before = read_key(&home.key_path()).unwrap();
            let node = home.open(Network::Off).unwrap();
            assert_eq!(node.identity(), person);
            subrosa::wait(node.close()).unwrap();
            assert!(home.settings().unwrap().changing.is_none());
            assert!(!home.dir.join(NEXT_KEY).exists());
            assert_eq!(read_key(&home.key_path()).unwrap() == before, !taken);
        }
    }

    #[test]
    fn a_change_to_a_passphrase_that_was_cut_short_asks_for_it() {
        let (dir, home, person) = cut_short(false);
        let words = dir.path().join("words");
        fs::write(&words, "correct horse\n").unwrap();
        let node = home.open(Network::Off).unwrap();
        let settings = home.settings().unwrap();
        home.write_settings(&Settings { changing: Some(KeyKind::Passphrase), ..settings }).unwrap();
        subrosa::wait(node.store_change_key(StoreKey::passphrase("correct horse"))).unwrap();
        subrosa::wait(node.close()).unwrap();
        assert_eq!(home.open(Network::Off).unwrap_err().kind(), ErrorKind::WrongKey);
        assert!(home.key_path().exists(), "nothing is removed before it is known what opens the store");
        let home = Home { passphrase_file: Some(words), ..home };
        let node = home.open(Network::Off).unwrap();
        assert_eq!(node.identity(), person);
        subrosa::wait(node.close()).unwrap();
        assert_eq!(home.settings().unwrap().key, KeyKind::Passphrase);
        assert!(!home.key_path().exists());
    }
}
