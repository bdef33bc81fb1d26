//! RLP, Ethereum's codec (yellow paper, appendix B): a reader of borrowed items and a few writers, for envelopes and
//! packets. Headers are alloy-rlp's business; only the one shortest form of each length and number is taken.

use alloy_rlp::Header;
use std::fmt;

/// Why bytes are not the RLP that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The bytes end within an item, or an item reaches beyond its list.
    CutShort,
    /// A length or number is not in its shortest form.
    NotMinimal,
    /// A list where a string was expected.
    List,
    /// A string where a list was expected.
    NoList,
    /// A number that does not fit.
    TooGreat,
    /// More items, or bytes after the end.
    Trailing,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::CutShort => "an item is cut short",
            Error::NotMinimal => "a length or number is not in its shortest form",
            Error::List => "a list stands where a string belongs",
            Error::NoList => "a string stands where a list belongs",
            Error::TooGreat => "a number is too great",
            Error::Trailing => "something follows the last item",
        })
    }
}

impl std::error::Error for Error {}

impl From<alloy_rlp::Error> for Error {
    fn from(error: alloy_rlp::Error) -> Error {
        match error {
            alloy_rlp::Error::LeadingZero
            | alloy_rlp::Error::NonCanonicalSingleByte
            | alloy_rlp::Error::NonCanonicalSize => Error::NotMinimal,
            alloy_rlp::Error::Overflow => Error::TooGreat,
            alloy_rlp::Error::UnexpectedString => Error::NoList,
            alloy_rlp::Error::UnexpectedList => Error::List,
            // Also lengths that no memory of this machine holds.
            _ => Error::CutShort,
        }
    }
}

/// Items one after the other, read without copying. An item that cannot be read as asked is not consumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads the items in `bytes`, which someone who may lie has written.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes are left.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// That nothing is left.
    pub fn end(&self) -> Result<(), Error> {
        if self.is_empty() { Ok(()) } else { Err(Error::Trailing) }
    }

    /// The content of a string.
    pub fn bytes(&mut self) -> Result<&'a [u8], Error> {
        self.content(Kind::String)
    }

    /// The items of a list, which may be none.
    pub fn list(&mut self) -> Result<Reader<'a>, Error> {
        self.content(Kind::List).map(Reader)
    }

    /// An integer without a sign, of at most 64 bits.
    pub fn uint(&mut self) -> Result<u64, Error> {
        let mut after = self.clone();
        let digits = after.bytes()?;
        if digits.first() == Some(&0) {
            return Err(Error::NotMinimal);
        }
        if digits.len() > 8 {
            return Err(Error::TooGreat);
        }
        self.0 = after.0;
        Ok(digits.iter().fold(0, |number, digit| number << 8 | u64::from(*digit)))
    }

    /// An integer without a sign, of at most 32 bits.
    pub fn u32(&mut self) -> Result<u32, Error> {
        let mut after = self.clone();
        let number = u32::try_from(after.uint()?).map_err(|_| Error::TooGreat)?;
        self.0 = after.0;
        Ok(number)
    }

    /// Any item with its header. What a list holds is not looked at.
    pub fn raw(&mut self) -> Result<&'a [u8], Error> {
        let (header, content) = split(self.0)?;
        let length = self.0.len().saturating_sub(content.len()).saturating_add(header.payload_length);
        let (item, rest) = self.0.split_at_checked(length).ok_or(Error::CutShort)?;
        self.0 = rest;
        Ok(item)
    }

    fn content(&mut self, kind: Kind) -> Result<&'a [u8], Error> {
        let (header, content) = split(self.0)?;
        match kind {
            Kind::String if header.list => return Err(Error::List),
            Kind::List if !header.list => return Err(Error::NoList),
            _ => {}
        }
        let (content, rest) = content.split_at_checked(header.payload_length).ok_or(Error::CutShort)?;
        self.0 = rest;
        Ok(content)
    }
}

#[derive(Clone, Copy)]
enum Kind {
    String,
    List,
}

/// The header of the first item, and what follows the header.
fn split(bytes: &[u8]) -> Result<(Header, &[u8]), Error> {
    let mut rest = bytes;
    let header = Header::decode(&mut rest)?;
    Ok((header, rest))
}

/// Writes a string.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes {
        [byte] if *byte < 0x80 => out.push(*byte),
        _ => {
            Header { list: false, payload_length: bytes.len() }.encode(out);
            out.extend_from_slice(bytes);
        }
    }
}

/// Writes an integer without a sign.
pub fn put_uint(out: &mut Vec<u8>, number: u64) {
    let digits = number.to_be_bytes();
    let zeros = usize::try_from(number.leading_zeros() / 8).unwrap_or_default();
    put_bytes(out, digits.get(zeros..).unwrap_or_default());
}

