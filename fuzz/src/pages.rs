//! A file of pages that somebody changes.

use arbitrary::Arbitrary;
use std::fs::{self, File, OpenOptions};
use std::io::{Result, Write};
use std::path::Path;
use tempfile::TempDir;

const PAGE: usize = 4096;

/// One change.
#[derive(Debug, Arbitrary)]
pub enum Change {
    /// A byte of a page, exclusive or.
    Flip(u8, u16, u8),
    /// Bytes of a page.
    Put(u8, u16, Vec<u8>),
    /// One page over another.
    Copy(u8, u8),
    /// Zeros over a page.
    Zero(u8),
    /// The file ends here.
    Cut(u32),
    /// The file goes on.
    Grow(Vec<u8>),
}

/// Makes one change.
pub fn apply(change: &Change, bytes: &mut Vec<u8>) {
    let pages = bytes.len().div_ceil(PAGE).max(1);
    let start = |page: u8| usize::from(page) % pages * PAGE;
    match change {
        Change::Flip(page, at, by) => {
            if let Some(byte) = bytes.get_mut(start(*page) + usize::from(*at) % PAGE) {
                *byte ^= by;
            }
        }
        Change::Put(page, at, new) => {
            let at = start(*page) + usize::from(*at) % PAGE;
            bytes.iter_mut().skip(at).zip(new).for_each(|(byte, new)| *byte = *new);
        }
        Change::Copy(from, to) => {
            let page: Vec<u8> = bytes.iter().skip(start(*from)).take(PAGE).copied().collect();
            bytes.iter_mut().skip(start(*to)).zip(page).for_each(|(byte, new)| *byte = new);
        }
        Change::Zero(page) => bytes.iter_mut().skip(start(*page)).take(PAGE).for_each(|byte| *byte = 0),
        Change::Cut(length) => bytes.truncate(*length as usize),
        Change::Grow(more) => bytes.extend_from_slice(more),
    }
}

/// A folder for such a file: in memory where the machine has a file system there.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    dir.expect("a folder")
}

/// Puts `bytes` into the file at `path`, and takes everything else out of its folder. The file is written over, which
/// costs half of what a new one does.
pub fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    for entry in fs::read_dir(path.parent().expect("a folder"))? {
        let other = entry?.path();
        if other != path {
            fs::remove_file(other)?;
        }
    }
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.set_len(bytes.len() as u64)?;
    file.write_all(bytes)
}
