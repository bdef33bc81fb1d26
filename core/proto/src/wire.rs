//! The codec of our own messages.
//!
//! A message is a [`Record`]: one CBOR map (RFC 8949) with small numbers as keys, definite length, keys ascending,
//! nothing after it. Unknown keys of [`CRITICAL`] and above are ignored, so that later versions may add fields;
//! unknown keys below it are refused, so that later versions may add fields that must be understood. Structures
//! inside a record are CBOR arrays and get no keys of their own.

use crate::error::{Error, Result};
use minicbor::data::Type;
use minicbor::{Decode, Decoder, Encode};

/// Keys below this number must be understood by whoever decodes the record.
pub const CRITICAL: u64 = 64;

/// A message of ours: a CBOR map whose keys are listed.
pub trait Record: Encode<()> + for<'b> Decode<'b, ()> {
    /// What it is, for error texts.
    const NAME: &'static str;
    /// Every key this version knows, ascending.
    const KEYS: &'static [u64];
}

/// The bytes of `record`.
pub fn encode<R: Record>(record: &R) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing into a Vec cannot fail, and no record of ours has an encoder that does.
    let _ = minicbor::encode(record, &mut out);
    out
}

/// Reads a record that fills `bytes` exactly. Refuses unknown critical keys, keys out of order, maps of unknown
/// length and trailing bytes, as [`ErrorKind::Damaged`](crate::ErrorKind::Damaged).
pub fn decode<R: Record>(bytes: &[u8]) -> Result<R> {
    check::<R>(bytes).and_then(|()| {
        minicbor::decode(bytes).map_err(|e| Error::damaged(format!("{}: not readable: {e}", R::NAME)))
    })
}

/// A byte string that is copied by reference count, for bodies that go through several hands.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Bytes(std::sync::Arc<[u8]>);

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes(bytes.into())
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Bytes {
        Bytes(bytes.into())
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<C> Encode<C> for Bytes {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> std::result::Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Bytes {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> std::result::Result<Bytes, minicbor::decode::Error> {
        d.bytes().map(Bytes::from)
    }
}

fn check<R: Record>(bytes: &[u8]) -> Result<()> {
    let bad = |what: &str| Error::damaged(format!("{}: {what}", R::NAME));
    let mut d = Decoder::new(bytes);
    let Ok(Some(fields)) = d.map() else {
        return Err(bad("not a map of known length"));
    };
    let mut last = None;
    for _ in 0..fields {
        let key = d.u64().map_err(|_| bad("a key is not a number"))?;
        if last.is_some_and(|l| key <= l) {
            return Err(bad("keys are not in order"));
        }
        last = Some(key);
        if key < CRITICAL && !R::KEYS.contains(&key) {
            return Err(Error::damaged(format!(
                "{}: field {key} must be understood and is not known to this version",
                R::NAME
            )));
        }
        skip(&mut d, 0).map_err(|()| bad("cut short or nested too deeply"))?;
    }
    if d.position() != bytes.len() {
        return Err(bad("bytes after its end"));
    }
    Ok(())
}

/// Deepest nesting of arrays and maps in any record of ours, with room to grow.
const DEEPEST: u32 = 8;

/// Skips one value without recursion beyond [`DEEPEST`] and without trusting a length.
fn skip(d: &mut Decoder<'_>, depth: u32) -> std::result::Result<(), ()> {
    if depth > DEEPEST {
        return Err(());
    }
    match d.datatype().map_err(|_| ())? {
        Type::Array => {
            let n = d.array().map_err(|_| ())?.ok_or(())?;
            (0..n).try_for_each(|_| skip(d, depth + 1))
        }
        Type::Map => {
            let n = d.map().map_err(|_| ())?.ok_or(())?;
            (0..n).try_for_each(|_| skip(d, depth + 1).and_then(|()| skip(d, depth + 1)))
        }
        Type::ArrayIndef | Type::MapIndef | Type::BytesIndef | Type::StringIndef => Err(()),
        _ => d.skip().map_err(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq, Encode, Decode)]
    #[cbor(map)]
    struct Old {
        #[n(0)]
        a: u64,
        #[cbor(n(2), with = "minicbor::bytes")]
        b: Option<Vec<u8>>,
    }
    impl Record for Old {
        const NAME: &'static str = "old";
        const KEYS: &'static [u64] = &[0, 2];
    }

    #[derive(Debug, PartialEq, Encode, Decode)]
    #[cbor(map)]
    struct New {
        #[n(0)]
        a: u64,
        #[n(3)]
        critical: Option<u64>,
        #[n(70)]
        optional: Option<u64>,
    }
    impl Record for New {
        const NAME: &'static str = "new";
        const KEYS: &'static [u64] = &[0, 3, 70];
    }

    #[test]
    fn unknown_fields_are_ignored_and_unknown_critical_ones_refused() {
        let polite = encode(&New { a: 1, critical: None, optional: Some(5) });
        assert_eq!(decode::<Old>(&polite).unwrap(), Old { a: 1, b: None });
        let strict = encode(&New { a: 1, critical: Some(5), optional: None });
        assert!(decode::<Old>(&strict).unwrap_err().text().contains("field 3"));
    }

    #[test]
    fn trailing_bytes_and_disorder_are_refused() {
        let mut bytes = encode(&Old { a: 1, b: Some(vec![1, 2]) });
        assert!(decode::<Old>(&bytes).is_ok());
        bytes.push(0);
        assert!(decode::<Old>(&bytes).is_err());
        assert!(decode::<Old>(&[0xa2, 0x00, 0x01, 0x00, 0x01]).is_err(), "a key twice");
        assert!(decode::<Old>(&[0xbf, 0x00, 0x01, 0xff]).is_err(), "no length");
        let deep: Vec<u8> = [vec![0xa2, 0x00, 0x01, 0x18, 99], vec![0x81; 5000], vec![0]].concat();
        assert!(decode::<Old>(&deep).is_err(), "deep nesting");
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(v) = decode::<Old>(&bytes) {
                prop_assert_eq!(decode::<Old>(&encode(&v)).unwrap(), v);
            }
        }
    }
}