/// How many bytes [`put_uint`] writes.
pub fn uint_length(number: u64) -> usize {
    let digits = 8 - usize::try_from(number.leading_zeros() / 8).unwrap_or_default();
    if number < 0x80 { 1 } else { 1 + digits }
}

/// How many bytes the header of a list has whose items have `length` bytes in all; also that of a string of two bytes
/// or more.
pub fn header_length(length: usize) -> usize {
    Header { list: true, payload_length: length }.length()
}

/// Writes the header of a list whose items have `length` bytes in all.
pub fn put_list_header(out: &mut Vec<u8>, length: usize) {
    Header { list: true, payload_length: length }.encode(out);
}

/// Writes a list of items that are written already.
pub fn put_list(out: &mut Vec<u8>, items: &[u8]) {
    put_list_header(out, items.len());
    out.extend_from_slice(items);
}

/// A list of items that are written already.
pub fn list(items: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(items.len() + 9);
    put_list(&mut out, items);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Examples of the Ethereum wiki's page on RLP.
    #[test]
    fn writes_what_the_wiki_says() {
        let text = |bytes: &[u8]| {
            let mut out = Vec::new();
            put_bytes(&mut out, bytes);
            out
        };
        assert_eq!(text(b"dog"), b"\x83dog");
        assert_eq!(text(b""), b"\x80");
        assert_eq!(text(b"\x00"), b"\x00");
        assert_eq!(text(b"\x7f"), b"\x7f");
        assert_eq!(text(b"\x80"), b"\x81\x80");
        let long = b"Lorem ipsum dolor sit amet, consectetur adipisicing elit";
        assert_eq!(text(long), [b"\xb8\x38".as_slice(), long].concat());
        assert_eq!(list(&[text(b"cat"), text(b"dog")].concat()), b"\xc8\x83cat\x83dog");
        assert_eq!(list(b""), b"\xc0");
        for (number, bytes) in [(0, &b"\x80"[..]), (15, b"\x0f"), (1024, b"\x82\x04\x00")] {
            let mut out = Vec::new();
            put_uint(&mut out, number);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn what_is_not_minimal_is_refused() {
        for bytes in [&b"\x00"[..], b"\x81\x05", b"\x82\x00\x01", b"\xb8\x01\xff", b"\xb9\x00\x38"] {
            assert_eq!(Reader::new(bytes).uint(), Err(Error::NotMinimal), "{bytes:02x?}");
        }
        assert_eq!(Reader::new(b"\x89\x01\0\0\0\0\0\0\0\0").uint(), Err(Error::TooGreat));
        assert_eq!(Reader::new(b"\x85\x01\0\0\0\0").u32(), Err(Error::TooGreat));
        assert_eq!(Reader::new(b"\xc0").uint(), Err(Error::List));
        assert_eq!(Reader::new(b"\x80").list(), Err(Error::NoList));
        assert_eq!(Reader::new(b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff").bytes(), Err(Error::CutShort));
        assert_eq!(Reader::new(b"").raw(), Err(Error::CutShort));
    }

    #[test]
    fn what_is_not_read_stays() {
        let mut reader = Reader::new(b"\x85\x01\0\0\0\0\xc1\x05");
        assert_eq!(reader.u32(), Err(Error::TooGreat));
        assert_eq!(reader.list(), Err(Error::NoList));
        assert_eq!(reader.uint(), Ok(1 << 32));
        assert_eq!(reader.raw(), Ok(b"\xc1\x05".as_slice()));
        assert_eq!(reader.end(), Ok(()));
    }

    proptest! {
        #[test]
        fn numbers_and_strings_come_back(number: u64, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut items = Vec::new();
            put_uint(&mut items, number);
            prop_assert_eq!(items.len(), uint_length(number));
            put_bytes(&mut items, &bytes);
            let written = list(&items);
            prop_assert_eq!(written.len(), header_length(items.len()) + items.len());
            let mut outside = Reader::new(&written);
            let mut inside = outside.list().unwrap();
            prop_assert!(outside.is_empty());
            prop_assert_eq!(inside.uint(), Ok(number));
            prop_assert_eq!(inside.bytes(), Ok(bytes.as_slice()));
            prop_assert_eq!(inside.end(), Ok(()));
        }

        /// Whatever is read is written again as the same bytes: there is one way to say each thing.
        #[test]
        fn hostile_bytes_have_one_form(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut reader = Reader::new(&bytes);
            while let Ok(item) = reader.raw() {
                let mut again = Vec::new();
                if let Ok(content) = Reader::new(item).bytes() {
                    put_bytes(&mut again, content);
                } else {
                    put_list(&mut again, Reader::new(item).list().unwrap().rest());
                }
                prop_assert_eq!(again, item);
                if let Ok(number) = Reader::new(item).uint() {
                    let mut again = Vec::new();
                    put_uint(&mut again, number);
                    prop_assert_eq!(again, item);
                }
            }
        }
    }
}
