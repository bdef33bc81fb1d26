//! The power of one file system: the files that live on it, the call at which it goes, and the files that are left.
//! What becomes of each file is in [`medium`](crate::medium); SQLite is told in `shim`.

use crate::medium::{Dice, Loss, Medium};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// When the power goes, seen from the call at which it goes. The caller learns nothing but that it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing of the call came to be.
    Before,
    /// The call was under way: a write may be there, a flush may have flushed anything or nothing.
    Within,
    /// The call was done: what it flushed is certain.
    After,
}

/// A file system whose power can go; none until [`Power::watch`].
#[derive(Debug, Default)]
pub(crate) struct Power(Mutex<Option<Watched>>);

#[derive(Debug, Default)]
struct Watched {
    files: BTreeMap<u64, Entry>,
    next_file: u64,
    /// Which process: handles of an earlier one are dead.
    life: u64,
    off: bool,
    calls: u64,
    cut: Option<(u64, Moment)>,
    /// The same, counted from the next flush that fails.
    cut_later: Option<(u64, Moment)>,
    lies: bool,
    forgets: bool,
}

/// A file that was opened in this life.
#[derive(Debug)]
struct Entry {
    path: PathBuf,
    /// Keeps the system from giving its number to another file.
    held: File,
    medium: Medium,
    name: Name,
}

/// Whether the folder says that the file is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Certain,
    /// Made, and neither it nor its folder was flushed since.
    Made,
    /// Deleted, and its folder was not flushed since.
    Deleted,
}

impl Power {
    fn watched(&self) -> MutexGuard<'_, Option<Watched>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T: Default>(&self, change: impl FnOnce(&mut Watched) -> T) -> T {
        self.watched().as_mut().map(change).unwrap_or_default()
    }

    /// From now on it is kept in mind what is certain. No file may be open.
    pub(crate) fn watch(&self) {
        *self.watched() = Some(Watched { life: 1, next_file: 1, ..Watched::default() });
    }

    pub(crate) fn cut_after(&self, calls: u64, moment: Moment) {
        self.with(|w| w.cut = Some((w.calls + calls, moment)));
    }

    pub(crate) fn cut_after_failed_flush(&self, calls: u64, moment: Moment) {
        self.with(|w| w.cut_later = Some((calls, moment)));
    }

    pub(crate) fn ignore_flushes(&self) {
        self.with(|w| w.lies = true);
    }

    pub(crate) fn forget_failed_flushes(&self) {
        self.with(|w| w.forgets = true);
    }

    pub(crate) fn is_off(&self) -> bool {
        self.with(|w| w.off)
    }

    pub(crate) fn calls(&self) -> u64 {
        self.with(|w| w.calls)
    }

    /// The power goes, if it is not gone, and comes back: the files become what is left of them. Handles of before
    /// stay dead.
    pub(crate) fn lose(&self, seed: u64) -> io::Result<Loss> {
        let mut dice = Dice::new(seed);
        let mut watched = self.watched();
        let Some(w) = watched.as_mut() else { return Ok(Loss::default()) };
        for entry in std::mem::take(&mut w.files).into_values() {
            entry.lose(&mut dice)?;
        }
        (w.life, w.off, w.cut, w.cut_later) = (w.life + 1, false, None, None);
        Ok(dice.loss)
    }

    /// A call begins; `counts` if the power may go at it.
    pub(crate) fn call(&self, life: Option<u64>, counts: bool) -> Call<'_> {
        let mut watched = self.watched();
        let Some(w) = watched.as_mut() else { return Call { watched: None, stops: false, moment: None } };
        let dead = w.off || life.is_some_and(|life| life != w.life);
        let mut moment = None;
        if counts && !dead {
            w.calls += 1;
            moment = w.cut.and_then(|(calls, moment)| (w.calls > calls).then_some(moment));
            w.off = moment.is_some();
        }
        Call { stops: dead || moment == Some(Moment::Before), moment, watched: Some(watched) }
    }
}

/// One call, during which nothing else happens on a watched file system.
pub(crate) struct Call<'p> {
    watched: Option<MutexGuard<'p, Option<Watched>>>,
    stops: bool,
    moment: Option<Moment>,
}

