//! The data directory: where it is, its settings and its key. What is in the store is not its business.

mod files;
mod rekey;

use files::{make_private_dir, new_key_file, no_directory, read_key, read_limited, write_at_once};
pub(crate) use files::{read_identity, read_passphrase, read_secret, write_identity};
pub(crate) use rekey::NewKey;

use crate::failure::file_error;
use crate::port;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use subrosa::{ArchiveAddress, Config, Error, ErrorKind, Identity, Node, Preset, Secret32, StoreKey};
use zeroize::Zeroizing;

const STORE: &str = "store.db";
const KEY: &str = "store.key";
/// The next key file, while the key is being changed.
const NEXT_KEY: &str = "store.key.next";
const SETTINGS: &str = "config.json";
/// What `config.json` holds. Fields that this version does not know are refused, since it would not obey them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    version: u32,
    pub key: KeyKind,
    /// What opens the store if the change of its key that began was made. Settled when the store is next opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changing: Option<KeyKind>,
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Addresses that friends are told instead; none are those of the network interfaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advertise: Vec<SocketAddr>,
}

/// What opens the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum KeyKind {
    /// The key file.
    File,
    /// A passphrase that is nowhere on this machine.
    Passphrase,
}

/// Whether a command uses the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// Listens and dials.
    On,
    /// Only reads and writes the store.
    Off,
}

/// A data directory.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    dir: PathBuf,
    passphrase_file: Option<PathBuf>,
    /// Whether SUBROSA_PASSPHRASE counts.
    environment: bool,
    /// Whom the command line names in Whisper, beside those that the store keeps.
    neighbours: Neighbours,
}

/// Peers and archives of the command line, and what friends have to do with them.
#[derive(Clone, Debug)]
pub(crate) struct Neighbours {
    pub peers: Vec<String>,
    pub archives: Vec<ArchiveAddress>,
    pub tell_friends: bool,
    pub from_friends: bool,
}

impl Default for Neighbours {
    fn default() -> Neighbours {
        Neighbours { peers: Vec::new(), archives: Vec::new(), tell_friends: true, from_friends: true }
    }
}

impl Home {
    /// The directory asked for, or the usual one of the platform.
    pub(crate) fn new(dir: Option<PathBuf>, passphrase_file: Option<PathBuf>) -> Result<Home, Error> {
        let dir = dir.or_else(usual_dir).ok_or_else(|| {
            Error::invalid("there is no home directory: name a data directory with --data DIR")
        })?;
        Ok(Home { dir, passphrase_file, environment: true, neighbours: Neighbours::default() })
    }

    /// A directory with a key file, whatever the environment says.
    pub(crate) fn without_passphrase(dir: PathBuf) -> Home {
        Home { dir, passphrase_file: None, environment: false, neighbours: Neighbours::default() }
    }

