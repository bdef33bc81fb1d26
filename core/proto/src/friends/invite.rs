//! An invite: the text one person hands to another, face to face or over another channel, to become friends.
//! Which invites are open, spent or revoked is kept by the store; how one is redeemed is in the handshake.

use crate::crypto::sha256;
use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind, Result};
use crate::friends::pair::{DoorKeys, door_keys};
use crate::identity::{DevicePublic, PersonId};
use crate::time::Timestamp;
use data_encoding::{BASE32_NOPAD, BASE32_NOPAD_NOCASE, HEXLOWER, HEXLOWER_PERMISSIVE};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// What the text starts with.
pub const PREFIX: &str = "subrosa:";
/// The version of the text that this code writes and reads.
pub const VERSION: u8 = 1;
/// Most address hints in one invite.
pub const MOST_HINTS: usize = 3;
/// Longest text looked at. An invite has at most 252 characters; the rest is room for white space around it and for
/// later versions.
pub const LONGEST_TEXT: usize = 2048;

/// Bytes of the checksum at the end, in every version.
const CHECKSUM: usize = 4;
const FAMILY_V4: u8 = 4;
const FAMILY_V6: u8 = 6;

/// What two strangers need to become friends: who invites, by which device, under which secret, until when, and
/// where it may be found.
///
/// The text is [`PREFIX`] and, in base32 (RFC 4648, lower case, no padding): version (1 byte), identity (33), device
/// key (32), secret (16), expiry (milliseconds since 1970, 8), number of hints (1), each hint as family (1 byte: 4 or
/// 6), address (4 or 16), port (2), and the first 4 bytes of SHA-256 of "subrosa invite checksum" and all before.
/// Numbers are big-endian.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    /// Who invites.
    pub person: PersonId,
    /// The device whose door is open.
    pub device: DevicePublic,
    /// Opens the door, until the invite ends.
    pub secret: InviteSecret,
    /// When it ends, by the clock of who invites.
    pub expires: Timestamp,
    /// Where the device may be found, best first; at most [`MOST_HINTS`]. Only [usable](check_hint) ones are
    /// written into the text.
    pub hints: Vec<SocketAddr>,
}

impl Invite {
    /// An invite with a fresh secret. [`ErrorKind::InvalidArgument`] for a hint nobody can dial, a hint that comes
    /// twice, or more than [`MOST_HINTS`].
    pub fn new(
        source: &mut dyn Entropy,
        person: PersonId,
        device: DevicePublic,
        expires: Timestamp,
        hints: &[SocketAddr],
    ) -> Result<Invite> {
        let hints = check_hints(hints)?;
        Ok(Invite { person, device, secret: InviteSecret::random(source)?, expires, hints })
    }

    /// The text to hand over. It holds the secret.
    pub fn text(&self) -> Zeroizing<String> {
        let hints: Vec<SocketAddr> =
            self.hints.iter().filter_map(|hint| check_hint(*hint).ok()).take(MOST_HINTS).collect();
        // Room for everything, so that no copy of the secret is left behind by growing.
        let mut bytes = Zeroizing::new(Vec::with_capacity(160));
        bytes.push(VERSION);
        bytes.extend_from_slice(self.person.as_bytes());
        bytes.extend_from_slice(self.device.as_bytes());
        bytes.extend_from_slice(self.secret.as_bytes());
        bytes.extend_from_slice(&self.expires.as_millis().to_be_bytes());
        bytes.push(hints.len() as u8);
        for hint in hints {
            match hint.ip() {
                IpAddr::V4(ip) => {
                    bytes.push(FAMILY_V4);
                    bytes.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    bytes.push(FAMILY_V6);
                    bytes.extend_from_slice(&ip.octets());
                }
            }
            bytes.extend_from_slice(&hint.port().to_be_bytes());
        }
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        let mut text =
            Zeroizing::new(String::with_capacity(PREFIX.len() + BASE32_NOPAD.encode_len(bytes.len())));
        text.push_str(PREFIX);
        BASE32_NOPAD.encode_append(&bytes, &mut text);
        text.make_ascii_lowercase();
        text
    }

