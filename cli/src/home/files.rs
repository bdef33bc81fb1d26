//! Files that only their owner may read: written whole or not at all, and read up to a bound. Which they are is not
//! known here.

use crate::count::counted;
use crate::failure::file_error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use subrosa::{Error, ErrorKind, Identity, Secret32};
use zeroize::{Zeroize, Zeroizing};

/// Longest file read whole: settings, keys and passphrases are far shorter.
const LONGEST: u64 = 64 * 1024;

/// Makes a key file, readable by its owner alone.
pub(super) fn new_key_file(path: &Path) -> Result<Secret32, Error> {
    let mut bytes = Zeroizing::new([0u8; 32]);
    getrandom::fill(bytes.as_mut_slice())
        .map_err(|e| Error::new(ErrorKind::Io, format!("the system gives no random bytes: {e}")))?;
    write_at_once(path, bytes.as_slice())?;
    Secret32::from_slice(bytes.as_slice())
}

pub(super) fn read_key(path: &Path) -> Result<Secret32, Error> {
    let bytes = Zeroizing::new(read_limited(path).map_err(|e| file_error("read", path, &e))?);
    Secret32::from_slice(&bytes).map_err(|_| {
        Error::damaged(format!(
            "{} has {} instead of 32: put the file back that was made with this store",
            path.display(),
            counted(bytes.len(), "byte")
        ))
    })
}

/// The first line of a file.
pub(crate) fn read_passphrase(path: &Path) -> Result<Zeroizing<String>, Error> {
    let bytes = Zeroizing::new(read_limited(path).map_err(|e| file_error("read", path, &e))?);
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Error::invalid(format!("{} is not UTF-8 text", path.display())))?;
    let words = Zeroizing::new(text.lines().next().unwrap_or_default().to_owned());
    if words.is_empty() {
        let path = path.display();
        return Err(Error::invalid(format!("the first line of {path} is empty: write the words there")));
    }
    Ok(words)
}

/// Reads a key of 32 bytes, written as 64 hexadecimal digits.
pub(crate) fn read_secret(path: &Path) -> Result<Secret32, Error> {
    let text = Zeroizing::new(read_limited(path).map_err(|e| file_error("read", path, &e))?);
    let bytes = data_encoding::HEXLOWER_PERMISSIVE
        .decode(text.trim_ascii())
        .map(Zeroizing::new)
        .map_err(|_| Error::invalid(format!("{} does not hold 64 hexadecimal digits", path.display())))?;
    Secret32::from_slice(&bytes)
}

/// Reads an identity: 64 hexadecimal digits, the 32 bytes of a secp256k1 secret key.
pub(crate) fn read_identity(path: &Path) -> Result<Identity, Error> {
    Identity::from_secret(read_secret(path)?.as_bytes())
}

/// Writes an identity as [`read_identity`] reads it, into a new file that only its owner may read.
pub(crate) fn write_identity(path: &Path, identity: &Identity) -> Result<(), Error> {
    let mut text = Zeroizing::new(data_encoding::HEXLOWER.encode(identity.secret().as_bytes()));
    text.push('\n');
    let mut file = private_file(path).map_err(|e| file_error("make", path, &e))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| file_error("write", path, &e))
}

pub(super) fn no_directory(dir: &Path) -> Error {
    let dir = dir.display();
    Error::invalid(format!(
        "{dir} cannot be the data directory, it is a file, or below one: give another with --data DIR"
    ))
}

pub(super) fn make_private_dir(dir: &Path) -> Result<(), Error> {
    if dir.exists() && !dir.is_dir() {
        return Err(no_directory(dir));
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|e| match e.kind() {
        io::ErrorKind::NotADirectory => no_directory(dir),
        _ => file_error("make", dir, &e),
    })
}

fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Writes a file that is either there whole, also after a loss of power, or not there.
pub(super) fn write_at_once(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let part = path.with_extension("part");
    let write = || -> io::Result<()> {
        match fs::remove_file(&part) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = private_file(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        #[cfg(unix)]
        if let Some(dir) = path.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|e| file_error("write", path, &e))
}

pub(super) fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = File::open(path)?.take(LONGEST + 1);
    if let Err(error) = file.read_to_end(&mut bytes) {
        bytes.zeroize();
        return Err(error);
    }
    if bytes.len() as u64 > LONGEST {
        bytes.zeroize();
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is far too long"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_read_and_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity");
        fs::write(&path, "not hexadecimal").unwrap();
        assert_eq!(read_identity(&path).unwrap_err().kind(), ErrorKind::InvalidArgument);
        fs::write(&path, format!(" {}\n", "07".repeat(32))).unwrap();
        let identity = read_identity(&path).unwrap();
        assert_eq!(write_identity(&path, &identity).unwrap_err().kind(), ErrorKind::AlreadyExists);
        let copy = dir.path().join("copy");
        write_identity(&copy, &identity).unwrap();
        assert_eq!(read_identity(&copy).unwrap().person(), identity.person());
    }
}
