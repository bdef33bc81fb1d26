//! Where a trial keeps its stores: a directory that is gone afterwards, unless it is wanted or something went wrong.

use crate::failure::file_error;
use std::path::{Path, PathBuf};
use subrosa::{Error, ErrorKind};
use tempfile::TempDir;

/// The directory of a trial.
pub(crate) enum Scratch {
    /// Named by the user, and kept.
    Kept(PathBuf),
    /// Gone with this value.
    Passing(TempDir),
}

impl Scratch {
    /// A new directory, or the empty one that is named.
    pub(crate) fn new(dir: Option<PathBuf>) -> Result<Scratch, Error> {
        let Some(dir) = dir else {
            let dir = tempfile::Builder::new().prefix("subrosa-").tempdir();
            return dir
                .map(Scratch::Passing)
                .map_err(|e| file_error("make a directory in", &std::env::temp_dir(), &e));
        };
        std::fs::create_dir_all(&dir).map_err(|e| file_error("make", &dir, &e))?;
        let mut entries = std::fs::read_dir(&dir).map_err(|e| file_error("read", &dir, &e))?;
        if entries.next().is_some() {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("{} is not empty: name a new directory with --data", dir.display()),
            ));
        }
        Ok(Scratch::Kept(dir))
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Scratch::Kept(dir) => dir,
            Scratch::Passing(dir) => dir.path(),
        }
    }

    /// Whether it stays.
    pub(crate) fn is_kept(&self) -> bool {
        matches!(self, Scratch::Kept(_))
    }

    /// Lets it stay.
    pub(crate) fn keep(self) -> Scratch {
        match self {
            Scratch::Passing(dir) => Scratch::Kept(dir.keep()),
            kept => kept,
        }
    }
}
