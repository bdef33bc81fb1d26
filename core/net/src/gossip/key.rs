//! The key of a node (secp256k1) and its public name. It names a node at an address, never a person, and is thrown away
//! with the run unless a node or archive keeps its own.

use bech32::primitives::decode::UncheckedHrpstring;
use bech32::{Bech32m, Hrp};
use std::fmt;
use subrosa_proto::crypto::Secret32;
use subrosa_proto::entropy::Entropy;
use subrosa_proto::identity::{Identity, PersonId};
use subrosa_proto::{Error, Result};

/// What the text form starts with, before the separator `1`.
const PREFIX: &str = "subrosanode";
/// Longest text looked at: the text form has 71 characters.
const LONGEST_TEXT: usize = 128;

/// The secret key of a node: a scalar of secp256k1, wiped on drop.
#[derive(Clone)]
pub struct NodeKey(Identity);

impl NodeKey {
    /// A new key from random bytes. Fails only when the generator does.
    pub fn generate(source: &mut dyn Entropy) -> Result<NodeKey> {
        Identity::generate(source).map(NodeKey)
    }

    /// The key with these 32 bytes, big-endian, not zero and below the order of the curve
    /// ([`ErrorKind::InvalidArgument`](subrosa_proto::ErrorKind::InvalidArgument) otherwise).
    pub fn from_secret(bytes: &[u8]) -> Result<NodeKey> {
        Identity::from_secret(bytes)
            .map(NodeKey)
            .map_err(|_| Error::invalid("the key of a node is 32 bytes, and these are no secp256k1 key"))
    }

    /// The secret bytes, for a node that keeps its key.
    pub fn secret(&self) -> Secret32 {
        self.0.secret()
    }

    /// The public name.
    pub fn id(&self) -> NodeId {
        NodeId(self.0.person())
    }

    pub(super) fn sign(&self, domain: &str, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(domain, bytes)
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({:?})", self.id())
    }
}

/// A node: the compressed secp256k1 public key, 33 bytes (SEC 1, section 2.3.3). Always a valid point. The text form is
/// bech32m (BIP 350) with the prefix `subrosanode`, 71 lower-case characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(PersonId);

impl NodeId {
    /// How many bytes it has.
    pub const LEN: usize = PersonId::LEN;

    /// From exactly 33 bytes: 2 or 3, then the x coordinate of a point of the curve
    /// ([`ErrorKind::InvalidArgument`](subrosa_proto::ErrorKind::InvalidArgument) otherwise).
    pub fn from_slice(bytes: &[u8]) -> Result<NodeId> {
        PersonId::from_slice(bytes)
            .map(NodeId)
            .map_err(|_| Error::invalid("a node is 33 bytes, and these are no secp256k1 public key"))
    }

    /// The 33 bytes.
    pub fn as_bytes(&self) -> &[u8; NodeId::LEN] {
        self.0.as_bytes()
    }

    pub(super) fn verify(&self, domain: &str, bytes: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify(domain, bytes, signature)
    }

    fn text(&self) -> String {
        // 71 characters are below the limit of bech32m, so this cannot fail.
        bech32::encode_lower::<Bech32m>(Hrp::parse_unchecked(PREFIX), self.as_bytes()).unwrap_or_default()
    }
}

impl std::str::FromStr for NodeId {
    type Err = Error;

    /// Reads the text form, in lower or upper case.
    /// [`ErrorKind::InvalidArgument`](subrosa_proto::ErrorKind::InvalidArgument) when it is something else,
    /// [`ErrorKind::Damaged`](subrosa_proto::ErrorKind::Damaged) when a character is wrong or missing.
    fn from_str(text: &str) -> Result<NodeId> {
        let start = text.get(..=PREFIX.len()).unwrap_or_default();
        if text.len() > LONGEST_TEXT || !start.eq_ignore_ascii_case("subrosanode1") {
            return Err(Error::invalid("the name of a node starts with `subrosanode1`"));
        }
        let damaged = || Error::damaged("the name of the node has a character that is wrong or missing");
        let unchecked = UncheckedHrpstring::new(text).map_err(|_| damaged())?;
        let checked = unchecked.validate_and_remove_checksum::<Bech32m>().map_err(|_| damaged())?;
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let node = NodeId::from_slice(&bytes).map_err(|_| damaged())?;
        // One bit is left over in the last character; one node has one text.
        if !text.eq_ignore_ascii_case(&node.text()) {
            return Err(damaged());
        }
        Ok(node)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text())
    }
}

/// The first characters of the text form: enough to tell nodes apart in a log.
impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        write!(f, "{}...", text.get(..20).unwrap_or(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use subrosa_proto::ErrorKind;
    use subrosa_proto::entropy::SeededEntropy;

    #[test]
    fn a_name_is_read_back_and_damage_is_told_from_something_else() {
        let key = NodeKey::generate(&mut SeededEntropy::new(1)).unwrap();
        let text = key.id().to_string();
        assert_eq!(text.len(), 71);
        assert_eq!(text.parse::<NodeId>().unwrap(), key.id());
        assert_eq!(text.to_uppercase().parse::<NodeId>().unwrap(), key.id());
        for at in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'q' { b'p' } else { b'q' };
            assert!(String::from_utf8(wrong).unwrap().parse::<NodeId>().is_err(), "character {at}");
        }
        assert_eq!(text[..70].parse::<NodeId>().unwrap_err().kind(), ErrorKind::Damaged);
        let person = Identity::generate(&mut SeededEntropy::new(1)).unwrap().person().text();
        assert_eq!(person.parse::<NodeId>().unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert!(PersonId::parse(&text).is_err(), "a node is not taken for a person");
    }

    #[test]
    fn a_kept_key_is_the_same_node() {
        let key = NodeKey::generate(&mut SeededEntropy::new(2)).unwrap();
        assert_eq!(NodeKey::from_secret(key.secret().as_bytes()).unwrap().id(), key.id());
        assert!(NodeKey::from_secret(&[0; 32]).is_err());
        let shown = format!("{key:?}");
        assert!(shown.len() < 48 && !shown.contains(&data_encoding_of(key.secret().as_bytes())));
    }

    fn data_encoding_of(bytes: &[u8]) -> String {
        bytes.iter().take(4).map(|b| format!("{b:02x}")).collect()
    }
}