impl Call<'_> {
    /// Whether it must not be made: there is no power.
    pub(crate) fn stops(&self) -> bool {
        self.stops
    }

    /// Whether the real disk need not be flushed: it is this that decides what is certain.
    pub(crate) fn is_watched(&self) -> bool {
        self.watched.is_some()
    }

    /// What the caller learns, `failed` when the power went meanwhile.
    pub(crate) fn end(self, code: i32, failed: i32) -> i32 {
        if self.moment.is_some() { failed } else { code }
    }

    fn change(&mut self, change: impl FnOnce(&mut Watched)) {
        if let Some(w) = self.watched.as_mut().and_then(|guard| guard.as_mut()) {
            change(w);
        }
    }

    fn medium(&mut self, file: u64, change: impl FnOnce(&mut Medium)) {
        self.change(|w| {
            if let Some(entry) = w.files.get_mut(&file) {
                change(&mut entry.medium);
            }
        });
    }

    /// The file was opened, and made if it was not there. Gives its number and the life; (0, 0) when nobody watches.
    pub(crate) fn opened(&mut self, path: Option<&Path>, made: bool) -> io::Result<(u64, u64)> {
        let Some(w) = self.watched.as_mut().and_then(|guard| guard.as_mut()) else { return Ok((0, 0)) };
        // Temporary files have no name, and nobody misses them.
        let file = path.map_or(Ok(0), |path| w.track(path, made))?;
        Ok((file, w.life))
    }

    pub(crate) fn wrote(&mut self, file: u64, at: usize, bytes: &[u8]) {
        self.medium(file, |medium| medium.write(at, bytes));
    }

    pub(crate) fn resized(&mut self, file: u64, length: usize) {
        self.medium(file, |medium| medium.resize(length));
    }

    /// The file was flushed, and with it its name.
    pub(crate) fn flushed(&mut self, file: u64) {
        if self.moment == Some(Moment::Within) {
            return;
        }
        self.change(|w| {
            if let Some(entry) = w.files.get_mut(&file).filter(|_| !w.lies) {
                entry.medium.flush();
                if entry.name == Name::Made {
                    entry.name = Name::Certain;
                }
            }
        });
    }

    pub(crate) fn flush_failed(&mut self, file: u64) {
        self.change(|w| {
            if let Some(entry) = w.files.get_mut(&file).filter(|_| w.forgets) {
                entry.medium.forget();
            }
            if let Some((calls, moment)) = w.cut_later.take() {
                w.cut = Some((w.calls + calls, moment));
            }
        });
    }

    /// The file is deleted; `certain` when its folder was flushed.
    pub(crate) fn deleted(&mut self, path: &Path, certain: bool) {
        let certain = certain && self.moment != Some(Moment::Within);
        self.change(|w| {
            if certain {
                w.files.retain(|_, entry| entry.path != path);
            } else if let Some(entry) = w.files.values_mut().find(|entry| entry.path == path) {
                entry.name = Name::Deleted;
            }
        });
    }
}

impl Watched {
    fn track(&mut self, path: &Path, made: bool) -> io::Result<u64> {
        let mut held = File::open(path)?;
        let number = inode(&held)?;
        // A file that was renamed, or opened before, is the same file.
        for (file, entry) in &mut self.files {
            if inode(&entry.held)? == number && entry.name != Name::Deleted {
                path.clone_into(&mut entry.path);
                return Ok(*file);
            }
        }
        self.files.retain(|_, entry| entry.path != path);
        let mut durable = Vec::new();
        held.read_to_end(&mut durable)?;
        let (medium, name) = (Medium::new(durable), if made { Name::Made } else { Name::Certain });
        let file = self.next_file;
        self.next_file += 1;
        self.files.insert(file, Entry { path: path.to_owned(), held, medium, name });
        Ok(file)
    }
}

impl Entry {
    /// The file becomes what is left of it. One that others replaced or deleted is theirs: they flush what they do.
    fn lose(self, dice: &mut Dice) -> io::Result<()> {
        let there = self.whereabouts()?;
        let path = match (&there, self.name) {
            (None, Name::Deleted) => &self.path,
            (None, _) => return Ok(()),
            (Some(path), _) => path,
        };
        let image = self.medium.image(dice);
        let changed = self.name != Name::Certain && dice.chance(50);
        dice.loss.names += u64::from(changed);
        let stays = (self.name == Name::Deleted) == changed;
        let permissions = self.held.metadata()?.permissions();
        if there.is_some() {
            fs::remove_file(path)?;
        }
        if stays {
            fs::write(path, image)?;
            fs::set_permissions(path, permissions)?;
        }
        // The index of a log lives in memory.
        let mut index = path.clone().into_os_string();
        index.push("-shm");
        match fs::remove_file(index) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Where the file is now: others may have renamed it.
    fn whereabouts(&self) -> io::Result<Option<PathBuf>> {
        let number = inode(&self.held)?;
        let is_it = |path: &Path| match File::open(path) {
            Ok(file) => inode(&file).map(|other| other == number),
            Err(_) => Ok(false),
        };
        if is_it(&self.path)? {
            return Ok(Some(self.path.clone()));
        }
        let Some(folder) = self.path.parent() else { return Ok(None) };
        for other in fs::read_dir(folder)? {
            let other = other?.path();
            if is_it(&other)? {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }
}

/// What a file is known by, whatever its name.
#[cfg(unix)]
fn inode(file: &File) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let found = file.metadata()?;
    Ok((found.dev(), found.ino()))
}

/// Elsewhere the standard library does not tell.
#[cfg(not(unix))]
fn inode(_: &File) -> io::Result<(u64, u64)> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "losses of power are simulated on Unix only"))
}