    /// The same, with these peers and archives for as long as the command runs.
    pub(crate) fn with_neighbours(self, neighbours: Neighbours) -> Home {
        Home { neighbours, ..self }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the directory, key, store and, last, the settings: with them it is complete, and without them this can
    /// be called again.
    pub(crate) fn make(
        &self,
        identity: Option<Identity>,
        listen: &[SocketAddr],
        advertise: &[SocketAddr],
    ) -> Result<Node, Error> {
        let settings_path = self.dir.join(SETTINGS);
        if settings_path.exists() {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("{} has an identity already: `subrosa id` shows it", self.dir.display()),
            ));
        }
        // What is wrong with it leaves nothing behind.
        let passphrase = self.passphrase()?;
        make_private_dir(&self.dir)?;
        let (kind, key) = match passphrase {
            Some(words) => (KeyKind::Passphrase, StoreKey::Passphrase(words)),
            None => (KeyKind::File, StoreKey::Raw(self.make_key_file()?)),
        };
        let listen = if listen.is_empty() { any_address()? } else { with_ports(listen)? };
        let settings =
            Settings { version: 1, key: kind, changing: None, listen, advertise: advertise.to_vec() };
        let mut config = Config::new(Preset::Desktop, self.dir.join(STORE), key);
        config.identity = identity;
        config.bind = Vec::new();
        let node = subrosa::wait(Node::open(config))?;
        self.write_settings(&settings)?;
        Ok(node)
    }

    /// How to open the store, with this directory's settings and key.
    pub(crate) fn config(&self, network: Network) -> Result<Config, Error> {
        let settings = self.settings()?;
        let key = match settings.key {
            KeyKind::File => {
                if self.passphrase_file.is_some() {
                    return Err(Error::invalid(format!(
                        "this store is opened by {}, not by a passphrase: leave --passphrase-file out",
                        self.dir.join(KEY).display()
                    )));
                }
                StoreKey::Raw(self.read_key_file()?)
            }
            KeyKind::Passphrase => self.passphrase()?.map(StoreKey::Passphrase).ok_or_else(|| {
                Error::new(
                    ErrorKind::WrongKey,
                    "this store has a passphrase: give it with --passphrase-file FILE or SUBROSA_PASSPHRASE",
                )
            })?,
        };
        let mut config = Config::new(Preset::Desktop, self.dir.join(STORE), key);
        config.bind = match network {
            Network::On => settings.listen,
            Network::Off => Vec::new(),
        };
        config.advertise = settings.advertise;
        config.whisper.tell_friends = self.neighbours.tell_friends;
        config.whisper.from_friends = self.neighbours.from_friends;
        if network == Network::On {
            config.whisper.peers.clone_from(&self.neighbours.peers);
            config.whisper.archives.clone_from(&self.neighbours.archives);
        }
        Ok(config)
    }

    /// Opens the store. One that is gone is not made anew: that would be another identity.
    pub(crate) fn open(&self, network: Network) -> Result<Node, Error> {
        self.open_as(network, |_| {})
    }

    /// Opens the store, with what `set` changes in its configuration.
    pub(crate) fn open_as(&self, network: Network, set: impl FnOnce(&mut Config)) -> Result<Node, Error> {
        if self.settings()?.changing.is_some() {
            self.settle_key()?;
        }
        let mut config = self.config(network)?;
        set(&mut config);
        if !self.store_path().exists() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "{} is gone: put it back, or remove what is left with `subrosa store wipe`",
                    self.store_path().display()
                ),
            ));
        }
        subrosa::wait(Node::open(config))
    }

    /// The store's file.
    pub(crate) fn store_path(&self) -> PathBuf {
        self.dir.join(STORE)
    }

    /// The file with the key, if the store has one.
    pub(crate) fn key_path(&self) -> PathBuf {
        self.dir.join(KEY)
    }

    /// The file with the settings.
    pub(crate) fn settings_path(&self) -> PathBuf {
        self.dir.join(SETTINGS)
    }

    fn write_settings(&self, settings: &Settings) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(settings)
            .map_err(|e| Error::internal(format!("the settings cannot be written: {e}")))?;
        write_at_once(&self.settings_path(), format!("{text}\n").as_bytes())
    }

    /// What config.json says.
    pub(crate) fn settings(&self) -> Result<Settings, Error> {
        let path = self.dir.join(SETTINGS);
        let text = read_limited(&path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound if self.dir.join(STORE).exists() => Error::new(
                ErrorKind::NotFound,
                format!(
                    "{} has a store but no {SETTINGS}: `subrosa init` makes the settings anew and keeps the identity",
                    self.dir.display()
                ),
            ),
            io::ErrorKind::NotFound => Error::new(
                ErrorKind::NotFound,
                format!("there is no identity in {}: make one with `subrosa init`", self.dir.display()),
            ),
            io::ErrorKind::NotADirectory => no_directory(&self.dir),
            _ => file_error("read", &path, &e),
        })?;
        // serde would take a list for it as well, field by field.
        if text.trim_ascii_start().first() != Some(&b'{') {
            return Err(Error::damaged(format!(
                "{} is damaged: it is no JSON object, in braces. Remove the file and run `subrosa init`, which makes \
                 the settings anew and keeps identity and messages",
                path.display()
            )));
        }
        let settings: Settings = serde_json::from_slice(&text)
            .map_err(|e| {
                Error::damaged(format!(
                    "{} is damaged: {e}. Mend that line; or remove the file and run `subrosa init`, which makes the \
                     settings anew and keeps identity and messages",
                    path.display()
                ))
            })?;
        if settings.version != 1 {
            return Err(Error::new(
                ErrorKind::ForeignOrNewer,
                format!("{} was written by a newer version: use that one", path.display()),
            ));
        }
        Ok(settings)
    }

    /// The passphrase, if one is given. A file is meant for this command; the environment for whichever store needs
    /// one.
    fn passphrase(&self) -> Result<Option<Zeroizing<String>>, Error> {
        let words = match &self.passphrase_file {
            Some(path) => return read_passphrase(path).map(Some),
            None if !self.environment => return Ok(None),
            None => match std::env::var("SUBROSA_PASSPHRASE") {
                Ok(words) => Zeroizing::new(words),
                Err(std::env::VarError::NotPresent) => return Ok(None),
                Err(std::env::VarError::NotUnicode(_)) => {
                    return Err(Error::invalid("SUBROSA_PASSPHRASE is not UTF-8 text"));
                }
            },
        };
        if words.is_empty() {
            return Err(Error::invalid(
                "SUBROSA_PASSPHRASE is empty: set it to the passphrase, or unset it for a store without one",
            ));
        }
        Ok(Some(words))
    }

    /// The key file; made unless an `init` that was interrupted has made it.
    fn make_key_file(&self) -> Result<Secret32, Error> {
        let path = self.dir.join(KEY);
        if path.exists() {
            return self.read_key_file();
        }
        // A new key would not open it, and would stand where the right one has to go.
        if self.dir.join(STORE).exists() {
            return Err(Error::new(
                ErrorKind::WrongKey,
                format!(
                    "{} has a store but no {KEY}: put the key back that was made with it, or name its passphrase with \
                     --passphrase-file FILE",
                    self.dir.display()
                ),
            ));
        }
        new_key_file(&path)
    }

    fn read_key_file(&self) -> Result<Secret32, Error> {
        let path = self.dir.join(KEY);
        if path.exists() {
            return read_key(&path);
        }
        Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "{} is gone, which opens the store: put the file back that was made with it; without it nobody can read \
                 the store, and `subrosa store wipe` removes what is left",
                path.display()
            ),
        ))
    }
}