    /// Reads the text, in lower or upper case, white space around it ignored. Hints that nobody can dial are left
    /// out.
    ///
    /// [`ErrorKind::InvalidArgument`] when the text is something else, [`ErrorKind::Damaged`] when characters are
    /// wrong or missing, [`ErrorKind::ForeignOrNewer`] when a newer version wrote it, [`ErrorKind::TooLarge`] for a
    /// text longer than any invite.
    pub fn parse(text: &str) -> Result<Invite> {
        if text.len() > LONGEST_TEXT {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("an invite has at most {LONGEST_TEXT} characters: this is something else"),
            ));
        }
        let text = text.trim();
        let body = match text.split_at_checked(PREFIX.len()) {
            Some((prefix, body)) if prefix.eq_ignore_ascii_case(PREFIX) => body,
            Some((prefix, _)) if prefix.eq_ignore_ascii_case("subrosa1") => {
                return Err(Error::invalid(
                    "this is an identity, not an invite: invites start with `subrosa:`",
                ));
            }
            _ => return Err(Error::invalid("an invite starts with `subrosa:`")),
        };
        let bytes = BASE32_NOPAD_NOCASE.decode(body.as_bytes()).map(Zeroizing::new).map_err(|e| {
            let at = PREFIX.len() + e.position + 1;
            damaged(match e.kind {
                data_encoding::DecodeKind::Symbol => format!("character {at} cannot be part of one"),
                _ => "characters are missing, or there are too many".to_owned(),
            })
        })?;
        let Some((content, sum)) = bytes.split_last_chunk::<CHECKSUM>() else {
            return Err(damaged("most of it is missing"));
        };
        if checksum(content) != *sum {
            return Err(damaged("its checksum is wrong: a character is wrong or missing"));
        }
        let mut content = Reader(content);
        match content.take::<1>()? {
            [VERSION] => Invite::read(content),
            [0] => Err(damaged("there is no version 0")),
            [version] => Err(Error::new(
                ErrorKind::ForeignOrNewer,
                format!(
                    "the invite is of version {version} and this program reads version {VERSION}: update it"
                ),
            )),
        }
    }

    /// Its public name, for lists, events and logs.
    pub fn id(&self) -> InviteId {
        self.secret.id()
    }

    /// The keys for dialling whoever invites, while the invite is open.
    pub fn door_keys(&self) -> DoorKeys {
        door_keys(self.secret.as_bytes(), &self.person)
    }

    /// Whether it ended before `now`, without slack: whoever allows for clocks that go wrong adds it.
    pub fn expired(&self, now: Timestamp) -> bool {
        now > self.expires
    }

    fn read(mut from: Reader<'_>) -> Result<Invite> {
        let person =
            PersonId::from_slice(&from.take::<{ PersonId::LEN }>()?).map_err(|e| damaged(e.text()))?;
        let device = DevicePublic(from.take()?);
        device.check().map_err(|e| damaged(e.text()))?;
        let secret = InviteSecret(from.take()?);
        let expires = Timestamp::from_millis(u64::from_be_bytes(from.take()?));
        let [count] = from.take()?;
        if usize::from(count) > MOST_HINTS {
            return Err(damaged(format!("it claims {count} addresses and may have {MOST_HINTS}")));
        }
        let mut hints = Vec::with_capacity(MOST_HINTS);
        for _ in 0..count {
            let ip = match from.take()? {
                [FAMILY_V4] => IpAddr::V4(Ipv4Addr::from(from.take::<4>()?)),
                [FAMILY_V6] => IpAddr::V6(Ipv6Addr::from(from.take::<16>()?)),
                [other] => return Err(damaged(format!("it has an address of unknown family {other}"))),
            };
            let hint = SocketAddr::new(ip, u16::from_be_bytes(from.take()?));
            if let Ok(hint) = check_hint(hint)
                && !hints.contains(&hint)
            {
                hints.push(hint);
            }
        }
        if !from.0.is_empty() {
            return Err(damaged(format!("{} bytes follow its end", from.0.len())));
        }
        Ok(Invite { person, device, secret, expires, hints })
    }
}

/// The name of the invite and of who invites; never the secret or the addresses.
impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invite({}, {:?})", self.id(), self.person)
    }
}

