//! Peers, archives, topics and keys as they are written on the command line.

use crate::home::{read_passphrase, read_secret};
use std::path::PathBuf;
use subrosa::{ArchiveAddress, Error, PeerAddress, Secret32};
use zeroize::Zeroizing;

/// The address of a node: `host:port` or `subrosanode1...@host:port`.
pub(crate) fn peer(text: &str) -> Result<String, Error> {
    text.parse::<PeerAddress>().map(|address| address.to_string())
}

/// The address of an archive alone: its grant has an option of its own there.
pub(crate) fn archive_alone(text: &str) -> Result<String, Error> {
    if text.contains(',') {
        return Err(Error::invalid(
            "write the address alone, and a grant behind --grant: HOST:PORT --grant TOKEN",
        ));
    }
    peer(text)
}

/// The address of an archive, and after a comma the grant of its operator.
pub(crate) fn archive(text: &str) -> Result<ArchiveAddress, Error> {
    let (address, grant) = match text.split_once(',') {
        Some((address, grant)) => (address, Some(self::grant(grant)?)),
        None => (text, None),
    };
    Ok(ArchiveAddress { address: peer(address)?, grant })
}

/// A grant: any text of 1 to 64 bytes.
pub(crate) fn grant(text: &str) -> Result<Vec<u8>, Error> {
    match text.len() {
        1..=64 => Ok(text.as_bytes().to_vec()),
        len => Err(Error::invalid(format!("a grant has from 1 to 64 bytes, not {len}"))),
    }
}

/// A topic: 4 characters, or 8 hexadecimal digits.
pub(crate) fn topic(text: &str) -> Result<[u8; 4], Error> {
    let bytes = match text.len() {
        4 => Some(text.as_bytes().to_vec()),
        8 => data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok(),
        _ => None,
    };
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| Error::invalid("a topic is written as 4 characters or 8 hexadecimal digits"))
}

/// A proof of work.
pub(crate) fn pow(text: &str) -> Result<f64, Error> {
    let pow = text.parse::<f64>().ok().filter(|pow| pow.is_finite() && *pow >= 0.0);
    pow.ok_or_else(|| Error::invalid("a proof of work is a number from 0, such as 0.002"))
}

/// A secret that several people share.
pub(crate) enum Shared {
    Key(Secret32),
    Password(Zeroizing<String>),
}

/// Where it is read from: not the command line, which other users of the machine can see.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(crate) struct SharedArgs {
    /// Under the key in this file: 64 hexadecimal digits, which all have who shall read it
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// Under the password in the first line of this file, which protects as well as it is hard to guess
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl SharedArgs {
    pub(crate) fn read(&self) -> Result<Option<Shared>, Error> {
        match (&self.key_file, &self.password_file) {
            (Some(path), _) => read_secret(path).map(|key| Some(Shared::Key(key))),
            (_, Some(path)) => read_passphrase(path).map(|words| Some(Shared::Password(words))),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_four_bytes() {
        assert_eq!(topic("news").unwrap(), *b"news");
        assert_eq!(topic("00ffA010").unwrap(), [0, 255, 0xa0, 16]);
        for wrong in ["", "new", "paper", "00ffa01", "00ffa01x", "äöü"] {
            assert!(topic(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn archives_may_have_a_grant() {
        let plain = archive("[::1]:9").unwrap();
        assert_eq!((plain.address.as_str(), plain.grant), ("[::1]:9", None));
        assert_eq!(archive("a.example:9,to,ken").unwrap().grant.unwrap(), b"to,ken");
        for wrong in ["", "a.example", "a.example:9,", ",x", &format!("a:9,{}", "x".repeat(65))] {
            assert!(archive(wrong).is_err(), "{wrong}");
        }
        assert_eq!(archive_alone("a.example:9").unwrap(), "a.example:9");
        assert!(archive_alone("a.example:9,token").unwrap_err().text().contains("--grant"));
        assert!(pow("0.25").is_ok() && pow("-1").is_err() && pow("nan").is_err());
    }
}
