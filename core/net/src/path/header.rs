//! What can be read of a QUIC datagram without keys (RFC 8999, RFC 9000 section 17): enough to decide whether it
//! may come in. Only the first packet of a datagram counts; quinn routes the others with it.

/// The only version that is let in: QUIC version 1.
const VERSION_1: [u8; 4] = [0, 0, 0, 1];
const LONG: u8 = 0x80;
const LONG_TYPE: u8 = 0x30;
/// Longest connection id of version 1.
const LONGEST_ID: usize = 20;
/// Length of the tag that protects a Retry packet.
const RETRY_TAG: usize = 16;

/// The visible part of a datagram's first packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header<'a> {
    /// A packet of a connection that stands. `rest` begins with a destination id whose length only we know.
    Short { rest: &'a [u8] },
    /// A packet of version 1 that asks for a connection.
    Initial { to: &'a [u8], token: &'a [u8] },
    /// A Retry of version 1.
    Retry { to: &'a [u8], token: &'a [u8] },
    /// A packet of version 1 in the course of a handshake, or 0-RTT.
    Handshake { to: &'a [u8] },
}

impl Header<'_> {
    /// None for everything that is not version 1 or is cut short.
    pub(super) fn parse(datagram: &[u8]) -> Option<Header<'_>> {
        let (&first, rest) = datagram.split_first()?;
        if first & LONG == 0 {
            return Some(Header::Short { rest });
        }
        let (version, rest) = rest.split_first_chunk::<4>()?;
        if *version != VERSION_1 {
            return None;
        }
        let (to, rest) = id(rest)?;
        let (_from, rest) = id(rest)?;
        Some(match first & LONG_TYPE {
            0x00 => Header::Initial { to, token: token(rest)? },
            0x30 => Header::Retry { to, token: rest.get(..rest.len().checked_sub(RETRY_TAG)?)? },
            _ => Header::Handshake { to },
        })
    }
}

fn id(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    let length = usize::from(length);
    if length > LONGEST_ID {
        return None;
    }
    rest.split_at_checked(length)
}

/// A variable-length integer (RFC 9000, section 16), and as many bytes.
fn token(bytes: &[u8]) -> Option<&[u8]> {
    let (&first, rest) = bytes.split_first()?;
    let more = (1usize << (first >> 6)) - 1;
    let (low, rest) = rest.split_at_checked(more)?;
    let length = low.iter().fold(u64::from(first & 0x3f), |n, &b| n << 8 | u64::from(b));
    rest.get(..usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_client_initial_of_rfc_9001_is_read() {
        // RFC 9001, appendix A.2: version 1, destination 8394c8f03e515708, no source id, no token.
        let mut packet = vec![0xc3, 0, 0, 0, 1, 8, 0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08, 0, 0];
        packet.extend_from_slice(&[0x44, 0x9e, 0, 0, 0, 2]);
        let to = &[0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];
        assert_eq!(Header::parse(&packet), Some(Header::Initial { to, token: &[] }));
        packet[4] = 2;
        assert_eq!(Header::parse(&packet), None, "another version");
    }

    #[test]
    fn the_retry_of_rfc_9001_is_read() {
        // RFC 9001, appendix A.4.
        let packet = [
            0xff, 0, 0, 0, 1, 0, 8, 0xf0, 0x67, 0xa5, 0x50, 0x2a, 0x42, 0x62, 0xb5, 0x74, 0x6f, 0x6b, 0x65,
            0x6e, 0x04, 0xa2, 0x65, 0xba, 0x2e, 0xff, 0x4d, 0x82, 0x90, 0x58, 0xfb, 0x3f, 0x0f, 0x24, 0x96,
            0xba,
        ];
        assert_eq!(Header::parse(&packet), Some(Header::Retry { to: &[], token: b"token" }));
        assert_eq!(Header::parse(&packet[..30]), None);
    }

    #[test]
    fn tokens_of_every_length_form_are_read() {
        let initial = |rest: &[u8]| [&[0xc0, 0, 0, 0, 1, 1, 7, 0], rest].concat();
        for length in [&[0x02][..], &[0x40, 2], &[0x80, 0, 0, 2], &[0xc0, 0, 0, 0, 0, 0, 0, 2]] {
            let packet = initial(&[length, b"ab"].concat());
            assert_eq!(Header::parse(&packet), Some(Header::Initial { to: &[7], token: b"ab" }));
            let cut = initial(&[length, b"a"].concat());
            assert_eq!(Header::parse(&cut), None);
        }
        assert_eq!(Header::parse(&initial(&[0xff; 8])), None);
    }

    proptest! {
        #[test]
        fn hostile_datagrams_never_panic(
            first in any::<u8>(),
            version in prop_oneof![Just([0, 0, 0, 1]), any::<[u8; 4]>()],
            rest in proptest::collection::vec(prop_oneof![0u8..24, any::<u8>()], 0..80),
        ) {
            let _ = Header::parse(&rest);
            let _ = Header::parse(&[&[first], &version[..], &rest].concat());
        }
    }
}