/// The hints in the form that is written: checked, without scope, IPv4 in IPv6 taken out. Errors as
/// [`Invite::new`].
pub fn check_hints(hints: &[SocketAddr]) -> Result<Vec<SocketAddr>> {
    if hints.len() > MOST_HINTS {
        return Err(Error::invalid(format!(
            "an invite holds at most {MOST_HINTS} addresses, not {}",
            hints.len()
        )));
    }
    let mut checked = Vec::with_capacity(hints.len());
    for hint in hints {
        let usable = check_hint(*hint)?;
        if checked.contains(&usable) {
            return Err(Error::invalid(format!("the address {hint} comes twice")));
        }
        checked.push(usable);
    }
    Ok(checked)
}

/// One hint as it is written, or [`ErrorKind::InvalidArgument`] when no other machine could dial it: no port,
/// unspecified, multicast, broadcast, or link-local IPv6 (which means another place on every machine). Loopback is
/// allowed, for two nodes of one machine.
pub fn check_hint(hint: SocketAddr) -> Result<SocketAddr> {
    let ip = hint.ip().to_canonical();
    let why = match ip {
        _ if hint.port() == 0 => "it has no port",
        _ if ip.is_unspecified() => "it names no machine: give the address others see",
        _ if ip.is_multicast() => "it is a multicast address",
        IpAddr::V4(ip) if ip.is_broadcast() => "it is a broadcast address",
        IpAddr::V6(ip) if ip.is_unicast_link_local() => "it is link-local and means nothing elsewhere",
        _ => return Ok(SocketAddr::new(ip, hint.port())),
    };
    Err(Error::invalid(format!("{hint} cannot be dialled by others: {why}")))
}

/// The secret of an invite: 16 bytes, wiped on drop, compared in constant time, never shown.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct InviteSecret([u8; InviteSecret::LEN]);

impl InviteSecret {
    /// How many bytes it has.
    pub const LEN: usize = 16;

    /// Fresh random bytes.
    pub fn random(source: &mut dyn Entropy) -> Result<InviteSecret> {
        let mut secret = InviteSecret([0; InviteSecret::LEN]);
        source.fill(&mut secret.0)?;
        Ok(secret)
    }

    /// From exactly 16 bytes ([`ErrorKind::InvalidArgument`] otherwise).
    pub fn from_slice(bytes: &[u8]) -> Result<InviteSecret> {
        bytes
            .try_into()
            .map(InviteSecret)
            .map_err(|_| Error::invalid(format!("the secret of an invite is 16 bytes, not {}", bytes.len())))
    }

    /// The bytes, for the store and for [`door_keys`].
    pub fn as_bytes(&self) -> &[u8; InviteSecret::LEN] {
        &self.0
    }

    /// The public name of the invite with this secret: the first 16 bytes of SHA-256 of "subrosa invite id" and the
    /// secret.
    pub fn id(&self) -> InviteId {
        let mut id = InviteId([0; 16]);
        id.0.copy_from_slice(&sha256(&[b"subrosa invite id", &self.0])[..16]);
        id
    }
}

impl PartialEq for InviteSecret {
    fn eq(&self, other: &InviteSecret) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for InviteSecret {}

/// The public name of an invite: tells nothing of its secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InviteId(pub [u8; 16]);

impl InviteId {
    /// From exactly 16 bytes ([`ErrorKind::InvalidArgument`] otherwise).
    pub fn from_slice(bytes: &[u8]) -> Result<InviteId> {
        bytes
            .try_into()
            .map(InviteId)
            .map_err(|_| Error::invalid(format!("the id of an invite is 16 bytes, not {}", bytes.len())))
    }

    /// From 32 hexadecimal digits, as [`fmt::Display`] writes them.
    pub fn parse(text: &str) -> Result<InviteId> {
        let bytes = Some(text.trim())
            .filter(|text| text.len() == 32)
            .and_then(|text| HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok())
            .ok_or_else(|| Error::invalid("the id of an invite is written as 32 hexadecimal digits"))?;
        InviteId::from_slice(&bytes)
    }
}

impl fmt::Display for InviteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for InviteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The rest of an invite that is being read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or_else(|| damaged("it is cut short"))?;
        self.0 = rest;
        Ok(*first)
    }
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM] {
    let [a, b, c, d, ..] = sha256(&[b"subrosa invite checksum", content]);
    [a, b, c, d]
}

fn damaged(how: impl AsRef<str>) -> Error {
    Error::damaged(format!("the invite is damaged ({}): copy it again", how.as_ref()))
}