/// `$SUBROSA_DATA`; or `$XDG_DATA_HOME/subrosa`, or `~/.local/share/subrosa`; on Windows `%APPDATA%\subrosa`.
fn usual_dir() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("SUBROSA_DATA").filter(|dir| !dir.is_empty()) {
        return Some(PathBuf::from(dir));
    }
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if cfg!(windows) {
        return absolute("APPDATA").map(|dir| dir.join("subrosa"));
    }
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|dir| dir.join("subrosa"))
}

/// All addresses of the machine, at a port that stays the same at every start, so that invites stay good.
fn any_address() -> Result<Vec<SocketAddr>, Error> {
    let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let port = port::free(&any)?;
    Ok(any.iter().map(|ip| SocketAddr::new(*ip, port)).collect())
}

/// The same addresses, each port 0 replaced by one that stays.
fn with_ports(listen: &[SocketAddr]) -> Result<Vec<SocketAddr>, Error> {
    listen
        .iter()
        .map(|address| {
            let port = if address.port() == 0 { port::free(&[address.ip()])? } else { address.port() };
            Ok(SocketAddr::new(address.ip(), port))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn home(dir: &Path) -> Home {
        Home::without_passphrase(dir.join("data"))
    }

    #[test]
    fn keys_are_private_and_survive_an_interrupted_start() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(dir.path());
        make_private_dir(home.dir()).unwrap();
        let first = home.make_key_file().unwrap();
        let second = home.make_key_file().unwrap();
        assert_eq!(first, second);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(home.dir().join(KEY)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let mode = fs::metadata(home.dir()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
    }

    #[test]
    fn a_key_file_of_another_length_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(dir.path());
        make_private_dir(home.dir()).unwrap();
        fs::write(home.dir().join(KEY), [1u8; 31]).unwrap();
        assert_eq!(home.read_key_file().unwrap_err().kind(), ErrorKind::Damaged);
    }

    #[test]
    fn settings_of_other_versions_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let home = home(dir.path());
        make_private_dir(home.dir()).unwrap();
        assert_eq!(home.settings().unwrap_err().kind(), ErrorKind::NotFound);
        for (text, kind) in [
            (r#"{"version":2,"key":"file","listen":[]}"#, ErrorKind::ForeignOrNewer),
            (r#"{"version":1,"key":"file","listen":[],"tor":true}"#, ErrorKind::Damaged),
            (r#"{"version":1,"key":"file""#, ErrorKind::Damaged),
            (r#"{"version":1,"key":"file","listen":["somewhere"]}"#, ErrorKind::Damaged),
        ] {
            fs::write(home.dir().join(SETTINGS), text).unwrap();
            assert_eq!(home.settings().unwrap_err().kind(), kind, "{text}");
        }
    }
}
